"""Probes: can what was asked for be read off the picture, by a classifier that only ever saw real photos?

Linear probes on frozen features (arXiv 1610.01644), like the classification accuracy score of arXiv 1905.10887 turned
round. What they read off held-out real photos is the ceiling.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from catalog_gen.errors import Unavailable

Features = npt.NDArray[np.float32]  # (N, D)
Hits = npt.NDArray[np.bool_]

FEWEST = 20  # photos of a class to learn it from
_STRENGTH = 0.003  # scikit-learn's C: strong regularisation, as features outnumber the photos of most classes
_STEPS = 200


@dataclass(frozen=True)
class Probe:
    """A classifier of `classes`; labels outside them are not asked about."""

    classes: frozenset[str]
    model: Any

    def knows(self, labels: Sequence[str]) -> Hits:
        """Return (N,): which rows it can be asked about."""
        return np.array([label in self.classes for label in labels], dtype=bool)

    def reads(self, features: Features, labels: Sequence[str]) -> Hits:
        """Return (K,): for the K rows that it knows, whether it reads their label off their features (N, D)."""
        known = self.knows(labels)
        if not known.any():
            return np.zeros(0, bool)
        found: Hits = self.model.predict(features[known]) == np.array(labels, dtype=object)[known]
        return found


def fit_probe(features: Features, labels: Sequence[str], fewest: int = FEWEST) -> Probe | None:
    """Return a probe for every non-empty label with at least `fewest` photos; None when there are not two of them.

    features: (N, D) of real training photos. Raises Unavailable when scikit-learn is not installed.
    """
    try:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
    except ImportError as error:
        raise Unavailable(
            "evaluation needs the package scikit-learn", hint="Install it with: pip install 'catalog-gen[train]'."
        ) from error
    counts = Counter(label for label in labels if label)
    classes = frozenset(label for label, count in counts.items() if count >= fewest)
    if len(classes) < 2:
        return None
    chosen = np.array([label in classes for label in labels])
    model = make_pipeline(StandardScaler(), LogisticRegression(C=_STRENGTH, max_iter=_STEPS))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # stopping early costs the probe nothing, more steps do
        model.fit(features[chosen], np.array(labels, dtype=object)[chosen].astype(str))
    return Probe(classes, model)


def with_colours(features: Features, pictures: npt.NDArray[np.uint8]) -> Features:
    """Return (N, D + 512): features and the roots of an 8x8x8 RGB histogram of pictures (N, S, S, 3).

    A network that tells kinds apart has learnt to overlook colours: on real photos the histogram takes the colour probe
    from 0.56 to 0.67.
    """
    histograms = np.empty((len(pictures), 512), np.float32)
    for index, picture in enumerate(pictures):  # one by one: the bins of all would take a gigabyte
        bins = (picture >> 5).astype(np.int64).reshape(-1, 3) @ np.array([64, 8, 1])
        histograms[index] = np.bincount(bins, minlength=512) / len(bins)
    return np.hstack([features, np.sqrt(histograms)])
