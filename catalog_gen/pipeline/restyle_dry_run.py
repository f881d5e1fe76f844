"""`restyle --dry-run`: what would be made, of which products, and at what cost, with nothing written."""

from __future__ import annotations

import time
from dataclasses import dataclass

from catalog_gen.catalog.database import Database
from catalog_gen.catalog.model import Claimed, RestylePlan
from catalog_gen.catalog.restyling import plan_restyling
from catalog_gen.catalog.revert import RESTYLE
from catalog_gen.catalog.source import open_source
from catalog_gen.config import Settings
from catalog_gen.pipeline.job import JobContext
from catalog_gen.pipeline.restyle import RestyleRequest, RestyleRun, scope_of, scope_request
from catalog_gen.pipeline.restyle_parts import load_parts
from catalog_gen.pipeline.restyle_source import SourceReader
from catalog_gen.pipeline.restyle_work import RestyleWork
from catalog_gen.pipeline.retry import Retry
from catalog_gen.pipeline.signals import StopRequest
from catalog_gen.storage import open_storage

MEASURED_ROWS = 2
SHOWN = 20


@dataclass(frozen=True)
class RestyleEstimate:
    """A plan and its cost, measured on the first rows of the plan, with the template and models that would be used.

    `measured` of them could be made, and `seconds` and `bytes` go by these; `faults` has the others, as (sku, reason).
    """

    template: str
    outputs: tuple[str, ...]
    plan: RestylePlan
    seconds: float
    bytes: float
    measured: int
    faults: tuple[tuple[str, str], ...] = ()

    def describe(self) -> str:
        counts = ", ".join(f"{count} {name}" for name, count in self.plan.counts.items() if count)
        lines = [
            f"would restyle {self.plan.planned} products in {self.template}, {self.plan.pictures} pictures "
            f"({', '.join(self.outputs)}): {counts or 'nothing to do'}"
        ]
        if self.measured:
            lines.append(
                f"  about {self.seconds / 60:.1f} minutes here, {self.bytes / 1e6:.1f} MB of pictures, going by the "
                f"first {self.measured}"
            )
        lines += [f"  {sku}: would fail: {reason}" for sku, reason in self.faults]
        lines += [f"  {sku}" for sku in self.plan.shown]
        if self.plan.shown and self.plan.planned > len(self.plan.shown):
            lines.append(f"  and {self.plan.planned - len(self.plan.shown)} more")
        return "\n".join(lines)


def estimate(settings: Settings, database: Database, request: RestyleRequest, *, show: int = SHOWN) -> RestyleEstimate:
    """Return what `restyle` would do for `request`; writes nothing but the storage's probe.

    show: how many of the planned skus to name. Raises what `restyle` would raise before its first row.
    """
    database.check_schema()
    source = open_source(settings, database)
    storage = open_storage(settings.storage.url, settings.storage.options)
    storage.probe()
    parts = load_parts(settings, request.style, request.outputs, request.candidates)
    job = f"{RESTYLE}{parts.template.name}"
    scope = scope_of(parts, SourceReader(settings, storage), include_photos=request.include_photos)
    wanted = scope_request(settings, request, "", job, show=max(show, MEASURED_ROWS))
    plan = plan_restyling(database, source, wanted, scope, dry_run=True)
    retry = Retry(settings.job.retries, settings.job.retry_seconds)
    context = JobContext("", job, settings, database, source, retry, StopRequest())
    run = RestyleRun(context, request, storage, parts)
    rows = [RestyleWork(Claimed(found, 0, "")) for found in source.fetch(plan.shown[:MEASURED_ROWS]).values()]
    seconds, size = _measure(run, rows)
    whole = [work for work in rows if not work.outcome]  # those that fail cost next to nothing
    made = sum(len(work.outputs) for work in whole)
    plan.shown = plan.shown[:show]
    return RestyleEstimate(
        template=parts.template.name,
        outputs=tuple(output.name for output in parts.outputs),
        plan=plan,
        seconds=plan.pictures * seconds / max(made, 1) / parts.streams,
        bytes=plan.pictures * size / max(made, 1),
        measured=len(whole),
        faults=tuple((work.sku, work.reason) for work in rows if work.outcome),
    )


def _measure(run: RestyleRun, rows: list[RestyleWork]) -> tuple[float, float]:
    """Do all of the rows' work but storing it; return the seconds it took and the bytes of the pictures."""
    stages = run.bind_stages(lambda tally, skus: None)
    started = time.perf_counter()
    for step in (stages.read, stages.cut_out, stages.place, stages.stylise, stages.finish, stages.check, stages.encode):
        step(rows)
    seconds = time.perf_counter() - started
    return seconds, sum(len(target.data) for work in rows for target in work.outputs)
