"""`catalog-gen sheet`: a run's pictures beside their words, from the database and the storage."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from catalog_gen.catalog import runs
from catalog_gen.catalog.assets import sample_assets
from catalog_gen.catalog.database import Database
from catalog_gen.catalog.model import RunRecord
from catalog_gen.catalog.source import open_source
from catalog_gen.config import Settings
from catalog_gen.errors import RowError, UsageError
from catalog_gen.report.contact_sheet import SheetItem, write_contact_sheet
from catalog_gen.report.montage import write_montage
from catalog_gen.storage import open_storage

log = logging.getLogger(__name__)

MONTAGE = 100  # pictures in the .png


def write_run_sheet(settings: Settings, database: Database, run_id: str | None, out: Path, limit: int) -> str:
    """Write `out` (HTML) and a PNG beside it; return one line that says where they are.

    Raises UsageError for an unknown run, or when no run has made a picture yet.
    """
    run = runs.get_run(database, run_id) if run_id else _latest(database)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_contact_sheet(_items(settings, database, run, limit), out, title=f"Run {run.id}", facts=_facts(run))
    montage = out.with_suffix(".png")
    write_montage(islice(_items(settings, database, run, MONTAGE), MONTAGE), montage)
    return f"{out.absolute().as_uri()} and {montage}: pictures of run {run.id}"


def _latest(database: Database) -> RunRecord:
    for run in runs.list_runs(database, 100):
        if run.counts.get("generated", 0) + run.counts.get("needs_review", 0):
            return run
    raise UsageError("no run has made a picture yet", where=database.where, hint="Run catalog-gen fill-missing.")


def _items(settings: Settings, database: Database, run: RunRecord, limit: int) -> Iterator[SheetItem]:
    storage = open_storage(settings.storage.url, settings.storage.options)
    source = open_source(settings, database)
    for sampled in sample_assets(database, source, run.id, limit):
        asset = sampled.asset
        try:
            image = storage.get(asset.uri)
        except RowError as error:
            log.warning("%s is left out of the sheet: %s", asset.sku, error)
            continue
        score = asset.scores.get("similarity")
        yield SheetItem(image, asset.sku, asset.prompt, score, asset.state, asset.reason, sampled.category)


def _facts(run: RunRecord) -> list[tuple[str, str]]:
    facts = [("started", f"{run.started_at:%Y-%m-%d %H:%M} UTC"), ("state", run.state)]
    facts += [(name, f"{run.counts[name]:,}") for name in ("generated", "needs_review", "failed") if name in run.counts]
    facts += [(f"{model}", str(entry.get("name"))) for model, entry in run.models.items() if isinstance(entry, dict)]
    if run.images_per_second:
        facts.append(("pictures a second", f"{run.images_per_second:.1f}"))
    return facts
