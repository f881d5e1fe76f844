"""A product feed, whatever its format, as chunks of text cells; memory does not grow with the feed.

A row that cannot be read at all (ragged, undecodable, an open quote) is handed on as a `BadRow` with its line, so that
the import can report it and go on with the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from catalog_gen.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

CHUNK_CHARACTERS = 8 << 20  # a chunk ends early at this much text, so that long descriptions cost no memory
_MAGIC = {
    b"PAR1": "parquet",
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "a zip archive or an .xlsx workbook",
    b"\xd0\xcf\x11\xe0": "an .xls workbook",
    b"%PDF": "a PDF",
    b"SQLite format 3": "a SQLite database",
}


@dataclass(frozen=True)
class BadRow:
    """A row that could not be read: its first line (from 1, the header's line included), why, and its text."""

    line: int
    reason: str
    raw: str
    undecodable: bool = False  # the reason is the feed's encoding


@dataclass
class FeedChunk:
    """Some rows of a feed.

    frame: one column of str for each of the feed's columns, indexed by line (CSV) or row number (Parquet), from 1.
    read_share: how much of the file has been read, 0 to 1, for progress.
    """

    frame: pd.DataFrame
    bad: list[BadRow] = field(default_factory=list)
    read_share: float = 0.0


class Feed(Protocol):
    """A feed opened for one pass."""

    columns: list[str]  # every named column, each name once

    def chunks(self, rows: int) -> Iterator[FeedChunk]:
        """Yield the feed's rows in order, at most `rows` in a chunk. Raises UsageError where the file is damaged."""

    def close(self) -> None: ...


def open_feed(path: Path, encoding: str = "") -> Feed:
    """Return the feed in `path`: Parquet by its first bytes, else delimited text, gzipped or not.

    encoding: of a text feed; empty means UTF-8, or UTF-16/32 where a byte order mark says so.
    Raises UsageError when the file is missing, empty, of another kind, or its header cannot be read.
    """
    head = _read_head(path)
    if not head:
        raise UsageError("the file is empty", where=str(path), hint="A feed needs a header and rows.")
    kind = next((name for magic, name in _MAGIC.items() if head.startswith(magic)), "")
    if kind == "parquet":
        from catalog_gen.catalog.parquet_feed import ParquetFeed

        return ParquetFeed(path)
    if kind and kind != "gzip":
        raise UsageError(f"is {kind}, not a CSV or Parquet feed", where=str(path), hint="Export it as CSV (UTF-8).")
    from catalog_gen.catalog.csv_feed import CsvFeed

    return CsvFeed(path, encoding, gzipped=kind == "gzip")


def unique_names(names: Sequence[str]) -> list[str]:
    """Return the header's names trimmed, a repeated one numbered (`image`, `image 2`); an empty one stays empty."""
    seen: dict[str, int] = {}
    unique: list[str] = []
    for raw in names:
        name = " ".join(raw.split())
        seen[name] = seen.get(name, 0) + 1
        unique.append(name if seen[name] == 1 or not name else f"{name} {seen[name]}")
    return unique


def _read_head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(64)
    except IsADirectoryError as error:
        raise UsageError("is a folder, not a feed", where=str(path)) from error
    except OSError as error:
        raise UsageError(f"cannot be read ({error.strerror or error})", where=str(path)) from error
