"""The seasonal job: claim approved pictures (and photos), put them into a brand's template, check, store, record.

Read `restyle` and the stages of `RestyleRun` from top to bottom: they are the job. What every job shares is `job.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from catalog_gen.catalog.database import Database
from catalog_gen.catalog.model import Claimed, RestylePlan, ScopeRequest, Where
from catalog_gen.catalog.restyling import RestyleScope, plan_restyling
from catalog_gen.catalog.revert import RESTYLE, Reverted
from catalog_gen.catalog.revert import revert as revert_run
from catalog_gen.catalog.source import open_source
from catalog_gen.config import Settings
from catalog_gen.pipeline.engine import Stage
from catalog_gen.pipeline.job import JobContext, JobRun, OnEnd, OnRecorded, enter_ledger, hold_job_lock
from catalog_gen.pipeline.progress import ProgressStyle
from catalog_gen.pipeline.restyle_parts import RestyleParts, load_parts
from catalog_gen.pipeline.restyle_source import SourceReader
from catalog_gen.pipeline.restyle_stages import RestyleStages
from catalog_gen.pipeline.restyle_work import RestyleWork
from catalog_gen.pipeline.retry import Retry
from catalog_gen.pipeline.signals import StopRequest, stop_on_signals
from catalog_gen.pipeline.summary import RestyleSummary, RunSummary
from catalog_gen.storage import Storage, open_storage

TASK = RESTYLE.rstrip(":")


@dataclass(frozen=True)
class RestyleRequest:
    """Which template, which rows and outputs (all, when none is named), and for how long."""

    style: str
    where: Where = ()
    skus: tuple[str, ...] = ()
    limit: int | None = None
    include_photos: bool = False
    outputs: tuple[str, ...] = ()
    candidates: int = 1
    deadline: datetime | None = None  # aware; no page is claimed that could not be recorded by then
    allow_parallel: bool = False


def restyle(
    settings: Settings,
    database: Database,
    request: RestyleRequest,
    *,
    style: ProgressStyle = "none",
    stop: StopRequest | None = None,
    on_end: OnEnd | None = None,
) -> RunSummary:
    """Make every output of the template that is missing or out of date; return what came of it.

    Raises what `fill_missing` raises, TemplateError for a template with mistakes, and UsageError for an output that it
    lacks or for candidates of an engine that makes only one picture. What was recorded before stays.
    """
    stop = stop or StopRequest()
    retry = Retry(settings.job.retries, settings.job.retry_seconds)
    with ExitStack() as held:
        held.enter_context(stop_on_signals(stop))
        database.check_schema()
        source = open_source(settings, database)
        storage = open_storage(settings.storage.url, settings.storage.options)
        storage.probe()
        parts = load_parts(settings, request.style, request.outputs, request.candidates)
        job = f"{RESTYLE}{parts.template.name}"  # the template's own name, however it was addressed
        hold_job_lock(held, database, job, allow_parallel=request.allow_parallel)
        run_id = enter_ledger(held, database, job, settings, _request_json(request), parts.ledger())
        context = JobContext(run_id, job, settings, database, source, retry, stop, request.deadline, style, on_end)
        return RestyleRun(context, request, storage, parts).execute()


class RestyleRun(JobRun[RestyleWork]):
    """A run of `restyle`."""

    summary_type = RestyleSummary

    def __init__(self, context: JobContext, request: RestyleRequest, storage: Storage, parts: RestyleParts) -> None:
        super().__init__(context)
        self.request, self.storage, self.parts = request, storage, parts
        self.reader = SourceReader(context.settings, storage)
        self.scope = scope_of(parts, self.reader, include_photos=request.include_photos)
        self.working: RestyleStages | None = None

    @property
    def page_rows(self) -> int:
        """Rows of a page: a batch of each of the template's sizes; more would only fill memory."""
        return self.parts.batch

    def make_plan(self) -> RestylePlan:
        context = self.context
        request = scope_request(context.settings, self.request, context.run_id, context.job)
        return plan_restyling(context.database, context.source, request, self.scope)

    def make_work(self, row: Claimed) -> RestyleWork:
        return RestyleWork(row)

    def make_stages(self, on_recorded: OnRecorded) -> list[Stage[RestyleWork]]:
        job, workers = self.context.settings.job, self.parts.workers
        stages = self.working = self.bind_stages(on_recorded)
        return [
            Stage("read", stages.read, threads=job.store_threads),
            Stage("cut_out", stages.cut_out, threads=workers),
            Stage("place", stages.place, threads=workers),
            Stage("stylise", stages.stylise, threads=self.parts.streams),
            Stage("finish", stages.finish, threads=workers),
            Stage("check", stages.check, threads=workers),
            Stage("encode", stages.encode, threads=job.encode_threads),
            Stage("store", stages.store, threads=job.store_threads),
            Stage("record", stages.record),
        ]

    def bind_stages(self, on_recorded: OnRecorded) -> RestyleStages:
        """Return the stages over this run's parts."""
        context = self.context
        return RestyleStages(
            run_id=context.run_id,
            job=context.job,
            settings=context.settings,
            database=context.database,
            storage=self.storage,
            retry=context.retry,
            stop=context.stop,
            on_recorded=on_recorded,
            parts=self.parts,
            scope=self.scope,
            source=context.source,
            reader=self.reader,
        )

    def pictures_made(self) -> int:
        return self.working.pictures if self.working else 0

    def more_counts(self) -> Mapping[str, int]:
        return {"pictures": self.pictures_made()}


def scope_of(parts: RestyleParts, reader: SourceReader, *, include_photos: bool) -> RestyleScope:
    """Return what these parts make, for the catalogue to find what is stale."""
    return RestyleScope(
        style=parts.template.name,
        outputs={output.name: parts.output_hash(output) for output in parts.outputs},
        include_photos=include_photos,
        photo_key=reader.key,
        detail=parts.detail,
        judged_by=parts.limits_hash(),
    )


def scope_request(settings: Settings, request: RestyleRequest, run_id: str, job: str, show: int = 0) -> ScopeRequest:
    """Return which rows the request may touch."""
    return ScopeRequest(
        run_id=run_id,
        job=job,
        where=request.where,
        skus=request.skus,
        limit=request.limit,
        max_attempts=settings.job.max_attempts,
        show=show,
    )


def revert(settings: Settings, database: Database, run_id: str) -> Reverted:
    """Retire a restyling run's pictures and bring back what was live before; see `catalog.revert`."""
    retry = Retry(settings.job.retries, settings.job.retry_seconds)
    database.check_schema()
    return revert_run(database, run_id, lambda step: retry("reverting", step))


def _request_json(request: RestyleRequest) -> dict[str, Any]:
    values = asdict(request)
    values["deadline"] = request.deadline.isoformat() if request.deadline else None
    return values
