"""Plain exports: a row a picture with all that is known of it, as CSV or Parquet; and the list of a write-back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from catalog_gen.config_export import ExportConfig
from catalog_gen.export.channel import Row, checked_sku
from catalog_gen.export.files import Output
from catalog_gen.export.items import Held, Item, Picture
from catalog_gen.export.text import one_line

COLUMNS = (
    "sku", "title", "category", "position", "picture", "style", "output", "url", "stored_at", "width", "height",
    "format", "bytes", "sha256", "digital_source_type", "overlays", "asset",
)  # fmt: skip
NUMBERS = ("position", "width", "height", "bytes")
WRITTEN = ("sku", "url", "picture", "style", "output", "sha256", "digital_source_type", "asset")
MAX_SKU = 10_000


class PlainFile:
    """Every picture of every product, in order. in_cells: the file is CSV, which a spreadsheet may open."""

    columns = COLUMNS

    def __init__(self, config: ExportConfig, *, in_cells: bool) -> None:
        self._in_cells = in_cells and config.escape_formulas

    def rows(self, item: Item, pictures: Sequence[Picture]) -> tuple[list[Row], list[Held]]:
        sku = checked_sku(item, MAX_SKU, in_cells=self._in_cells)
        about = {"sku": sku, "title": one_line(item.title), "category": one_line(item.category)}
        return [{**about, "position": n, **_facts(picture)} for n, picture in enumerate(pictures, 1)], []


class WrittenList:
    """What a write-back writes: a product's one picture, and where it is."""

    columns = WRITTEN

    def rows(self, item: Item, pictures: Sequence[Picture]) -> tuple[list[Row], list[Held]]:
        facts = _facts(pictures[0])
        return [{"sku": item.sku, **facts, "url": pictures[0].url or pictures[0].uri}], []


def _facts(picture: Picture) -> dict[str, str | int]:
    return {
        "picture": picture.role,
        "style": picture.style,
        "output": picture.output,
        "url": picture.url,
        "stored_at": picture.uri,
        "width": picture.width,
        "height": picture.height,
        "format": picture.format,
        "bytes": picture.size,
        "sha256": picture.sha256,
        "digital_source_type": picture.source_type,
        "overlays": "unknown" if picture.overlays is None else " ".join(picture.overlays),
        "asset": picture.asset_id,
    }


class ParquetRows:
    """Rows gathered into row groups of `GROUP`, and written into an Output's file."""

    GROUP = 2_000

    def __init__(self, output: Output) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        kinds = [(name, pa.int64() if name in NUMBERS else pa.string()) for name in COLUMNS]
        self._schema = pa.schema(kinds)
        self._writer: Any = pq.ParquetWriter(output.file, self._schema, compression="zstd")
        self._rows: list[Row] = []

    def add(self, rows: Sequence[Row]) -> None:
        self._rows += rows
        if len(self._rows) >= self.GROUP:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        import pyarrow as pa

        if self._rows:
            self._writer.write_table(pa.Table.from_pylist([dict(row) for row in self._rows], schema=self._schema))
        self._rows = []
