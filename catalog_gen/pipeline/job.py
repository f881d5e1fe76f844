"""What every batch job does beside its own work: lock, ledger, plan, claims with a deadline, counting, closing.

A job is a `JobRun` with its own scope, rows and stages. It reads the same for all of them: recover what died, freeze
the scope, claim page after page through the stages, count every claimed row once, close the ledger.
"""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Generic, TypeVar

from catalog_gen import __version__
from catalog_gen.catalog import queue as claims
from catalog_gen.catalog import runs
from catalog_gen.catalog.database import Database
from catalog_gen.catalog.locks import Lock, acquire_lock
from catalog_gen.catalog.model import Claimed, Plan, RunState
from catalog_gen.catalog.source import CatalogSource
from catalog_gen.config import Settings
from catalog_gen.errors import (
    EXIT_OK,
    EXIT_PARTIAL,
    EXIT_SOME_FAILED,
    CatalogGenError,
    InternalError,
    TemporaryFailure,
)
from catalog_gen.pipeline.engine import Pipeline, Stage, StageTime
from catalog_gen.pipeline.heartbeat import Heartbeat
from catalog_gen.pipeline.progress import Progress, ProgressStyle
from catalog_gen.pipeline.retry import Retry
from catalog_gen.pipeline.signals import StopRequest
from catalog_gen.pipeline.summary import RunSummary

log = logging.getLogger(__name__)
Row = TypeVar("Row")
OnRecorded = Callable[[Counter[str], list[str]], None]
"""What a job's last stage calls for a batch: rows by outcome, and their skus."""
OnEnd = Callable[[str, RunSummary], None]
"""What hears a job's name and what came of its run, also of one that failed, before the ledger is closed."""


@dataclass
class JobContext:
    """What a run works with, whatever its job."""

    run_id: str
    job: str
    settings: Settings
    database: Database
    source: CatalogSource
    retry: Retry
    stop: StopRequest
    deadline: datetime | None = None  # aware; no page is claimed that could not be recorded by then
    style: ProgressStyle = "none"
    on_end: OnEnd | None = None


@dataclass
class JobRun(ABC, Generic[Row]):
    """One run under way, between its ledger row's first and last write."""

    context: JobContext
    claimed: int = 0
    recorded: int = 0
    first_claim: float = 0.0
    claim_unsure: bool = False  # the last claim failed, and may have taken rows all the same
    in_flight: set[str] = field(default_factory=set)
    started: float = field(default_factory=time.monotonic)
    counts: Counter[str] = field(default_factory=Counter)
    plan: Plan = field(default_factory=Plan)
    times: dict[str, StageTime] = field(default_factory=dict)

    summary_type: ClassVar[type[RunSummary]] = RunSummary

    @property
    @abstractmethod
    def page_rows(self) -> int:
        """Rows that are claimed at once."""

    @abstractmethod
    def make_plan(self) -> Plan:
        """Freeze the run's scope in the database and return its counts."""

    @abstractmethod
    def make_work(self, row: Claimed) -> Row:
        """Return what travels through the stages for a claimed row."""

    @abstractmethod
    def make_stages(self, on_recorded: OnRecorded) -> list[Stage[Row]]:
        """Return the stages in order; the last one records, and calls `on_recorded` for every row once."""

    @abstractmethod
    def pictures_made(self) -> int:
        """Return how many pictures the models made so far, for the rate."""

    def more_counts(self) -> Mapping[str, int]:
        """Return what the ledger shall hold beside the outcomes."""
        return {}

    def execute(self) -> RunSummary:
        """Recover, plan, run the stages, close the ledger; an error closes it too, and is raised."""
        context = self.context
        try:
            self._recover_and_plan()
            with Progress(self.plan.planned, context.style) as progress:
                pipeline = Pipeline(self._claims(), self.make_stages(self._counter(progress)))
                self.times = pipeline.times
                pipeline.run()
            context.retry("closing the run", lambda: claims.close_scope(context.database, context.run_id, context.job))
            self._check_sum()
            return self._finish()
        except BaseException as error:
            self._finish_failed(error)
            raise

    def _recover_and_plan(self) -> None:
        context = self.context
        returned = context.retry("recovering dead runs", lambda: claims.recover(context.database, context.job))
        if returned:
            log.info("%d rows of runs that died are queued again", returned)
        self.plan = plan = context.retry("planning", self.make_plan)
        for sku, reason in plan.unusable:
            log.warning("%s: %s; it is recorded as skipped", sku, reason)
        for sku in plan.unknown_skus:
            log.warning("%s: no such sku in the catalogue", sku)
        log.info("planned: %s", ", ".join(f"{n} {name}" for name, n in plan.counts.items() if n) or "nothing to do")

    def _claims(self) -> Iterator[list[Row]]:
        """Claim page after page until nothing is left, a stop is asked, or the deadline is too near."""
        stop = self.context.stop
        while not stop.asked():
            if self._too_late():
                stop.ask("deadline", hurry=False)
                return
            page = self.context.retry("claiming rows", self._claim_page)
            if not page:
                return
            self.first_claim = self.first_claim or time.monotonic()
            self.claimed += len(page)
            self.in_flight.update(row.product.sku for row in page)
            yield [self.make_work(row) for row in page]

    def _claim_page(self) -> list[Claimed]:
        """Claim once. After a claim whose answer was lost on the way, first give back what it may have taken."""
        c = self.context
        if self.claim_unsure:
            held = claims.held(c.database, c.run_id, c.job)
            claims.release(c.database, c.run_id, c.job, [sku for sku in held if sku not in self.in_flight])
        self.claim_unsure = True
        page = claims.claim(c.database, c.source, c.run_id, c.job, self.page_rows, c.settings.job.lease_seconds)
        self.claim_unsure = False
        return page

    def _too_late(self) -> bool:
        """Whether a page claimed now might not be recorded by the deadline, at the rate seen so far."""
        if self.context.deadline is None:
            return False
        left = self.context.deadline.timestamp() - time.time()
        if left <= 0:
            return True
        if not self.recorded:
            return False
        rate = self.recorded / max(time.monotonic() - self.first_claim, 1e-9)
        under_way = self.claimed - self.recorded + self.page_rows
        return under_way / rate > left

    def _counter(self, progress: Progress) -> OnRecorded:
        def recorded(tally: Counter[str], skus: Iterable[str]) -> None:
            self.in_flight.difference_update(skus)
            self.counts.update(tally)
            self.recorded += sum(tally.values())
            progress.advance(tally)

        return recorded

    def _check_sum(self) -> None:
        if sum(self.counts.values()) != self.claimed:
            raise InternalError(
                f"{self.claimed} rows were claimed but these outcomes counted: {dict(self.counts)}",
                where=f"run {self.context.run_id}",
            )

    def _finish(self) -> RunSummary:
        c = self.context
        left = c.retry("counting what is left", lambda: claims.remaining(c.database, c.run_id, c.job))
        if c.stop.asked() and left:
            return self._close("partial", EXIT_PARTIAL, f"stopped by {c.stop.reason}, {left} rows left")
        if self.counts["failed"]:
            return self._close("finished", EXIT_SOME_FAILED, f"{self.counts['failed']} rows failed")
        if self.plan.unknown_skus:
            return self._close("finished", EXIT_SOME_FAILED, f"{len(self.plan.unknown_skus)} skus are unknown")
        return self._close("finished", EXIT_OK, "")

    def _finish_failed(self, error: BaseException) -> None:
        """Give back what is still claimed and close the ledger, as far as the database still answers."""
        c = self.context
        exit_code = error.exit_code if isinstance(error, CatalogGenError) else InternalError.exit_code
        try:
            self.counts["released"] += claims.release(c.database, c.run_id, c.job, None)
            self._close("failed", exit_code, str(error) or type(error).__name__)
        except CatalogGenError as second:
            log.error("the run's end could not be recorded (%s); the next run takes its rows back", second)

    def _close(self, state: RunState, exit_code: int, message: str) -> RunSummary:
        c = self.context
        summary = self._summary(state, exit_code, message)
        if c.on_end is not None:
            c.on_end(c.job, summary)
        c.retry(
            "closing the run",
            lambda: runs.finish_run(
                c.database,
                c.run_id,
                state=state,
                counts=summary.counts | {f"plan_{name}": count for name, count in summary.planned.items()},
                timings=summary.timings,
                images_per_second=summary.images_per_second,
                exit_code=exit_code,
                message=message,
            ),
        )
        return summary

    def _summary(self, state: RunState, exit_code: int, message: str) -> RunSummary:
        ended = time.monotonic()
        working = ended - self.first_claim if self.first_claim else 0.0
        return self.summary_type(
            run_id=self.context.run_id,
            state=state,
            exit_code=exit_code,
            counts={"claimed": self.claimed}
            | {name: self.counts[name] for name in self.summary_type.outcomes}
            | dict(self.more_counts()),
            planned=self.plan.counts,
            timings={name: round(spent.seconds, 3) for name, spent in self.times.items()},
            seconds=round(ended - self.started, 2),
            images_per_second=round(self.pictures_made() / working, 2) if working else 0.0,
            message=message,
        )


def enter_ledger(
    held: ExitStack, database: Database, job: str, settings: Settings, request: Mapping[str, Any], models: Any
) -> str:
    """Start a run in the ledger, with its lock and heartbeat until `held` closes; return its id."""
    run_id = runs.new_run_id()
    # The lock first: a run that is in the ledger while its lock is free counts as died.
    lock = held.enter_context(hold_lock(database, f"run:{run_id}"))
    config = settings.public() | {"request": dict(request)}
    runs.start_run(database, run_id=run_id, job=job, config=config, models=models, version=__version__)
    held.enter_context(Heartbeat(database, run_id, job, settings.job.lease_seconds, lock))
    return run_id


def hold_job_lock(held: ExitStack, database: Database, job: str, *, allow_parallel: bool) -> None:
    """Hold the job's lock until `held` closes; a worker that is started on purpose goes on without it."""
    lock = acquire_lock(database, f"job:{job}")
    if lock is not None:
        held.enter_context(lock)
    elif not allow_parallel:
        raise TemporaryFailure(
            f"another {job} run holds the lock",
            where=database.where,
            hint="Wait for it to end, or add --allow-parallel to share its work.",
        )


def hold_lock(database: Database, name: str) -> Lock:
    """Return the lock `name`, held. Raises TemporaryFailure when it is taken."""
    lock = acquire_lock(database, name)
    if lock is None:
        raise TemporaryFailure(f"the lock {name} is taken", where=database.where)
    return lock
