"""The values that pass between the catalogue and the jobs; plain dataclasses, no database in sight."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeAlias

Where: TypeAlias = tuple[tuple[str, str], ...]
"""`--where` conditions as (field, value): different fields are ANDed, several values of one field ORed."""

OutcomeName: TypeAlias = Literal["generated", "needs_review", "failed", "skipped"]
AssetState: TypeAlias = Literal["draft", "needs_review", "approved", "rejected", "published", "failed"]
RunState: TypeAlias = Literal["running", "finished", "partial", "failed", "died"]

ASSET_STATES: tuple[AssetState, ...] = ("draft", "needs_review", "approved", "rejected", "published", "failed")
DEAD_STATES: frozenset[str] = frozenset({"rejected", "failed"})
"""Assets in these states are not live: the product lacks a picture again."""


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


@dataclass(frozen=True)
class Asset(NewAsset):
    """A recorded picture: what the job gave, and who recorded it when. `live` says that it stands for its product."""

    run_id: str = ""
    live: bool = True
    created_at: datetime | None = None


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
    """What came of one claimed row. `retry=False` on a failure means that another night would fail the same way."""

    sku: str
    outcome: OutcomeName
    reason: str = ""
    asset: NewAsset | None = None
    retry: bool = True


@dataclass(frozen=True)
class PlanRequest:
    """What a run wants to work. `input_hash` may raise RowError: the row is then skipped, and its reason recorded."""

    run_id: str
    job: str
    input_hash: Callable[[Product], str]
    where: Where = ()
    skus: tuple[str, ...] = ()
    limit: int | None = None
    max_attempts: int = 3
    page_rows: int = 1_000


@dataclass
class Plan:
    """A run's frozen scope, counted. `planned + skipped` is the number of the run's items.

    `unusable` holds the first 100 skipped rows as (sku, reason). Of the skus asked for, `unknown_skus` are those that
    the catalogue lacks, and `has_image` counts those that have an image of their own. `unusable_rows` counts the rows
    of the shop's table that no run can address: without a sku, or repeating one.
    """

    planned: int = 0
    has_asset: int = 0
    exhausted: int = 0
    skipped: int = 0
    has_image: int = 0
    unusable_rows: int = 0
    unusable: list[tuple[str, str]] = field(default_factory=list)
    unknown_skus: list[str] = field(default_factory=list)

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


@dataclass(frozen=True)
class RecordResult:
    """`recorded`: outcomes that count for this run. `lost`: rows that another worker holds or has finished."""

    recorded: list[str]
    lost: list[str]


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
