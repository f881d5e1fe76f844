"""Parquet feeds, batch by batch, every cell as the text a CSV of the same rows would hold."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from catalog_gen.catalog.feed import FeedChunk, unique_names
from catalog_gen.errors import UsageError

logger = logging.getLogger(__name__)


class ParquetFeed:
    """A Parquet file; see `feed.Feed`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = pq.ParquetFile(path)
        except (pa.ArrowException, OSError) as error:
            raise self._damaged(error) from error
        schema = self._file.schema_arrow
        binary = [field.name for field in schema if _holds_bytes(field.type)]
        if binary:
            logger.warning("%s: columns of bytes are left out: %s", path, ", ".join(binary))
        self._names = [name for name in schema.names if name.strip() and name not in binary]
        self.columns = unique_names(self._names)

    def chunks(self, rows: int) -> Iterator[FeedChunk]:
        """Yield the feed's rows; see `feed.Feed.chunks`. A null is an empty cell."""
        total = max(self._file.metadata.num_rows, 1)
        done = 0
        try:
            for batch in self._file.iter_batches(batch_size=rows, columns=self._names):
                cells = {name: _to_text(batch.column(i)) for i, name in enumerate(self.columns)}
                index = pd.RangeIndex(done + 1, done + batch.num_rows + 1)
                done += batch.num_rows
                yield FeedChunk(pd.DataFrame(cells, index=index, dtype=object), read_share=done / total)
        except (pa.ArrowException, OSError) as error:
            raise self._damaged(error, done) from error

    def close(self) -> None:
        self._file.close()

    def _damaged(self, error: Exception, rows: int = 0) -> UsageError:
        after = f" after row {rows}; the rows before it are imported" if rows else ""
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        return UsageError(
            f"is no readable Parquet file{after} ({reason})", where=str(self._path), hint="Fetch it again."
        )


def _holds_bytes(kind: Any) -> bool:
    if pa.types.is_struct(kind):
        return any(_holds_bytes(kind.field(i).type) for i in range(kind.num_fields))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _holds_bytes(kind.value_type)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))


def _to_text(column: Any) -> list[str]:
    if pa.types.is_nested(column.type):
        return [
            "" if value is None else json.dumps(value, ensure_ascii=False, default=str) for value in column.to_pylist()
        ]
    texts = pc.cast(column, pa.large_string())
    try:
        values = texts.to_pylist()
    except UnicodeDecodeError:  # the writer did not check; the rows at fault are rejected one by one
        raw = texts.cast(pa.large_binary()).to_pylist()
        values = [None if value is None else value.decode("utf-8", "surrogateescape") for value in raw]
    return ["" if value is None else value for value in values]
