"""A figure and how far to trust it: 95 % intervals, and whether two figures can be told apart."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Z = 1.959964  # the normal distribution's 97.5th percentile
RESAMPLES = 1000

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """`value` from `count` pictures, its 95 % interval and its standard error; None where they are not known."""

    value: float
    count: int
    low: float | None = None
    high: float | None = None
    error: float | None = None


def share(hits: npt.ArrayLike) -> Estimate:
    """Return the share of true values in `hits` (N,), with Wilson's score interval.

    A bootstrap of no hits in fifty would claim to be certain of zero; Wilson's interval is honest at both ends.
    """
    values = np.asarray(hits, dtype=np.float64)
    n, p = len(values), float(values.mean())
    middle = (p + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z * math.sqrt(p * (1 - p) / n + Z * Z / (4 * n * n)) / (1 + Z * Z / n)
    return Estimate(p, n, max(0.0, middle - half), min(1.0, middle + half), half / Z)


def average(values: npt.ArrayLike, of: Literal["mean", "median"] = "mean", seed: int = 0) -> Estimate:
    """Return the mean or median of `values` (N,) with its bootstrap percentile interval (1,000 resamples)."""
    given = np.asarray(values, dtype=np.float64)
    statistic = np.mean if of == "mean" else np.median
    rng = np.random.default_rng(seed)
    drawn = [float(statistic(given[rng.integers(0, len(given), len(given))])) for _ in range(RESAMPLES)]
    low, high = np.percentile(drawn, (2.5, 97.5))
    return Estimate(float(statistic(given)), len(given), float(low), float(high), float(np.std(drawn)))


def ratio(hits: npt.ArrayLike, others: npt.ArrayLike, seed: int = 0) -> Estimate | None:
    """Return the mean of `hits` (N,) as a share of that of `others` (N,), of the same N rows; None when theirs is 0.

    The interval is a bootstrap's over the rows, both sides of a row drawn together.
    """
    above, below = np.asarray(hits, dtype=np.float64), np.asarray(others, dtype=np.float64)
    if not below.any():
        return None
    rng = np.random.default_rng(seed)
    chosen = [rng.integers(0, len(below), len(below)) for _ in range(RESAMPLES)]
    drawn = [float(above[rows].mean() / below[rows].mean()) for rows in chosen if below[rows].any()]
    low, high = np.percentile(drawn, (2.5, 97.5))
    return Estimate(float(above.mean() / below.mean()), len(below), float(low), float(high), float(np.std(drawn)))


def spread(mean: float, error: float, count: int) -> Estimate:
    """Return an estimate from a mean and its standard error, with the normal interval."""
    return Estimate(mean, count, mean - Z * error, mean + Z * error, error)


def told_apart(one: Estimate, other: Estimate) -> bool | None:
    """Return whether the 95 % interval of the difference leaves out zero; None when an error is not known.

    The two are taken as independent, so for figures of the same rows it errs on the side of "too small to tell".
    """
    if one.error is None or other.error is None:
        return None
    return abs(one.value - other.value) > Z * math.hypot(one.error, other.error)
