"""A scene in a style's colours: what the feed-forward networks start from."""

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
