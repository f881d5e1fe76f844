"""Soft edges: how much of each edge pixel is product, and the product's own colour there.

A pixel is alpha * F + (1 - alpha) * B. The ground B is known, the product's colour F is that of the product nearby, and
alpha is where the pixel lies between them (the known-background case of arXiv 2004.00626, solved per pixel).
"""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy import ndimage

from catalog_gen.style.ground import Floats, Mask, box_of, largest

_TELLING = 0.06  # product and ground this far apart: colour and outline decide alpha half and half


def soften(rgb: Floats, ground: Floats, mask: Mask, scale: float) -> tuple[Floats, Floats]:
    """Return alpha (H, W) and the product's colours (H, W, 3), both float32 in [0, 1].

    rgb, ground: (H, W, 3) in [0, 1]; mask: (H, W) the product and its edges; scale: px of this picture per px of edge.
    """
    alpha = mask.astype(np.float32)
    colours = rgb.copy()
    if not mask.any():
        return alpha, colours
    window = box_of(mask, round(8 * scale))
    near, behind, inside = rgb[window], ground[window], mask[window]
    depth = ndimage.distance_transform_edt(np.pad(inside, 1, mode="edge"))[1:-1, 1:-1].astype(np.float32) / scale
    outer = ndimage.binary_dilation(inside, iterations=max(1, round(scale))) & ~inside
    band = (inside & (depth < 3.5)) | outer
    own = _own_colours(near, behind, inside, depth, scale)
    found = _alpha(near[band], behind[band], own[band], depth[band])
    alpha[window][band] = found
    colours[window][band] = _foreground(near[band], behind[band], own[band], found)
    colours[window][~(band | inside)] = own[~(band | inside)]
    return alpha, colours


def _own_colours(rgb: Floats, ground: Floats, mask: Mask, depth: Floats, scale: float) -> Floats:
    """Return (H, W, 3): the colour of the product near each pixel, without the ground's part in it.

    The mean over pixels well inside the product; where a strap is too thin to have any, over those that differ most.
    """
    distance = largest(np.abs(rgb - ground))
    strongest = ndimage.maximum_filter(distance, 2 * round(1.5 * scale) + 1)
    rim = np.where(mask, distance / np.maximum(strongest, 1e-3), 0)
    for _ in range(3):  # to the eighth: numpy's own power is slow
        rim *= rim
    weight = np.where(mask & (depth >= 2.6), 1.0, 0.003 * rim).astype(np.float32)
    step = max(1, int(scale))  # so smooth a field needs no more pixels
    layers = np.concatenate([weight[..., None], weight[..., None] * rgb], axis=-1)
    coarse = _averaged(layers, step)
    spread = np.zeros_like(coarse)
    for sigma, share in ((1.2, 1.0), (4.0, 1e-3)):  # near ones first, far ones where there are none
        blur = (sigma * scale / step, sigma * scale / step, 0)
        spread += share * ndimage.gaussian_filter(coarse, blur, truncate=3)
    known = spread[..., :1] > 1e-12
    means = np.where(known, spread[..., 1:] / np.maximum(spread[..., :1], 1e-12), _averaged(rgb, step))
    return np.asarray(np.clip(_stretched(means, step, rgb.shape), 0, 1), np.float32)


def _averaged(picture: Floats, step: int) -> Floats:
    """Return the means of `picture` (H, W, C) over squares of `step` pixels; those at the far edges are completed."""
    if step == 1:
        return picture
    height, width, depth = picture.shape
    padded = np.pad(picture, ((0, -height % step), (0, -width % step), (0, 0)), mode="edge")
    means: Floats = padded.reshape(padded.shape[0] // step, step, -1, step, depth).mean(axis=(1, 3))
    return means


def _stretched(picture: Floats, step: int, shape: tuple[int, ...]) -> Floats:
    """Return `picture` (h, w, 3) at `step` times its size, cut to `shape`."""
    if step == 1:
        return picture
    size = (picture.shape[1] * step, picture.shape[0] * step)
    planes = [Image.fromarray(np.ascontiguousarray(picture[..., k], np.float32)) for k in range(3)]
    wide = [np.asarray(plane.resize(size, Image.Resampling.BILINEAR)) for plane in planes]
    return np.stack(wide, axis=-1)[: shape[0], : shape[1]]


def _alpha(rgb: Floats, ground: Floats, own: Floats, depth: Floats) -> Floats:
    """Return (N,): the place of `rgb` between `ground` and `own`, all (N, 3); by `depth` (N,) where those are alike."""
    span = own - ground
    length = (span * span).sum(axis=1)
    by_colour = ((rgb - ground) * span).sum(axis=1) / np.maximum(length, 1e-6)
    by_depth = np.clip(depth - 0.5, 0, 1)
    telling = length / (length + _TELLING**2)
    alpha = telling * by_colour + (1 - telling) * by_depth
    return np.asarray(np.clip(np.maximum(alpha, (depth - 1.5) / 2), 0, 1), np.float32)


def _foreground(rgb: Floats, ground: Floats, own: Floats, alpha: Floats) -> Floats:
    """Return (N, 3): the colours that with `alpha` (N,) give `rgb` on `ground`, near `own` where alpha is small."""
    a = alpha[:, None]
    unexplained = rgb - a * own - (1 - a) * ground
    return np.asarray(np.clip(own + a * unexplained / (a * a + 0.3 * (1 - a) ** 2 + 1e-6), 0, 1), np.float32)
