"""Delimited text feeds, read with Python's csv module for its line numbers and handed on as pandas frames.

pandas' own readers lose the line of a bad row, and one open quote makes them swallow the rest of the file. Here a row
that does not parse costs itself only: reading goes on with the line after its first.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
import zlib
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd

from catalog_gen.catalog.feed import CHUNK_CHARACTERS, BadRow, FeedChunk, unique_names
from catalog_gen.errors import UsageError

MAX_LINE = 8 << 20  # characters in one physical line
MAX_RECORD = 8 << 20  # characters in one row; a quote still open then was never meant to be
MAX_RECORD_LINES = 5_000
MAX_RAW = 1_000  # characters of a bad row's text that are worth reporting
_SNIFF_BYTES = 1 << 16
_UNDECODED = re.compile("[\ud800-\udfff]")  # what the surrogateescape and surrogatepass handlers leave behind
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


class _RecordTooLong(Exception):
    """The row being read has outgrown every plausible row."""


class CsvFeed:
    """A CSV, TSV or otherwise delimited feed; see `feed.Feed`."""

    def __init__(self, path: Path, encoding: str = "", *, gzipped: bool = False) -> None:
        self._path = path
        self._size = max(path.stat().st_size, 1)
        self._file = path.open("rb")
        try:
            binary = gzip.GzipFile(fileobj=self._file) if gzipped else self._file
            self._encoding = _encoding_of(_peek(binary, path), encoding, path)
            strict = self._encoding.startswith(("utf-16", "utf-32"))
            errors = "surrogatepass" if strict else "surrogateescape"
            text = io.TextIOWrapper(binary, encoding=self._encoding, errors=errors, newline="")
            self._lines = _Lines(text, path)
            # strict: without it a quote that never closes, or closes too early, silently merges rows.
            csv.field_size_limit(max(csv.field_size_limit(), MAX_RECORD + MAX_LINE))
            self._read_header()
        except BaseException:
            self._file.close()
            raise

    def chunks(self, rows: int) -> Iterator[FeedChunk]:
        """Yield the feed's rows; see `feed.Feed.chunks`."""
        cells: list[list[str]] = []
        lines: list[int] = []
        bad: list[BadRow] = []
        characters = 0
        for record in self._records():
            if isinstance(record, BadRow):
                bad.append(record)
                characters += len(record.raw)
            else:
                line, row = record
                lines.append(line)
                cells.append([row[i] for i in self._kept])
                characters += sum(map(len, row))
            if len(cells) + len(bad) >= rows or characters >= CHUNK_CHARACTERS:
                yield self._chunk(cells, lines, bad)
                cells, lines, bad, characters = [], [], [], 0
        if cells or bad:
            yield self._chunk(cells, lines, bad)

    def close(self) -> None:
        self._file.close()

    def _chunk(self, cells: list[list[str]], lines: list[int], bad: list[BadRow]) -> FeedChunk:
        frame = pd.DataFrame(cells, columns=self.columns, index=pd.Index(lines, dtype="int64"), dtype=object)
        return FeedChunk(frame, bad, min(1.0, self._file.tell() / self._size))

    def _read_header(self) -> None:
        where = str(self._path)
        first = self._lines.first()
        if declared := re.fullmatch(r'"?sep=([,;|\t])"?\s*', first):  # how spreadsheets name the delimiter
            next(self._lines)
            first = self._lines.first()
        if not first.strip():
            raise UsageError("holds no header", where=where, hint="A feed needs a header and rows.")
        if _UNDECODED.search(first):
            reason = _wrong_encoding(first, self._encoding)
            raise UsageError(f"the header (line {self._lines.line + 1}) {reason}", where=where)
        self._delimiter = declared[1] if declared else _sniff_delimiter(first, self._path)
        self._reader = csv.reader(self._lines, delimiter=self._delimiter, strict=True)
        header = self._next_record()
        if header is None or isinstance(header, BadRow):
            reason = header.reason if header else "cannot be read"
            raise UsageError(f"the header (line 1) is damaged: {reason}", where=where)
        self._width = len(header[1])
        names = unique_names(header[1])
        # A column without a name (pandas' index, a trailing comma) cannot become an attribute.
        self._kept = [i for i, name in enumerate(names) if name]
        self.columns = [names[i] for i in self._kept]

    def _records(self) -> Iterator[tuple[int, list[str]] | BadRow]:
        while (record := self._next_record()) is not None:
            if isinstance(record, BadRow):
                yield record
                continue
            line, row = record
            if not row or (len(row) == 1 and self._width > 1 and not row[0].strip()):
                continue  # a blank line is no row
            while len(row) > self._width and not row[-1].strip():
                row.pop()  # spreadsheets pad rows with empty cells
            if len(row) != self._width:
                yield self._ragged(line, len(row))
            elif (column := next((i for i, cell in enumerate(row) if _UNDECODED.search(cell)), -1)) >= 0:
                yield self._undecodable(line, row, column)
            else:
                yield line, row

    def _next_record(self) -> tuple[int, list[str]] | BadRow | None:
        """Return the next row with its first line, or what is wrong with it, or None at the end."""
        start = self._lines.begin()
        try:
            return start, next(self._reader)
        except StopIteration:
            return None
        except _RecordTooLong:
            if len(self._lines.taken) == 1:
                return _bad(start, f"the line is longer than {MAX_LINE:,} characters", self._lines.taken[0])
            reason = f"a quote opens here and does not close within {MAX_RECORD_LINES:,} lines"
        except csv.Error as error:
            reason = _plain_reason(error, start, self._lines.line)
        return _bad(start, reason, self._lines.give_back())

    def _ragged(self, line: int, cells: int) -> BadRow:
        reason = f"has {cells} {'cell' if cells == 1 else 'cells'}, the header has {self._width}"
        rest = list(self._lines.taken)[1:]
        if any(_cells_in(text, self._delimiter) == self._width for text in rest):
            # Whole rows stand inside: a stray quote joined them, and only the first is at fault.
            return _bad(line, f"{reason} (a stray quote?)", self._lines.give_back())
        return _bad(line, reason, "".join(self._lines.taken))

    def _undecodable(self, line: int, row: list[str], index: int) -> BadRow:
        reason = f"column {index + 1} {_wrong_encoding(row[index], self._encoding)}"
        return replace(_bad(line, reason, "".join(self._lines.taken)), undecodable=True)


class _Lines:
    """The file's physical lines, with those of the current row kept, so that a failed row can be given back."""

    def __init__(self, text: io.TextIOWrapper, path: Path) -> None:
        self._text, self._path = text, path
        self._pending: deque[str] = deque()
        self.taken: list[str] = []
        self.line = 0  # lines handed out so far
        self._characters = 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        if len(self.taken) >= MAX_RECORD_LINES or self._characters > MAX_RECORD:
            raise _RecordTooLong
        line = self._pending.popleft() if self._pending else self._read()
        if not line:
            raise StopIteration
        self.line += 1
        self.taken.append(line)
        self._characters += len(line)
        if len(line) > MAX_LINE:
            raise _RecordTooLong
        return line

    def first(self) -> str:
        """Return the first line that is not blank, without taking it."""
        while (line := self._read()) and not line.strip():
            self.line += 1
        self._pending.append(line)
        return line

    def begin(self) -> int:
        """Start a new row; return the number of its first line."""
        self.taken, self._characters = [], 0
        return self.line + 1

    def give_back(self) -> str:
        """Return the row's first line; the others will be read again as rows of their own."""
        first, rest = self.taken[0], self.taken[1:]
        self._pending.extendleft(reversed(rest))
        self.line -= len(rest)
        self.taken = [first]
        return first

    def _read(self) -> str:
        try:
            line = self._text.readline(MAX_LINE + 1)
            if len(line) > MAX_LINE:
                rest = line
                while rest and not rest.endswith(("\n", "\r")):
                    rest = self._text.readline(MAX_LINE)
                line += "\n"  # still too long for `__next__`, and whole, should it be given back
            return line
        except (EOFError, zlib.error, OSError, UnicodeDecodeError) as error:
            raise UsageError(
                f"is damaged after line {self.line + len(self._pending)} ({error})",
                where=str(self._path),
                hint="The rows before it are imported; fetch the file again and repeat the command.",
            ) from error


def _bad(line: int, reason: str, raw: str) -> BadRow:
    return BadRow(line, reason, raw[:MAX_RAW])


def _peek(binary: io.BufferedReader | gzip.GzipFile, path: Path) -> bytes:
    try:
        head = binary.read(_SNIFF_BYTES)
        binary.seek(0)
    except (EOFError, zlib.error, OSError) as error:
        raise UsageError(f"is damaged ({error})", where=str(path), hint="Fetch the file again.") from error
    return head


def _encoding_of(head: bytes, wanted: str, path: Path) -> str:
    """Return the codec to read with. Raises UsageError for an unknown one, and for a file that is not text."""
    if not head:
        raise UsageError("the file is empty", where=str(path), hint="A feed needs a header and rows.")
    if wanted:
        try:
            name = codecs.lookup(wanted).name
            "".encode(name)
        except LookupError as error:
            raise UsageError(f"unknown encoding {wanted!r}", hint="For example: --encoding cp1252") from error
        return "utf-8-sig" if name == "utf-8" else name
    for mark, name in _MARKS.items():
        if head.startswith(mark):
            return name
    controls = sum(head.count(code) for code in range(32) if code not in b"\t\n\r\x0c\x1a\x1b")
    # Compressed and binary data hold about 10 % control bytes, UTF-16 text 50 %; a feed may hold a few by accident.
    if controls > max(32, len(head) // 50) or 0 in head.split(b"\n", 1)[0]:
        raise UsageError(
            "is not a text file, so not a CSV feed",
            where=str(path),
            hint="Export it as CSV (UTF-8) or Parquet, or name its encoding: --encoding utf-16-le",
        )
    return "utf-8-sig"


def _sniff_delimiter(header: str, path: Path) -> str:
    if ".tsv" in path.suffixes or ".tab" in path.suffixes:
        return "\t"
    outside = "".join(header.split('"')[0::2])
    return max(",;\t|", key=outside.count)


def _cells_in(line: str, delimiter: str) -> int:
    """Return how many cells a physical line has when read as a row of its own, 0 if it does not parse."""
    try:
        return len(next(csv.reader([line], delimiter=delimiter, strict=True)))
    except (csv.Error, StopIteration):
        return 0


def _plain_reason(error: csv.Error, start: int, now: int) -> str:
    text = str(error)
    if "unexpected end" in text:
        return "a quote opens here and never closes"
    if "expected after" in text:
        at = "" if now == start else f" (the next one is in line {now})"
        return f"a quote opens a cell here, and the one that should close it does not end a cell{at}"
    return text


def _wrong_encoding(text: str, encoding: str) -> str:
    found = _UNDECODED.search(text)
    code = ord(found[0]) if found else 0
    byte = f"byte 0x{code - 0xDC00:02X}" if 0xDC80 <= code <= 0xDCFF else "half a character"
    name = encoding.removesuffix("-sig").upper()
    return f"is not {name} text ({byte}); if the whole feed is in another encoding, name it: --encoding cp1252"
