"""`catalog-gen import`: a feed's rows into the catalogue, chunk by chunk, each upserted by sku.

Reading the same feed again changes nothing. A bad row goes to the rejects file with its line and reason, and the rest
goes on; a damaged photo is reported there too, and its row is imported without it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from catalog_gen.catalog import tables
from catalog_gen.catalog.database import Database
from catalog_gen.catalog.feed import BadRow, FeedChunk, open_feed
from catalog_gen.catalog.feed_columns import ColumnMap, map_columns
from catalog_gen.catalog.feed_photos import Photo, PhotoFinder, Scratch
from catalog_gen.catalog.feed_rows import FeedRow, RejectedRow, usable_rows
from catalog_gen.catalog.rejects import RejectsFile
from catalog_gen.errors import InternalError

_SKUS_A_QUERY = 5_000  # both databases bound the parameters of one statement, SQLite at 32,766
_Result = TypeVar("_Result")


class Retrying(Protocol):
    """Calls `function` again after a TransientError, as its policy says; `what` names it in logs."""

    def __call__(self, what: str, function: Callable[[], _Result]) -> _Result: ...


@dataclass(frozen=True)
class ImportRequest:
    """How a feed is read.

    columns: field (`sku`, `title`, `category`, `image`) to column name; the others are found by common names.
    images: a folder with files named <sku>.jpg and the like. image_column: wins over `columns["image"]`.
    rejects: where bad rows go; None means `<feed>.rejects.csv`. encoding: empty means UTF-8.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    images: Path | None = None
    image_column: str | None = None
    ignore: tuple[str, ...] = ()
    chunk_rows: int = 2_000
    rejects: Path | None = None
    encoding: str = ""


@dataclass
class ImportResult:
    """What came of a feed: `read` is the sum of `inserted`, `updated`, `unchanged` and `rejected`."""

    read: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0
    photos_ok: int = 0
    photos_bad: int = 0
    undecodable: int = 0  # of the rejected rows, those in another encoding
    first_undecodable: int = 0  # the line
    rejects_path: Path | None = None  # None when nothing was rejected

    def summary(self) -> str:
        """Return what a person wants to know, in a few lines."""
        changed = f"{self.inserted:,} new, {self.updated:,} changed, {self.unchanged:,} as before"
        lines = [f"{self.read:,} rows read: {changed}, {self.rejected:,} rejected"]
        if self.photos_ok or self.photos_bad:
            lines.append(f"  photos: {self.photos_ok:,} taken, {self.photos_bad:,} unusable (their rows are imported)")
        if self.undecodable:
            lines.append(
                f"  {self.undecodable:,} rows are not in the feed's encoding, the first in line "
                f"{self.first_undecodable}; if the whole feed is in another: --encoding cp1252"
            )
        if self.rejects_path:
            lines.append(f"  rejected rows and photos, with reasons: {self.rejects_path}")
        return "\n".join(lines)


def import_file(
    database: Database,
    path: Path,
    request: ImportRequest | None = None,
    progress: Callable[[int, float], None] | None = None,
    retry: Retrying | None = None,
) -> ImportResult:
    """Import the feed in `path` and return the counts.

    progress: called after each chunk with the rows read so far and the share of the file (0 to 1).
    retry: how transient database failures are tried again; without it they are raised as TransientError.
    A feed without any image information leaves earlier images as they are; with it, the feed's word is the last.
    Raises UsageError when the feed as a whole cannot be read (missing columns, another format, damage midway: what
    was read before is imported), and what `Database.transaction` raises.
    """
    request, retry = request or ImportRequest(), retry or _once
    retry("checking the schema", database.check_schema)
    with closing(open_feed(path, request.encoding)) as feed, closing(Scratch()) as scratch:
        wanted = dict(request.columns)
        if request.image_column:
            wanted["image"] = request.image_column
        columns = map_columns(feed.columns, wanted, request.ignore)
        with (
            closing(PhotoFinder(scratch, request.images, path.parent)) as photos,
            closing(RejectsFile(request.rejects, path)) as rejects,
        ):
            run = _Import(database, columns, scratch, photos, rejects, retry)
            run.with_images = request.images is not None or columns.image is not None
            for chunk in feed.chunks(request.chunk_rows):
                run.take(chunk)
                if progress:
                    progress(run.result.read, chunk.read_share)
            return run.finished()


@dataclass
class _Import:
    """One import under way."""

    database: Database
    columns: ColumnMap
    scratch: Scratch
    photos: PhotoFinder
    rejects: RejectsFile
    retry: Retrying
    with_images: bool = False
    result: ImportResult = field(default_factory=ImportResult)

    def take(self, chunk: FeedChunk) -> None:
        """Import one chunk: rows and photos are checked with no transaction open, then written in one."""
        rows, rejected = usable_rows(chunk.frame, self.columns, self.scratch)
        stored = self.retry("reading the catalogue", lambda: self._stored([row.sku for row in rows]))
        photos, damaged = self._photos(rows, stored)
        changed = [row for row in rows if self._differs(row, photos.get(row.sku), stored.get(row.sku))]
        values = [self._values(row, photos.get(row.sku)) for row in changed]
        self.retry("importing rows", lambda: self._upsert(values))
        self._count(rows, changed, stored, [*chunk.bad, *rejected])
        self._report([*chunk.bad, *rejected], damaged)

    def finished(self) -> ImportResult:
        result = self.result
        if result.read != result.inserted + result.updated + result.unchanged + result.rejected:
            raise InternalError(f"the import lost count of its rows: {result}")
        result.rejects_path = self.rejects.path if self.rejects.count else None
        return result

    def _stored(self, skus: Sequence[str]) -> dict[str, tuple[str, Photo]]:
        """Return sku -> (row hash, photo) of those that the catalogue has."""
        product = tables.product.c
        found: dict[str, tuple[str, Photo]] = {}
        with self.database.read() as connection:
            for start in range(0, len(skus), _SKUS_A_QUERY):
                some = product.sku.in_(skus[start : start + _SKUS_A_QUERY])
                query = sa.select(product.sku, product.row_hash, product.image, product.image_sha256).where(some)
                for sku, row_hash, image, sha256 in connection.execute(query):
                    found[sku] = row_hash, Photo(image or "", sha256)
        return found

    def _photos(
        self, rows: Sequence[FeedRow], stored: Mapping[str, tuple[str, Photo]]
    ) -> tuple[dict[str, Photo], list[tuple[FeedRow, Photo]]]:
        """Return the usable photos by sku, and the rows with a photo that is not."""
        found = {row.sku: photo for row in rows if (photo := self.photos.find(row.sku, row.image))}
        checked = self.photos.check(found, {sku: photo for sku, (_, photo) in stored.items()})
        good = {sku: photo for sku, photo in checked.items() if not photo.damage}
        bad = [(row, checked[row.sku]) for row in rows if row.sku in checked and row.sku not in good]
        self.result.photos_ok += len(good)
        self.result.photos_bad += len(bad)
        return good, bad

    def _differs(self, row: FeedRow, photo: Photo | None, stored: tuple[str, Photo] | None) -> bool:
        if stored is None or stored[0] != row.row_hash():
            return True
        return self.with_images and (photo or Photo("")) != stored[1]

    def _values(self, row: FeedRow, photo: Photo | None) -> dict[str, Any]:
        return {
            "sku": row.sku,
            "title": row.title,
            "category": row.category,
            "attributes": row.attributes,
            "image": photo.image if photo else None,
            "image_sha256": photo.sha256 if photo else None,
            "row_hash": row.row_hash(),
        }

    def _upsert(self, values: list[dict[str, Any]]) -> None:
        if not values:
            return
        make_insert = postgresql.insert if self.database.is_postgres else sqlite.insert
        insert = make_insert(tables.product)
        kept = {"sku", "created_at"} if self.with_images else {"sku", "created_at", "image", "image_sha256"}
        new = {column.name: column for column in insert.excluded if column.name not in kept}
        with self.database.transaction() as connection:
            now = self.database.now(connection)
            # In sku order, so that two imports at once cannot lock each other's rows crosswise.
            rows = sorted(values, key=lambda row: str(row["sku"]))
            rows = [{**row, "created_at": now, "updated_at": now} for row in rows]
            connection.execute(insert.on_conflict_do_update(index_elements=["sku"], set_=new), rows)

    def _count(
        self,
        rows: Sequence[FeedRow],
        changed: Sequence[FeedRow],
        stored: Mapping[str, tuple[str, Photo]],
        bad: Sequence[BadRow],
    ) -> None:
        result = self.result
        inserted = sum(row.sku not in stored for row in changed)
        result.read += len(rows) + len(bad)
        result.inserted += inserted
        result.updated += len(changed) - inserted
        result.unchanged += len(rows) - len(changed)
        result.rejected += len(bad)
        undecodable = [row.line for row in bad if row.undecodable]
        if undecodable and not result.undecodable:
            result.first_undecodable = min(undecodable)
        result.undecodable += len(undecodable)

    def _report(self, bad: Sequence[BadRow], damaged: Sequence[tuple[FeedRow, Photo]]) -> None:
        entries = [
            (row.line, row.sku if isinstance(row, RejectedRow) else "", "row", row.reason, row.raw) for row in bad
        ]
        entries += [(row.line, row.sku, "photo", photo.damage, photo.image) for row, photo in damaged]
        for entry in sorted(entries):
            self.rejects.add(*entry)


def _once(what: str, function: Callable[[], _Result]) -> _Result:
    return function()
