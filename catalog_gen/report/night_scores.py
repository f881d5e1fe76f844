"""The distribution of a night's scores, beside the night before: quantiles, and histograms over the same bins."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

BINS = 32  # about this many: their width is a round number

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ScoreKind:
    """How a score is shown: its name for people and a short one, whether more or less is better, and its decimals."""

    label: str
    short: str
    better: str = "higher"
    digits: int = 3


KINDS: dict[str, ScoreKind] = {
    "similarity": ScoreKind("CLIP similarity of picture and words", "CLIP similarity"),
    "similarity_mean": ScoreKind("CLIP similarity, mean of a row's candidates", "mean of candidates"),
    "similarity_worst": ScoreKind("CLIP similarity, worst of a row's candidates", "worst candidate"),
    "delta_e": ScoreKind("Colour difference of the product, ΔE", "colour difference ΔE", "lower", 2),
    "delta_e_p95": ScoreKind("Colour difference, worst 5 % of the product, ΔE", "ΔE, worst 5 %", "lower", 2),
    "ssim": ScoreKind("Structural similarity of the product", "structural similarity"),
    "clip_image": ScoreKind("CLIP similarity to the source", "CLIP similarity to source"),
}
PRIMARY = ("similarity", "delta_e")


def kind_of(name: str) -> ScoreKind:
    """Return how the score `name` is shown; one that this version does not know goes by its own name."""
    return KINDS.get(name, ScoreKind(name.replace("_", " "), name.replace("_", " ")))


class Scores:
    """Every numeric score of many pictures, by name; eight bytes each."""

    def __init__(self) -> None:
        self._values: dict[str, array[float]] = {}

    def add(self, scores: Mapping[str, Any]) -> None:
        """Add a picture's scores; what is not a finite number is left out."""
        for name, value in scores.items():
            if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
                self._values.setdefault(name, array("d")).append(value)

    def add_all(self, pictures: Iterable[Mapping[str, Any]]) -> Scores:
        """Add the scores of many pictures; return these scores."""
        for scores in pictures:
            self.add(scores)
        return self

    def names(self) -> list[str]:
        """Return the names of the scores that there are, the known ones first, in their order."""
        known = [name for name in KINDS if name in self._values]
        return known + sorted(set(self._values) - set(known))

    def primary(self) -> str:
        """Return the name of the score that pictures are sorted by; "" when there is none."""
        names = self.names()
        return next((name for name in PRIMARY if name in names), names[0] if names else "")

    def of(self, name: str) -> Values:
        """Return the values of a score, (N,)."""
        return np.array(self._values.get(name, ()), dtype=np.float64)


def score_facts(scores: Scores, before: Scores, limits: Mapping[str, float]) -> list[dict[str, Any]]:
    """Return for each score what a report says of it, JSON-ready; `before` are the scores of an earlier night.

    Histograms of both nights have the same bins: the first begins at `start`, each is `step` wide.
    """
    found = []
    for name in scores.names():
        now, then, kind = scores.of(name), before.of(name), kind_of(name)
        start, step, count = _bins(np.concatenate([now, then]))
        found.append(
            {
                "name": name,
                "label": kind.label,
                "better": kind.better,
                "digits": kind.digits,
                "limit": limits.get(name),
                "start": start,
                "step": step,
                "now": _said(now, start, step, count),
                "before": _said(then, start, step, count) if len(then) else None,
            }
        )
    return found


def quantiles(values: Values) -> dict[str, float]:
    """Return the 10th, 50th and 90th percentile of at least one value."""
    return {f"p{percent}": round(float(np.percentile(values, percent)), 4) for percent in (10, 50, 90)}


def _said(values: Values, start: float, step: float, count: int) -> dict[str, Any]:
    # Half a millionth of a bin up: 0.3 / 0.1 is 2.9999..., and belongs to the third bin all the same.
    places = np.floor((values - start) / step + 5e-7).astype(np.int64).clip(0, count - 1)
    return {
        "pictures": len(values),
        "mean": round(float(values.mean()), 4),
        "low": round(float(values.min()), 4),
        "high": round(float(values.max()), 4),
        **quantiles(values),
        "histogram": np.bincount(places, minlength=count).tolist(),
    }


def _bins(values: Values) -> tuple[float, float, int]:
    """Return (start, step, count) of about `BINS` bins that hold every value, with round edges."""
    low, high = float(values.min()), float(values.max())
    width = (high - low) / BINS or max(abs(high), 1e-3) / 100
    magnitude = 10.0 ** math.floor(math.log10(width))
    step = next(factor * magnitude for factor in (1, 2, 2.5, 5, 10) if factor * magnitude >= width * 0.999)
    first = math.floor(low / step + 5e-7)
    last = math.floor(high / step + 5e-7)
    return round(first * step, 10), round(step, 10), last - first + 1
