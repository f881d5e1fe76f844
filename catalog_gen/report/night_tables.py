"""A night as JSON and as CSV: every row and every picture, written as the rows go by.

The JSON holds values as they are. The CSV is for spreadsheets, which run a cell that begins like a formula: such a
text gets an apostrophe before it (OWASP, "CSV Injection").
"""

from __future__ import annotations

import csv
import io
import json
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

from catalog_gen.report.night_rows import Picture, Row, reason_groups
from catalog_gen.report.night_scores import KINDS
from catalog_gen.report.page import replacing

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_ROW = ("sku", "title", "category", "outcome", "reason")
_PICTURE = ("asset", "kind", "style", "output", "state", "live", "version", "picture_reason", "doubt", "words")
_DRAWN = ("seed", "attempt", "candidates", "made_with", "nearest_sku", "nearest_by", "nearest_bits")
_FILE = ("uri", "sha256", "bytes", "width", "height", "format", "created_at", "source_asset", "source_uri")
_SCORES = tuple(KINDS)
COLUMNS = (*_ROW, *_PICTURE, *_SCORES, "other_scores", *_DRAWN, *_FILE)
_SPOOL = 8_000_000  # bytes of rows that wait in memory; more wait in a file


class NightTables:
    """Takes a night's rows one by one and writes `json_out` and `csv_out` at the end, both whole or not at all.

    Raises Unavailable when they cannot be written.
    """

    def __init__(self, json_out: Path, csv_out: Path) -> None:
        self._json_out, self._csv_out = json_out, csv_out
        self._rows = tempfile.SpooledTemporaryFile(_SPOOL)  # noqa: SIM115 - closed by __exit__
        self._lines = tempfile.SpooledTemporaryFile(_SPOOL)  # noqa: SIM115
        self._first = True

    def add(self, row: Row) -> None:
        """Add a row with its pictures."""
        said = json.dumps(row_json(row), ensure_ascii=False, allow_nan=False)
        self._rows.write(("" if self._first else ",\n").encode() + said.encode("utf-8", "replace"))
        self._first = False
        self._lines.write(_csv([_cells(row, picture) for picture in row.pictures or (None,)]))

    def write(self, facts: Mapping[str, Any]) -> None:
        """Write both files, the rows in the order in which they were added; `facts` go before them in the JSON."""
        with replacing(self._json_out) as file:
            head = json.dumps(facts, ensure_ascii=False, indent=1, allow_nan=False).removesuffix("\n}")
            file.write(head.encode("utf-8", "replace") + b',\n "items": [\n')
            self._rows.seek(0)
            shutil.copyfileobj(self._rows, file)
            file.write(b"\n]}\n")
        with replacing(self._csv_out) as file:
            file.write(_csv([COLUMNS]))
            self._lines.seek(0)
            shutil.copyfileobj(self._lines, file)

    def __enter__(self) -> NightTables:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._rows.close()
        self._lines.close()


def row_json(row: Row) -> dict[str, Any]:
    """Return a row with its pictures, JSON-ready. The seed is text: it may need more bits than JSON readers keep."""
    return {
        "sku": row.sku,
        "title": row.title,
        "category": row.category,
        "outcome": row.outcome or None,
        "reason": row.reason,
        "reasons": reason_groups(row.reason),
        "pictures": [picture_json(picture) for picture in row.pictures],
    }


def picture_json(picture: Picture) -> dict[str, Any]:
    """Return everything that is known of a picture, JSON-ready, what stands with its row left out."""
    said = asdict(picture)
    for name in ("sku", "title", "category"):
        del said[name]
    return said | {"seed": str(picture.seed), "made_with": dict(picture.made_with)}


def _cells(row: Row, picture: Picture | None) -> list[Any]:
    cells: list[Any] = [row.sku, row.title, row.category, row.outcome, row.reason]
    if picture is None:
        return [safe_cell(cell) for cell in cells] + [""] * (len(COLUMNS) - len(cells))
    p, near = picture, picture.nearest
    cells += [p.id, p.kind, p.style, p.variant, p.state, p.live, p.version, p.reason, p.doubt, p.prompt]
    cells += [p.scores.get(name, "") for name in _SCORES]
    others = {name: value for name, value in p.scores.items() if name not in KINDS}
    cells += [json.dumps(others, ensure_ascii=False) if others else ""]
    cells += [p.seed, p.attempt, p.candidates, "; ".join(f"{label} {value}" for label, value in p.made_with)]
    cells += [near.sku, near.by, "" if near.bits is None else near.bits] if near else ["", "", ""]
    cells += [p.uri, p.sha256, p.bytes, p.width, p.height, p.format, p.created_at, p.source_asset, p.source_uri]
    return [safe_cell(cell) for cell in cells]


def safe_cell(cell: Any) -> Any:
    """Return the cell, with an apostrophe before text that a spreadsheet would take for a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell


def _csv(lines: Iterable[Sequence[Any]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(lines)
    return text.getvalue().encode("utf-8", "replace")
