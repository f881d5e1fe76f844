"""`catalog-gen demo`: the whole job on the catalogue that ships with the package, offline."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from catalog_gen.catalog.database import open_database
from catalog_gen.config import load_settings
from catalog_gen.demo import catalogue_path
from catalog_gen.pipeline.fill_missing import FillRequest, fill_missing
from catalog_gen.pipeline.imports import FeedFlags, import_feed
from catalog_gen.pipeline.progress import ProgressStyle
from catalog_gen.pipeline.sheet import write_run_sheet
from catalog_gen.pipeline.summary import RunSummary


@dataclass(frozen=True)
class DemoResult:
    """What the demo did, and where its results are."""

    imported: str
    summary: RunSummary
    pictures: Path
    sheet: str

    @property
    def exit_code(self) -> int:
        return self.summary.exit_code

    def describe(self) -> str:
        return "\n".join(
            [self.imported, self.summary.describe(), f"  pictures: {self.pictures}", f"  contact sheet: {self.sheet}"]
        )


def run_demo(out: Path, *, limit: int | None = None, style: ProgressStyle = "none") -> DemoResult:
    """Import the shipped catalogue into a database in `out`, fill it, and write a contact sheet.

    Running it again does what is left to do. Ignores the environment and any catalog-gen.toml.
    """
    out = out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    pictures = out / "pictures"
    settings = load_settings(
        env={},
        use_default_file=False,
        flags={"database.url": f"sqlite:///{out / 'demo.sqlite3'}", "storage.url": str(pictures)},
    )
    database = open_database(settings.database.url)
    try:
        database.upgrade()
        imported = import_feed(settings, database, catalogue_path(), FeedFlags(), style)
        summary = fill_missing(settings, database, FillRequest(limit=limit), style=style)
        sheet = write_run_sheet(settings, database, None, out / "contact-sheet.html", 1000)
    finally:
        database.dispose()
    return DemoResult(imported.summary(), summary, pictures, sheet)
