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
_SQUARE = ndimage.generate_binary_structure(2, 2)


def doubt_of(rgb: Floats, mask: Mask) -> str:
    """Return why the product `mask` (H, W) of `rgb` (H, W, 3) in [0, 1] may be wrong, or ""."""
    window = box_of(mask, 2)
    rgb, mask = rgb[window], mask[window]
    share, run = weak_outline(rgb, mask)
    if share > _WEAK_SHARE or run >= _WEAK_RUN:
        length = f"{share:.0%} of its outline" if share > 0.005 else f"{run} px of its outline"
        return f"product and ground can hardly be told apart along {length}"
    size = split(mask).size
    if len(size) and size.min() < _SLIVER * size.max():  # several of a size, too: white cloth is lost in like pieces
        least = size.min() / size.max()
        return f"the product falls into {len(size)} parts that lie apart, the smallest {least:.1%} of the largest"
    return ""


def weak_outline(rgb: Floats, mask: Mask) -> tuple[float, int]:
    """Return the share of the outline of `mask` where `rgb` shows hardly any edge, and the longest such piece in px.

    Where the picture's own edge cuts the product off there is no outline.
    """
    rim = mask & ~ndimage.binary_erosion(mask, border_value=1)
    if not rim.any():
        return 0.0, 0
    weak = rim & (edge_contrast(rgb) < EDGE)
    pieces, count = ndimage.label(weak, _SQUARE)
    run = int(np.bincount(pieces.ravel())[1:].max()) if count else 0
    return float(weak.sum() / rim.sum()), run
