"""Near-duplicates among a whole set of pictures at once: every pair, and the groups that the pairs make.

Two pictures are near-duplicates as `phash.is_near_duplicate` says. Hashes at most three bits apart share one of their
four 16-bit bands (the pigeonhole principle; Manku, Jain and Das Sarma, "Detecting near-duplicates for web crawling",
WWW 2007), so only pictures that share a band are compared. Pictures with the very same hash and colours, such as a
placeholder that a thousand products have, are compared once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from catalog_gen.quality.phash import BANDS, COLOUR_TOLERANCE, MAX_HAMMING

_BLOCK = 1 << 20  # comparisons at once: bounds memory to some megabytes

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class NearDuplicates:
    """The near-duplicates among N pictures.

    kind: (N,) int64, equal for pictures of the same hash and colours, from 0. pairs: (P, 2) int64, the kinds that are
    near-duplicates of each other, each pair once, the smaller first.
    """

    kind: NDArray[np.int64]
    pairs: NDArray[np.int64]

    def count(self) -> int:
        """Return the number of pairs of pictures that are near-duplicates."""
        each = np.bincount(self.kind)
        return int((each * (each - 1) // 2).sum() + (each[self.pairs[:, 0]] * each[self.pairs[:, 1]]).sum())

    def count_between(self, one: Mask, other: Mask) -> int:
        """Return the number of near-duplicate pairs across two sets that share no picture; masks (N,)."""
        size = int(self.kind.max(initial=-1)) + 1
        a, b = (np.bincount(self.kind[mask], minlength=size) for mask in (one, other))
        first, second = self.pairs.T
        return int((a * b).sum() + (a[first] * b[second] + a[second] * b[first]).sum())

    def resembling(self, others: Mask) -> Mask:
        """Return the mask (N,) of pictures that are near-duplicates of one of `others` (N,), never of themselves."""
        each = np.bincount(self.kind[others], minlength=int(self.kind.max(initial=-1)) + 1)
        near = np.zeros(len(each), np.bool_)
        first, second = self.pairs.T
        near[first[each[second] > 0]] = True
        near[second[each[first] > 0]] = True
        found: Mask = near[self.kind] | (each[self.kind] - others > 0)
        return found

    def groups(self) -> NDArray[np.int64]:
        """Return each picture's group (N,): the smallest position that pairs lead to, its own if none do."""
        size = int(self.kind.max(initial=-1)) + 1
        parent = list(range(size))

        def root(at: int) -> int:
            while parent[at] != at:
                parent[at] = parent[parent[at]]
                at = parent[at]
            return at

        for first, second in self.pairs.tolist():
            parent[root(second)] = root(first)
        roots = np.array([root(at) for at in range(size)], np.int64)[self.kind]
        _, where, inverse = np.unique(roots, return_index=True, return_inverse=True)
        return np.asarray(where[inverse], np.int64)


def near_duplicates(hashes: NDArray[np.uint64], layouts: NDArray[np.uint8]) -> NearDuplicates:
    """Return the near-duplicates among pictures, given their `phash` (N,) and `colour_layout` (N, 192)."""
    if not len(hashes):
        return NearDuplicates(np.empty(0, np.int64), np.empty((0, 2), np.int64))
    signatures = np.concatenate([hashes.astype(">u8").view(np.uint8).reshape(-1, 8), layouts], axis=1)
    _, where, kind = np.unique(signatures, axis=0, return_index=True, return_inverse=True)
    found = [_pairs_in_band(hashes[where], layouts[where], band) for band in range(BANDS)]
    return NearDuplicates(kind.reshape(-1).astype(np.int64), np.concatenate(found))


def _pairs_in_band(hashes: NDArray[np.uint64], layouts: NDArray[np.uint8], band: int) -> NDArray[np.int64]:
    """The pairs that share this band and no earlier one, so that each pair is found in one band only."""
    values = _band(hashes, band)
    order = np.argsort(values, kind="stable").astype(np.int64)
    edges = np.flatnonzero(np.diff(values[order])) + 1
    found = [np.empty((0, 2), np.int64)]
    for bucket in np.split(order, edges):
        step = max(1, _BLOCK // len(bucket))
        for start in range(0, len(bucket) if len(bucket) > 1 else 0, step):
            rows = bucket[start : start + step]
            near = _hamming(hashes[rows][:, None], hashes[bucket][None, :]) <= MAX_HAMMING
            near &= rows[:, None] < bucket[None, :]
            left, right = np.nonzero(near)
            pairs = np.stack([rows[left], bucket[right]], axis=1)
            for earlier in range(band):
                pairs = pairs[_band(hashes[pairs[:, 0]], earlier) != _band(hashes[pairs[:, 1]], earlier)]
            found += [part[_same_colours(layouts, part)] for part in np.split(pairs, range(4096, len(pairs), 4096))]
    return np.concatenate(found)


def _band(hashes: NDArray[np.uint64], band: int) -> NDArray[np.uint64]:
    return (hashes >> np.uint64(16 * band)) & np.uint64(0xFFFF)


def _same_colours(layouts: NDArray[np.uint8], pairs: NDArray[np.int64]) -> Mask:
    first, second = (layouts[pairs[:, side]].astype(np.int16) for side in (0, 1))
    same: Mask = np.abs(first - second).max(axis=1, initial=0) <= COLOUR_TOLERANCE
    return same


def _hamming(first: NDArray[np.uint64], second: NDArray[np.uint64]) -> NDArray[np.uint8]:
    apart = first ^ second
    ones = _ones()
    return np.asarray(sum(ones[_band(apart, band)] for band in range(BANDS)), np.uint8)


@lru_cache(maxsize=1)
def _ones() -> NDArray[np.uint8]:
    """How many bits are set in each 16-bit number."""
    bits = np.unpackbits(np.arange(1 << 16, dtype=np.uint16).view(np.uint8).reshape(-1, 2), axis=1)
    return np.asarray(bits.sum(axis=1), np.uint8)
