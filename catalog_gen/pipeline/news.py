"""What a run's news is: from its summary, from the error that ended it, or from its row in the ledger."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from socket import gethostname

from catalog_gen.catalog import runs
from catalog_gen.catalog.assets import status_counts
from catalog_gen.catalog.database import Database, open_database
from catalog_gen.catalog.model import RunRecord
from catalog_gen.catalog.revert import RESTYLE
from catalog_gen.catalog.source import open_source
from catalog_gen.config import Settings
from catalog_gen.errors import CatalogGenError, InternalError, UsageError
from catalog_gen.notify.mail import Attachment
from catalog_gen.notify.news import NOT_STARTED, News
from catalog_gen.pipeline.report import write_night
from catalog_gen.pipeline.summary import RunSummary

FILL = "fill-missing"  # the name in `fill_missing`, which is too heavy to import for it
REASONS = 5  # the most frequent ones, told
REASON_LENGTH = 160
INTERRUPTED = 130  # 128 + SIGINT, before the job listens to signals
MAIL_PICTURES = 300  # of an attached report: a mailbox takes less than a bucket


@dataclass(frozen=True)
class Beginning:
    """What is known of a run when its command begins."""

    task: str
    style: str = ""
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))


def task_of(job: str) -> tuple[str, str]:
    """Return task and style of a job's name: (`restyle`, `winter`) of `restyle:winter`."""
    return (RESTYLE.rstrip(":"), job.removeprefix(RESTYLE)) if job.startswith(RESTYLE) else (job, "")


def news_of_run(begun: Beginning, job: str, summary: RunSummary, error: BaseException | None) -> News:
    """Return the news of a run that was in the ledger; an `error` that ended it has the last word."""
    task, style = task_of(job)
    code, line = (summary.exit_code, summary.message) if error is None else (exit_code_of(error), line_of(error))
    return News(
        task=task,
        style=style,
        state=summary.state if error is None else "failed",
        exit_code=code,
        line=line,
        started_at=begun.started_at,
        ended_at=datetime.now(UTC),
        host=gethostname(),
        run_id=summary.run_id,
        counts=summary.counts,
        planned=summary.planned,
        timings=summary.timings,
        images_per_second=summary.images_per_second,
    )


def news_of_no_run(begun: Beginning, error: BaseException) -> News:
    """Return the news of a command that ended before its run was in the ledger."""
    return News(
        task=begun.task,
        style=begun.style,
        state=NOT_STARTED,
        exit_code=exit_code_of(error),
        line=line_of(error),
        started_at=begun.started_at,
        ended_at=datetime.now(UTC),
        host=gethostname(),
    )


def news_of_record(run: RunRecord) -> News:
    """Return the news of a run of the ledger. Raises UsageError for one that is still under way."""
    if run.state == "running":
        raise UsageError(f"the run {run.id} is still under way", hint="It is told of when it ends.")
    task, style = task_of(run.job)
    plan = "plan_"
    return News(
        task=task,
        style=style,
        state=run.state,
        exit_code=run.exit_code,
        line=run.message,
        started_at=run.started_at,
        ended_at=run.finished_at or run.heartbeat_at,
        host=run.host,
        run_id=run.id,
        version=run.version,
        counts={name: count for name, count in run.counts.items() if not name.startswith(plan)},
        planned={name.removeprefix(plan): count for name, count in run.counts.items() if name.startswith(plan)},
        timings=run.timings,
        images_per_second=run.images_per_second or 0.0,
    )


def exit_code_of(error: BaseException) -> int:
    if isinstance(error, CatalogGenError):
        return error.exit_code
    return INTERRUPTED if isinstance(error, KeyboardInterrupt) else InternalError.exit_code


def line_of(error: BaseException) -> str:
    """Return what the command says of the error, in one line."""
    if isinstance(error, CatalogGenError):
        return str(error)
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    return " ".join(f"internal error: {type(error).__name__}: {error}".split())


def rows_lacking_picture(settings: Settings) -> int:
    """Return how many rows of the catalogue have no picture now."""
    with _opened(settings) as database:
        return status_counts(database, open_source(settings, database))["lack_picture"]


def failure_reasons(settings: Settings, run_id: str) -> tuple[tuple[str, int], ...]:
    """Return why rows of the run failed, with how many did so; the most frequent reasons only."""
    with _opened(settings) as database:
        items = runs.list_items(database, run_id)
        counted = Counter(item.reason[:REASON_LENGTH] for item in items if item.outcome == "failed")
    return tuple(counted.most_common(REASONS))


def report_of(settings: Settings, run_id: str) -> Attachment:
    """Return the run's report as one HTML file, with fewer pictures than the one in the folder of reports."""
    sample = min(settings.report.sample, MAIL_PICTURES)
    settings = settings.model_copy(update={"report": settings.report.model_copy(update={"sample": sample})})
    with _opened(settings) as database, tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"catalog-gen-{run_id}.html"
        write_night(settings, database, run_id=run_id, out=file)
        return Attachment(file.name, file.read_bytes())


@contextmanager
def _opened(settings: Settings) -> Iterator[Database]:
    database = open_database(settings.database.url)
    try:
        yield database
    finally:
        database.dispose()
