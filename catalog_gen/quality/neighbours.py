"""What the nearest neighbours say: are pictures like photos, are all kinds of photos there, are photos copied?

Precision and recall: arXiv 1904.06991. Density and coverage: arXiv 2002.09797. All take features (N, D) and return one
value a picture or photo, whose mean is the metric. Distances are Euclidean, in float64, a chunk of rows at a time.

Callers give features of `unit` length. As the network gives them, a grey blur and pure noise have short features amid
those of all photos: their precision is 1.00. At unit length it is 0.00, and unseen photos' rises from 0.80 to 0.88.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Features = npt.NDArray[np.float32]  # (N, D)
Values = npt.NDArray[np.float64]
Hits = npt.NDArray[np.bool_]

MANIFOLD_K = 3  # neighbours of precision and recall, as in their paper
DENSITY_K = 5  # of density and coverage, as in theirs
COPY_PERCENTILE = 1.0
SAME_PHOTO = 0.01  # of the median: so near that it is the same photo
_CHUNK = 512


def unit(features: Features) -> Features:
    """Return features (N, D) scaled to unit length; zeros stay zeros."""
    scaled: Features = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    return scaled


def radii(points: Features, k: int) -> Values:
    """Return (N,): each point's distance to its k-th neighbour among the others. Raises ValueError for N <= k."""
    if len(points) <= k:
        raise ValueError(f"{len(points)} points have no {k}-th neighbour each")
    parts = [rows.kthvalue(k + 1, dim=1).values for rows in _distances(points, points)]  # the nearest is itself
    found: Values = _joined(parts)
    return found


def precision(pictures: Features, photos: Features, k: int = MANIFOLD_K) -> Hits:
    """Return (N,) for pictures: whether any photo's k-neighbourhood holds the picture."""
    reach = torch.from_numpy(radii(photos, k))
    found: Hits = _joined([(rows <= reach).any(1) for rows in _distances(pictures, photos)])
    return found


def recall(pictures: Features, photos: Features, k: int = MANIFOLD_K) -> Hits:
    """Return (M,) for photos: whether any picture's k-neighbourhood holds the photo."""
    return precision(photos, pictures, k)


def density(pictures: Features, photos: Features, k: int = DENSITY_K) -> Values:
    """Return (N,) for pictures: how many photos' k-neighbourhoods hold the picture, divided by k."""
    reach = torch.from_numpy(radii(photos, k))
    found: Values = _joined([(rows < reach).double().sum(1) / k for rows in _distances(pictures, photos)])
    return found


def coverage(pictures: Features, photos: Features, k: int = DENSITY_K) -> Hits:
    """Return (M,) for photos: whether the photo's k-neighbourhood holds any picture."""
    found: Hits = nearest(photos, pictures) < radii(photos, k)
    return found


def nearest(points: Features, others: Features) -> Values:
    """Return (N,): each point's distance to the nearest of `others`."""
    found: Values = _joined([rows.min(1).values for rows in _distances(points, others)])
    return found


def copy_distance(held_out: Values) -> float:
    """Return the distance to a training photo below which a picture counts as copied from it.

    held_out: the same distance of unseen photos; 99 in 100 of them lie further away. Those that are in the training
    set too, as one photo under two skus, are left out: in a real catalogue they alone are more than one in a hundred.
    """
    unseen = held_out[held_out > SAME_PHOTO * np.median(held_out)]
    return float(np.percentile(unseen, COPY_PERCENTILE)) if len(unseen) else 0.0


def within_prompt(draws: npt.NDArray[np.float32]) -> Values:
    """Return (V,): the mean distance between two of the M draws of each prompt, from features (V, M, D)."""
    points = torch.from_numpy(draws.astype(np.float64))
    each = torch.cdist(points, points)  # (V, M, M), zero on the diagonal
    count = draws.shape[1]
    found: Values = (each.sum((1, 2)) / (count * (count - 1))).numpy()
    return found


def within_kind(photos: Features, kinds: Sequence[str], pairs: int = 200, seed: int = 0) -> dict[str, float]:
    """Return for each kind with two photos the mean distance between two of them, over at most `pairs` random pairs."""
    members: dict[str, list[int]] = {}
    for index, kind in enumerate(kinds):
        members.setdefault(kind, []).append(index)
    rng = np.random.default_rng(seed)
    found: dict[str, float] = {}
    for kind, indices in members.items():
        if len(indices) < 2:
            continue
        first = rng.integers(0, len(indices), pairs)
        second = (first + rng.integers(1, len(indices), pairs)) % len(indices)  # another one than the first
        chosen = np.array(indices)
        apart = photos[chosen[first]].astype(np.float64) - photos[chosen[second]]
        found[kind] = float(np.linalg.norm(apart, axis=1).mean())
    return found


def _distances(points: Features, others: Features) -> Iterator[Tensor]:
    # float64, because the fast way by products loses the small distances of float32.
    right = torch.from_numpy(others.astype(np.float64))
    for start in range(0, len(points), _CHUNK):
        yield torch.cdist(torch.from_numpy(points[start : start + _CHUNK].astype(np.float64)), right)


def _joined(parts: list[Tensor]) -> Any:
    return torch.cat(parts).numpy()
