"""The cache of text embeddings."""

from __future__ import annotations

import numpy as np

from catalog_gen.catalog.database import Database
from catalog_gen.catalog.embeddings import get_embeddings, put_embeddings


def test_vectors_come_back_bit_for_bit_and_by_model(database: Database) -> None:
    rng = np.random.default_rng(0)
    vectors = {f"hash-{index}": rng.normal(size=256).astype(np.float32) for index in range(1500)}
    put_embeddings(database, "clip-a", vectors)
    found = get_embeddings(database, "clip-a", [*vectors, "unknown", "hash-0"])
    assert found.keys() == vectors.keys()
    assert all(np.array_equal(found[key], vectors[key]) and found[key].dtype == np.float32 for key in vectors)
    assert found["hash-0"].flags.writeable
    assert get_embeddings(database, "clip-b", list(vectors)) == {}
    assert get_embeddings(database, "clip-a", []) == {}


def test_the_first_one_stays(database: Database) -> None:
    put_embeddings(database, "clip", {"a": np.ones(4, np.float32)})
    put_embeddings(database, "clip", {"a": np.zeros(4, np.float32), "b": np.arange(8, dtype=np.float64)[::2]})
    put_embeddings(database, "clip", {})
    found = get_embeddings(database, "clip", ["a", "b"])
    assert found["a"].tolist() == [1, 1, 1, 1]
    assert found["b"].tolist() == [0, 2, 4, 6]
