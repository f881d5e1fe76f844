"""A feed's photos: finding each product's, keeping it inside its folder, and checking that it opens."""

from __future__ import annotations

import hashlib
import os
import re
import sqlite3
import unicodedata
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from catalog_gen.errors import PhotoError, UsageError
from catalog_gen.photos import open_photo, read_photo

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".avif", ".gif", ".tif", ".tiff", ".bmp")  # the best first
_URL = re.compile(r"([a-z][a-z0-9+.-]*:)?//", re.IGNORECASE)
_THREADS = min(4, os.cpu_count() or 1)


@dataclass(frozen=True)
class Photo:
    """A product's photo: where it is, its hash when it is a local file, and why it cannot be used, if it cannot."""

    image: str
    sha256: str | None = None
    damage: str = ""


class Scratch:
    """What an import must remember about rows and files, on disk, so that memory does not grow with the feed."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("")  # an unnamed temporary file, gone when closed
        self._db.execute("PRAGMA cache_size = -8192")
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.execute("CREATE TABLE seen (sku TEXT PRIMARY KEY, line INTEGER) WITHOUT ROWID")
        self._db.execute(
            "CREATE TABLE photo (stem TEXT, rank INTEGER, name TEXT, PRIMARY KEY (stem, rank, name)) WITHOUT ROWID"
        )

    def first_line(self, sku: str, line: int) -> int:
        """Return the line on which `sku` was first given: `line` itself when it is new."""
        new = self._db.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (sku, line)).rowcount
        if new:
            return line
        found: int = self._db.execute("SELECT line FROM seen WHERE sku = ?", (sku,)).fetchone()[0]
        return found

    def add_photos(self, names: Iterable[str]) -> None:
        """Remember the files of a folder that look like photos, by their stem."""
        rows = ((_stem(name), SUFFIXES.index(_suffix(name)), name) for name in names if _suffix(name) in SUFFIXES)
        self._db.executemany("INSERT OR IGNORE INTO photo VALUES (?, ?, ?)", rows)

    def photo_of(self, sku: str) -> str | None:
        """Return the name of the file whose stem is `sku`, exactly."""
        query = "SELECT name FROM photo WHERE stem = ? ORDER BY rank, name LIMIT 1"
        row = self._db.execute(query, (unicodedata.normalize("NFC", sku),)).fetchone()
        return row[0] if row else None

    def close(self) -> None:
        self._db.close()


class PhotoFinder:
    """Finds and checks photos: `folder`/<sku>.<suffix>, and the paths or URLs of an image column.

    Raises UsageError when the folder cannot be listed.
    """

    def __init__(self, scratch: Scratch, folder: Path | None, feed_folder: Path) -> None:
        self._scratch = scratch
        self._folder = folder.resolve() if folder else None
        self._bases = [base for base in (self._folder, feed_folder.resolve()) if base]
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="photo")
        if self._folder:
            try:
                with os.scandir(self._folder) as entries:
                    scratch.add_photos(entry.name for entry in entries if entry.is_file())
            except OSError as error:
                where = f"--images {folder}"
                raise UsageError(f"the folder cannot be listed ({error.strerror})", where=where) from error

    def find(self, sku: str, cell: str) -> Photo | None:
        """Return the product's photo, unopened: what its image cell names, else the folder's file named as its sku."""
        if cell:
            return Photo(cell) if _URL.match(cell) else self._inside(cell)
        name = self._scratch.photo_of(sku) if self._folder else None
        return Photo(str(self._folder / name)) if self._folder and name else None

    def check(self, photos: Mapping[str, Photo], known: Mapping[str, Photo]) -> dict[str, Photo]:
        """Return `photos` (by sku) with each local file opened, hashed, and its damage named.

        A file whose path and hash are those of `known` has been opened by an earlier import, and is not decoded again.
        """
        results = self._pool.map(lambda sku: _check(photos[sku], known.get(sku)), photos)
        return dict(zip(photos, results, strict=True))

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def _inside(self, cell: str) -> Photo:
        """The file that a cell names, relative to the photo folder or the feed's; never one outside of both."""
        outside = f"points outside {' and '.join(map(str, self._bases))}"
        try:
            paths = [inside for base in self._bases if (inside := (base / cell).resolve()).is_relative_to(base)]
            path = next((path for path in paths if path.is_file()), paths[0] if paths else None)
        except (OSError, ValueError, RuntimeError) as error:  # too long a name, a NUL, a loop of links
            return Photo(cell, damage=f"is no usable path ({error})")
        return Photo(str(path)) if path else Photo(cell, damage=outside)


def _check(photo: Photo, known: Photo | None) -> Photo:
    if photo.damage or _URL.match(photo.image):
        return photo
    try:
        data = read_photo(Path(photo.image))
        sha256 = hashlib.sha256(data).hexdigest()
        if known is None or (known.image, known.sha256) != (photo.image, sha256):
            open_photo(data)
    except PhotoError as error:
        return Photo(photo.image, damage=f"{error.what}. {error.hint}" if error.hint else error.what)
    return Photo(photo.image, sha256)


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()  # noqa: PTH122 (Path would cost a second for a million names)


def _stem(name: str) -> str:
    return unicodedata.normalize("NFC", os.path.splitext(name)[0])  # noqa: PTH122
