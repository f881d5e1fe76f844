"""Where a training's rows come from: the catalogue, or a folder with a feed and its photos.

A folder is imported, as `catalog-gen import` would, into a database of its own in the work folder; from there on both
ways are one.
"""

from __future__ import annotations

import csv
import fcntl
import json
import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from catalog_gen.catalog.database import Database, open_database
from catalog_gen.catalog.feed import open_feed
from catalog_gen.catalog.feed_columns import ColumnMap, map_columns
from catalog_gen.catalog.feed_photos import SUFFIXES
from catalog_gen.catalog.model import Product, Where
from catalog_gen.catalog.source import open_source
from catalog_gen.config import CatalogConfig, Settings
from catalog_gen.errors import UsageError
from catalog_gen.pipeline.imports import FeedFlags, import_feed
from catalog_gen.pipeline.progress import ProgressStyle
from catalog_gen.pipeline.prompting import product_prompt
from catalog_gen.training_data import TrainRow, Unreadable

log = logging.getLogger(__name__)

COLOUR_FIELDS = ("colour", "color", "baseColour", "base_colour", "baseColor")
FEEDS = (".csv", ".tsv", ".parquet", ".csv.gz", ".tsv.gz")
NOT_FEEDS = (".rejects.csv", "unreadable.csv")  # what this program itself writes


@dataclass(frozen=True)
class TrainingSource:
    """An open database with a training's rows, the settings that read it, and the photos that an import refused."""

    settings: Settings
    database: Database
    unusable: tuple[Unreadable, ...] = ()


@contextmanager
def training_source(
    settings: Settings, data: Path | None, work_dir: Path, style: ProgressStyle = "none"
) -> Iterator[TrainingSource]:
    """Open the configured catalogue, or with `data` a folder (or one feed in it) imported into `work_dir`.

    Doing it again changes nothing; another feed, or other columns, start anew. Rejected rows and photos are listed in
    work_dir/data.rejects.csv. Raises UsageError when the folder has no feed, several, or no photos for its rows, and
    what `import_feed` and `open_database` raise.
    """
    database = open_database(settings.database.url) if data is None else None
    try:
        if data is None:
            assert database is not None
            database.check_schema()
            yield TrainingSource(settings, database)
            return
        feed = _find_feed(data)
        images = _find_photos(feed, data, work_dir, settings)
        make_work_dir(work_dir)
        file = work_dir.absolute() / "data.sqlite3"
        own = settings.model_copy(update={"catalog": CatalogConfig()})  # not the shop's table
        with _alone(work_dir):
            _forget_another(file, feed, images, settings)
            database = open_database(f"sqlite:///{file}")
            database.upgrade()
            unusable = _import(own, database, feed, images, style)
        yield TrainingSource(own, database, unusable)
    finally:
        if database is not None:
            database.dispose()


def make_work_dir(folder: Path) -> None:
    """Make the work folder unless it is there. Raises UsageError when it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot be made ({error.strerror or error})", where=f"--work-dir {folder}") from error


def keep_apart(folder: Path, *theirs: str) -> None:
    """Raise UsageError when the work folder holds one of `theirs`, the other kind of training's checkpoints.

    Both kinds call their curves and sheets alike, and one that starts anew would take the other's away.
    """
    found = [name for name in theirs if (folder / name).exists()]
    if found:
        raise UsageError(
            f"this folder is another kind of training's: it holds {found[0]}",
            where=f"--work-dir {folder}",
            hint="Name another folder.",
        )


def training_rows(settings: Settings, database: Database, where: Where) -> list[TrainRow]:
    """Return the catalogue's products that have words and a photo on this machine.

    Raises UsageError when there are none.
    """
    source = open_source(settings, database)
    rows: list[TrainRow] = []
    elsewhere = 0
    for page in source.pages(where, with_image=True):
        for product in page:
            photo = _local_photo(product)
            prompt = product_prompt(product, settings.prompt)
            elsewhere += photo is None
            if photo is not None and prompt:
                rows.append(TrainRow(product.sku, prompt, product.category, _colour(product), photo))
    if elsewhere:
        log.warning("%d photos are not files on this machine and are left out", elsewhere)
    if not rows:
        raise UsageError(
            "no product has both words and a photo on this machine",
            where=database.where,
            hint="Import the feed with --images FOLDER first, or give the folder itself: --data FOLDER.",
        )
    return rows


def _find_feed(data: Path) -> Path:
    where = f"--data {data}"
    if data.is_file():
        return data
    try:
        names = sorted(file.name for file in data.iterdir() if file.is_file() and not file.name.startswith("."))
    except OSError as error:
        raise UsageError(f"the folder cannot be listed ({error.strerror or error})", where=where) from error
    feeds = [name for name in names if name.lower().endswith(FEEDS) and not name.lower().endswith(NOT_FEEDS)]
    if not feeds:
        hint = "Put the rows beside the photos, or name the feed: --data FILE."
        raise UsageError("no feed (CSV, TSV or Parquet) in the folder", where=where, hint=hint)
    if len(feeds) > 1:
        shown = ", ".join(feeds[:5]) + (", ..." if len(feeds) > 5 else "")
        raise UsageError(f"{len(feeds)} feeds in the folder ({shown})", where=where, hint="Name one: --data FILE.")
    return data / feeds[0]


def _find_photos(feed: Path, data: Path, work_dir: Path, settings: Settings) -> Path | None:
    """Return the folder with photos named as skus: the feed's, or the one in it that has the most; None: a column.

    Raises UsageError where there are neither photos nor a column that names them.
    """
    folder = feed.parent
    inside = [file for file in folder.iterdir() if file.is_dir() and not file.name.startswith(".")]
    candidates = [folder, *sorted(file for file in inside if file.resolve() != work_dir.resolve())]
    counts = Counter({place: _count_photos(place) for place in candidates})
    found, count = counts.most_common(1)[0]
    columns = _columns(feed, settings)
    if not count:
        if columns.image is None:
            raise UsageError(
                "no photos beside the feed",
                where=f"--data {data}",
                hint=f"Put them into {folder} or a folder in it, named SKU.jpg (.png, .webp), or name their column: "
                "--map image=COLUMN.",
            )
        return None
    others = [place.name for place, number in counts.items() if number and place != found]
    if others and columns.image is None:
        log.warning("photos are taken from %s alone, and not from: %s", found, ", ".join(others[:5]))
    return found


def _count_photos(folder: Path) -> int:
    try:
        return sum(file.suffix.lower() in SUFFIXES for file in folder.iterdir())
    except OSError as error:
        log.warning("%s cannot be listed (%s), and no photo is taken from it", folder, error.strerror)
        return 0


def _columns(feed: Path, settings: Settings) -> ColumnMap:
    opened = open_feed(feed)
    try:
        return map_columns(opened.columns, settings.imports.columns, settings.imports.ignore)
    finally:
        opened.close()


@contextmanager
def _alone(work_dir: Path) -> Iterator[None]:
    """Several processes of one training may start at once: the first imports, the others find it done."""
    with (work_dir / ".data.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _forget_another(file: Path, feed: Path, images: Path | None, settings: Settings) -> None:
    """Remove the rows of an earlier import unless it was of this very feed, read in this very way."""
    status = feed.stat()
    source: dict[str, Any] = {
        "feed": str(feed.resolve()),
        "bytes": status.st_size,
        "modified_ns": status.st_mtime_ns,
        "images": str(images.resolve()) if images else None,
        "columns": settings.imports.columns,
        "ignore": list(settings.imports.ignore),
    }
    note = file.with_name("data-source.json")
    if note.exists() and json.loads(note.read_text("utf-8")) == source:
        return
    for suffix in ("", "-wal", "-shm", "-journal"):
        file.with_name(file.name + suffix).unlink(missing_ok=True)
    part = note.with_suffix(".part")
    part.write_text(json.dumps(source, indent=1), encoding="utf-8")
    part.replace(note)


def _import(
    settings: Settings, database: Database, feed: Path, images: Path | None, style: ProgressStyle
) -> tuple[Unreadable, ...]:
    rejects = (database.path or feed).with_name("data.rejects.csv")
    result = import_feed(settings, database, feed, FeedFlags(images=images, rejects=rejects), style)
    for line in result.summary().splitlines():
        log.info("%s", line.strip())
    if not (result.photos_ok or result.photos_bad):
        raise _no_photo_found(feed, images, _columns(feed, settings))
    return _refused_photos(result.rejects_path)


def _no_photo_found(feed: Path, images: Path | None, columns: ColumnMap) -> UsageError:
    what = f"no row names a photo in its column {columns.image}"
    if images is not None:
        example = min(file.name for file in images.iterdir() if file.suffix.lower() in SUFFIXES)
        what = f"no photo in {images} has a row's sku as its name (one is {example})"
    hint = f"The skus are the column {columns.sku}; another: --map sku=COLUMN, or --map image=COLUMN."
    return UsageError(what, where=str(feed), hint=hint)


def _refused_photos(rejects: Path | None) -> tuple[Unreadable, ...]:
    if rejects is None:
        return ()
    with rejects.open(encoding="utf-8", newline="") as file:
        return tuple(
            Unreadable(row["sku"], row["raw"], row["reason"]) for row in csv.DictReader(file) if row["kind"] == "photo"
        )


def _local_photo(product: Product) -> Path | None:
    """Return the photo's path when it is a file on this machine: a plain path or a file:// URL."""
    text = product.image or ""
    parts = urlsplit(text)
    path = Path(unquote(parts.path)) if parts.scheme == "file" else Path(text)
    return path if (parts.scheme in ("", "file") and path.is_file()) else None


def _colour(product: Product) -> str:
    return next((product.attributes[name] for name in COLOUR_FIELDS if name in product.attributes), "")
