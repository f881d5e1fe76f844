"""Colours of one distribution moved to another's by optimal transport: between Gaussians in closed form, sliced after.

A palette is what is kept of a distribution of colours: its mean, its covariance, and its quantiles along a fixed set of
directions. Palettes of several styles mix by weight, and what is measured may be weighted pixel by pixel.
Colours are (B, 3, N), as a picture's planes lie in memory; weights are (B, 1, N).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

QUANTILES = 65
ROTATIONS = 4
LARGEST_GAIN = 4.0  # no contrast is stretched more than this: a flat ground must not become its noise, enlarged
STEEPEST = 2.0  # the same for the sliced maps, which come after


@dataclass(frozen=True)
class Palette:
    """Colours' mean (B, 3, 1), covariance (B, 3, 3) and quantiles about the mean (B, ROTATIONS, 3, QUANTILES)."""

    mean: Tensor
    covariance: Tensor
    quantiles: Tensor


def palette_of(colours: Tensor, weight: Tensor | None = None) -> Palette:
    """Return the palette of colours (B, 3, N) under weights (B, 1, N)."""
    mean, covariance = gaussian_of(colours, weight)
    turned = [quantiles_of(rotation @ (colours - mean), weight) for rotation in directions(colours)]
    return Palette(mean, covariance, torch.stack(turned, 1))


def mix_palettes(palettes: Sequence[Palette], weights: Sequence[float]) -> Palette:
    """Return the palette between palettes.

    Quantiles average along each direction, as the sliced barycentre's do (Bonneel et al. 2015); means and covariances
    average.
    """

    def mean(values: list[Tensor]) -> Tensor:
        return torch.stack([value * weight for value, weight in zip(values, weights, strict=True)]).sum(0)

    return Palette(
        mean([p.mean for p in palettes]), mean([p.covariance for p in palettes]), mean([p.quantiles for p in palettes])
    )


def gaussian_of(colours: Tensor, weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return the mean (B, 3, 1) and covariance (B, 3, 3) of colours (B, 3, N) under weights (B, 1, N)."""
    if weight is None:
        weight = torch.ones_like(colours[:, :1])
    total = weight.sum(2, keepdim=True).clamp_min(1e-12)
    mean = (colours * weight).sum(2, keepdim=True) / total
    centred = colours - mean
    return mean, (centred * weight) @ centred.transpose(1, 2) / total


def monge_kantorovich(source: Tensor, target: Tensor, largest_gain: float | None = None) -> Tensor:
    """Return the symmetric matrices (B, 3, 3) that carry covariance `source` to `target` at least cost.

    T = S^-1/2 (S^1/2 R S^1/2)^1/2 S^-1/2, the optimal transport between Gaussians (Pitie and Kokaram 2007). With
    `largest_gain` its eigenvalues are cut there.
    """
    root, inverse = _roots(source)
    middle, _ = _roots(root @ target @ root)
    matrix = inverse @ middle @ inverse
    if largest_gain is None:
        return matrix
    values, vectors = torch.linalg.eigh((matrix + matrix.transpose(1, 2)) / 2)
    capped: Tensor = (vectors * values.clamp(0, largest_gain).unsqueeze(1)) @ vectors.transpose(1, 2)
    return capped


def transport_gaussian(colours: Tensor, palette: Palette, seen: Tensor, weight: Tensor | None = None) -> Tensor:
    """Return colours (B, 3, N) through the map that gives `seen` (B, 3, M) under `weight` the palette's mean and
    covariance, as far as LARGEST_GAIN lets it."""
    mean, covariance = gaussian_of(seen, weight)
    matrix = monge_kantorovich(covariance, palette.covariance, LARGEST_GAIN)
    return torch.bmm(matrix, colours).add_(palette.mean - matrix @ mean)


def transport_sliced(colours: Tensor, palette: Palette, seen: Tensor, weight: Tensor | None = None) -> Tensor:
    """Return colours (B, 3, N) through the maps that give `seen` (B, 3, M) under `weight` the palette's quantiles.

    Iterative distribution transfer (Pitie, Kokaram and Dahyot 2007), one pass over the fixed directions.
    """
    for index, rotation in enumerate(directions(colours)):
        wanted = palette.quantiles[:, index]
        turned, turned_seen = rotation @ (colours - palette.mean), rotation @ (seen - palette.mean)
        found = quantiles_of(turned_seen, weight)
        colours = rotation.T @ _remap(turned, found, wanted) + palette.mean
        seen = rotation.T @ _remap(turned_seen, found, wanted) + palette.mean
    return colours


def directions(like: Tensor) -> list[Tensor]:
    """Return fixed rotations (3, 3), rows the directions: the axes themselves, then turned ones."""
    generator = torch.Generator().manual_seed(7)
    found = [torch.eye(3)]
    for _ in range(ROTATIONS - 1):
        found.append(torch.linalg.qr(torch.randn(3, 3, generator=generator))[0])
    return [rotation.to(like) for rotation in found]


def quantiles_of(values: Tensor, weight: Tensor | None = None) -> Tensor:
    """Return QUANTILES evenly spaced quantiles (B, K, QUANTILES) of each row of (B, K, N) under weights (B, 1, N)."""
    ordered, order = values.sort(2)
    if weight is None:
        weight = torch.ones_like(values[:, :1])
    mass = weight.expand_as(ordered).gather(2, order)
    reached = (mass.cumsum(2) - mass / 2) / mass.sum(2, keepdim=True).clamp_min(1e-12)
    wanted = (torch.arange(QUANTILES, device=values.device, dtype=values.dtype) + 0.5) / QUANTILES
    place = torch.searchsorted(reached, wanted.expand(*ordered.shape[:2], -1).contiguous())
    return ordered.gather(2, place.clamp_max(ordered.shape[2] - 1))


def _remap(values: Tensor, found: Tensor, wanted: Tensor) -> Tensor:
    """Return values (B, 3, N) through the piecewise linear, rising maps found -> wanted (B, 3, QUANTILES).

    Beyond the ends they shift as the ends do. A map's slopes are kept between 1 / STEEPEST and STEEPEST of its overall
    stretch, which is no more than STEEPEST itself: a style of two flat colours would else tear a gradient at a line.
    """
    wanted = wanted.expand_as(found)
    gaps = found.diff(dim=2).clamp_min(1e-6)
    stretch = (wanted.std(2, keepdim=True) / found.std(2, keepdim=True).clamp_min(1e-6)).clamp_max(STEEPEST)
    slopes = (wanted.diff(dim=2) / gaps).maximum(stretch / STEEPEST).minimum(stretch * STEEPEST)
    reached = torch.cat([torch.zeros_like(found[..., :1]), (slopes * gaps).cumsum(2)], 2)
    ratio = (wanted.std(2, keepdim=True) / reached.std(2, keepdim=True).clamp_min(1e-6)).clamp_max(STEEPEST)
    slopes, reached = slopes * ratio, reached * ratio
    reached = reached + (wanted - reached).mean(2, keepdim=True)
    right = torch.searchsorted(found.contiguous(), values.contiguous()).clamp_(1, found.shape[2] - 1)
    low, gap = found.gather(2, right - 1), gaps.gather(2, right - 1)
    inside = (values - low).clamp_min(0).minimum(gap)
    return reached.gather(2, right - 1) + slopes.gather(2, right - 1) * inside + (values - low - inside)


def _roots(matrix: Tensor) -> tuple[Tensor, Tensor]:
    values, vectors = torch.linalg.eigh((matrix + matrix.transpose(1, 2)) / 2)
    values = values.clamp_min(1e-10)
    turned = vectors.transpose(1, 2)
    return (vectors * values.sqrt().unsqueeze(1)) @ turned, (vectors * values.rsqrt().unsqueeze(1)) @ turned
