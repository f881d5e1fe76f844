"""Distances between two sets of pictures, by their features: FD and KID, as torchmetrics computes them.

Fréchet distance (arXiv 1706.08500) compares means and covariances; it is biased upwards in small samples. The kernel
distance (arXiv 1801.01401) is unbiased in any.
"""

from __future__ import annotations

import importlib
import math
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from catalog_gen.errors import Unavailable
from catalog_gen.quality.estimate import Estimate, spread

Features = npt.NDArray[np.float32]  # (N, D)

SUBSETS = 50
LARGEST_SUBSET = 1000
# One process of a training measures while the others wait: torchmetrics must not wait for them.
ALONE = {"sync_on_compute": False}


def frechet_distance(pictures: Features, photos: Features) -> float:
    """Return the Fréchet distance of features (N, D) and (M, D), both at least two.

    Raises Unavailable when torchmetrics is not installed.
    """
    metric = _metrics("fid").FrechetInceptionDistance(feature=_Given(pictures.shape[1]), **ALONE)
    metric.update(_double(photos), real=True)
    metric.update(_double(pictures), real=False)
    # The eigenvalues' rounding can take equal sets a hair below zero.
    return max(0.0, float(metric.compute()))


def enough_for_covariance(count: int, dim: int) -> bool:
    """Whether `count` pictures can have a covariance of full rank in `dim` dimensions; below, FD is only a ranking."""
    return count > dim


def kernel_distance(pictures: Features, photos: Features, seed: int = 0) -> Estimate:
    """Return the kernel distance (cubic kernel, unbiased; not times 1000) of features (N, D) and (M, D).

    Its standard error is the delete-d jackknife's: the deviation over subsets of m of n, times sqrt(m / (n - m)).
    Subsets are halves, of at most 1,000. Raises Unavailable when torchmetrics is not installed.
    """
    count = min(len(pictures), len(photos))
    size = max(2, min(count // 2, LARGEST_SUBSET))
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.filterwarnings("ignore", message=".*will save all extracted features in buffer")
        torch.manual_seed(seed)  # the subsets are drawn from torch's global state
        given = _Given(pictures.shape[1])
        metric = _metrics("kid").KernelInceptionDistance(feature=given, subsets=SUBSETS, subset_size=size, **ALONE)
        metric.update(_double(photos), real=True)
        metric.update(_double(pictures), real=False)
        mean, deviation = metric.compute()
    return spread(float(mean), float(deviation) * math.sqrt(size / max(1, count - size)), count)


def inception_distance(pictures: npt.NDArray[np.uint8], photos: npt.NDArray[np.uint8]) -> float:
    """Return the FID (arXiv 1706.08500) of pictures and photos (N, S, S, 3) on Inception's 2048 pooled features.

    Raises Unavailable when torch-fidelity or its weights are not there.
    """
    try:
        metric = _metrics("fid").FrechetInceptionDistance(feature=2048, **ALONE)
    except (ImportError, OSError) as error:
        reason = "torch-fidelity is not installed" if isinstance(error, ImportError) else f"no weights ({error})"
        raise Unavailable(reason, where="Inception FID", hint="Install torch-fidelity and its weights.") from error
    for real, images in ((True, photos), (False, pictures)):
        for start in range(0, len(images), 32):
            chunk = torch.from_numpy(np.array(images[start : start + 32])).permute(0, 3, 1, 2)
            metric.update(chunk, real=real)
    return float(metric.compute())


class _Given(nn.Module):
    """Stands where torchmetrics expects a network: the features are there already."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Tensor) -> Tensor:
        return features


def _double(features: Features) -> Tensor:
    return torch.from_numpy(features.astype(np.float64))


def _metrics(name: str) -> Any:
    try:
        return importlib.import_module(f"torchmetrics.image.{name}")
    except ImportError as error:
        raise Unavailable(
            "evaluation needs the package torchmetrics", hint="Install it with: pip install 'catalog-gen[train]'."
        ) from error
