"""Where the product is on a studio's ground: a hard mask, told from how far each pixel's colour lies from the ground.

What lies far is product. What lies at the ground's own colour is ground if it hangs together with the border through
gaps wide enough, or if the product closes it in with plain edges (between arm and body, in a bag's handle), and product
if only pale edges do (white cloth on white). What darkens softly under the product is its shadow.
All lengths are pixels of a picture whose longer side is about `SIDE`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from catalog_gen.style.cast import SMALL, cast_shadow, without_scraps
from catalog_gen.style.ground import Floats, Ground, Mask, box_of, joined_to_border, largest
from catalog_gen.style.parts import maximum, sums, without_odd

SIDE = 224

_MARGIN = 16  # px: further than that from what is not the ground's colour, nothing is looked at
_PALE = 1.3 / 255  # nearer than this to a ground without noise, nothing can be told from JPEG's own
_BLOCK = 7  # px: a JPEG block's reach; colour, kept at half the size, reaches two
_FEW = (0.025, 0.008)  # of the contrast of an edge, beside it and two blocks away: more than JPEG mostly leaves there
_MANY = (0.04, 0.02)  # more than it ever leaves (quality 75 and up)
_FRINGE = 5  # px: noise round an edge is less than twice as wide, cloth is wider
_GAP = 4  # px: ground that is nowhere twice this wide is not ground's only way in
_PLAIN = 0.12  # an edge of the product this far from the ground is no white cloth's
_EXACT = 0.6 / 255  # the middle of a hole shows the ground itself; white paint is seldom that white
_FRAMED = 0.92  # of its rim: what edges this plain frame is seldom cloth, and need not be as exact
_LENIENCE = 1.3 / 255
_NOOK = 160  # px: a piece of the outside cut off by noise is no larger
_PANEL = 300  # px: smaller white parts between plain edges are holes sooner than cloth
_SLIGHT = 0.16  # of the picture: glasses and sandals are slight, and the ground shows through them; cloth is not
_SLIGHT_LENIENCE = 2.2 / 255  # JPEG tints the narrow ground between a temple and a lens
_TINT = 0.6  # of how far a hole of something slight lies from the ground in colour: JPEG bleeds colour into it
_STRAPPED = (0.27, 25)  # of the picture, px: up to this large, a product of many holes may be one of straps
_PATTERN = 3  # a large product with more small holes than that has none: they are white checks or letters
_DEEP = 0.4  # this far from the ground, next to it, is neither white metal nor shaded cloth
_OPENING = (60, 0.9, 1.7 / 255)  # px, of its rim that is deep, and how level: the ground seen between legs, past an arm
_FILLED = 0.28  # of its box: openings are; those between arm and body slant, and are thin
_SLIT = 10  # px: lower and twice as wide is a white stripe of cloth
_SPECK = 0.08  # a part that is nowhere further from the ground is noise
_SCRAP = 0.005  # of the largest part's size: a smaller one by itself is none of the product
_CROSS = ndimage.generate_binary_structure(2, 1)
_SQUARE = ndimage.generate_binary_structure(2, 2)


def product_mask(rgb: Floats, ground: Ground) -> Mask:
    """Return (H, W): the product's pixels, those that it only covers in part counted in.

    Drawn twice: once believing faint signs, which finds white cloth whole and noise with it, once disbelieving them. Of
    what only the first finds, what is as wide as cloth is kept.
    """
    window = box_of(ground.distance(rgb) > _least(ground), _MARGIN)
    mask = np.zeros(rgb.shape[:2], bool)
    if window[0].stop:
        near_product = Ground(ground.colour[window], ground.noise, ground.share)
        mask[window] = _product_within(rgb[window], near_product, mask.size)
    return mask


def _least(ground: Ground) -> float:
    return max(_PALE, 3.5 * ground.noise)


def _product_within(rgb: Floats, ground: Ground, area: int) -> Mask:
    """Return `product_mask` of a part of a picture of `area` px, outside of which nothing but ground shows."""
    distance = ground.distance(rgb)
    apart = rgb - ground.colour
    near = ndimage.maximum_filter(largest(np.abs(apart)), 2 * _BLOCK + 1)
    far = ndimage.maximum_filter(near, 2 * _BLOCK + 3)
    few, many = (np.maximum(_least(ground), np.maximum(beside * near, away * far)) for beside, away in (_FEW, _MANY))
    wide = _drawn(distance, few, apart, ground.noise, area)
    tight = _drawn(distance, many, apart, ground.noise, area)
    open_part = _same(wide.openings, tight.level) | tight.openings
    product = tight.product & ~open_part
    mask = product | _broad(wide.product & ~product & ~_doubly(tight.holes, wide.product) & ~open_part, product)
    outside = joined_to_border(~mask)
    shadow = cast_shadow(mask, outside, rgb, ground, area)
    return without_odd(_without_specks(without_scraps(mask & ~shadow, shadow), distance, area), _SCRAP)


@dataclass(frozen=True)
class _Drawn:
    """product: (H, W); level: what lies at the ground's colour; holes: of that, what the product closes in and yet is
    ground; openings: the holes that are so beyond doubt."""

    product: Mask
    level: Mask
    holes: Mask
    openings: Mask


def _drawn(distance: Floats, doubt: Floats, apart: Floats, noise: float, area: int) -> _Drawn:
    """Return the product as it is when nothing within `doubt` of the ground counts, and its holes."""
    votes = ndimage.uniform_filter((distance > doubt).astype(np.float32), 5, mode="nearest")
    like_ground = (votes <= 0.5) & (distance <= 2 * doubt)
    like_ground |= _ragged(~like_ground, distance, doubt)
    reached, holes, openings = _true_ground(like_ground, apart, noise, area)
    return _Drawn(~(reached | holes), like_ground, holes, openings)


def _same(openings: Mask, level: Mask) -> Mask:
    """Return the parts of `level` that are mostly `openings`: noise on an opening's edge is none of the product."""
    if not openings.any():
        return openings
    labels, count = ndimage.label(level)
    mostly = sums(openings, labels, count) > 0.5 * sums(level, labels, count)
    found: Mask = openings | np.concatenate([[False], mostly])[labels]
    return found


def _doubly(holes: Mask, wide: Mask) -> Mask:
    """Return the `holes` but those that are large and, for faint signs, mostly product: panels of white cloth."""
    labels, count = ndimage.label(holes)
    if not count:
        return holes
    size, cloth = sums(holes, labels, count), sums(wide, labels, count)
    kept: Mask = np.concatenate([[False], (cloth <= 0.5 * size) | (size <= _PANEL)])[labels]
    return kept


def _broad(added: Mask, product: Mask) -> Mask:
    """Return the parts of `added` that are as wide as cloth, or that the product closes in."""
    core = _deep(added, added) & _deep(added | product, added)
    kept = ndimage.binary_dilation(core, _SQUARE, iterations=_FRINGE) & added
    broad: Mask = kept | (added & ~joined_to_border(~(product | kept)))
    return broad


def _deep(mask: Mask, where: Mask) -> Mask:
    """Return the pixels of `where` that lie further than a fringe's width inside `mask`."""
    found = np.zeros_like(where)
    window = box_of(where, _FRINGE + 2)
    if window[0].stop:
        part = mask[window]
        found[window] = where[window] & (part.all() or ndimage.distance_transform_edt(part) > _FRINGE)
    return found


def _ragged(mask: Mask, distance: Floats, doubt: Floats) -> Mask:
    """Return the pale pixels of `mask` that are too thin to be cloth: noise beside an edge."""
    pale = mask & (distance <= 2 * doubt)
    solid = ndimage.binary_dilation(ndimage.binary_erosion(mask, _SQUARE, iterations=2), _SQUARE, iterations=2)
    ragged: Mask = pale & ~solid
    return ragged


def _true_ground(like_ground: Mask, apart: Floats, noise: float, area: int) -> tuple[Mask, Mask, Mask]:
    """Return parts of `like_ground`: what the border reaches, nooks and all, the product's holes, the surest holes."""
    open_part = ndimage.binary_erosion(like_ground, _CROSS, iterations=_GAP, border_value=1)
    core = joined_to_border(open_part)
    reached = ndimage.binary_dilation(core, _CROSS, iterations=_GAP + 1) & like_ground
    labels, count = ndimage.label(like_ground & ~reached)
    if not count:
        return reached, np.zeros_like(reached), np.zeros_like(reached)
    rim = ndimage.grey_dilation(labels, footprint=_CROSS)
    rim[like_ground] = 0
    nearby = ndimage.maximum_filter(largest(np.abs(apart)), 7)
    edge = np.maximum(sums(rim > 0, rim, count), 1)
    plain = sums(nearby > _PLAIN, rim, count) / edge
    size = sums(like_ground, labels, count)
    covered = float((~like_ground).sum()) / area
    slight = covered < _SLIGHT
    level = _middle_level(labels, count, apart, slight) - noise
    beside = sums(ndimage.binary_dilation(reached, _CROSS), labels, count) > 0
    hole = ((plain >= 0.6) & (level <= 0)) | ((plain >= _FRAMED) & (level <= _LENIENCE))
    deep = sums(nearby > _DEEP, rim, count) / edge
    opening = (size >= _OPENING[0]) & (deep >= _OPENING[1]) & (level <= _OPENING[2])
    opening = _few_alike(_shapely(opening, labels, size), size)
    if slight:
        hole |= (plain >= _FRAMED) & (level <= _SLIGHT_LENIENCE)
    if covered > SMALL:
        hole = _shapely(hole, labels, size)
        if (hole & (size <= _PANEL)).sum() > _PATTERN:
            sure = (plain >= _FRAMED) & (level <= 0) & (size >= _STRAPPED[1])
            hole &= (size > _PANEL) | (sure & (covered < _STRAPPED[0]))
    hole |= opening
    nook = beside & (size <= _NOOK)
    chosen = [np.concatenate([[False], some])[labels] for some in (nook & ~hole, hole, opening)]
    return reached | chosen[0], chosen[1], chosen[2]


def _shapely(some: Mask, labels: npt.NDArray[np.int32], size: npt.NDArray[np.float64]) -> Mask:
    """Return those of `some` (N,) of `labels` (H, W) that are no rings, as round a dial, and no stripes lying flat."""
    shapely = some.copy()
    for number, box in enumerate(ndimage.find_objects(labels)):
        if some[number]:
            height, width = (side.stop - side.start for side in box)
            filled = size[number] >= _FILLED * height * width
            shapely[number] = filled and (height >= _SLIT or width <= 2 * height)
    return shapely


def _few_alike(some: Mask, size: npt.NDArray[np.float64]) -> Mask:
    """Return those of `some` (N,) of whose `size` (N,), or thereabouts or larger, there is no pattern of them."""
    alike = (some[None] & (size[None] >= size[:, None] / 3)).sum(axis=1)
    few: Mask = some & (alike <= _PATTERN)
    return few


def _middle_level(labels: npt.NDArray[np.int32], count: int, apart: Floats, slight: bool) -> npt.NDArray[np.float64]:
    """Return (count,): how far the middle of each labelled part lies from the ground, beyond what its width excuses.

    Of the mean difference, as noise has both signs. In a narrow hole JPEG's noise reaches everywhere.
    """
    window = box_of(labels > 0, 1)
    labels, apart = labels[window], apart[window]
    depth = ndimage.distance_transform_edt(labels > 0)
    deepest = np.concatenate([[0.0], maximum(depth, labels, count)])
    middle = labels * (depth >= 0.5 * deepest[labels])
    size = sums(middle > 0, middle, count)
    means = np.abs([sums(apart[..., channel], middle, count) / size for channel in range(3)])
    level = np.maximum(means.min(axis=0), _TINT * means.max(axis=0)) if slight else means.max(axis=0)
    return np.asarray(level - _EXACT * (1 + 16 / deepest[1:] ** 1.5))


def _without_specks(mask: Mask, distance: Floats, area: int) -> Mask:
    labels, count = ndimage.label(mask, np.ones((3, 3)))
    if not count:
        return mask
    size = sums(mask, labels, count)
    strength = maximum(distance, labels, count)
    kept = (size >= 5) & ((strength >= _SPECK) | (size >= 0.02 * area))
    found: Mask = np.concatenate([[False], kept])[labels]
    return found
