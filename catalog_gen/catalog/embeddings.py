"""The cache of text embeddings: a prompt is read by CLIP once for each model, not once a night."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from catalog_gen.catalog.database import Database
from catalog_gen.catalog.statements import among, chunks, insert_new
from catalog_gen.catalog.tables import embedding as table

Vector = npt.NDArray[np.float32]

_STORED = np.dtype("<f4")  # the same bytes on every machine


def get_embeddings(database: Database, model_hash: str, text_hashes: Sequence[str]) -> dict[str, Vector]:
    """Return the known embeddings, each (D,) float32, by text hash; unknown hashes are simply absent."""
    found: dict[str, Vector] = {}
    with database.read() as connection:
        for some in chunks(list(dict.fromkeys(text_hashes))):
            query = sa.select(table.c.text_hash, table.c.vector).where(
                table.c.model_hash == model_hash, among(connection, table.c.text_hash, some)
            )
            for text_hash, raw in connection.execute(query):
                found[text_hash] = np.frombuffer(raw, dtype=_STORED).astype(np.float32)
    return found


def put_embeddings(database: Database, model_hash: str, vectors: Mapping[str, Vector]) -> None:
    """Remember embeddings, each (D,) float32, by text hash; those already known stay as they are."""
    now = datetime.now(UTC)
    rows = [
        {
            "model_hash": model_hash,
            "text_hash": text_hash,
            "vector": np.ascontiguousarray(vectors[text_hash], dtype=_STORED).tobytes(),
            "created_at": now,
        }
        for text_hash in sorted(vectors)  # one order for all workers: two that meet cannot deadlock
    ]
    if rows:
        with database.transaction() as connection:
            insert_new(connection, table, rows)
