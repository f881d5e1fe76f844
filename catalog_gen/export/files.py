"""Files that appear whole or not at all: written under another name, synced, and renamed at the end."""

from __future__ import annotations

import csv
import glob
import io
import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO
from uuid import uuid4

from catalog_gen.errors import UsageError
from catalog_gen.export.items import Held
from catalog_gen.export.text import defused, one_line

PART_MAX_AGE = 86_400.0  # seconds
HELD_HEADER = ("sku", "what", "rule", "reason", "picture", "asset", "address")


class NewFile:
    """A file on its way to `path`. Until `commit`, whatever was there before stays; raises UsageError if it cannot."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._part = path.with_name(f".{path.name}.{uuid4().hex[:12]}.part")
        with writing(path):
            _clean(path)
            if path.is_dir():
                raise UsageError("is a folder", where=str(path), hint="Name a file: --out FILE.")
            self.file: IO[bytes] = self._part.open("xb")

    def commit(self) -> None:
        """Put the file in its place, durably."""
        with writing(self.path):
            self.file.flush()
            os.fsync(self.file.fileno())
            self.file.close()
            self._part.replace(self.path)
            _sync_folder(self.path.parent)

    def discard(self) -> None:
        """Leave no trace, unless it was committed."""
        self.file.close()
        self._part.unlink(missing_ok=True)


class HeldFile:
    """What was held back, as CSV: `FILE.held-back.csv`. It is there only when there is something in it.

    Raises UsageError when it cannot be written, or when something else lies in its place.
    """

    def __init__(self, export: Path) -> None:
        self.path = export.with_name(f"{export.name}.held-back.csv")
        self.count = 0
        self._new: NewFile | None = None
        with writing(self.path):
            if self.path.exists() and not self.path.read_bytes().startswith(csv_lines([HELD_HEADER])):
                raise UsageError(
                    "exists and lists nothing held back", where=str(self.path), hint="Choose another --out."
                )

    def add(self, held: Sequence[Held]) -> None:
        self.count += len(held)
        if not held:
            return
        if self._new is None:
            self._new = NewFile(self.path)
            self._new.file.write(csv_lines([HELD_HEADER]))
        with writing(self.path):
            self._new.file.write(csv_lines(map(_held_row, held)))

    def commit(self) -> None:
        if self._new is not None:
            self._new.commit()
        else:
            with writing(self.path):
                self.path.unlink(missing_ok=True)

    def discard(self) -> None:
        if self._new is not None:
            self._new.discard()


class Output:
    """An export's file and the list of what it held back, which appear together: the list first.

    max_bytes: a larger export goes on in `NAME.part2.csv` and so on; 0: one file whatever its size. `head` opens and
    `tail` closes every one of them. Raises UsageError when it cannot be written.
    """

    def __init__(self, path: Path, head: bytes = b"", tail: bytes = b"", max_bytes: int = 0) -> None:
        self.path, self._head, self._tail, self._max = path, head, tail, max_bytes
        self.held = HeldFile(path)
        self._parts: list[NewFile] = []
        self._size = 0
        self._open()

    @property
    def file(self) -> IO[bytes]:
        """The file under way, for what writes into it by itself."""
        return self._parts[-1].file

    @property
    def paths(self) -> list[Path]:
        """Where the export is, once it is committed."""
        return [part.path for part in self._parts]

    def write(self, data: bytes) -> None:
        """Write what belongs together in one file."""
        if self._max and self._size + len(data) + len(self._tail) > self._max and self._size > len(self._head):
            self._close()
            self._open()
        with writing(self.path):
            self.file.write(data)
        self._size += len(data)

    def commit(self) -> None:
        self._close()
        self.held.commit()
        for part in reversed(self._parts):  # the first part, that everybody looks for, is there when all are
            part.commit()
        self._remove_stale()

    def discard(self) -> None:
        """Leave no trace of what was not committed."""
        for part in self._parts:
            part.discard()
        self.held.discard()

    def _open(self) -> None:
        number = len(self._parts) + 1
        path = self.path if number == 1 else self.path.with_name(f"{self.path.stem}.part{number}{self.path.suffix}")
        self._parts.append(NewFile(path))
        with writing(path):
            self.file.write(self._head)
        self._size = len(self._head)

    def _close(self) -> None:
        with writing(self.path):
            self.file.write(self._tail)

    def _remove_stale(self) -> None:
        """Remove the further parts of an earlier, larger export, which would be taken for parts of this one."""
        if not self._max:
            return
        name = re.compile(rf"{re.escape(self.path.stem)}\.part(\d+){re.escape(self.path.suffix)}")
        with writing(self.path):
            for path in self.path.parent.iterdir():
                found = name.fullmatch(path.name)
                if found and int(found[1]) > len(self._parts):
                    path.unlink()


def csv_lines(
    rows: Iterator[Sequence[str]] | Sequence[Sequence[str]], delimiter: str = ",", end: str = "\r\n"
) -> bytes:
    """Return rows as CSV (RFC 4180), UTF-8."""
    buffer = io.StringIO(newline="")
    csv.writer(buffer, delimiter=delimiter, lineterminator=end).writerows(rows)
    return buffer.getvalue().encode("utf-8")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """An OSError in the block becomes one line for the user."""
    try:
        yield
    except OSError as error:
        what = f"the export cannot be written ({error.strerror or error})"
        raise UsageError(what, where=str(path), hint="Choose another place: --out FILE.") from error


def _held_row(held: Held) -> tuple[str, ...]:
    picture = held.picture
    about = (picture.name, picture.asset_id, picture.url or picture.uri) if picture else ("", "", "")
    return tuple(defused(one_line(cell)) for cell in (held.sku, held.what, held.rule, held.reason, *about))


def _clean(path: Path) -> None:
    """Remove what an export to this file left behind that was killed; none takes a day."""
    for part in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        with suppress(FileNotFoundError):  # another export cleans too
            if part.stat().st_mtime < time.time() - PART_MAX_AGE:
                part.unlink()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
