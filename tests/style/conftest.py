"""A small scene with a product in it, and two styles."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from catalog_gen.style.engine import Look

Scene = tuple[Tensor, Tensor]  # content (B, 3, H, W), product (B, 1, H, W)


@pytest.fixture(scope="session")
def scene() -> Callable[..., Scene]:
    """Return a maker of scenes: a gradient ground with a little noise, a colourful product, its alpha soft-edged."""

    def make(size: tuple[int, int] = (64, 80), batch: int = 1, seed: int = 0) -> Scene:
        generator = torch.Generator().manual_seed(seed)
        height, width = size
        ground = torch.linspace(0.5, 0.9, height).view(1, 1, height, 1).expand(batch, 3, height, width)
        ground = ground * torch.rand(batch, 3, 1, 1, generator=generator).add(1).div(2)
        ground = ground + 0.02 * torch.randn(batch, 3, height, width, generator=generator)
        alpha = torch.zeros(batch, 1, height, width)
        alpha[..., height // 4 : height * 3 // 4, width // 3 : width * 2 // 3] = 1
        alpha = F.avg_pool2d(alpha, 3, 1, 1)
        product = torch.rand(batch, 3, height, width, generator=generator)
        return (ground * (1 - alpha) + product * alpha).clamp(0, 1), alpha

    return make


@pytest.fixture(scope="session")
def style_images() -> tuple[Tensor, Tensor]:
    """Return stripes in red and cream, and blue blotches, (3, 72, 72)."""
    x = torch.arange(72.0)
    red = (torch.sin(x / 3) > 0).float().expand(72, 72)
    stripes = torch.stack([0.8 + 0.2 * red, 0.2 + 0.7 * red, 0.2 + 0.6 * red])
    blotches = F.interpolate(torch.rand(1, 1, 12, 12, generator=torch.Generator().manual_seed(5)), (72, 72))[0]
    return stripes, torch.cat([0.3 * blotches, 0.2 + 0.4 * blotches, 0.4 + 0.5 * blotches])


@pytest.fixture(scope="session")
def stripes(style_images: tuple[Tensor, Tensor]) -> Look:
    return Look((style_images[0],), (1.0,))
