"""Optimal transport of colours, against its closed form and against sorting."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from catalog_gen.style.colour import (
    LARGEST_GAIN,
    QUANTILES,
    STEEPEST,
    gaussian_of,
    mix_palettes,
    monge_kantorovich,
    palette_of,
    quantiles_of,
    transport_gaussian,
    transport_sliced,
)


def cloud(mean: list[float], spread: list[list[float]], count: int = 4000, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.tensor(spread) @ torch.randn(1, 3, count, generator=generator) + torch.tensor(mean).view(1, 3, 1)


SOURCE = cloud([0.5, 0.4, 0.3], [[0.1, 0.0, 0.0], [0.05, 0.08, 0.0], [0.0, 0.02, 0.06]])
TARGET = cloud([0.2, 0.6, 0.7], [[0.05, 0.0, 0.0], [-0.05, 0.12, 0.0], [0.03, 0.0, 0.1]], seed=1)


def test_weighted_mean_and_covariance_by_hand() -> None:
    colours = torch.tensor([[[0.0, 1.0, 9.0], [0.0, 2.0, 9.0], [1.0, 1.0, 9.0]]])
    mean, covariance = gaussian_of(colours, torch.tensor([[[1.0, 3.0, 0.0]]]))
    assert mean.flatten().tolist() == pytest.approx([0.75, 1.5, 1.0])
    assert covariance[0].flatten().tolist() == pytest.approx([0.1875, 0.375, 0, 0.375, 0.75, 0, 0, 0, 0])


def test_a_gaussian_gets_the_others_mean_and_covariance() -> None:
    moved = transport_gaussian(SOURCE, palette_of(TARGET), SOURCE)
    for found, wanted in zip(gaussian_of(moved), gaussian_of(TARGET), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-5)


def test_the_closed_form_of_diagonal_covariances_is_the_ratio_of_deviations() -> None:
    matrix = monge_kantorovich(torch.diag(torch.tensor([4.0, 1.0, 9.0]))[None], torch.eye(3)[None])
    torch.testing.assert_close(matrix[0], torch.diag(torch.tensor([0.5, 1.0, 1 / 3])), rtol=1e-4, atol=1e-5)


def test_the_map_is_the_gradient_of_a_convex_function() -> None:
    """Which, by Brenier, is what makes a map the optimal one: symmetric and positive."""
    matrix = monge_kantorovich(gaussian_of(SOURCE)[1], gaussian_of(TARGET)[1])[0]
    torch.testing.assert_close(matrix, matrix.T, rtol=1e-3, atol=1e-3)
    assert bool((torch.linalg.eigvalsh(matrix) > 0).all())


def test_a_flat_ground_is_not_stretched_into_noise() -> None:
    flat = 0.8 + SOURCE * 1e-3
    moved = transport_gaussian(flat, palette_of(TARGET), flat)
    torch.testing.assert_close(moved.mean(2), TARGET.mean(2))
    assert float(moved.std(2).max()) <= LARGEST_GAIN * float(flat.std(2).max()) * 1.8  # at most: along a turned axis


def test_quantiles_are_the_sorted_values_and_heed_weights() -> None:
    values = torch.linspace(0, 1, QUANTILES * 10).view(1, 1, -1)
    shuffled = values[..., torch.randperm(QUANTILES * 10)]
    wanted = (torch.arange(QUANTILES) + 0.5) / QUANTILES
    torch.testing.assert_close(quantiles_of(shuffled)[0, 0], wanted, rtol=0, atol=0.004)
    both = torch.cat([values, torch.full_like(values, 7.0)], 2)
    weight = torch.cat([torch.ones_like(values), torch.zeros_like(values)], 2)
    torch.testing.assert_close(quantiles_of(both, weight)[0, 0], wanted, rtol=0, atol=0.004)


def test_sliced_transport_matches_what_a_covariance_cannot_say() -> None:
    """Two clusters of colour: the closed form leaves one cloud, and the sliced maps part it."""
    two = torch.cat([cloud([0.3, 0.3, 0.3], (torch.eye(3) * 0.04).tolist()), TARGET], 2)
    palette = palette_of(two)
    gaussian = transport_gaussian(SOURCE, palette, SOURCE)
    sliced = transport_sliced(gaussian, palette, gaussian)

    def distance(colours: Tensor) -> float:
        return float((palette_of(colours).quantiles - palette.quantiles).abs().mean())

    assert distance(sliced) < 0.4 * distance(gaussian)


def test_no_sliced_map_is_steeper_than_its_bound() -> None:
    ramp = torch.linspace(0.49, 0.51, 500).expand(1, 3, 500)
    moved = transport_sliced(ramp, palette_of(TARGET), ramp)
    rise = (moved[..., 1:] - moved[..., :-1]).norm(dim=1).max()
    assert float(rise) < (0.02 / 499) * 3**0.5 * STEEPEST**12


def test_two_palettes_at_one_and_zero_are_one() -> None:
    first, second = palette_of(SOURCE), palette_of(TARGET)
    mixed = mix_palettes([first, second], [1.0, 0.0])
    assert torch.equal(mixed.quantiles, first.quantiles) and torch.equal(mixed.mean, first.mean)
    half = mix_palettes([first, second], [0.5, 0.5])
    torch.testing.assert_close(half.mean, (first.mean + second.mean) / 2)
