"""A scene without its product, and in a style's colours: what the feed-forward networks start from.

The product is taken out by filling its place from the scene around it, coarse to fine (push-pull, Gortler et al. 1996;
a normalised convolution, Knutsson and Westin 1993): a network of ordinary convolutions then sees a whole scene, and no
pixel of the product reaches any of its outputs. It is partial convolution done once, in front, not in every layer.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

LARGEST_GAIN, LEAST_GAIN = 2.0, 0.4  # a flat scene's noise must not become a pattern, a busy one must not go flat
_AXES = ((1, 1, 1), (1, 1, -2), (1, -1, 0))  # lightness, yellow to blue, red to green: nearly independent in photos


@dataclass(frozen=True)
class Tones:
    """Colours' mean and deviation (B, 3, 1, 1) along lightness, yellow to blue, and red to green.

    root (B, 3, 3): the symmetric root of their covariance in RGB.
    """

    mean: Tensor
    deviation: Tensor
    root: Tensor


def fill(images: Tensor, valid: Tensor) -> Tensor:
    """Return images (B, C, H, W) where `valid` (B, 1, H, W) is 1, and what lies around, spread smoothly, where it is 0.

    valid holds zeros and ones. What is not valid has no influence on the result; valid pixels come back as they are. A
    picture without any valid pixel becomes grey.
    """
    kept, share = torch.where(valid > 0, images, torch.zeros_like(images)), valid
    levels = [(kept, share)]
    while min(kept.shape[-2:]) > 1:
        kept, share = (F.avg_pool2d(x, 2, ceil_mode=True) for x in (kept, share))
        levels.append((kept, share))
    known = share.sum((2, 3), keepdim=True)
    mean = kept.sum((2, 3), keepdim=True) / known.clamp_min(1e-12)
    found = torch.where(known > 0, mean, torch.full_like(mean, 0.5)).expand_as(kept)
    for kept, share in reversed(levels):
        around = F.interpolate(found, kept.shape[-2:], mode="bilinear", align_corners=False)
        found = torch.where(share > 0, kept, torch.zeros_like(kept)) + (1 - share) * around
    return found


def tones_of(images: Tensor, weight: Tensor) -> Tones:
    """Return the tones of images (B, 3, H, W) under weights (B, 1, H, W) that are not all zero."""
    turned = _axes(images) @ images.flatten(2)
    share = (weight.flatten(2) / weight.sum((2, 3)).unsqueeze(2)).transpose(1, 2)
    mean = turned @ share
    centred = turned - mean
    covariance = (centred * share.transpose(1, 2)) @ centred.transpose(1, 2)
    deviation = covariance.diagonal(dim1=1, dim2=2).clamp_min(0).sqrt()
    values, vectors = torch.linalg.eigh(_axes(images).T @ covariance @ _axes(images))
    root = (vectors * values.clamp_min(0).sqrt().unsqueeze(1)) @ vectors.transpose(1, 2)
    return Tones(mean.unsqueeze(3), deviation[:, :, None, None], root)


def recolour(images: Tensor, own: Tones, wanted: Tones) -> Tensor:
    """Return images (B, 3, H, W) moved from tones `own` to `wanted`, contrast changed by LEAST to LARGEST_GAIN at most.

    AdaIN (arXiv 1703.06868) of colours along the axes of `Tones`; values may leave [0, 1].
    """
    gain = (wanted.deviation / own.deviation.clamp_min(1e-4)).clamp(LEAST_GAIN, LARGEST_GAIN)
    axes = _axes(images)
    matrix = axes.T @ (gain.squeeze(3) * axes)  # (B, 3, 3)
    offset = axes.T @ (wanted.mean - own.mean * gain).squeeze(3)
    return torch.baddbmm(offset, matrix.expand(len(images), 3, 3), images.flatten(2)).view_as(images)


def coloured(pattern: Tensor, tones: Tones) -> Tensor:
    """Return a pattern (B, 3, H, W) of unit, independent channels with the colours' covariance."""
    return (tones.root.expand(len(pattern), 3, 3) @ pattern.flatten(2)).view_as(pattern)


def _axes(like: Tensor) -> Tensor:
    return F.normalize(torch.tensor(_AXES, dtype=like.dtype, device=like.device), dim=1)
