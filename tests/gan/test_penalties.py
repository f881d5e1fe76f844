"""The gradient penalties on judges whose slope is known, and through the real discriminator."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from catalog_gen.gan.config import DiscriminatorConfig
from catalog_gen.gan.discriminator import ProjectedDiscriminator
from catalog_gen.gan.features import FrozenFeatures
from catalog_gen.gan.penalties import ma_gp, wgan_gp, zero_centred
from tests.gan.conftest import unit_rows

PIXELS = 3 * 4 * 4
IMAGES = torch.linspace(-1, 1, 2 * PIXELS).view(2, 3, 4, 4)


def _shares(count: int = 2) -> Tensor:
    return torch.rand(count, generator=torch.Generator().manual_seed(0))


def _flat_slope(weight: Tensor) -> Callable[[Tensor], list[Tensor]]:
    """A judge of slope `weight` at every pixel, shared by a head of one logit and one of two equal cells."""
    return lambda images: [images.sum((1, 2, 3)) * weight, (images.sum((1, 2, 3)) * weight)[:, None].repeat(1, 2)]


@pytest.mark.parametrize("weight", [0.5, 2.0])
def test_linear_judges_by_hand(weight: float) -> None:
    slope = torch.tensor(weight, requires_grad=True)
    norm = weight * PIXELS**0.5
    cases = [
        (wgan_gp(_flat_slope(slope), IMAGES, -IMAGES, _shares()), (norm - 1) ** 2, 2 * (norm - 1) * PIXELS**0.5),
        (zero_centred(_flat_slope(slope), IMAGES), norm**2 / 2, weight * PIXELS),
    ]
    for penalty, value, by_slope in cases:
        assert penalty.item() == pytest.approx(value, rel=1e-5)
        assert torch.autograd.grad(penalty, slope)[0].item() == pytest.approx(by_slope, rel=1e-5)


def test_each_item_has_a_slope_of_its_own() -> None:
    # score x^2 / 2 has slope x: half the mean over items of ||x||^2
    penalty = zero_centred(lambda images: [images.square() / 2 * PIXELS], IMAGES)
    assert penalty.item() == pytest.approx(IMAGES.square().sum().item() / 4, rel=1e-5)


def test_each_pair_is_mixed_by_its_own_share() -> None:
    met: list[Tensor] = []

    def judge(images: Tensor) -> list[Tensor]:
        met.append(images.detach())
        return [images.sum((1, 2, 3))]

    real, fake = torch.ones(64, 3, 2, 2), torch.zeros(64, 3, 2, 2)
    wgan_gp(judge, real, fake, _shares(64))
    shares = met[0].flatten(1)
    assert torch.equal(shares.amin(1), shares.amax(1)) and len(shares[:, 0].unique()) == 64
    assert 0 <= shares.min() < 0.1 and 0.9 < shares.max() <= 1
    torch.testing.assert_close(shares[:, 0], _shares(64))


def test_ma_gp_by_hand() -> None:
    a, b = torch.tensor(0.1, requires_grad=True), torch.tensor(0.3, requires_grad=True)
    text = torch.from_numpy(unit_rows(2, 9))
    penalty = ma_gp(lambda x, t: [x.sum((1, 2, 3)) * a + t.sum(1) * b], IMAGES, text)
    norms = 0.1 * PIXELS**0.5 + 0.3 * 9**0.5
    assert penalty.item() == pytest.approx(norms**6, rel=1e-4)
    by_a, by_b = torch.autograd.grad(penalty, (a, b))
    assert by_a.item() == pytest.approx(6 * norms**5 * PIXELS**0.5, rel=1e-4)
    assert by_b.item() == pytest.approx(6 * norms**5 * 3, rel=1e-4)


def test_a_slope_of_zero_has_no_bad_gradient() -> None:
    weight = torch.tensor(0.0, requires_grad=True)
    text = torch.zeros(2, 9)
    penalties = [
        wgan_gp(_flat_slope(weight), IMAGES, IMAGES, _shares()),
        zero_centred(_flat_slope(weight), IMAGES),
        ma_gp(lambda x, t: [(x.sum((1, 2, 3)) + t.sum(1)) * weight], IMAGES, text),
    ]
    for penalty in penalties:
        assert torch.isfinite(torch.autograd.grad(penalty, weight)[0])


def test_second_derivatives_are_exact() -> None:
    text = torch.from_numpy(unit_rows(2, 3)).double()
    images, other = IMAGES[:, :, :2, :2].double(), -IMAGES[:, :, 2:, 2:].double()

    def judge(weight: Tensor, x: Tensor) -> list[Tensor]:
        return [(x * weight).sum((1, 2, 3)).tanh(), (x.square() * weight).mean((1, 2))]

    def all_three(weight: Tensor) -> Tensor:
        return (
            wgan_gp(lambda x: judge(weight, x), images, other, _shares())
            + zero_centred(lambda x: judge(weight, x), images)
            + ma_gp(lambda x, t: [*judge(weight, x), (t * weight[0, 0, 0]).sum(1).sin()], images, text)
        )

    weight = torch.linspace(0.2, 0.9, 12, dtype=torch.float64).view(3, 2, 2).requires_grad_()
    assert torch.autograd.gradcheck(all_three, (weight,))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_projected_discriminator_learns_from_each(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    config = DiscriminatorConfig(head_width=4, pixel_widths=(4, 8))
    d = ProjectedDiscriminator(config, image_size=16, text_dim=6)
    features = FrozenFeatures(pretrained=False, dtype=dtype)
    real, fake = torch.rand(2, 3, 16, 16) * 2 - 1, torch.rand(2, 3, 16, 16) * 2 - 1
    text = torch.from_numpy(unit_rows(2))
    d.calibrate(features(real))

    def with_text(images: Tensor, words: Tensor) -> list[Tensor]:
        (logits,) = d(d.look(images, [f.float() for f in features(images)]), [words])
        return list(logits)

    trainable = {name: p for name, p in d.named_parameters() if p.requires_grad}
    for penalty in (
        wgan_gp(lambda images: with_text(images, text), real, fake, _shares()),
        zero_centred(lambda images: with_text(images, text), real),
        ma_gp(with_text, real, text),
    ):
        assert penalty > 0 and torch.isfinite(penalty)
        slopes = torch.autograd.grad(penalty, list(trainable.values()), allow_unused=True)  # a last bias has no say
        moved = {name for name, slope in zip(trainable, slopes, strict=True) if slope is not None and slope.any()}
        assert all(slope is None or bool(torch.isfinite(slope).all()) for slope in slopes)
        assert moved >= {name for name in trainable if name.endswith("weight.original")}
    assert all(p.grad is None for p in d.parameters())
