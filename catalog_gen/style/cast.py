"""What a product casts on a studio's ground: a shadow or a reflection, soft darkness that runs out into the ground.

All lengths are pixels of a picture whose longer side is at most `studio.SIDE`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from catalog_gen.style.ground import EDGE, Floats, Ground, Mask, edge_contrast, largest
from catalog_gen.style.parts import maximum, sums

SMALL = 0.12  # of the picture: jewellery and shoes, that throw shadows to any side
_DARK = 0.05  # a shadow is at least this dark somewhere
_ABOVE = 8  # px above the foot that are looked at with it: blurs reach less far
_OPEN = 1.0  # of the root of its area: how long a shadow's rim is, at least, where it runs out into the ground
_CROSS = ndimage.generate_binary_structure(2, 1)
_SQUARE = ndimage.generate_binary_structure(2, 2)


def cast_shadow(mask: Mask, outside: Mask, rgb: Floats, ground: Ground, area: int) -> Mask:
    """Return the pixels of `mask` that are a cast shadow or a reflection: soft darkness around the product's foot."""
    found = np.zeros_like(mask)
    rows = np.flatnonzero(mask.any(axis=1))
    if not len(rows):
        return found
    top = 0
    if mask.sum() > SMALL * area:  # cloth shades as softly as a shadow does: only around the foot
        top = int(rows[0]) + round(0.6 * int(rows[-1] - rows[0]))
    above = min(top, _ABOVE)
    lower = np.s_[top - above :]
    below = Ground(ground.colour[lower], ground.noise, ground.share)
    found[lower] = _soft_darkness(mask[lower], outside[lower], rgb[lower], below, above)
    return found


def _soft_darkness(mask: Mask, outside: Mask, rgb: Floats, ground: Ground, above: int) -> Mask:
    """Return the shadows and reflections among the pixels of `mask`, from `above` px on."""
    distance = ground.distance(rgb)
    smooth = ndimage.gaussian_filter(distance, 0.8)
    slope = np.hypot(ndimage.sobel(smooth, 0), ndimage.sobel(smooth, 1)) / 8
    darker = -largest(rgb - ground.colour)
    neutral = distance - darker <= 0.02 + 0.15 * distance
    soft = mask & neutral & (distance < 0.45) & (slope < 0.01 + 0.09 * distance)
    soft[:above] = False
    start = outside & ndimage.binary_dilation(soft, _CROSS)
    grown = ndimage.binary_propagation(start, _CROSS, mask=soft | start) & mask
    grown = ndimage.binary_opening(grown, _SQUARE)  # thin and pale is a wire in the light, no shadow
    labels, count = ndimage.label(grown)
    if not count:
        return np.zeros_like(mask)
    dark = maximum(smooth, labels, count) >= _DARK
    found: Mask = np.concatenate([[False], dark & _melting(labels, count, mask, outside, rgb)])[labels]
    return found


def _melting(labels: npt.NDArray[np.int32], count: int, mask: Mask, outside: Mask, rgb: Floats) -> Mask:
    """Return (count,): which parts of `mask` run out into the ground without an edge: pale cloth has one."""
    rim = mask & ndimage.binary_dilation(outside, _CROSS) & (edge_contrast(rgb) < EDGE)
    nearest = ndimage.grey_dilation(labels, size=(5, 5)) * rim
    length, size = sums(rim, nearest, count), sums(labels > 0, labels, count)
    melting: Mask = length >= _OPEN * np.sqrt(size)
    return melting


def without_scraps(mask: Mask, shadow: Mask) -> Mask:
    """Return `mask` without the thin scraps that a shadow's own rim leaves."""
    if not shadow.any():
        return mask
    solid = ndimage.binary_opening(mask, _SQUARE, iterations=2)
    labels, count = ndimage.label(mask & ~ndimage.binary_dilation(solid, _CROSS), _SQUARE)
    touching = np.zeros(count + 1, bool)
    touching[labels[ndimage.binary_dilation(shadow, _SQUARE)]] = True
    touching[0] = False
    kept: Mask = mask & ~touching[labels]
    return kept
