"""Recognising rare kinds, by hand."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from catalog_gen.training_data import TrainRow
from rare_kinds import EACH, Asked, Means, choose, lines
from tests.gan.conftest import unit_rows


def test_a_mean_leaves_out_the_photo_of_the_product_that_is_asked() -> None:
    features = np.array([[1, 0, 0], [0, 1, 0], [0, 1, 0]], np.float32)
    means = Means(features, ["hats", "hats", "bags"])
    assert means.counts.tolist() == [1, 2], "bags before hats"
    assert means.knows(features[0], "hats", own=None), "itself is half of the mean"
    assert not Means(features, ["hats", "bags", "bags"]).knows(features[0], "hats", own=features[0])
    seen = np.array([0.6, 0.8, 0], np.float32)  # nearer to the mean of both hats than to the bag
    assert means.knows(seen, "hats", own=None) and not means.knows(seen, "bags", own=None)
    assert not means.knows(seen, "hats", own=features[1]), "0.6 to the hat that is left, 0.8 to the bag"


def test_the_means_stay_as_they_are() -> None:
    features = unit_rows(4, 8, seed=1)
    means = Means(features, ["a", "a", "b", "b"])
    before = means.sums.copy()
    means.knows(features[0], "a", own=features[0])
    assert np.array_equal(means.sums, before)


def test_some_of_every_kind_are_asked_and_always_the_same(rows: list[TrainRow]) -> None:
    chosen = choose(rows, seed=3)
    found = Counter(rows[at].category for at in chosen)
    assert found == {name: min(EACH, count) for name, count in Counter(row.category for row in rows).items()}
    assert chosen == choose(rows, seed=3) and len(set(chosen)) == len(chosen)


def test_the_table() -> None:
    asked = [
        Asked(1, False, None, True),
        Asked(4, True, True, False),
        Asked(5, True, False, False),
        Asked(900, True, True, False),
    ]
    assert lines(asked, [1, 4, 5, 900, 7])[2:] == [
        "| 1 to 4 | 2 | 0.50 | 1.00 | 0.50 |",
        "| 5 to 9 | 2 | 1.00 | 0.00 | 0.00 |",
        "| 160 and more | 1 | 1.00 | 1.00 | 0.00 |",
    ]
    assert lines(asked[:1], [1])[2:] == ["| 1 to 4 | 1 | 0.00 | - | 1.00 |"]


@pytest.fixture
def rows() -> list[TrainRow]:
    kinds = ["shirts"] * 20 + ["belts"] * 3 + ["hats"]
    return [TrainRow(str(at), f"a {kind}", kind, "red", Path("none.jpg")) for at, kind in enumerate(kinds)]
