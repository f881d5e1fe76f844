"""What the prior gives back to a mask: parts of a product that have the ground's own colour.

It is only asked where colours cannot tell. All lengths are pixels of a picture whose longer side is at most
`studio.SIDE`.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from catalog_gen.style.ground import Floats, Mask, box_of, joined_to_border
from catalog_gen.style.parts import sums

_SURE, _LIKELY = 0.9, 0.5  # a part begins where the prior is sure, and goes on while it is likelier than not
_LEVEL = 12 / 255  # further from the ground than this, and its noise, colours tell
_WIDE = 2  # px: more than twice as wide is a part; the rim of what is there already is thinner
_CLOSED = 0.9  # what the product closes in is filled whole, where the prior means that all of its middle is product
_MIDDLE = 4  # px from the rim of a hole; narrower ones are finer than the prior sees
_EXACT = 0.6 / 255  # white paint is seldom that white: nearer to the ground, on average, is the ground itself
_PLAIN, _FRAMED = 0.12, 0.95  # an edge this far from the ground is no white cloth's; what only such edges frame is open
_ASTRAY = 0.05  # of the border's ground: a prior that takes more than that for product knows no such ground
_NEAR = 7  # px: an edge is looked for within half of that
_SQUARE = ndimage.generate_binary_structure(2, 2)


def astray(mask: Mask, probability: Floats) -> bool:
    """Return whether a prior says nothing of a picture, as it sees product where the border shows ground."""
    sides = (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1])
    ground = np.concatenate([~mask[side] for side in sides])
    taken = np.concatenate([probability[side] > _LIKELY for side in sides]) & ground
    return bool(taken.sum() > _ASTRAY * ground.sum())


def recovered(mask: Mask, probability: Floats, distance: Floats, noise: float) -> Mask:
    """Return `mask` (H, W) and what of the rest is product by `probability` (H, W) in [0, 1].

    distance: (H, W) of each pixel from the ground, in [0, 1]; noise: the ground's.
    """
    window = box_of(mask | (probability > _LIKELY), 1)
    inside, chance = mask[window], probability[window]
    outside = joined_to_border(np.pad(~inside, 1, constant_values=True))[1:-1, 1:-1]
    unknown = outside & (distance[window] <= max(_LEVEL, 4 * noise))
    found = mask.copy()
    added = _filled(~inside & ~outside, chance) | _grown(inside, unknown, chance)
    if added.any():
        found[window] |= _shown(added, inside, distance[window], noise)
    return found


def _shown(added: Mask, mask: Mask, distance: Floats, noise: float) -> Mask:
    """Return the parts of `added` but those that are ground by their colours: no further from it than its noise, or
    framed by dark edges alone, as the ground is between laces and straps."""
    labels, count = ndimage.label(added, _SQUARE)
    apart = sums(distance * added, labels, count) / sums(added, labels, count)
    rim = ndimage.grey_dilation(labels, size=(3, 3)) * mask
    dark = ndimage.maximum_filter(distance, _NEAR) > _PLAIN
    framed = sums(dark & mask, rim, count) / np.maximum(sums(mask, rim, count), 1)
    found: Mask = np.concatenate([[False], (apart > max(noise, _EXACT)) & (framed < _FRAMED)])[labels]
    return found


def _filled(holes: Mask, probability: Floats) -> Mask:
    """Return the holes that are none."""
    if not (holes & (probability > _CLOSED)).any():
        return np.zeros_like(holes)
    labels, count = ndimage.label(holes)
    middle = labels * ndimage.binary_erosion(holes, _SQUARE, iterations=_MIDDLE, border_value=1)
    against = sums(probability <= _CLOSED, middle, count)
    found: Mask = np.concatenate([[False], (sums(middle > 0, middle, count) > 0) & (against == 0)])[labels]
    return found


def _grown(mask: Mask, unknown: Mask, probability: Floats) -> Mask:
    """Return the parts of `unknown` beside `mask` that the prior is sure of, as far as they are likely; no rims."""
    likely = unknown & (probability > _LIKELY)
    core = ndimage.binary_erosion(likely, _SQUARE, iterations=_WIDE, border_value=1)
    if not (core & (probability > _SURE)).any():
        return np.zeros_like(mask)
    broad = ndimage.binary_dilation(core, _SQUARE, iterations=_WIDE + 1) & likely
    labels, count = ndimage.label(broad, _SQUARE)
    beside = ndimage.binary_dilation(mask, _SQUARE, iterations=2)
    chosen = (sums(beside, labels, count) > 0) & (sums(probability > _SURE, labels * core, count) > 0)
    found: Mask = np.concatenate([[False], chosen])[labels]
    return found
