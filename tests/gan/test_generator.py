"""The generator's choices: the shipped network stays what it was, and the others do what their papers say."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from catalog_gen.gan.config import GeneratorConfig
from catalog_gen.gan.export import settle_norms
from catalog_gen.gan.generator import Generator
from catalog_gen.gan.norms import AdaptiveNorm, ModulatedNorm, untracked
from catalog_gen.gan.sampling import load_drawer
from tests.gan.conftest import TINY, unit_rows

OTHERS = [{"norm": "adaptive"}, {"activation": "glu"}, {"norm": "adaptive", "activation": "glu"}]


def _shipped_formula(weights: dict[str, Tensor], config: GeneratorConfig, z: Tensor, text: Tensor) -> Tensor:
    """What the shipped bundle's weights mean, written out once more."""

    def linear(name: str, x: Tensor) -> Tensor:
        return F.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def norm(name: str, x: Tensor) -> Tensor:
        scale = linear(f"{name}.scale", w) * torch.rsqrt(weights[f"{name}.running_var"] + 1e-4)
        shift = linear(f"{name}.shift", w) - weights[f"{name}.running_mean"] * scale
        return F.leaky_relu(torch.addcmul(shift[:, :, None, None], x, scale[:, :, None, None]), 0.2)

    def conv(name: str, x: Tensor) -> Tensor:
        return F.conv2d(x, weights[f"{name}.weight"], padding=1)

    condition = torch.cat([z, text * math.sqrt(config.text_dim)], dim=1)
    w = F.leaky_relu(linear("mapping.2", F.leaky_relu(linear("mapping.0", condition), 0.2)), 0.2)
    x = linear("seed", condition).reshape(len(z), -1, 4, 4).contiguous(memory_format=torch.channels_last)
    for i in range(len(config.channels)):
        if i:
            x = conv(f"stages.{i}.conv_up", norm(f"stages.{i}.norm_up", x))
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        x = conv(f"stages.{i}.conv", norm(f"stages.{i}.norm", x)) + x
    x = F.conv2d(norm("norm_rgb", x), weights["to_rgb.weight"], weights["to_rgb.bias"], padding=1)
    return torch.tanh(x)


@torch.inference_mode()
def test_the_shipped_bundle_draws_what_it_always_drew() -> None:
    network = load_drawer("gan-64", precision="fp32").network
    assert isinstance(network, Generator)
    z = torch.randn(2, 128, generator=torch.Generator().manual_seed(0))
    text = torch.from_numpy(unit_rows(2, 256))
    expected = _shipped_formula(network.state_dict(), network.config, z, text)
    torch.testing.assert_close(network(z, text), expected, atol=1e-6, rtol=0)
    assert expected.std() > 0.1


def test_the_default_keeps_its_names_and_has_statistics() -> None:
    names = set(Generator(TINY).state_dict())
    assert {"stages.0.conv.weight", "stages.1.conv_up.weight", "stages.1.norm_up.running_var"} <= names
    assert {"norm_rgb.scale.weight", "norm_rgb.running_mean", "to_rgb.bias", "seed.weight", "mapping.2.bias"} <= names
    assert not any("conv" in name and "bias" in name for name in names)


def test_adaptive_norm_is_instance_norm_then_modulation() -> None:
    norm = AdaptiveNorm(5, 7)
    x, w = torch.randn(3, 5, 4, 6) * 3 + 2, torch.randn(3, 7)
    expected = F.instance_norm(x, eps=norm.eps) * norm.scale(w)[:, :, None, None] + norm.shift(w)[:, :, None, None]
    torch.testing.assert_close(norm(x, w), expected)
    torch.testing.assert_close(norm.eval()(x, w), expected)
    assert not list(norm.buffers())


def test_adaptive_norm_survives_half_precisions_range() -> None:
    norm = AdaptiveNorm(2, 3)
    x, w = torch.randn(2, 2, 8, 8) * 1000, torch.zeros(2, 3)
    got = norm(x.half(), w)
    assert got.dtype is torch.float16
    torch.testing.assert_close(got.float(), norm(x, w), atol=5e-3, rtol=5e-3)


def test_a_gate_halves_the_channels_it_was_given() -> None:
    network = Generator(TINY.model_copy(update={"activation": "glu"})).eval()
    stage = network.stages[1]
    conv, x = stage.get_submodule("conv"), torch.randn(2, 16, 4, 4)
    assert isinstance(conv, nn.Conv2d) and conv.weight.shape == (32, 16, 3, 3)
    both = F.conv2d(x, conv.weight, padding=1)
    torch.testing.assert_close(conv(x), both[:, :16] * torch.sigmoid(both[:, 16:]))


@pytest.mark.parametrize("choice", OTHERS, ids=str)
def test_every_choice_draws_and_every_weight_learns(choice: dict[str, str]) -> None:
    torch.manual_seed(0)
    network = Generator(GeneratorConfig.model_validate(TINY.model_dump() | choice))
    drawn = network(torch.randn(3, TINY.z_dim), torch.from_numpy(unit_rows(3)))
    assert drawn.shape == (3, 3, 16, 16) and drawn.abs().max() <= 1
    drawn.square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_with_adaptive_norms_a_picture_is_its_own_even_in_training() -> None:
    network = Generator(TINY.model_copy(update={"norm": "adaptive"})).train()
    z, text = torch.randn(4, TINY.z_dim), torch.from_numpy(unit_rows(4))
    torch.testing.assert_close(network(z, text)[:2], network(z[:2], text[:2]))
    before = copy.deepcopy(network.state_dict())
    settled = settle_norms(network, np.asarray(text), seed=0)
    assert not settled.training
    assert all(torch.equal(value, before[name]) for name, value in settled.state_dict().items())
    torch.testing.assert_close(settled(z, text)[:2], settled(z[:2], text[:2]))


@pytest.mark.parametrize("choice", [{}, *OTHERS], ids=str)
def test_checkpointing_changes_no_gradient_and_counts_a_batch_once(choice: dict[str, str]) -> None:
    kept = Generator(GeneratorConfig.model_validate(TINY.model_dump() | choice)).train()
    again = copy.deepcopy(kept)
    again.checkpointing = True
    z, text = torch.randn(4, TINY.z_dim), torch.from_numpy(unit_rows(4))
    saved: list[int] = []
    for network in (kept, again):
        count = 0

        def pack(tensor: Tensor) -> Tensor:
            nonlocal count
            count += tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            drawn = network(z, text)
        saved.append(count)
        drawn.square().sum().backward()
    assert saved[1] < saved[0] / 2
    for (name, a), b in zip(kept.named_parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, msg=name)
    for (name, a), b in zip(kept.named_buffers(), again.buffers(), strict=True):
        assert torch.equal(a, b), name


def test_untracked_norms_use_the_batch_and_forget_it() -> None:
    norm, w = ModulatedNorm(2, 3), torch.zeros(16, 3)
    x = torch.randn(16, 2, 8, 8) * 3 + 5
    with untracked(norm):
        quiet = norm(x, w)
    assert norm.running_mean.tolist() == [0, 0] and norm.running_var.tolist() == [1, 1]
    torch.testing.assert_close(norm(x, w), quiet)
    assert norm.running_mean.min() > 0.1
