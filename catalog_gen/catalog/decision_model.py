"""What a decision is, who decides, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from catalog_gen.catalog.model import NO_WISH, Asset, Wish
from catalog_gen.catalog.text import clean, clean_reason
from catalog_gen.errors import UsageError

Action = Literal["approve", "reject", "again"]
Source = Literal["desk", "file", "command"]
Result = Literal["done", "already", "changed", "unknown", "refused"]

MAX_REVIEWER = 200  # characters
MAX_KEY = 100


@dataclass(frozen=True)
class Decision:
    """What a person decided on a picture. `id`: a new one for each decision (uuid4 hex).

    version: that of the picture that was looked at; None decides on whatever it is now. sha256: when given, must be
    the picture's. wish: with `again`, what the next drawing is asked to be.
    """

    id: str
    asset_id: str
    action: Action
    version: int | None = None
    reason: str = ""
    sha256: str = ""
    wish: Wish = NO_WISH


@dataclass(frozen=True)
class Decided:
    """What came of a decision; `told` is one plain line, `asset` the picture as it is now.

    done: it holds. already: it held before, and nothing was written. changed: the picture has changed since it was
    looked at. unknown: there is no such picture, or nothing to undo. refused: it cannot be, as it is.
    """

    decision: Decision
    result: Result
    told: str
    asset: Asset | None = None


@dataclass(frozen=True)
class By:
    """Who decides, and through what."""

    reviewer: str
    source: Source

    @staticmethod
    def of(reviewer: str, source: str) -> By:
        """Return the two, checked. Raises UsageError for a reviewer without a name and for an unknown source."""
        name = clean_reason(reviewer)[:MAX_REVIEWER]
        if not name:
            raise UsageError("a decision needs its reviewer's name", hint="Set review.reviewer.")
        for known in get_args(Source):
            if source == known:
                return By(name, known)
        raise UsageError(f"decisions do not come from {source!r}", hint=f"Sources: {', '.join(get_args(Source))}.")


def is_key(text: str) -> bool:
    """Whether `text` can be an id: not empty, not long, and nothing in it that a database cannot hold."""
    return 0 < len(text) <= MAX_KEY and clean(text) == text
