"""`catalog-gen report`: a night as a page, a JSON and a CSV, from the ledger, the catalogue and the storage.

Read `write_night` from top to bottom: it is the report. Rows go by once, page by page, into the tally and the tables;
pictures are read for the page's sample alone, one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catalog_gen.catalog import night, runs
from catalog_gen.catalog.advice import rejection_reasons
from catalog_gen.catalog.database import Database
from catalog_gen.catalog.model import RunRecord
from catalog_gen.catalog.source import CatalogSource, open_source
from catalog_gen.config import Settings
from catalog_gen.errors import UsageError
from catalog_gen.pipeline.report_images import PageImages
from catalog_gen.pipeline.report_values import Describer, ledger_of
from catalog_gen.report.night_facts import Price, Tally, headline, night_facts
from catalog_gen.report.night_page import QUICK_REASONS, NightPage, write_night_page
from catalog_gen.report.night_rows import Row
from catalog_gen.report.night_scores import Scores
from catalog_gen.report.night_tables import NightTables
from catalog_gen.storage import Storage, open_storage

KEYS = 9  # reasons that one key gives


@dataclass(frozen=True)
class NightFiles:
    """The files of a night's report, and its facts. `unreadable`: pictures of the page whose files cannot be shown."""

    html: Path
    json: Path
    csv: Path
    facts: dict[str, Any]
    unreadable: int

    def describe(self) -> str:
        """Return where the report is and what it says, in a few lines."""
        megabytes = self.html.stat().st_size / 1e6
        lines = [
            f"run {self.facts['run']['id']} ({self.facts['run']['job']}): {headline(self.facts)}",
            f"  {self.html.absolute().as_uri()} ({megabytes:.1f} MB)",
            f"  {self.json} and {self.csv.name}: every row and picture",
        ]
        if self.unreadable:
            lines.append(f"  pictures of the page that cannot be shown (see the warnings): {self.unreadable}")
        return "\n".join(lines)


@dataclass(frozen=True)
class Night:
    """What a report is made from."""

    settings: Settings
    database: Database
    source: CatalogSource
    storage: Storage
    run: RunRecord


def write_night(
    settings: Settings, database: Database, *, run_id: str | None = None, out: Path | None = None
) -> NightFiles:
    """Write the report of a run (the latest that had something to do) and return its files.

    out: a folder, or the page's file if it ends in .html; JSON and CSV get its name. Raises UsageError for an unknown
    run and when there is none, Unavailable when a file cannot be written or the storage is not to be had.
    """
    run = runs.get_run(database, run_id) if run_id else night.latest_worth_telling(database)
    if run is None:
        raise UsageError("there is no run to report on yet", where=database.where, hint="Run catalog-gen fill-missing.")
    html = page_file(out or Path(settings.report.out), run.id)
    json_file, csv_file = html.with_suffix(".json"), html.with_suffix(".csv")
    source = open_source(settings, database)
    try:
        this = Night(settings, database, source, open_storage(settings.storage.url, settings.storage.options), run)
        describer = Describer(database, source, run)
        tally = Tally()
        with NightTables(json_file, csv_file) as tables:
            for page in night.night_rows(database, source, run.id):
                for row in describer.rows(page):
                    tally.add(row)
                    tables.add(row)
            facts = _facts(this, tally)
            tables.write(facts)
        unreadable = _write_page(this, describer, html, facts, tally.refused)
    finally:
        source.close()
    return NightFiles(html, json_file, csv_file, facts, unreadable)


def page_file(out: Path, run_id: str) -> Path:
    """Return where a run's page goes: `out` itself if it ends in .html, else a file of the run's name in there."""
    return out if out.suffix.lower() in (".html", ".htm") else out / f"night-{run_id}.html"


def _reasons(database: Database) -> list[str]:
    """The shop's own most used reasons, then those that a shop begins with: nine have keys."""
    used = [reason for reason, _ in rejection_reasons(database, limit=KEYS)]
    return list(dict.fromkeys([*used, *QUICK_REASONS]))[:KEYS]


def _facts(this: Night, tally: Tally) -> dict[str, Any]:
    database, config = this.database, this.settings.report
    before = night.runs_before(database, this.run, config.nights)
    primary = tally.scores.primary()
    means = night.mean_scores(database, [run.id for run in before], primary) if primary and before else {}
    worked = next((run for run in reversed(before) if run.counts.get("claimed")), None)
    earlier = Scores().add_all(night.scores_of(database, worked.id) if worked else ())
    reasons = night.count_reasons(database, worked.id) if worked else []
    return night_facts(
        ledger_of(this.run),
        tally,
        nights=[(ledger_of(run), means.get(run.id)) for run in before],
        earlier=(earlier, reasons),
        price=Price(config.cost_per_hour, config.currency),
    )


def _write_page(this: Night, describer: Describer, html: Path, facts: dict[str, Any], listed: Sequence[Row]) -> int:
    sample = night.sampled_pictures(this.database, this.run.id, this.settings.report.sample)
    pictures = sorted(describer.pictures(sample), key=lambda picture: (picture.category, picture.sku, picture.variant))
    images = PageImages(this.settings, this.database, this.storage, sample, pictures)
    page = NightPage(
        facts=facts,
        listed=listed,
        pictures=pictures,
        before=images.before,
        reasons=_reasons(this.database),
        beside=images.beside,
        files=[("JSON", html.with_suffix(".json").name), ("CSV", html.with_suffix(".csv").name)],
    )
    write_night_page(html, page, images.read())
    return images.unreadable
