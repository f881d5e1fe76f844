"""What the prior gives back to a mask: parts of a product that have the ground's own colour.

It is only asked where colours cannot tell. All lengths are pixels of a picture whose longer side is at most
`studio.SIDE`.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from catalog_gen.style.ground import Floats, Mask, joined_to_border
from catalog_gen.style.parts import sums

_SURE, _LIKELY = 0.9, 0.5  # a part begins where the prior is sure, and goes on while it is likelier than not
_CLOSED = 0.85  # what the product closes in is filled whole, where the prior means on average that it is none
_LEVEL = 8 / 255  # further from the ground than this, and its noise, colours tell
_WIDE = 2.5  # px: twice as wide at least is a part; the rim of what is there already is thinner
_CROSS = ndimage.generate_binary_structure(2, 1)
_SQUARE = ndimage.generate_binary_structure(2, 2)


def recovered(mask: Mask, probability: Floats, distance: Floats, noise: float) -> Mask:
    """Return `mask` (H, W) and what of the rest is product by `probability` (H, W) in [0, 1].

    distance: (H, W) of each pixel from the ground, in [0, 1]; noise: the ground's.
    """
    outside = joined_to_border(~mask)
    unknown = outside & (distance <= max(_LEVEL, 4 * noise))
    grown = mask | _filled(~mask & ~outside, probability)
    added = _grown(unknown, probability)
    labels, count = ndimage.label(added, _SQUARE)
    touching = np.zeros(count + 1, bool)
    touching[labels[ndimage.binary_dilation(mask, _SQUARE, iterations=2)]] = True
    touching[0] = False
    found: Mask = grown | touching[labels]
    return found


def _filled(holes: Mask, probability: Floats) -> Mask:
    """Return the holes that are none."""
    labels, count = ndimage.label(holes, _CROSS)
    mean = sums(probability * holes, labels, count) / np.maximum(sums(holes, labels, count), 1)
    found: Mask = np.concatenate([[False], mean > _CLOSED])[labels]
    return found


def _grown(unknown: Mask, probability: Floats) -> Mask:
    """Return the parts of `unknown` that the prior is sure of, as far as they are likely, but for thin rims."""
    likely = unknown & (probability > _LIKELY)
    added = ndimage.binary_propagation(likely & (probability > _SURE), _SQUARE, mask=likely)
    depth = ndimage.distance_transform_edt(np.pad(added, 1, mode="edge"))[1:-1, 1:-1]
    found: Mask = ndimage.binary_propagation(added & (depth > _WIDE), _SQUARE, mask=added)
    return found
