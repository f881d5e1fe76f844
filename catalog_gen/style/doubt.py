"""What makes a matte doubtful, though a product was found: for a person to look at.

All lengths are pixels of a picture whose longer side is at most `studio.SIDE`.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from catalog_gen.style.ground import EDGE, Floats, Mask, box_of, edge_contrast
from catalog_gen.style.parts import split

_WEAK_SHARE = 0.1  # of the outline
_WEAK_RUN = 15  # px of the outline in one piece
_SLIVER = 0.04  # of the largest part: less is no second product
_SURE, _NONE = 0.9, 0.1  # a prior is sure of product, and of ground
_REACH = 7  # px: an outline is where the prior goes from one to the other within that
_UNLIKE = 0.03  # of the product's area: as much of it, or beside it, where the prior is sure of the opposite
_SQUARE = ndimage.generate_binary_structure(2, 2)


def doubt_of(rgb: Floats, mask: Mask, probability: Floats | None = None) -> str:
    """Return why the product `mask` (H, W) of `rgb` (H, W, 3) in [0, 1] may be wrong, or "".

    probability: (H, W) in [0, 1], how surely a prior takes each pixel for product, where one was asked.
    """
    unlike = 0.0 if probability is None else _unlike(mask, probability)
    window = box_of(mask, _REACH)
    rgb, mask = rgb[window], mask[window]
    share, run = weak_outline(rgb, mask)
    if probability is not None and (share > _WEAK_SHARE or run >= _WEAK_RUN):
        share, run = weak_outline(rgb, mask, _expected(probability[window]))
    if share > _WEAK_SHARE or run >= _WEAK_RUN:
        length = f"{share:.0%} of its outline" if share > 0.005 else f"{run} px of its outline"
        return f"product and ground can hardly be told apart along {length}"
    if unlike > _UNLIKE:
        return f"a product of this kind would end elsewhere: {unlike:.0%} of its area would be other"
    size = split(mask).size
    if len(size) and size.min() < _SLIVER * size.max():  # several of a size, too: white cloth is lost in like pieces
        least = size.min() / size.max()
        return f"the product falls into {len(size)} parts that lie apart, the smallest {least:.1%} of the largest"
    return ""


def _unlike(mask: Mask, probability: Floats) -> float:
    """Return how much of the product, or beside it, is sure to be the opposite, in parts of its area; no thin rims."""
    other = np.where(mask, probability < _NONE, probability > _SURE)
    area = max(float(mask.sum()), 1.0)
    if other.sum() <= _UNLIKE * area:
        return 0.0
    return float(ndimage.binary_opening(other, _SQUARE, iterations=2).sum() / area)


def _expected(probability: Floats) -> Mask:
    """Return (H, W) where a prior sees an outline, whether the picture shows one or not."""
    highest, lowest = (extreme(probability, _REACH) for extreme in (ndimage.maximum_filter, ndimage.minimum_filter))
    found: Mask = (highest > _SURE) & (lowest < _NONE)
    return found


def weak_outline(rgb: Floats, mask: Mask, expected: Mask | None = None) -> tuple[float, int]:
    """Return the share of the outline of `mask` where `rgb` shows hardly any edge, and the longest such piece in px.

    Where the picture's own edge cuts the product off there is no outline; where one is `expected`, it need not show.
    """
    rim = mask & ~ndimage.binary_erosion(mask, border_value=1)
    if not rim.any():
        return 0.0, 0
    weak = rim & (edge_contrast(rgb) < EDGE)
    if expected is not None:
        weak &= ~expected
    pieces, count = ndimage.label(weak, _SQUARE)
    run = int(np.bincount(pieces.ravel())[1:].max()) if count else 0
    return float(weak.sum() / rim.sum()), run
