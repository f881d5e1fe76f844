"""Where the product is on a studio's ground: a hard mask, told from how far each pixel's colour lies from the ground.

What lies far is product. What lies at the ground's own colour is ground if it hangs together with the border through
gaps wide enough, or if the product closes it in with plain edges (between arm and body, in a bag's handle), and product if
only pale edges do (white cloth on white). What darkens softly under the product is its shadow.
All lengths are pixels of a picture whose longer side is about `SIDE`.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from catalog_gen.style.ground import Floats, Ground, Mask, joined_to_border

SIDE = 224

_PALE = 1.3 / 255  # nearer than this to a ground without noise, nothing can be told from JPEG's own
_RINGING = 0.045  # of the contrast of an edge: what JPEG (quality 75 to 90) leaves beside it, up to a block away
_BLOCK = 7  # px: a JPEG block's reach
_FAINT = 0.03  # of the contrast of an edge: what is left two blocks away, as colour is kept at half the size
_GAP = 4  # px: ground that is nowhere twice this wide is not ground's only way in
_PLAIN = 0.12  # an edge of the product this far from the ground is no white cloth's
_EXACT = 0.6  # of the doubt: a hole shows the ground itself; white paint in a print is seldom that white
_NOOK = 160  # px: a piece of the outside cut off by noise is no larger
_SMALL = 0.12  # of the picture: jewellery and shoes, that throw shadows to any side
_DARK = 0.05  # a shadow is at least this dark somewhere
_SPECK = 0.08  # a part that is nowhere further from the ground is noise
_CROSS = ndimage.generate_binary_structure(2, 1)
_SQUARE = ndimage.generate_binary_structure(2, 2)


def product_mask(rgb: Floats, ground: Ground) -> Mask:
    """Return (H, W): the product's pixels, those that it only covers in part counted in."""
    distance = ground.distance(rgb)
    doubt = _doubt(distance, ground.noise)
    votes = ndimage.uniform_filter((distance > doubt).astype(np.float32), 5, mode="nearest")
    like_ground = (votes <= 0.5) & (distance <= 2 * doubt)
    like_ground |= _ragged(~like_ground, distance, doubt)
    outside, holes = _true_ground(like_ground, distance, doubt)
    mask = ~outside & ~holes
    return _without_specks(mask & ~_shadow(mask & ~like_ground, outside, rgb, ground, distance), distance)


def _doubt(distance: Floats, noise: float) -> Floats:
    """Return (H, W): how far from the ground a pixel of it may lie, for noise and for what JPEG spreads round edges."""
    near = ndimage.maximum_filter(distance, 2 * _BLOCK + 1)
    far = ndimage.maximum_filter(near, 2 * _BLOCK + 3)
    return np.maximum(max(_PALE, 3.5 * noise), np.maximum(_RINGING * near, _FAINT * far))


def _ragged(mask: Mask, distance: Floats, doubt: Floats) -> Mask:
    """Return the pale pixels of `mask` that are too thin to be cloth: noise beside an edge."""
    pale = mask & (distance <= 2 * doubt)
    solid = ndimage.binary_dilation(ndimage.binary_erosion(mask, _SQUARE, iterations=2), _SQUARE, iterations=2)
    return pale & ~solid


def _true_ground(like_ground: Mask, distance: Floats, doubt: Floats) -> tuple[Mask, Mask]:
    """Return two parts of `like_ground` that are ground: what the border reaches, and the product's holes and nooks."""
    open_part = ndimage.binary_erosion(like_ground, _CROSS, iterations=_GAP, border_value=1)
    core = joined_to_border(open_part)
    reached = ndimage.binary_dilation(core, _CROSS, iterations=_GAP + 1) & like_ground
    labels, count = ndimage.label(like_ground & ~reached)
    if not count:
        return reached, np.zeros_like(reached)
    index = np.arange(1, count + 1)
    rim = ndimage.grey_dilation(labels, footprint=_CROSS)
    rim[like_ground] = 0
    nearby = ndimage.maximum_filter(distance, 7)
    edge = np.maximum(ndimage.sum_labels(rim > 0, rim, index), 1)
    plain = ndimage.sum_labels(nearby > _PLAIN, rim, index) / edge
    exact = ndimage.mean(distance / doubt, labels, index) <= _EXACT
    size = ndimage.sum_labels(like_ground, labels, index)
    beside = ndimage.sum_labels(ndimage.binary_dilation(reached, _CROSS), labels, index) > 0
    holes = (exact & (plain >= 0.6)) | (beside & (size <= _NOOK))
    chosen = np.concatenate([[False], holes])
    return reached, chosen[labels]


def _shadow(mask: Mask, outside: Mask, rgb: Floats, ground: Ground, distance: Floats) -> Mask:
    """Return the pixels of `mask` that are a cast shadow or a reflection: soft darkness around the product's foot."""
    rows = np.flatnonzero(mask.any(axis=1))
    if not len(rows):
        return np.zeros_like(mask)
    smooth = ndimage.gaussian_filter(distance, 0.8)
    slope = np.hypot(ndimage.sobel(smooth, 0), ndimage.sobel(smooth, 1)) / 8
    darker = (ground.colour - rgb).min(axis=-1)
    neutral = distance - darker <= 0.02 + 0.15 * distance
    soft = mask & neutral & (distance < 0.45) & (slope < 0.008 + 0.05 * distance)
    if mask.mean() > _SMALL:  # cloth shades as softly as a shadow does: only around the foot
        soft[: rows[0] + round(0.6 * (rows[-1] - rows[0]))] = False
    start = outside & ndimage.binary_dilation(soft, _CROSS)
    grown = ndimage.binary_propagation(start, _CROSS, mask=soft | start) & mask
    labels, count = ndimage.label(grown)
    dark = np.concatenate([[False], ndimage.maximum(smooth, labels, np.arange(1, count + 1)) >= _DARK])
    return dark[labels] if count else grown


def _without_specks(mask: Mask, distance: Floats) -> Mask:
    labels, count = ndimage.label(mask, np.ones((3, 3)))
    if not count:
        return mask
    index = np.arange(1, count + 1)
    size = ndimage.sum_labels(mask, labels, index)
    strength = ndimage.maximum(distance, labels, index)
    kept = (size >= 5) & ((strength >= _SPECK) | (size >= 0.02 * mask.size))
    return np.concatenate([[False], kept])[labels]
