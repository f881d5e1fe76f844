"""The values that pass between the catalogue and the jobs; plain dataclasses, no database in sight."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeAlias

Where: TypeAlias = tuple[tuple[str, str], ...]
"""`--where` conditions as (field, value): different fields are ANDed, several values of one field ORed."""

OutcomeName: TypeAlias = Literal["generated", "restyled", "needs_review", "failed", "skipped"]
AssetState: TypeAlias = Literal["draft", "needs_review", "approved", "rejected", "published", "failed"]
RunState: TypeAlias = Literal["running", "finished", "partial", "failed", "died"]
ReasonKind: TypeAlias = Literal[
    "", "similarity", "fault", "duplicate", "few-photos", "cut-out", "source", "person", "other"
]
"""What kind of reason a picture's `reason` is; of several, the first."""

ASSET_STATES: tuple[AssetState, ...] = ("draft", "needs_review", "approved", "rejected", "published", "failed")
DEAD_STATES: frozenset[str] = frozenset({"rejected", "failed"})
"""Assets in these states are not live: the product lacks a picture again."""
APPROVED_STATES: frozenset[str] = frozenset({"approved", "published"})
"""Assets in these states were looked at by a person and found good."""


@dataclass(frozen=True)
class Product:
    """A row of the catalogue. `attributes` keep the feed's order; `image` is None when the row has no picture."""

    sku: str
    title: str
    category: str = ""
    attributes: dict[str, str] = field(default_factory=dict)
    image: str | None = None


@dataclass(frozen=True)
class Claimed:
    """A product under this worker's lease.

    `attempt` is the number of earlier generated assets of this sku, so that a rejected picture is drawn anew with
    another seed; `input_hash` is the one that was planned.
    """

    product: Product
    attempt: int
    input_hash: str


@dataclass(frozen=True)
class NewAsset:
    """A stored picture, ready to be recorded. `id` is the caller's (uuid4 hex) and makes recording idempotent.

    `seed` must fit a signed 64-bit integer; `phash` is 16 hex digits or empty (then it joins no duplicate search).
    """

    id: str
    sku: str
    uri: str
    sha256: str
    bytes: int
    width: int
    height: int
    format: str
    prompt: str
    prompt_hash: str
    seed: int
    attempt: int
    candidates: int
    clip_hash: str
    gan_hash: str
    state: AssetState = "draft"
    reason: str = ""
    kind: str = "generated"
    style: str = ""
    variant: str = ""
    scores: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    phash: str = ""
    colours: str = ""
    source_asset_id: str | None = None
    input_hash: str = ""  # of a restyled picture: its source, its template's output and its engine
    category: str = ""  # the product's, at this time
    doubt: float = 0.0  # 0 to 1: how unsure the job is of the picture
    reason_kind: ReasonKind = ""


@dataclass(frozen=True)
class Asset(NewAsset):
    """A recorded picture: what the job gave, and who recorded it when. `live` says that it stands for its product.

    `retired_by` is the run whose picture took its place, or that itself was reverted. `version` counts the changes of
    its state and liveness, so that a decision can name what its reviewer saw.
    """

    run_id: str = ""
    live: bool = True
    created_at: datetime | None = None
    retired_by: str | None = None
    version: int = 1


@dataclass(frozen=True)
class Wish:
    """What the next drawing of a product is asked to be: `words` instead of its own ("": its own), so many candidates
    (None: as configured)."""

    words: str = ""
    candidates: int | None = None


NO_WISH = Wish()


@dataclass(frozen=True)
class PictureSource:
    """What a product's restyled pictures are made from: a generated asset, or (without one) a photo of the shop.

    `key` stands for the source's bytes: their SHA-256 where the catalogue knows it, else what tells a changed file.
    """

    sku: str
    uri: str
    key: str
    asset: Asset | None = None
    sha256: str | None = None  # that the bytes must have, where it is known


@dataclass(frozen=True)
class SampledAsset:
    """An asset with its product for a contact sheet; `product` is None when the row has left the catalogue."""

    asset: Asset
    product: Product | None

    @property
    def category(self) -> str:
        return self.product.category if self.product else ""


@dataclass(frozen=True)
class Outcome:
    """What came of one claimed row. `retry=False` on a failure means that another night would fail the same way.

    A row may get several pictures at once: `assets` are those beside `asset`.
    """

    sku: str
    outcome: OutcomeName
    reason: str = ""
    asset: NewAsset | None = None
    retry: bool = True
    assets: tuple[NewAsset, ...] = ()

    @property
    def pictures(self) -> tuple[NewAsset, ...]:
        """Every picture of the row; the first one's id stands in the run's item."""
        return (*((self.asset,) if self.asset else ()), *self.assets)


@dataclass(frozen=True, kw_only=True)
class ScopeRequest:
    """Which rows a run wants to work. `show`: how many of the planned skus the plan shall name."""

    run_id: str
    job: str
    where: Where = ()
    skus: tuple[str, ...] = ()
    limit: int | None = None
    max_attempts: int = 3
    page_rows: int = 1_000
    show: int = 0


@dataclass(frozen=True, kw_only=True)
class PlanRequest(ScopeRequest):
    """What a filling run wants to work. `input_hash` may raise RowError: the row is then skipped with its reason."""

    input_hash: Callable[[Product], str]


@dataclass(frozen=True)
class Looked:
    """What a job sees in a page of the catalogue, by sku. A row in none of them has nothing to work from.

    finished: rows that need nothing. hashes: the input of those that may need work. reasons: why a row cannot be
    worked. pictures: how many pictures a row is about to get, where that is not one.
    """

    finished: set[str] = field(default_factory=set)
    hashes: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    pictures: Mapping[str, int] = field(default_factory=dict)


@dataclass
class Plan:
    """A run's frozen scope, counted. `planned + skipped` is the number of the run's items.

    `unusable` holds the first 100 skipped rows as (sku, reason). Of the skus asked for, `unknown_skus` are those that
    the catalogue lacks, and `has_image` counts those that have an image of their own. `unusable_rows` counts the rows
    of the shop's table that no run can address: without a sku, or repeating one. `no_source` counts rows that have
    nothing to work from, `pictures` those that the planned rows are to get, and `shown` names the first of these rows.
    """

    planned: int = 0
    has_asset: int = 0
    exhausted: int = 0
    skipped: int = 0
    has_image: int = 0
    unusable_rows: int = 0
    unusable: list[tuple[str, str]] = field(default_factory=list)
    unknown_skus: list[str] = field(default_factory=list)
    no_source: int = 0
    pictures: int = 0
    shown: list[str] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        """Every count by name, for the ledger."""
        return {
            "planned": self.planned,
            "has_asset": self.has_asset,
            "exhausted": self.exhausted,
            "skipped": self.skipped,
            "has_image": self.has_image,
            "unknown_skus": len(self.unknown_skus),
            "unusable_rows": self.unusable_rows,
        }


@dataclass
class RestylePlan(Plan):
    """A restyling run's scope; `has_asset` counts the rows whose every output is there and up to date."""

    @property
    def counts(self) -> dict[str, int]:
        return {
            "planned": self.planned,
            "pictures": self.pictures,
            "up_to_date": self.has_asset,
            "exhausted": self.exhausted,
            "skipped": self.skipped,
            "no_source": self.no_source,
            "unknown_skus": len(self.unknown_skus),
            "unusable_rows": self.unusable_rows,
        }


@dataclass(frozen=True)
class RecordResult:
    """`recorded`: outcomes that count for this run. `lost`: rows that another worker holds or has finished."""

    recorded: list[str]
    lost: list[str]


@dataclass(frozen=True)
class RunItem:
    """A row of a run's frozen scope, and what came of it; `outcome` is None while nothing did."""

    sku: str
    outcome: str | None
    reason: str


@dataclass(frozen=True)
class RunRecord:
    """A row of the ledger. Times are UTC."""

    id: str
    job: str
    state: RunState
    started_at: datetime
    finished_at: datetime | None
    heartbeat_at: datetime
    host: str
    pid: int
    user: str
    version: str
    config: dict[str, Any]
    models: dict[str, Any]
    counts: dict[str, int]
    timings: dict[str, Any]
    images_per_second: float | None
    exit_code: int | None
    message: str
