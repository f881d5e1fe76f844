"""`catalog-gen import` with its settings, retries and progress."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from catalog_gen.catalog.database import Database
from catalog_gen.catalog.importer import ImportRequest, ImportResult, import_file
from catalog_gen.config import Settings
from catalog_gen.pipeline.progress import ProgressStyle
from catalog_gen.pipeline.retry import Retry

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FeedFlags:
    """What a single import may set beside the configuration."""

    images: Path | None = None
    image_column: str | None = None
    encoding: str = ""
    rejects: Path | None = None


def import_feed(
    settings: Settings, database: Database, file: Path, flags: FeedFlags, style: ProgressStyle = "none"
) -> ImportResult:
    """Import `file` as configured; raises what `import_file` raises, and TemporaryFailure when retries ran out."""
    request = ImportRequest(
        columns=settings.imports.columns,
        images=flags.images,
        image_column=flags.image_column,
        ignore=settings.imports.ignore,
        chunk_rows=settings.imports.chunk_rows,
        rejects=flags.rejects,
        encoding=flags.encoding,
    )
    retry = Retry(settings.job.retries, settings.job.retry_seconds)
    with tqdm(total=100, unit="%", disable=style != "bar", bar_format="{l_bar}{bar}| {postfix}") as bar:

        def show(rows: int, share: float) -> None:
            bar.set_postfix_str(f"{rows:,} rows", refresh=False)
            bar.update(100 * share - bar.n)

        return import_file(database, file, request, show, retry)
