"""The nightly job: claim rows without a picture, embed, draw, choose, climb, encode, store, record.

Read `fill_missing` from top to bottom: it is the job. Claims, retries, threads and signals live beside it.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from catalog_gen import __version__
from catalog_gen.catalog import queue as claims
from catalog_gen.catalog import runs
from catalog_gen.catalog.database import Database
from catalog_gen.catalog.locks import Lock, acquire_lock
from catalog_gen.catalog.model import Claimed, Plan, PlanRequest, Product, RunState, Where
from catalog_gen.catalog.source import CatalogSource, open_source
from catalog_gen.config import Settings
from catalog_gen.errors import (
    EXIT_OK,
    EXIT_PARTIAL,
    EXIT_SOME_FAILED,
    CatalogGenError,
    InternalError,
    RowError,
    TemporaryFailure,
)
from catalog_gen.pipeline.engine import Pipeline, Stage, StageTime
from catalog_gen.pipeline.heartbeat import Heartbeat
from catalog_gen.pipeline.ladder import COUNTS, Ladder
from catalog_gen.pipeline.models import Models, load_models
from catalog_gen.pipeline.progress import Progress, ProgressStyle
from catalog_gen.pipeline.prompting import product_prompt
from catalog_gen.pipeline.retry import Retry
from catalog_gen.pipeline.signals import StopRequest, stop_on_signals
from catalog_gen.pipeline.stages import FillStages
from catalog_gen.pipeline.summary import OUTCOMES, RunSummary
from catalog_gen.pipeline.work import Work, text_hash
from catalog_gen.storage import Storage, open_storage

log = logging.getLogger(__name__)

JOB = "fill-missing"
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
        hold_job_lock(held, database, allow_parallel=request.allow_parallel)
        models = load_models(settings)
        config = settings.public() | {"request": _request_json(request)}
        run_id = runs.new_run_id()
        # The lock first: a run that is in the ledger while its lock is free counts as died.
        lock = held.enter_context(hold_lock(database, f"run:{run_id}"))
        runs.start_run(database, run_id=run_id, job=JOB, config=config, models=models.ledger(), version=__version__)
        held.enter_context(Heartbeat(database, run_id, JOB, settings.job.lease_seconds, lock))
        run = FillRun(run_id, settings, request, database, source, storage, models, retry, stop, style)
        return run.execute()


@dataclass
class FillRun:
    """One run under way, between its ledger row's first and last write."""

    run_id: str
    settings: Settings
    request: FillRequest
    database: Database
    source: CatalogSource
    storage: Storage
    models: Models
    retry: Retry
    stop: StopRequest
    style: ProgressStyle = "none"
    claimed: int = 0
    recorded: int = 0
    first_claim: float = 0.0
    claim_unsure: bool = False  # the last claim failed, and may have taken rows all the same
    in_flight: set[str] = field(default_factory=set)
    started: float = field(default_factory=time.monotonic)
    counts: Counter[str] = field(default_factory=Counter)
    plan: Plan = field(default_factory=Plan)
    times: dict[str, StageTime] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ladder = Ladder(self.settings.gan, self.models, self.stop)

    @property
    def page_rows(self) -> int:
        """Rows of a page: as configured, else enough to fill the device's batch."""
        fitting = self.models.drawer.chunk // self.settings.gan.candidates
        return self.settings.job.page_rows or max(MIN_PAGE_ROWS, fitting)

    def execute(self) -> RunSummary:
        """Recover, plan, run the stages, close the ledger; an error closes it too, and is raised."""
        try:
            self._make_plan()
            with Progress(self.plan.planned, self.style) as progress:
                pipeline = Pipeline(self._claims(), self._stages(progress))
                self.times = pipeline.times
                pipeline.run()
            self.retry("closing the run", lambda: claims.close_scope(self.database, self.run_id, JOB))
            self._check_sum()
            return self._finish()
        except BaseException as error:
            self._finish_failed(error)
            raise

    def _make_plan(self) -> None:
        returned = self.retry("recovering dead runs", lambda: claims.recover(self.database, JOB))
        if returned:
            log.info("%d rows of runs that died are queued again", returned)
        request = PlanRequest(
            run_id=self.run_id,
            job=JOB,
            where=self.request.where,
            skus=self.request.skus,
            limit=self.request.limit,
            max_attempts=self.settings.job.max_attempts,
            input_hash=self.input_hash,
        )
        plan = self.retry("planning", lambda: claims.plan(self.database, self.source, request))
        self.plan = plan
        for sku, reason in plan.unusable:
            log.warning("%s: %s; it is recorded as skipped", sku, reason)
        for sku in plan.unknown_skus:
            log.warning("%s: no such sku in the catalogue", sku)
        log.info("planned: %s", ", ".join(f"{n} {name}" for name, n in plan.counts.items() if n) or "nothing to do")

    def input_hash(self, product: Product) -> str:
        """What a row's picture follows from: other words or other models make it new work.

        Raises RowError for a row without words; it is then recorded as skipped.
        """
        prompt = product_prompt(product, self.settings.prompt)
        if not prompt:
            raise RowError("no words to draw from: the title and every attribute are empty")
        return text_hash("\x1f".join((prompt, self.models.clip.hash, self.models.drawer.hash)))

    def _claims(self) -> Iterator[list[Work]]:
        """Claim page after page until nothing is left, a stop is asked, or the deadline is too near."""
        while not self.stop.asked():
            if self._too_late():
                self.stop.ask("deadline", hurry=False)
                return
            page = self.retry("claiming rows", self._claim_page)
            if not page:
                return
            self.first_claim = self.first_claim or time.monotonic()
            self.claimed += len(page)
            self.in_flight.update(row.product.sku for row in page)
            yield [self._work(row) for row in page]

    def _claim_page(self) -> list[Claimed]:
        """Claim once. After a claim whose answer was lost on the way, first give back what it may have taken."""
        if self.claim_unsure:
            held = claims.held(self.database, self.run_id, JOB)
            claims.release(self.database, self.run_id, JOB, [sku for sku in held if sku not in self.in_flight])
        self.claim_unsure = True
        lease = self.settings.job.lease_seconds
        page = claims.claim(self.database, self.source, self.run_id, JOB, self.page_rows, lease)
        self.claim_unsure = False
        return page

    def _work(self, row: Claimed) -> Work:
        prompt = product_prompt(row.product, self.settings.prompt)
        return Work(claimed=row, prompt=prompt, prompt_hash=text_hash(prompt))

    def _too_late(self) -> bool:
        """Whether a page claimed now might not be recorded by the deadline, at the rate seen so far."""
        if self.request.deadline is None:
            return False
        left = self.request.deadline.timestamp() - time.time()
        if left <= 0:
            return True
        if not self.recorded:
            return False
        rate = self.recorded / max(time.monotonic() - self.first_claim, 1e-9)
        under_way = self.claimed - self.recorded + self.page_rows
        return under_way / rate > left

    def _stages(self, progress: Progress) -> list[Stage[Work]]:
        def recorded(tally: Counter[str], skus: Iterable[str]) -> None:
            self.in_flight.difference_update(skus)
            self.counts.update(tally)
            self.recorded += sum(tally.values())
            progress.advance(tally)

        stages = FillStages(
            run_id=self.run_id,
            job=JOB,
            settings=self.settings,
            database=self.database,
            storage=self.storage,
            models=self.models,
            retry=self.retry,
            stop=self.stop,
            on_recorded=recorded,
        )
        return [
            Stage("embed", stages.embed, threads=self.models.streams),
            Stage("draw", stages.draw, threads=self.models.streams),
            Stage("choose", stages.choose, threads=self.models.streams),
            Stage("climb", self.ladder.climb, threads=self.models.streams),
            Stage("encode", stages.encode, threads=self.settings.job.encode_threads),
            Stage("store", stages.store, threads=self.settings.job.store_threads),
            Stage("record", stages.record),
        ]

    def _check_sum(self) -> None:
        if sum(self.counts.values()) != self.claimed:
            raise InternalError(
                f"{self.claimed} rows were claimed but these outcomes counted: {dict(self.counts)}",
                where=f"run {self.run_id}",
            )

    def _finish(self) -> RunSummary:
        left = self.retry("counting what is left", lambda: claims.remaining(self.database, self.run_id, JOB))
        if self.stop.asked() and left:
            return self._close("partial", EXIT_PARTIAL, f"stopped by {self.stop.reason}, {left} rows left")
        if self.counts["failed"]:
            return self._close("finished", EXIT_SOME_FAILED, f"{self.counts['failed']} rows failed")
        if self.plan.unknown_skus:
            return self._close("finished", EXIT_SOME_FAILED, f"{len(self.plan.unknown_skus)} skus are unknown")
        return self._close("finished", EXIT_OK, "")

    def _finish_failed(self, error: BaseException) -> None:
        """Give back what is still claimed and close the ledger, as far as the database still answers."""
        exit_code = error.exit_code if isinstance(error, CatalogGenError) else InternalError.exit_code
        try:
            self.counts["released"] += claims.release(self.database, self.run_id, JOB, None)
            self._close("failed", exit_code, str(error) or type(error).__name__)
        except CatalogGenError as second:
            log.error("the run's end could not be recorded (%s); the next run takes its rows back", second)

    def _close(self, state: RunState, exit_code: int, message: str) -> RunSummary:
        ended = time.monotonic()
        drawn = self.times["draw"].rows * self.settings.gan.candidates if "draw" in self.times else 0
        drawn += self.ladder.counts["ladder_pictures"]
        working = ended - self.first_claim if self.first_claim else 0.0
        summary = RunSummary(
            run_id=self.run_id,
            state=state,
            exit_code=exit_code,
            counts={"claimed": self.claimed}
            | {name: self.counts[name] for name in OUTCOMES}
            | {name: self.ladder.counts[name] for name in COUNTS},
            planned=self.plan.counts,
            timings={name: round(spent.seconds, 3) for name, spent in self.times.items()},
            seconds=round(ended - self.started, 2),
            images_per_second=round(drawn / working, 2) if working else 0.0,
            message=message,
        )
        self.retry(
            "closing the run",
            lambda: runs.finish_run(
                self.database,
                self.run_id,
                state=state,
                counts=summary.counts | {f"plan_{name}": count for name, count in summary.planned.items()},
                timings=summary.timings,
                images_per_second=summary.images_per_second,
                exit_code=exit_code,
                message=message,
            ),
        )
        return summary


def hold_job_lock(held: ExitStack, database: Database, *, allow_parallel: bool) -> None:
    """Hold the job's lock until `held` closes; a worker that is started on purpose goes on without it."""
    lock = acquire_lock(database, f"job:{JOB}")
    if lock is not None:
        held.enter_context(lock)
    elif not allow_parallel:
        raise TemporaryFailure(
            f"another {JOB} run holds the lock",
            where=database.where,
            hint="Wait for it to end, or add --allow-parallel to share its work.",
        )


def hold_lock(database: Database, name: str) -> Lock:
    """Return the lock `name`, held. Raises TemporaryFailure when it is taken."""
    lock = acquire_lock(database, name)
    if lock is None:
        raise TemporaryFailure(f"the lock {name} is taken", where=database.where)
    return lock


def _request_json(request: FillRequest) -> dict[str, Any]:
    values = asdict(request)
    values["deadline"] = request.deadline.isoformat() if request.deadline else None
    return values
