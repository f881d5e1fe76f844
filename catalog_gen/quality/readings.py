"""What was read off pictures, beside what was read off the real photos of the same rows: in all, and by category."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from catalog_gen.quality.estimate import Estimate, ratio

Readings = dict[str, npt.NDArray[np.float64]]  # by what was read: (N,) 1, 0, or NaN where it was not asked about


def shares_of_photos(pictures: Readings, photos: Readings) -> dict[str, Estimate]:
    """Return "kind_share" and "colour_share": how often each is read off, as a share of how often off the photos.

    One of which nothing is read off the photos is left out.
    """
    found = {}
    for name, hits in pictures.items():
        known = ~np.isnan(hits)
        estimate = ratio(hits[known], photos[name][known]) if known.any() else None
        if estimate is not None:
            found[f"{name}_share"] = estimate
    return found


def by_category(
    categories: Sequence[str], training: Mapping[str, int], pictures: Readings, photos: Readings
) -> list[dict[str, Any]]:
    """Return a row a category, the largest in training first: its counts, and what is read off pictures and photos.

    categories: of the N rows, "" where one has none. training: photos by category. Figures are None where there are
    none: of a category, or of colours, that the probe does not know; a share also where nothing is read off the photos.
    """
    names = np.array(categories, dtype=object)
    ordered = sorted(set(categories) - {""}, key=lambda name: (-training.get(name, 0), name))
    rows = []
    for category in ordered:
        own = names == category
        row: dict[str, Any] = {"category": category, "training_photos": training.get(category, 0)}
        row["rows"] = int(own.sum())
        for name, hits in pictures.items():
            asked = own & ~np.isnan(hits)
            row |= _figures(name, hits[asked], photos[name][asked])
        rows.append(row)
    return rows


def _figures(name: str, pictures: npt.NDArray[np.float64], photos: npt.NDArray[np.float64]) -> dict[str, Any]:
    ours, theirs = (round(float(hits.mean()), 4) if len(hits) else None for hits in (pictures, photos))
    share = round(float(pictures.mean() / photos.mean()), 4) if len(photos) and photos.any() else None
    return {f"{name}_rows": len(pictures), f"{name}_pictures": ours, f"{name}_photos": theirs, f"{name}_share": share}
