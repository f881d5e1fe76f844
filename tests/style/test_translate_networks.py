"""The networks and losses of the translations, against values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from catalog_gen.errors import UsageError
from catalog_gen.style.translate_config import CycleganConfig, translate_config
from catalog_gen.style.translate_losses import discriminator_loss, generator_loss, l1, rate_share
from catalog_gen.style.translate_networks import (
    PatchDiscriminator,
    ResnetGenerator,
    UNet,
    initialise,
    patch_layers,
)
from catalog_gen.style.translate_players import ImagePool, build_players


def _seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_least_squares_by_hand() -> None:
    fake, real = torch.tensor([0.5, 0.0]), torch.tensor([1.0, 0.0])
    assert float(generator_loss(fake, "lsgan")) == pytest.approx((0.25 + 1) / 2)
    assert float(discriminator_loss(real, fake, "lsgan")) == pytest.approx(((0 + 1) / 2 + (0.25 + 0) / 2) / 2)


def test_cross_entropy_by_hand() -> None:
    logit = math.log(3)  # the discriminator says 3/4 real
    assert float(generator_loss(torch.tensor([logit]), "bce")) == pytest.approx(-math.log(0.75))
    told = discriminator_loss(torch.tensor([logit]), torch.tensor([logit]), "bce")
    assert float(told) == pytest.approx((-math.log(0.75) - math.log(0.25)) / 2)


def test_l1_is_a_mean() -> None:
    assert float(l1(torch.tensor([1.0, -1.0]), torch.tensor([0.0, -0.5]))) == 0.75


def test_rate_is_constant_and_then_falls_in_a_line() -> None:
    assert [rate_share(seen, 100, 0.5) for seen in (0, 50, 75, 100, 120)] == [1, 1, 0.5, 0, 0]
    assert rate_share(100, 100, 1.0) == 1
    assert rate_share(25, 100, 0.0) == 0.75


def test_pool_keeps_what_fits_and_then_shows_earlier_pictures_half_the_time() -> None:
    pool = ImagePool(2, _seeded())
    numbered = torch.arange(402.0).view(-1, 1, 1, 1).requires_grad_()
    assert pool.exchange(numbered[:2]).flatten().tolist() == [0, 1]
    shown = pool.exchange(numbered[2:])
    assert not shown.requires_grad
    earlier = (shown.flatten() != torch.arange(2.0, 402)).sum()
    assert 160 < int(earlier) < 240
    # What was shown and what is kept are all there is, each once.
    kept = torch.stack(pool.kept).flatten()
    assert sorted(torch.cat([shown.flatten(), kept]).tolist()) == list(range(402))
    assert ImagePool(0, _seeded()).exchange(numbered).flatten().tolist() == list(range(402))


@pytest.mark.parametrize(("layers", "px"), [(1, 16), (2, 34), (3, 70), (4, 142), (5, 286)])
def test_a_patch_is_as_large_as_said(layers: int, px: int) -> None:
    convolutions = [part for part in PatchDiscriminator(3, 4, layers).modules() if isinstance(part, nn.Conv2d)]
    field = 1
    for conv in reversed(convolutions):  # what one output sees, walked back through kernels and strides
        field = (field - 1) * conv.stride[0] + conv.kernel_size[0]
    assert field == px


def test_patches_scale_with_the_size() -> None:
    assert [patch_layers(size) for size in (64, 128, 256, 512, 1024)] == [2, 2, 3, 4, 5]
    assert PatchDiscriminator(6, 4, 3)(torch.zeros(1, 6, 256, 256)).shape == (1, 1, 30, 30)  # the paper's 70x70 net


def test_spectral_norm_takes_the_place_of_instance_norm() -> None:
    judge = initialise(PatchDiscriminator(3, 8, 2, "spectral"), _seeded())
    for _ in range(300):  # its vectors settle, from wherever they began
        judge(torch.zeros(1, 3, 32, 32))
    judge.eval()
    layers = [part for part in judge.modules() if isinstance(part, nn.Conv2d)]
    largest = [float(torch.linalg.matrix_norm(conv.weight.detach().flatten(1), 2)) for conv in layers]
    assert largest == pytest.approx([1.0] * 4, rel=0.05)
    assert not [part for part in judge.modules() if isinstance(part, nn.InstanceNorm2d)]


def test_networks_follow_from_the_seed_alone() -> None:
    config = translate_config("pix2pix", {"size": 32, "width": 4, "judge_norm": "spectral"})
    torch.manual_seed(1)
    first = build_players(config, _seeded()).networks()
    torch.manual_seed(2)
    second = build_players(config, _seeded()).networks()
    for name, network in first.items():
        for key, value in network.state_dict().items():
            assert torch.equal(value, second[name].state_dict()[key]), key


@pytest.mark.parametrize("size", [32, 48, 64])
def test_unet_keeps_the_size_and_every_skip_counts(size: int) -> None:
    network = initialise(UNet(size, 4), _seeded()).eval()
    x = torch.rand(2, 3, size, size, generator=_seeded(1)) * 2 - 1
    assert network(x).shape == x.shape
    outputs: list[torch.Tensor] = []
    hooks = [layer.register_forward_hook(lambda _m, _i, out: outputs.append(out)) for layer in network.down]
    gradients = torch.autograd.grad(network(x).sum(), outputs)
    assert all(float(gradient.abs().max()) > 0 for gradient in gradients)
    for hook in hooks:
        hook.remove()
    assert outputs[-1].shape[-1] <= 3  # the innermost map sees everything


def test_unet_of_other_sizes() -> None:
    network = UNet(64, 4)
    assert network.multiple == 32
    assert network(torch.zeros(1, 3, 96, 64)).shape == (1, 3, 96, 64)


@pytest.mark.parametrize("network", [UNet(32, 4), ResnetGenerator(4, 2)], ids=["unet", "resnet"])
def test_a_picture_does_not_depend_on_its_batch(network: nn.Module) -> None:
    initialise(network, _seeded()).eval()
    x = torch.rand(3, 3, 32, 48 if isinstance(network, ResnetGenerator) else 32, generator=_seeded(1))
    with torch.no_grad():
        together, alone = network(x), torch.cat([network(each[None]) for each in x])
    assert together.shape == x.shape
    assert torch.allclose(together, alone, atol=1e-5)
    assert float((together[0] - together[1]).abs().max()) > 1e-3


def test_dropout_is_the_noise_of_training_alone() -> None:
    network = initialise(UNet(32, 4, dropout=0.5), _seeded())
    x = torch.rand(1, 3, 32, 32, generator=_seeded(1))
    assert not torch.equal(network(x), network(x))
    network.eval()
    assert torch.equal(network(x), network(x))


def test_cyclegan_step_says_what_it_weighs() -> None:
    """Identical sides and generators that change nothing: the cycle and the identity are lost on nothing."""

    class Same(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.shift = nn.Parameter(torch.zeros(()))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.shift

    players = build_players(CycleganConfig(size=32, width=4, judge_width=4, batch=2), _seeded())
    players.generators["a-to-b"], players.generators["b-to-a"] = Same(), Same()
    x = torch.rand(2, 3, 32, 32, generator=_seeded(1))
    said = players.step(x, x)
    assert float(said["cycle"]) == 0 and float(said["identity"]) == 0
    players.generators["a-to-b"].shift.data.fill_(0.25)
    said = players.step(x, x)
    assert float(said["cycle"]) == pytest.approx(0.5)  # there and back, twice
    assert float(said["identity"]) == pytest.approx(0.25)  # one of the two changes what it should leave


def test_settings_that_cannot_be() -> None:
    with pytest.raises(UsageError, match="size cannot be 100"):
        translate_config("pix2pix", {"size": 100})
    with pytest.raises(UsageError, match="cycle is no setting"):
        translate_config("pix2pix", {"cycle": 10})
    with pytest.raises(UsageError, match="lr cannot be -1") as caught:
        translate_config("cyclegan", {"lr": -1})
    assert str(caught.value).startswith("train cyclegan: ")
