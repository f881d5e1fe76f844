"""From a chunk of a feed's cells to rows that the catalogue can hold, and the reasons for those that it cannot."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Hashable
from dataclasses import dataclass, field

import pandas as pd

from catalog_gen.catalog.feed import BadRow
from catalog_gen.catalog.feed_columns import ColumnMap
from catalog_gen.catalog.feed_photos import Scratch

MAX_SKU = 200
MAX_CATEGORY = 500  # it is indexed, and an index entry of PostgreSQL has room for about 2,700 bytes
MAX_CELL = 65_536
_NOTHING = ["nan", "NaN", "NAN", "null", "NULL", "None", "<NA>", "#N/A"]  # how exports write a missing value
_INVISIBLE_ENDS = "\ufeff\u200b\u2060"
_CONTROLS = "[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]"  # and marks that reverse what is shown
_UNSTORABLE = "[\x00\ud800-\udfff]"


@dataclass(frozen=True)
class FeedRow:
    """One usable row: `image` is the text of the image column, "" without one."""

    line: int
    sku: str
    title: str
    category: str = ""
    attributes: dict[str, str] = field(default_factory=dict)
    image: str = ""

    def row_hash(self) -> str:
        """Return the hash of the row's words, in their order; its image is compared on its own."""
        words = [self.title, self.category, self.attributes]
        return hashlib.sha256(json.dumps(words, ensure_ascii=False).encode()).hexdigest()


@dataclass(frozen=True)
class RejectedRow(BadRow):
    """A row that was read and cannot be imported."""

    sku: str = ""


def usable_rows(frame: pd.DataFrame, columns: ColumnMap, scratch: Scratch) -> tuple[list[FeedRow], list[RejectedRow]]:
    """Return the frame's usable rows and the others with their reasons, each in the feed's order.

    Cells are trimmed, and cells that say "no value" emptied; a row without a sku, with a sku that an earlier row has,
    or with a cell that no catalogue should hold, is rejected.
    """
    texts = frame[list(columns.used)].apply(lambda column: column.str.strip())
    texts = texts.mask(texts.isin(_NOTHING), "")
    texts[columns.sku] = texts[columns.sku].str.strip(_INVISIBLE_ENDS).str.strip()
    reasons = _reasons(texts, columns)
    rows: list[FeedRow] = []
    rejected: list[RejectedRow] = []
    for line, cells in zip(frame.index.tolist(), texts.to_dict("records"), strict=True):
        sku, reason = cells[columns.sku], reasons.get(line, "")
        if not reason and (first := scratch.first_line(sku, line)) != line:
            reason = f"the sku is in line {first} already"
        if reason:
            rejected.append(RejectedRow(line, reason, _raw(frame.loc[line].tolist()), sku=sku[:MAX_SKU]))
        else:
            rows.append(_row(line, cells, columns))
    return rows, rejected


def _reasons(texts: pd.DataFrame, columns: ColumnMap) -> dict[int, str]:
    """Return line -> the first reason why that row cannot be taken."""
    reasons: dict[int, str] = {}

    def add(at_fault: pd.Series[bool], reason: str) -> None:
        for line in texts.index[at_fault.astype(bool)]:
            reasons.setdefault(int(line), reason)

    for name in columns.used:
        add(
            texts[name].str.len() > MAX_CELL,
            f"column {name}: the cell is longer than {MAX_CELL:,} characters",
        )
    sku = texts[columns.sku]
    add(sku == "", "the sku is empty")
    add(sku.str.len() > MAX_SKU, f"the sku is longer than {MAX_SKU} characters")
    add(sku.str.contains(_CONTROLS, regex=True), "the sku holds control characters")
    if columns.category:
        too_long = texts[columns.category].str.len() > MAX_CATEGORY
        add(too_long, f"column {columns.category}: the category is longer than {MAX_CATEGORY} characters")
    for name in columns.used:
        at_fault = texts[name].str.contains(_UNSTORABLE, regex=True)
        add(at_fault, f"column {name}: the cell holds NUL or undecodable bytes")
    return reasons


def _row(line: int, cells: dict[Hashable, str], columns: ColumnMap) -> FeedRow:
    return FeedRow(
        line=line,
        sku=cells[columns.sku],
        title=cells[columns.title],
        category=cells[columns.category] if columns.category else "",
        attributes={name: cells[name] for name in columns.attributes if cells[name]},
        image=cells[columns.image] if columns.image else "",
    )


def _raw(cells: list[str]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow([cell[:1_000] for cell in cells])
    return line.getvalue()
