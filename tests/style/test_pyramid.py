"""Pyramids come back whole, holes are filled from around them, textures keep their energy."""

from __future__ import annotations

import pytest
import torch

from catalog_gen.style.pyramid import fill, laplacian, more_of, rebuild, shrink


@pytest.mark.parametrize("size", [(64, 64), (37, 51), (5, 130)])
def test_a_pyramid_taken_apart_goes_together_again(size: tuple[int, int]) -> None:
    images = torch.rand(2, 3, *size)
    bands, base = laplacian(images, 4)
    assert len(bands) == 4
    torch.testing.assert_close(rebuild(bands, base), images)


def test_an_odd_edge_is_the_mean_of_what_there_is() -> None:
    assert shrink(torch.tensor([[[[1.0, 3.0, 8.0]]]])).flatten().tolist() == [2, 8]


def test_a_hole_is_filled_from_around_it_and_from_nothing_else() -> None:
    ramp = torch.linspace(0, 1, 64).expand(1, 3, 64, 64).clone()
    valid = torch.ones(1, 1, 64, 64)
    valid[..., 20:40, 24:40] = 0
    spoilt = torch.where(valid > 0, ramp, torch.full_like(ramp, 9.0))
    filled = fill(spoilt, valid)
    assert torch.equal(filled, fill(ramp, valid))
    assert torch.equal(filled * valid, ramp * valid)
    assert float((filled - ramp).abs().max()) < 0.2  # of a hole that spans a quarter of the ramp


def test_fill_keeps_what_is_valid_and_never_sees_the_rest() -> None:
    torch.manual_seed(0)
    images = torch.rand(2, 3, 37, 50)
    valid = torch.ones(2, 1, 37, 50)
    valid[:, :, 10:30, 5:40] = 0
    other = torch.where(valid > 0, images, torch.full_like(images, float("nan")))

    filled = fill(images, valid)

    assert torch.equal(filled, fill(other, valid))
    assert torch.allclose(filled * valid, images * valid, atol=1e-7)
    assert images.min() <= filled.min() and filled.max() <= images.max()


def test_fill_continues_an_even_ground_and_knows_nothing_of_an_empty_one() -> None:
    valid = torch.ones(1, 1, 16, 16)
    valid[:, :, 3:12, 4:13] = 0

    assert torch.allclose(fill(torch.full((1, 3, 16, 16), 0.3), valid), torch.tensor(0.3))
    assert torch.equal(fill(torch.rand(1, 3, 8, 8), torch.zeros(1, 1, 8, 8)), torch.full((1, 3, 8, 8), 0.5))


def test_more_of_a_texture_has_its_energy_and_no_rows_of_copies() -> None:
    texture = torch.randn(1, 3, 48, 48, generator=torch.Generator().manual_seed(0))
    more = more_of(texture, (150, 90), seed=3)
    assert more.shape == (1, 3, 150, 90)
    assert float(more.std()) == pytest.approx(float(texture.std()), rel=0.05)
    assert torch.equal(more, more_of(texture, (150, 90), seed=3))
    assert not torch.equal(more, more_of(texture, (150, 90), seed=4))


def test_a_texture_large_enough_is_cut_and_not_joined() -> None:
    texture = torch.arange(40.0 * 30).view(1, 1, 40, 30)
    cut = more_of(texture, (20, 30), seed=0)
    top = int(cut[0, 0, 0, 0].round()) // 30
    torch.testing.assert_close(cut, texture[..., top : top + 20, :])
