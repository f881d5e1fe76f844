"""The generator's losses on pictures, features and embeddings against values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from catalog_gen.gan import losses


def test_layout_by_hand() -> None:
    real = torch.zeros(1, 1, 8, 8)
    fake = torch.zeros(1, 1, 8, 8)
    fake[0, 0, 0, 0] = 4.0  # the 4 px average of its 2x2 block: 1.0 in one cell of 16; at 8 px: 16 in one of 64
    assert losses.layout(fake, real).item() == pytest.approx((1 / 16 + 16 / 64) / 2)


def test_layout_is_blind_to_texture_finer_than_16_px() -> None:
    checks = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(32, 32)[None, None]
    assert losses.layout(checks, torch.zeros(1, 1, 64, 64)).item() == pytest.approx(0.0, abs=1e-6)


def test_the_nearest_of_several_pictures_by_hand() -> None:
    real = torch.zeros(2, 3, 16, 16)
    fakes = torch.stack([torch.full_like(real, 0.5), torch.full_like(real, 0.1), torch.full_like(real, -0.2)])
    fakes[2, 1] = 0.05  # the second photo's third picture is the nearest, the first photo's second one
    assert losses.nearest(fakes, real).tolist() == [1, 2]


def test_the_nearest_is_blind_to_what_layout_is_blind_to() -> None:
    checks = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(16, 16).expand(1, 3, 32, 32)
    left_darker = torch.full((1, 3, 32, 32), 0.3)
    left_darker[..., :16] = -0.3  # seen at 4, 8 and 16 px, though it is the nearer one pixel by pixel
    assert losses.nearest(torch.stack([left_darker, checks]), torch.zeros(1, 3, 32, 32)).tolist() == [1]


def test_perceptual_weighs_stages_alike() -> None:
    fake = [torch.ones(1, 2, 4, 4), torch.full((1, 8, 2, 2), 3.0)]
    assert losses.perceptual(fake, [torch.zeros_like(f) for f in fake]).item() == pytest.approx((1 + 9) / 2)


def test_clip_alignment_is_one_minus_cosine() -> None:
    image = torch.tensor([[2.0, 0.0], [1.0, 1.0]])
    text = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    assert losses.clip_alignment(image, text).item() == pytest.approx(1 - (1 + math.sqrt(0.5)) / 2, abs=1e-6)


def _pyramid_by_taps(image: Tensor, levels: int) -> list[Tensor]:
    """An independent reference: Burt and Adelson's weights, pixel by pixel, one way and then the other."""

    def shrunk(rows: Tensor) -> Tensor:
        last = rows.shape[1] - 1
        taps = [(offset, weight / 16) for offset, weight in zip(range(-2, 3), (1, 4, 6, 4, 1), strict=True)]
        columns = [sum(w * rows[:, min(max(2 * i + o, 0), last)] for o, w in taps) for i in range(rows.shape[1] // 2)]
        return torch.stack([torch.as_tensor(column) for column in columns], 1)

    def expanded(rows: Tensor) -> Tensor:
        columns, last = [], rows.shape[1] - 1
        for i in range(rows.shape[1]):
            before, here, after = (rows[:, min(max(j, 0), last)] for j in (i - 1, i, i + 1))
            columns += [(before + 6 * here + after) / 8, (here + after) / 2]
        return torch.stack(columns, 1)

    bands = []
    for _ in range(levels):
        smaller = shrunk(shrunk(image).T).T
        bands.append(image - expanded(expanded(smaller).T).T)
        image = smaller
    return [*bands, image]


def test_laplacian_is_the_mean_absolute_error_of_each_level_summed() -> None:
    torch.manual_seed(0)
    fake, real = torch.rand(2, 3, 16, 16) * 2 - 1, torch.rand(2, 3, 16, 16) * 2 - 1
    expected = torch.zeros(())
    for a, b in zip(fake.flatten(0, 1), real.flatten(0, 1), strict=True):
        pairs = zip(_pyramid_by_taps(a, 2), _pyramid_by_taps(b, 2), strict=True)
        expected += torch.stack([(x - y).abs().mean() for x, y in pairs]).sum() / 6
    torch.testing.assert_close(losses.laplacian(fake, real, levels=2), expected)


def test_laplacian_sees_a_flat_difference_in_the_low_pass_alone() -> None:
    real = torch.rand(2, 3, 32, 32)
    assert losses.laplacian(real + 0.25, real).item() == pytest.approx(0.25, abs=1e-5)
    assert losses.laplacian(real, real).item() == 0


def test_laplacian_sees_the_texture_that_layout_is_blind_to() -> None:
    checks = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(32, 32)[None, None]
    assert losses.laplacian(checks, torch.zeros(1, 1, 64, 64)).item() > 0.9


@pytest.mark.parametrize("size", [2, 3, 8, 12])
def test_laplacian_stops_halving_where_it_must_and_has_gradients(size: int) -> None:
    fake = torch.rand(1, 3, size, size, dtype=torch.float64, requires_grad=True)
    real = fake.detach() - 0.5 + 0.1 * torch.rand(1, 3, size, size, dtype=torch.float64)
    assert torch.autograd.gradcheck(losses.laplacian, (fake, real))


def test_laplacian_keeps_its_precision_under_autocast() -> None:
    fake, real = torch.rand(1, 3, 16, 16), torch.rand(1, 3, 16, 16)
    with torch.autocast("cpu", torch.bfloat16):
        inside = losses.laplacian(fake, real)
    assert torch.equal(inside, losses.laplacian(fake, real))
