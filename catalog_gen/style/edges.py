"""Outlines of photos, one pixel wide: the filter that makes pairs of outline and product."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

SIGMA = 0.8  # px, of the blur before
LOW, HIGH = 0.05, 0.15  # change of lightness, in [0, 1], over two pixels: kept beside a strong edge, and strong
_REACH = 2  # px on either side that the blur looks at
_LIGHTNESS = (0.299, 0.587, 0.114)  # ITU-R BT.601
# The neighbour along the gradient, for gradients turned by 0, 45, 90 and 135 degrees: (down, right).
_NEIGHBOURS = ((0, 1), (1, 1), (1, 0), (1, -1))


def edges(images: Tensor, low: float = LOW, high: float = HIGH) -> Tensor:
    """Return the edges (B, 1, H, W) of images (B, 3, H, W) in [0, 1], 1 on an edge and 0 elsewhere.

    Canny 1986 (IEEE TPAMI 8:679): blur, Sobel gradient, only its maxima across the edge, and of those only what is
    stronger than `high`, or than `low` and joined to something that is. The picture's own border is no edge.

    Plain sums, no convolutions: those may round by a batch's size, and a rounding decides which of two pixels of the
    same strength is the edge. So a picture's edges are the same whatever is beside it.
    """
    red, green, blue = images.float().chunk(3, dim=1)
    across, down = _sobel(_blur(_LIGHTNESS[0] * red + _LIGHTNESS[1] * green + _LIGHTNESS[2] * blue))
    strength = (across**2 + down**2).sqrt()
    thin = strength * _is_peak(strength, across, down)
    return _joined(thin >= high, thin >= low).float()


def outline(images: Tensor) -> Tensor:
    """Return the edges of images (B, 3, H, W) in [0, 1] as a drawing: black lines on white, (B, 3, H, W) in [0, 1]."""
    return (1 - edges(images)).expand(-1, 3, -1, -1)


def agreement(found: Tensor, wanted: Tensor, tolerance: int = 1) -> float:
    """Return how well edges (B, 1, H, W) agree: the F1 score, an edge within `tolerance` px counting as hit.

    Precision is of `found`, recall of `wanted`, over all pictures together; 0 where one has no edge at all.
    """
    if not (found.any() and wanted.any()):
        return 0.0
    reach = 2 * tolerance + 1
    near_wanted = F.max_pool2d(wanted, reach, 1, tolerance)
    near_found = F.max_pool2d(found, reach, 1, tolerance)
    precision = float((found * near_wanted).sum() / found.sum())
    recall = float((wanted * near_found).sum() / wanted.sum())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _blur(grey: Tensor) -> Tensor:
    bell = [math.exp(-(place**2) / (2 * SIGMA**2)) for place in range(_REACH + 1)]  # from the middle outwards
    total = bell[0] + 2 * sum(bell[1:])
    padded = F.pad(grey, (_REACH,) * 4, mode="replicate")
    for dim in (-1, -2):
        size = padded.shape[dim] - 2 * _REACH
        blurred = padded.narrow(dim, _REACH, size) * (bell[0] / total)
        for place in range(1, _REACH + 1):
            sides = padded.narrow(dim, _REACH - place, size) + padded.narrow(dim, _REACH + place, size)
            blurred = blurred + sides * (bell[place] / total)
        padded = blurred
    return padded


def _sobel(grey: Tensor) -> tuple[Tensor, Tensor]:
    """Return the change over two pixels, from left to right and downwards, smoothed across: Sobel's sums over four."""
    padded = F.pad(grey, (1, 1, 1, 1), mode="replicate")
    across, down = _change(padded, -1), _change(padded, -2)
    return _smoothed(across, -2), _smoothed(down, -1)


def _change(padded: Tensor, dim: int) -> Tensor:
    size = padded.shape[dim] - 2
    return padded.narrow(dim, 2, size) - padded.narrow(dim, 0, size)


def _smoothed(padded: Tensor, dim: int) -> Tensor:
    size = padded.shape[dim] - 2
    return (padded.narrow(dim, 0, size) + padded.narrow(dim, 2, size) + 2 * padded.narrow(dim, 1, size)) / 4


def _is_peak(strength: Tensor, across: Tensor, down: Tensor) -> Tensor:
    """Return where no neighbour along the gradient is stronger; of two equal ones, the first."""
    sector = (torch.atan2(down, across) / (math.pi / 4)).round().long() % 4
    rows, columns = strength.shape[-2:]
    padded = F.pad(strength, (1, 1, 1, 1))
    peak = torch.zeros_like(strength, dtype=torch.bool)
    for number, (dy, dx) in enumerate(_NEIGHBOURS):
        ahead = padded[..., 1 + dy : 1 + dy + rows, 1 + dx : 1 + dx + columns]
        behind = padded[..., 1 - dy : 1 - dy + rows, 1 - dx : 1 - dx + columns]
        peak |= (sector == number) & (strength >= ahead) & (strength > behind)
    return peak


def _joined(strong: Tensor, weak: Tensor) -> Tensor:
    """Return the strong pixels and every weak one that a path of weak ones joins to them."""
    kept = strong
    while True:
        grown = (F.max_pool2d(kept.float(), 3, 1, 1) > 0) & weak
        if bool((grown == kept).all()):
            return kept
        kept = grown
