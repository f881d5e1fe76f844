"""The nightly job: claim rows without a picture, embed, draw, choose, climb, upscale, encode, store, record.

Read `fill_missing` and the stages of `FillRun` from top to bottom: they are the job. What every job shares (lock,
ledger, claims, counting) is `job.py`; retries, threads and signals live beside it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from catalog_gen.catalog import queue as claims
from catalog_gen.catalog.database import Database
from catalog_gen.catalog.model import Claimed, Plan, PlanRequest, Product, Where
from catalog_gen.catalog.source import open_source
from catalog_gen.catalog.wishes import PendingWish, pending_wishes
from catalog_gen.config import Settings
from catalog_gen.pipeline.engine import Stage
from catalog_gen.pipeline.job import JobContext, JobRun, OnEnd, OnRecorded, enter_ledger, hold_job_lock
from catalog_gen.pipeline.ladder import COUNTS, Ladder
from catalog_gen.pipeline.models import Models, load_models
from catalog_gen.pipeline.progress import ProgressStyle
from catalog_gen.pipeline.prompting import drawn_words
from catalog_gen.pipeline.retry import Retry
from catalog_gen.pipeline.signals import StopRequest, stop_on_signals
from catalog_gen.pipeline.stages import FillStages
from catalog_gen.pipeline.summary import RunSummary
from catalog_gen.pipeline.work import Work, input_hash, text_hash
from catalog_gen.storage import Storage, open_storage

log = logging.getLogger(__name__)

JOB = "fill-missing"
UNCOUNTED = "the generator %s does not say which categories it has seen: no picture goes to review for its kind"
MIN_PAGE_ROWS = 64  # fewer would spend a transaction on too little work


@dataclass(frozen=True)
class FillRequest:
    """Which rows this run may touch, and for how long."""

    where: Where = ()
    skus: tuple[str, ...] = ()
    limit: int | None = None
    deadline: datetime | None = None  # aware; no page is claimed that could not be recorded by then
    allow_parallel: bool = False


def fill_missing(
    settings: Settings,
    database: Database,
    request: FillRequest,
    *,
    style: ProgressStyle = "none",
    stop: StopRequest | None = None,
    on_end: OnEnd | None = None,
) -> RunSummary:
    """Fill every row of `request` that lacks a picture; return what came of it.

    Raises TemporaryFailure when another run holds the job's lock or retries ran out, Unavailable when the database,
    the storage or a bundle is not to be had, ConfigError when the schema is outdated. What was recorded before stays.
    """
    stop = stop or StopRequest()
    retry = Retry(settings.job.retries, settings.job.retry_seconds)
    with ExitStack() as held:
        held.enter_context(stop_on_signals(stop))
        database.check_schema()
        source = open_source(settings, database)
        storage = open_storage(settings.storage.url, settings.storage.options)
        storage.probe()
        hold_job_lock(held, database, JOB, allow_parallel=request.allow_parallel)
        models = load_models(settings)
        if settings.gate.min_photos and models.drawer.categories is None:
            log.info(UNCOUNTED, models.drawer.name)
        run_id = enter_ledger(held, database, JOB, settings, _request_json(request), models.ledger())
        context = JobContext(run_id, JOB, settings, database, source, retry, stop, request.deadline, style, on_end)
        return FillRun(context, request, storage, models).execute()


class FillRun(JobRun[Work]):
    """A run of `fill-missing`."""

    def __init__(self, context: JobContext, request: FillRequest, storage: Storage, models: Models) -> None:
        super().__init__(context)
        self.request, self.storage, self.models = request, storage, models
        self.ladder = Ladder(context.settings.gan, models, context.stop)
        self.wishes: dict[str, PendingWish] = {}  # as they were when the scope was frozen
        self.working: FillStages | None = None

    @property
    def page_rows(self) -> int:
        """Rows of a page: as configured, else enough to fill the device's batch."""
        settings = self.context.settings
        fitting = self.models.drawer.chunk // settings.gan.candidates
        return settings.job.page_rows or max(MIN_PAGE_ROWS, fitting)

    def make_plan(self) -> Plan:
        context = self.context
        self.wishes = pending_wishes(context.database)
        request = PlanRequest(
            run_id=context.run_id,
            job=JOB,
            where=self.request.where,
            skus=self.request.skus,
            limit=self.request.limit,
            max_attempts=context.settings.job.max_attempts,
            input_hash=self.input_hash,
        )
        return claims.plan(context.database, context.source, request)

    def input_hash(self, product: Product) -> str:
        """What a row's picture follows from. Raises RowError for a row without words."""
        wish = self.wishes.get(product.sku)
        words = drawn_words(product, self.context.settings.prompt, wish)
        return input_hash(words, (self.models.clip.hash, self.models.drawer.hash), self.models.upscaled_by, wish)

    def make_work(self, row: Claimed) -> Work:
        wish = self.wishes.get(row.product.sku)
        words = drawn_words(row.product, self.context.settings.prompt, wish)
        return Work(claimed=row, prompt=words, prompt_hash=text_hash(words), wish=wish)

    def make_stages(self, on_recorded: OnRecorded) -> list[Stage[Work]]:
        context = self.context
        stages = self.working = FillStages(
            run_id=context.run_id,
            job=JOB,
            settings=context.settings,
            database=context.database,
            storage=self.storage,
            models=self.models,
            retry=context.retry,
            stop=context.stop,
            on_recorded=on_recorded,
        )
        return [
            Stage("embed", stages.embed, threads=self.models.streams),
            Stage("draw", stages.draw, threads=self.models.streams),
            Stage("choose", stages.choose, threads=self.models.streams),
            Stage("climb", self.ladder.climb, threads=self.models.streams),
            *([Stage("upscale", stages.upscale, threads=self.models.streams)] if self.models.upscaler else []),
            Stage("encode", stages.encode, threads=context.settings.job.encode_threads),
            Stage("store", stages.store, threads=context.settings.job.store_threads),
            Stage("record", stages.record),
        ]

    def pictures_made(self) -> int:
        drawn = self.working.drawn if self.working else 0
        return drawn + self.ladder.counts["ladder_pictures"]

    def more_counts(self) -> Mapping[str, int]:
        return {name: self.ladder.counts[name] for name in COUNTS}


def _request_json(request: FillRequest) -> dict[str, Any]:
    values = asdict(request)
    values["deadline"] = request.deadline.isoformat() if request.deadline else None
    return values
