"""What passes between the desk's pages and what stands behind them; plain dataclasses, no database in sight."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeAlias

Role: TypeAlias = Literal["reviewer", "reader"]
Action: TypeAlias = Literal["approve", "reject", "again"]
Result: TypeAlias = Literal["done", "already", "changed", "unknown", "refused"]
DrawState: TypeAlias = Literal["waiting", "drawing", "done", "failed"]

ACTIONS: tuple[Action, ...] = ("approve", "reject", "again")
ORDERS: dict[str, str] = {
    "doubt": "most doubtful first",
    "newest": "newest first",
    "oldest": "oldest first",
    "sku": "by sku",
}
STATES: dict[str, str] = {
    "needs_review": "to review",
    "undecided": "undecided",  # to review and draft: whatever nobody has decided about
    "draft": "draft",
    "approved": "approved",
    "published": "published",
    "rejected": "rejected",
    "failed": "failed",
}
KINDS: dict[str, str] = {"generated": "drawn from words", "restyled": "in a template"}


@dataclass(frozen=True)
class Query:
    """Which pictures a page shows. Empty fields narrow nothing."""

    state: str = "needs_review"
    kind: str = ""
    style: str = ""
    category: str = ""
    reason_kind: str = ""
    run: str = ""
    text: str = ""
    order: str = "doubt"


@dataclass(frozen=True)
class Card:
    """A picture as the pages show it. `scores` and `attributes` are (label, value), ready to be read.

    `title` is empty where the product has left the catalogue. `wish` says what the next drawing was asked for.
    `label` tells the picture from the product's others. `wish_words` are those the next drawing would start from.
    `beside` names what the picture can be compared with: (label, address of an image, address of its page or "").
    """

    id: str
    sku: str
    version: int
    state: str
    live: bool
    kind: str
    style: str
    variant: str
    title: str
    category: str
    words: str
    attributes: list[tuple[str, str]]
    reason: str
    reason_kind: str
    doubt: float
    scores: list[tuple[str, str]]
    facts: list[tuple[str, str]]
    candidates: int
    attempt: int
    width: int
    height: int
    created: str
    label: str = ""
    wish: str = ""
    wish_words: str = ""
    beside: list[tuple[str, str, str]] = field(default_factory=list)
    held_by: str = ""

    def json(self) -> dict[str, Any]:
        """Return the card as JSON-ready values."""
        return asdict(self)


@dataclass(frozen=True)
class Queue:
    """A page of pictures. `next` is the place after its last one, None at the end; `total` counts all of them."""

    cards: list[Card]
    next: str | None
    total: int


@dataclass(frozen=True)
class Detail:
    """A picture with everything known of it: the product's other pictures, newest first, and its decisions."""

    card: Card
    others: list[Card]
    decisions: list[AuditLine]


@dataclass(frozen=True)
class Verdict:
    """What a reviewer decided about the version of a picture that they saw. `id` makes sending it twice harmless.

    `words` and `candidates` are what "again" asks of the next drawing; `now`: not to wait for the next run.
    """

    id: str
    asset: str
    action: Action
    version: int
    reason: str = ""
    words: str = ""
    candidates: int | None = None
    now: bool = False


@dataclass(frozen=True)
class Ruled:
    """What came of a verdict, told in one line. `card` is the picture as it is now, None where there is none."""

    id: str
    result: Result
    told: str
    card: Card | None

    def json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "result": self.result,
            "told": self.told,
            "card": None if self.card is None else self.card.json(),
        }


@dataclass(frozen=True)
class AuditQuery:
    """Which decisions the audit page shows; `before` is the place of the last page's end."""

    sku: str = ""
    reviewer: str = ""
    before: tuple[datetime, str] | None = None


@dataclass(frozen=True)
class AuditLine:
    """One decision, as it was recorded. `undone` says that a later undo took it back."""

    id: str
    asset: str
    sku: str
    action: str
    reason: str
    before: str
    after: str
    reviewer: str
    source: str
    at: datetime
    undone: bool


@dataclass(frozen=True)
class AdviceLine:
    """What the decisions of a category say about its threshold; shown, never applied.

    `now`: the mean of those its pictures were judged by. `catches`, `costs`: rejected and approved pictures below the
    suggested one.
    """

    category: str
    decided: int
    rejected: int
    now: float | None
    suggested: float | None
    catches: int
    costs: int


@dataclass(frozen=True)
class Draw:
    """A picture that was asked for at once: where it stands, and what the run said last.

    `id` is that of the picture it takes the place of, `asset` the new one's.
    """

    id: str
    sku: str
    style: str
    state: DrawState
    told: str = ""
    asset: str = ""
