"""What is exported: products with their pictures, as the channels see them; and what is held back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from catalog_gen.errors import RowError

Role: TypeAlias = Literal["photo", "restyled", "generated"]
What: TypeAlias = Literal["product", "picture", "value"]
AI_SOURCES = ("trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia")
"""The IPTC digital source types of what a model drew, whole or in part."""


@dataclass(frozen=True)
class Picture:
    """A picture that may go with a product, and what was found in its file.

    uri: where it is stored. url: where anybody can open it, "" if nowhere. size: bytes. white: share of its border.
    source_type: the IPTC digital source type in the file's metadata. overlays: what lies over it ("text",
    ...), None when nothing tells any more.
    rule and fault: why it can be used nowhere, if so.
    """

    role: Role
    uri: str
    url: str = ""
    style: str = ""
    output: str = ""
    asset_id: str = ""
    version: int = 0
    width: int = 0
    height: int = 0
    format: str = ""
    size: int = 0
    sha256: str = ""
    source_type: str = ""
    white: float = 0.0
    overlays: tuple[str, ...] | None = ()
    rule: str = ""
    fault: str = ""

    @property
    def name(self) -> str:
        """What people call it: `photo`, `generated`, `restyled winter/square`."""
        return f"{self.role} {self.style}/{self.output}" if self.style else self.role

    @property
    def overlaid(self) -> str:
        """What to say of a picture that has something over it, or may have; "" when it is clear."""
        if self.overlays is None:
            return f"nothing tells whether something lies over it: its template {self.style} is gone"
        return f"has {' and '.join(self.overlays)} over it" if self.overlays else ""

    @property
    def is_drawn(self) -> bool:
        """Whether a model drew the product itself, and not only what is around it."""
        return self.role == "generated" or self.source_type == AI_SOURCES[0]


@dataclass(frozen=True)
class Item:
    """A product and its pictures, in no order yet."""

    sku: str
    title: str
    category: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    pictures: tuple[Picture, ...] = ()


@dataclass(frozen=True)
class Held:
    """What is not exported: a product, one of its pictures, or one of its values. `rule` is a word for counts."""

    sku: str
    what: What
    rule: str
    reason: str
    picture: Picture | None = None


class HeldBack(RowError):
    """A product that a channel cannot take; the others go on."""

    def __init__(self, rule: str, reason: str) -> None:
        super().__init__(reason)
        self.rule = rule
