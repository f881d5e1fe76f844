"""What a night's report is made of: a run's rows and pictures as plain values, and what reasons have in common."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

NearestBy = Literal["duplicate", "shape"]

MAX_GROUP = 160  # characters of a reason's general form
DUPLICATE = "near-duplicate of another product"

_DUPLICATE = re.compile(r"near-duplicate of (?P<sku>.+)")
# Most specific first: what differs from row to row goes, what makes rows alike stays.
_PARTICULAR = (
    (re.compile(r"\s-?\d+(?:\.\d+)?(?= (?:above|below) )"), ""),  # "similarity 0.312 below 0.375"
    (re.compile(r"\b[a-z][a-z0-9+]*://\S+"), "…"),
    (re.compile(r"'[^']*'|\"[^\"]*\""), "…"),
    (re.compile(r"(?<![\w.])/\S+"), "…"),
    (re.compile(r"\b(?=[0-9a-f]*\d)[0-9a-f]{8,}\b"), "…"),
    # Not a limit, "similarity below 0.375", and not what is measured, "the worst 5 %".
    (re.compile(r"(?<!above )(?<!below )(?<!worst )(?<![\w.,-])\d+(?:[.,]\d+)*(?![\w.,]*\d)"), "…"),
)


@dataclass(frozen=True)
class Nearest:
    """The other product whose picture is most like this one.

    by: `duplicate` when the job found them too alike, `shape` for the nearest perceptual hash among the run's
    pictures, `bits` (0 to 64) apart. asset: the other picture's id, "" when it is not known.
    """

    sku: str
    by: NearestBy
    bits: int | None = None
    asset: str = ""


@dataclass(frozen=True)
class Picture:
    """A picture of the night, with everything that is known of it. `made_with`: (label, value) pairs for people."""

    id: str
    sku: str
    title: str
    category: str
    kind: str
    style: str
    variant: str
    state: str
    live: bool
    version: int
    reason: str
    doubt: float
    prompt: str
    scores: Mapping[str, Any]
    seed: int
    attempt: int
    candidates: int
    uri: str
    sha256: str
    bytes: int
    width: int
    height: int
    format: str
    created_at: str
    made_with: tuple[tuple[str, str], ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    source_asset: str = ""
    source_uri: str = ""
    source_sha256: str = ""
    nearest: Nearest | None = None

    @property
    def look(self) -> str:
        """The style and variant of a restyled picture, for people; "" for a generated one."""
        return " ".join(part for part in (self.style, self.variant) if part)


@dataclass(frozen=True)
class Row:
    """A row that the run was to work: what came of it ("" when nothing did yet), and its pictures."""

    sku: str
    title: str
    category: str
    outcome: str
    reason: str
    pictures: tuple[Picture, ...] = ()


def reason_groups(reason: str) -> list[str]:
    """Return the general forms of a reason's parts: without the numbers, names and addresses of the single row."""
    parts = (part.strip() for part in reason.split("; "))
    return list(dict.fromkeys(_general(part) for part in parts if part))


def duplicate_of(reason: str) -> str:
    """Return the sku that a reason names as the near-duplicate; "" when it names none."""
    found = (_DUPLICATE.fullmatch(part.strip()) for part in reason.split("; "))
    return next((match["sku"] for match in found if match), "")


def _general(part: str) -> str:
    if _DUPLICATE.fullmatch(part):
        return DUPLICATE
    for pattern, instead in _PARTICULAR:
        part = pattern.sub(instead, part)
    part = " ".join(part.split())
    return part if len(part) <= MAX_GROUP else part[: MAX_GROUP - 1] + "…"
