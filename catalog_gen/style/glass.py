"""Glass: what of a product lets the ground through, and how much.

From one photo nobody can tell pale glass from pale paint, so this is only for a product that is known to have panes. A
pane is what is smooth and wide; of all the pairs of alpha and colour that explain a pixel on its known ground, the one
that lets most of the ground through is taken ("color to alpha"): a filter of neutral glass is found exactly.
All lengths are pixels of a picture whose longer side is at most `studio.SIDE`.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from catalog_gen.style.ground import LUMA, Floats, Mask

_SMOOTH = 0.03  # of lightness a pixel: a lens is tinted by degrees, an edge or a letter is steeper
_STEEP = 0.12  # of lightness a pixel: JPEG rounds a lens's own edge off, as steep as this
_GROWN = 4  # px: how far
_WIDE = 4.0  # px on either side: frames, temples and straps are thinner
_RIM = 1.5  # px inside the product's outline: its frame, at least
_SOFT = 1.0  # px: how softly a pane ends


def panes(rgb: Floats, mask: Mask) -> Floats:
    """Return (H, W) in [0, 1]: how much each pixel of `rgb` (H, W, 3) is a pane of the product `mask` (H, W)."""
    lightness = ndimage.gaussian_filter(rgb @ LUMA, 0.8)
    slope = np.hypot(ndimage.sobel(lightness, 0), ndimage.sobel(lightness, 1)) / 8
    smooth = (slope < _SMOOTH) & _within(mask, _RIM)
    core = _within(smooth, _WIDE)
    if not core.any():
        return np.zeros(mask.shape, np.float32)
    wide = smooth & (ndimage.distance_transform_edt(~core) <= _WIDE)
    reach = _within(mask, _RIM) & (slope < _STEEP)
    grown = ndimage.binary_dilation(wide, iterations=_GROWN, mask=reach | wide)
    found: Floats = ndimage.gaussian_filter(grown.astype(np.float32), _SOFT)
    return np.minimum(1, found) * mask


def let_through(rgb: Floats, ground: Floats, alpha: Floats, colours: Floats, share: Floats) -> tuple[Floats, Floats]:
    """Return alpha (H, W) and colours (H, W, 3) where `share` (H, W) of each pixel is a pane.

    Laid back on `ground` (H, W, 3) they give `rgb` again wherever `alpha` was 1.
    """
    apart = rgb - ground
    room = np.where(apart < 0, ground, 1 - ground)  # how far a colour can lie from the ground on that side
    least = np.clip((np.abs(apart) / np.maximum(room, 1e-3)).max(axis=-1), 0, 1)
    pane = (share > 0) & (alpha >= 1)
    thinner = np.where(pane, 1 - share * (1 - least), alpha).astype(np.float32)
    own = np.clip(ground + apart / np.maximum(thinner, 1e-3)[..., None], 0, 1)
    return thinner, np.where(pane[..., None], own, colours).astype(np.float32)


def _within(mask: Mask, depth: float) -> Mask:
    """Return the pixels more than `depth` px inside `mask`; outside the picture is outside the mask."""
    distance = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    found: Mask = distance > depth
    return found
