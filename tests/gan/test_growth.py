"""A grown generator begins as the old one's pictures, enlarged, and can learn from there."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from catalog_gen.errors import UsageError
from catalog_gen.gan.config import GeneratorConfig
from catalog_gen.gan.export import settle_norms
from catalog_gen.gan.generator import Generator
from catalog_gen.gan.growth import grown_config, grown_weights
from tests.gan.conftest import unit_rows

SMALL = GeneratorConfig(image_size=16, z_dim=8, text_dim=12, w_dim=16, channels=(24, 16, 16))
TEXTS = unit_rows(64, 12)


def lively() -> Generator:
    """A generator whose norms, modulation and colours are far from how they begin."""
    torch.manual_seed(0)
    generator = Generator(SMALL)
    with torch.no_grad():
        for name, tensor in generator.named_parameters():
            if name.endswith("bias"):
                tensor.add_(0.3 * torch.randn_like(tensor))
        generator.to_rgb.bias.copy_(torch.tensor([0.8, -0.3, 0.1]))
    return settle_norms(generator, TEXTS, 0).eval()


@torch.no_grad()
@pytest.mark.parametrize("size", [32, 64])
def test_it_draws_the_old_pictures_enlarged(size: int) -> None:
    old = lively()
    weights = grown_weights(old.state_dict(), SMALL, size, TEXTS)
    new = Generator(grown_config(SMALL, size))
    new.load_state_dict(weights)
    z, text = torch.randn(6, 8), torch.from_numpy(TEXTS[:6])
    raw: list[torch.Tensor] = []
    old.to_rgb.register_forward_hook(lambda module, inputs, output: raw.append(output))
    before = old(z, text)
    expected = raw[0]
    for _ in range((size // 16).bit_length() - 1):
        expected = F.interpolate(expected, scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(new.eval()(z, text), torch.tanh(expected), atol=1e-4, rtol=0)
    assert before.std() > 0.1
    # In training it sees the batch's own colours instead of the measured ones: near, and not the same.
    z, text = torch.randn(64, 8), torch.from_numpy(TEXTS)
    raw.clear()
    old(z, text)
    expected = raw[0]
    for _ in range((size // 16).bit_length() - 1):
        expected = F.interpolate(expected, scale_factor=2, mode="bilinear", align_corners=False)
    assert (new.train()(z, text) - torch.tanh(expected)).abs().mean() < 0.1


def test_what_was_added_learns() -> None:
    new = Generator(grown_config(SMALL, 32))
    new.load_state_dict(grown_weights(lively().state_dict(), SMALL, 32, TEXTS))
    z, text, target = torch.randn(16, 8), torch.from_numpy(TEXTS[:16]), torch.rand(16, 3, 32, 32)
    optimiser = torch.optim.Adam(new.parameters(), 3e-3)
    losses = []
    for _ in range(12):
        loss = F.mse_loss(new(z, text), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]
    assert new.to_rgb.weight[:, 6:].abs().max() > 0
    assert new.stages[-1].conv.weight[:6].abs().max() > 0


def test_shapes() -> None:
    assert grown_config(GeneratorConfig(), 256).channels == (384, 384, 192, 96, 32, 24, 16)
    assert grown_config(SMALL, 32).channels == (24, 16, 16, 16)


@pytest.mark.parametrize(
    ("change", "size", "said"),
    [
        ({}, 48, "no doubling of the bundle's 16"),
        ({}, 16, "no doubling"),
        ({}, 8, "no doubling"),
        ({"norm": "adaptive"}, 32, "adaptive norms"),
        ({"activation": "glu"}, 32, "glu cannot be grown"),
    ],
)
def test_what_cannot_be_grown(change: dict[str, str], size: int, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        grown_config(SMALL.model_copy(update=change), size)


def test_few_words_still_measure() -> None:
    weights = grown_weights(lively().state_dict(), SMALL, 32, TEXTS[:2])
    assert all(bool(torch.isfinite(tensor).all()) for tensor in weights.values())
    assert np.isfinite(TEXTS).all()
