"""Near-duplicates in a whole set: against every pair compared one by one, and counted by hand."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from studio import studio_set

from catalog_gen.quality import near_groups
from catalog_gen.quality.near_groups import NearDuplicates, near_duplicates
from catalog_gen.quality.phash import colour_layout, colours_hex, is_near_duplicate, phash, phash_hex


def one_by_one(hashes: np.ndarray, layouts: np.ndarray) -> set[tuple[int, int]]:
    texts = list(zip(phash_hex(hashes), colours_hex(layouts), strict=True))
    return {(i, j) for i, j in combinations(range(len(texts)), 2) if is_near_duplicate(*texts[i], *texts[j])}


def as_positions(found: NearDuplicates) -> set[tuple[int, int]]:
    kinds = {tuple(sorted(pair)) for pair in found.pairs.tolist()}
    every = combinations(range(len(found.kind)), 2)
    return {(i, j) for i, j in every if found.kind[i] == found.kind[j] or tuple(sorted(found.kind[[i, j]])) in kinds}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sets(st.integers(0, 63), max_size=5), st.integers(0, 2)), min_size=1, max_size=24),
    st.sampled_from([1, 7, 1 << 20]),
)
def test_it_finds_every_pair_and_no_other(pictures: list[tuple[set[int], int]], block: int) -> None:
    """Hashes a few bits from zero crowd into the same bands; layouts are 0, 16 (near) or 33 (far) apart."""
    hashes = np.array([sum(1 << bit for bit in bits) for bits, _ in pictures], np.uint64)
    layouts = np.zeros((len(pictures), 192), np.uint8)
    layouts[:, 5] = [(0, 16, 33)[shade] for _, shade in pictures]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(near_groups, "_BLOCK", block)
        found = near_duplicates(hashes, layouts)
    expected = one_by_one(hashes, layouts)
    assert as_positions(found) == expected
    assert found.count() == len(expected)
    held = np.arange(len(pictures)) % 3 == 0
    across = {(i, j) for i, j in expected if held[i] != held[j]}
    assert found.count_between(~held, held) == len(across)
    assert set(np.flatnonzero(found.resembling(held) & ~held)) == {i if held[j] else j for i, j in across}
    groups = found.groups()
    assert all(groups[i] == groups[j] for i, j in expected)
    assert all(groups[groups[i]] == groups[i] <= i for i in range(len(groups)))
    lone = set(range(len(groups))) - {i for pair in expected for i in pair}
    assert all((groups == groups[i]).sum() == 1 for i in lone)


def test_groups_are_what_pairs_connect() -> None:
    """0-1 and 1-2 are two bits apart, 0-2 four: one group of three and two pairs. 3 and 4 are the same picture."""
    hashes = np.array([0b0000, 0b0011, 0b1111, 1 << 40 | 0xFFFF, 1 << 40 | 0xFFFF, 0xFF << 50], np.uint64)
    found = near_duplicates(hashes, np.full((6, 192), 100, np.uint8))
    assert found.count() == 3
    assert found.groups().tolist() == [0, 0, 0, 3, 3, 5]
    held = np.array([False, False, True, False, True, False])
    assert found.count_between(~held, held) == 2
    assert found.resembling(~held).tolist() == [True, True, True, False, True, False]


def test_copies_of_real_pictures_are_found() -> None:
    pictures = studio_set(60, seed=3)
    copies = (pictures[:10].astype(np.float32) * 0.97).astype(np.uint8)
    both = np.concatenate([pictures, copies])
    found = near_duplicates(phash(both), colour_layout(both))
    assert {(i, 60 + i) for i in range(10)} <= as_positions(found)
    assert as_positions(found) == one_by_one(phash(both), colour_layout(both))


def test_no_pictures() -> None:
    found = near_duplicates(np.empty(0, np.uint64), np.empty((0, 192), np.uint8))
    assert found.count() == 0 and found.groups().tolist() == []
