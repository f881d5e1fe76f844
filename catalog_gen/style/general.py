"""Where the product is in a photo without a plain ground: what is unlike the picture's border, in colour and texture.

The border is taken as background (the boundary prior of Zhu et al., "Saliency Optimization from Robust Background
Detection", CVPR 2014). Two mixtures of colours, of the background and of the product, are then refitted in turns as
GrabCut does (Rother et al., SIGGRAPH 2004), with a guided filter (He et al., ECCV 2010) for its cut.
All lengths are pixels of a picture whose longer side is about `SIDE`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from catalog_gen.style.ground import Floats, Mask

SIDE = 160

_COLOURS = 5  # of each mixture
_TURNS = 4
_FRAME = 0.05  # of the shorter side: the border's width
_RADIUS = 5  # px of the guided filter
_EDGE = 1e-3  # variance of lightness that counts as an edge
_BAND = 4  # px: how far the first outline may be off
_CENTRE = 2.0  # log-odds that the middle is product; the corners have as much against them
_APART = 0.75  # of the pixels must be told apart by colour, or there is no saying what the product is
_SURE = 0.9  # so many are where product and background are as different as they look


def salient_mask(rgb: Floats) -> tuple[Mask, str, str]:
    """Return (H, W) the product's pixels, why they cannot be used ("" when they can), and why they may be wrong."""
    height, width = rgb.shape[:2]
    features = _features(rgb)
    frame = _frame(height, width)
    prior = _prior(height, width)
    behind = _fit(features[frame])
    unlike = -_likelihood(features, behind)
    unlike = (unlike - np.median(unlike[frame])) / max(1e-6, float(unlike[frame].std()))
    odds = np.clip(unlike - 1.5, -4, 4) + prior
    mask = _cut(odds, rgb)
    apart = 0.0
    for _ in range(_TURNS):
        if mask.sum() < 40 or (~mask).sum() < 40:
            break
        evidence = _likelihood(features, _fit(features[mask])) - _likelihood(features, _fit(features[~mask]))
        apart = float(((evidence > 0) == mask).mean())
        mask = _cut(np.clip(evidence, -5, 5) + prior, rgb)
    doubt = f"only {apart:.0%} of the picture is plainly product or background" if apart < _SURE else ""
    return _trimmed(mask, features[..., :3], rgb), _fault(mask, frame, apart), doubt


def _trimmed(mask: Mask, colours: Floats, rgb: Floats) -> Mask:
    """Return `mask` with its outline drawn again by colour alone: roughness reaches over edges."""
    sure, out = ndimage.binary_erosion(mask, iterations=_BAND), ~ndimage.binary_dilation(mask, iterations=_BAND)
    if sure.sum() < 40 or out.sum() < 40:
        return mask
    evidence = _likelihood(colours, _fit(colours[sure])) - _likelihood(colours, _fit(colours[out]))
    finer = _guided(rgb.mean(axis=-1), np.clip(evidence, -5, 5).astype(np.float32), 2) > 0
    trimmed: Mask = sure | (finer & ~out)
    return np.asarray(ndimage.binary_opening(trimmed) | sure)


def spread_ground(rgb: Floats, mask: Mask, scale: float) -> Floats:
    """Return (H, W, 3): the background's colours near each pixel, carried in under the product by blurring."""
    weight = (~ndimage.binary_dilation(mask, iterations=max(1, round(2 * scale)))).astype(np.float32)
    total = np.zeros_like(weight)
    summed = np.zeros_like(rgb)
    for sigma, share in ((2.0, 1.0), (8.0, 1e-3)):
        total += share * ndimage.gaussian_filter(weight, sigma * scale, truncate=3)
        for channel in range(3):
            summed[..., channel] += share * ndimage.gaussian_filter(
                weight * rgb[..., channel], sigma * scale, truncate=3
            )
    mean = rgb[weight > 0].mean(axis=0) if weight.any() else rgb.mean(axis=(0, 1))
    spread: Floats = np.where(total[..., None] > 1e-9, summed / np.maximum(total, 1e-9)[..., None], mean)
    return spread


def _features(rgb: Floats) -> Floats:
    """Return (H, W, 5): lightness, two opponent colours, and the roughness of lightness near by and further off."""
    lightness = rgb.mean(axis=-1)
    colours = [lightness, rgb[..., 0] - rgb[..., 1], rgb[..., 2] - 0.5 * (rgb[..., 0] + rgb[..., 1])]
    for size in (3, 9):
        mean = ndimage.uniform_filter(lightness, size)
        spread = ndimage.uniform_filter(lightness * lightness, size) - mean * mean
        colours.append(np.sqrt(np.maximum(spread, 0)))
    return np.stack(colours, axis=-1).astype(np.float32)


def _frame(height: int, width: int) -> Mask:
    depth = max(1, round(_FRAME * min(height, width)))
    frame = np.ones((height, width), bool)
    frame[depth : height - depth, depth : width - depth] = False
    return frame


def _prior(height: int, width: int) -> Floats:
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    return (_CENTRE * np.clip(1 - 1.4 * (x * x + y * y), -1, 1)).astype(np.float32)


def _fit(samples: Floats) -> list[tuple[float, Floats, Floats]]:
    """Return weight, mean (5,) and inverse covariance (5, 5) of the clusters of `samples` (N, 5): k-means, hard."""
    samples = samples[:: max(1, len(samples) // 4000)].astype(np.float64)
    centres = samples.mean(axis=0)[None]
    while len(centres) < _COLOURS:  # the farthest next: the same every time
        gap = ((samples[:, None] - centres[None]) ** 2).sum(axis=2).min(axis=1)
        centres = np.concatenate([centres, samples[gap.argmax()][None]])
    nearest = np.zeros(len(samples), np.int64)
    for _ in range(6):
        nearest = ((samples[:, None] - centres[None]) ** 2).sum(axis=2).argmin(axis=1)
        centres = np.stack(
            [samples[nearest == k].mean(axis=0) if (nearest == k).any() else centres[k] for k in range(_COLOURS)]
        )
    mixture = []
    for k in range(_COLOURS):
        own = samples[nearest == k]
        if len(own) < 8:
            continue
        spread = np.cov(own, rowvar=False) + 4e-4 * np.eye(samples.shape[1])
        mixture.append((len(own) / len(samples), own.mean(axis=0), np.linalg.inv(spread)))
    return mixture


def _likelihood(features: Floats, mixture: list[tuple[float, Floats, Floats]]) -> Floats:
    """Return (H, W): the logarithm of the density of `features` (H, W, 5) under the best of the mixture's parts."""
    best = np.full(features.shape[:2], -50.0)
    for weight, mean, inverse in mixture:
        apart = features - mean
        squared = ((apart @ inverse) * apart).sum(axis=-1)
        best = np.maximum(best, np.log(weight) + 0.5 * np.linalg.slogdet(inverse)[1] - 0.5 * squared)
    return best.astype(np.float32)


def _cut(odds: npt.NDArray[np.floating], rgb: Floats) -> Mask:
    """Return where the log-odds are for the product once smoothed along, not over, edges; without crumbs."""
    found = _guided(rgb.mean(axis=-1), odds.astype(np.float32), _RADIUS) > 0
    labels, count = ndimage.label(found)
    if count > 1:
        size = ndimage.sum_labels(found, labels, np.arange(1, count + 1))
        found = np.concatenate([[False], size >= 0.1 * size.max()])[labels]
    holes, count = ndimage.label(~found)
    if count > 1:
        size = ndimage.sum_labels(~found, holes, np.arange(1, count + 1))
        found |= np.concatenate([[False], size < 0.002 * found.size])[holes]
    return found


def _guided(guide: Floats, values: Floats, radius: int) -> Floats:
    size = 2 * radius + 1

    def mean(values: npt.NDArray[Any]) -> Floats:
        smooth: Floats = ndimage.uniform_filter(values, size, mode="nearest")
        return smooth

    centre, level = mean(guide), mean(values)
    variance = np.maximum(mean(guide * guide) - centre * centre, 0)
    slope = (mean(guide * values) - centre * level) / (variance + _EDGE)
    smoothed: Floats = mean(slope) * guide + mean(level - slope * centre)
    return smoothed


def _fault(mask: Mask, frame: Mask, apart: float) -> str:
    share = float(mask.mean())
    if share < 0.005:
        return "nothing stands out from the border of the picture"
    if share > 0.9 or mask[frame].mean() > 0.7:
        return "the product cannot be told from the border of the picture"
    if apart < _APART:
        return "product and background have the same colours"
    return ""
