"""Moving a scene's colours to a style's."""

from __future__ import annotations

import pytest
import torch

from catalog_gen.style.recolour import LARGEST_GAIN, Tones, coloured, recolour, tones_of


def test_tones_of_two_greys() -> None:
    images = torch.zeros(1, 3, 1, 3)
    images[..., 1] = 0.6
    images[..., 2] = 1.0
    weight = torch.tensor([1.0, 1.0, 0.0]).view(1, 1, 1, 3)

    tones = tones_of(images, weight)

    # Greys 0 and 0.6 lie at 0 and 0.6 * sqrt(3) along lightness, and nowhere else.
    assert tones.mean.flatten().tolist() == pytest.approx([0.3 * 3**0.5, 0, 0], abs=1e-6)
    assert tones.deviation.flatten().tolist() == pytest.approx([0.3 * 3**0.5, 0, 0], abs=1e-3)
    # Their covariance is 0.09 everywhere, whose root is 0.3 / sqrt(3) everywhere.
    assert torch.allclose(tones.root, torch.full((1, 3, 3), 0.3 / 3**0.5), atol=1e-3)


def test_recolour_reaches_the_tones_that_are_near_enough() -> None:
    torch.manual_seed(1)
    images = torch.rand(2, 3, 20, 20)
    weight = torch.ones(2, 1, 20, 20)
    own = tones_of(images, weight)
    wanted = Tones(torch.tensor([1.0, -0.1, 0.2]).view(1, 3, 1, 1), own.deviation[:1] * 1.5, own.root)

    found = tones_of(recolour(images, own, wanted), weight)

    assert torch.allclose(found.mean, wanted.mean.expand(2, 3, 1, 1), atol=1e-5)
    assert torch.allclose(found.deviation, wanted.deviation.expand(2, 3, 1, 1), atol=1e-5)


def test_a_flat_scenes_noise_is_not_blown_up() -> None:
    images = 0.5 + 0.001 * torch.randn(1, 3, 20, 20, generator=torch.Generator().manual_seed(2))
    weight = torch.ones(1, 1, 20, 20)
    own = tones_of(images, weight)

    found = tones_of(recolour(images, own, Tones(own.mean, own.deviation * 100, own.root)), weight)

    assert torch.allclose(found.deviation, own.deviation * LARGEST_GAIN, atol=1e-6)


def test_a_pattern_takes_on_the_colours_covariance() -> None:
    generator = torch.Generator().manual_seed(3)
    colours = torch.rand(1, 3, 9, 9, generator=generator)
    pattern = torch.randn(1, 3, 200, 200, generator=generator)

    drawn = coloured(pattern, tones_of(colours, torch.ones(1, 1, 9, 9)))

    assert torch.allclose(drawn.flatten(2)[0].cov(), colours.flatten(2)[0].cov(correction=0), atol=5e-3)
