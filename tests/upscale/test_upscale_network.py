"""The upscaler's network starts as the bicubic enlargement, and its shuffles start without a checkerboard."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from catalog_gen.upscale.config import UpscalerConfig
from catalog_gen.upscale.network import UpscaleNetwork, enlarge


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_before_training_it_is_the_bicubic_enlargement(factor: int) -> None:
    torch.manual_seed(0)
    network = UpscaleNetwork(UpscalerConfig(factor=factor, width=4, blocks=1, tail=3))
    pictures = torch.rand(2, 3, 6, 5) * 2 - 1
    made = network(pictures)
    assert made.shape == (2, 3, 6 * factor, 5 * factor)
    assert torch.equal(made, enlarge(pictures, factor).clamp(-1, 1))


def test_the_enlargement_is_pillows() -> None:
    pictures = np.random.default_rng(0).integers(90, 160, (1, 12, 10, 3), np.uint8)  # no overshoot to be clipped
    found = enlarge(torch.from_numpy(pictures).permute(0, 3, 1, 2).float(), 4)[0].permute(1, 2, 0).numpy()
    expected = np.asarray(Image.fromarray(pictures[0]).resize((40, 48), Image.Resampling.BICUBIC))
    assert float(np.abs(found - expected.astype(float)).max()) < 1.1  # Pillow rounds twice


def test_the_four_pixels_of_a_place_start_alike() -> None:
    torch.manual_seed(0)
    network = UpscaleNetwork(UpscalerConfig(factor=4, width=4, blocks=0, tail=3))
    conv = network.doublings[0]
    shuffled = F.pixel_shuffle(conv(torch.randn(1, 4, 5, 5)), 2).detach()  # (1, 3, 10, 10)
    squares = F.pixel_unshuffle(shuffled, 2).view(3, 4, 5, 5)
    assert float(squares.std()) > 0.1
    assert torch.allclose(squares, squares[:, :1].expand_as(squares), atol=1e-6)


def test_a_factor_is_a_power_of_two() -> None:
    with pytest.raises(ValueError, match="power of two"):
        UpscalerConfig(factor=3)
