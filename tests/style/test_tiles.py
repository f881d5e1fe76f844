"""Tiles: without seams where the engine's statistics are the whole picture's, and with them where they are not."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from catalog_gen.style.engine import Look
from catalog_gen.style.tiles import stylise_tiled

Moments = tuple[Tensor, Tensor]


class PerTile:
    """A convolutional engine with instance normalisation: it sees 6 px far, and normalises by what it is shown."""

    name, hash = "test", "test"

    def __init__(self) -> None:
        self.calls = 0
        generator = torch.Generator().manual_seed(0)
        self.kernels = [torch.randn(3, 3, 5, 5, generator=generator) / 9 for _ in range(3)]

    def prepare(self, look: Look) -> list[Moments]:
        return []

    def stylise(self, content: Tensor, product: Tensor, prepared: Any) -> Tensor:
        self.calls += 1
        return torch.sigmoid(self.run(content, list(prepared), []))

    def run(self, x: Tensor, given: list[Moments], found: list[Moments]) -> Tensor:
        for index, kernel in enumerate(self.kernels):
            x = F.conv2d(x, kernel, padding=2)
            std, mean = torch.std_mean(x, (2, 3), keepdim=True)
            found.append((mean, std))
            mean, std = given[index] if given else (mean, std)
            x = torch.tanh((x - mean) / std)
        return x


class OfTheWhole(PerTile):
    """The same, with its statistics from the whole picture's thumbnail."""

    def freeze(self, content: Tensor, product: Tensor, prepared: Any) -> list[Moments]:
        found: list[Moments] = []
        self.run(content, [], found)
        return found


@pytest.fixture
def picture() -> Tensor:
    ramp = torch.linspace(0, 1, 300)
    return torch.stack([ramp.expand(230, 300), ramp.flip(0).expand(230, 300), 0.1 * torch.rand(230, 300)])[None]


def test_tiles_with_the_wholes_statistics_are_the_whole(picture: Tensor) -> None:
    engine, product = OfTheWhole(), torch.zeros(1, 1, 230, 300)
    small = F.interpolate(picture, (98, 128), mode="bilinear", antialias=True)
    whole = engine.stylise(picture, product, engine.freeze(small, product, []))
    tiled = stylise_tiled(engine, picture, product, [], tile=128, overlap=48)
    torch.testing.assert_close(tiled, whole, rtol=0, atol=1e-4)


def test_tiles_with_their_own_statistics_are_not(picture: Tensor) -> None:
    engine, product = PerTile(), torch.zeros(1, 1, 230, 300)
    tiled = stylise_tiled(engine, picture, product, [], tile=128, overlap=48)
    assert float((tiled - engine.stylise(picture, product, [])).abs().max()) > 0.1


@pytest.mark.parametrize("overlap", [0, 32, 64])
@pytest.mark.parametrize("size", [(64, 65), (97, 200), (300, 40)])
def test_every_pixel_is_made_whatever_the_size(size: tuple[int, int], overlap: int) -> None:
    class Same(PerTile):
        def stylise(self, content: Tensor, product: Tensor, prepared: Any) -> Tensor:
            assert max(content.shape[-2:]) <= 96
            return content

    picture = torch.rand(2, 3, *size)
    tiled = stylise_tiled(Same(), picture, torch.zeros(2, 1, *size), [], tile=96, overlap=overlap)
    torch.testing.assert_close(tiled, picture)


def test_a_picture_that_fits_is_not_tiled(picture: Tensor) -> None:
    engine = OfTheWhole()
    stylise_tiled(engine, picture, picture[:, :1], [], tile=320, overlap=32)
    assert engine.calls == 1


@pytest.mark.parametrize("tile, overlap", [(100, 10), (64, 64), (64, -1)])
def test_tiles_that_cannot_be_are_refused(tile: int, overlap: int, picture: Tensor) -> None:
    with pytest.raises(ValueError, match="multiple of 32"):
        stylise_tiled(PerTile(), picture, picture[:, :1], [], tile, overlap)
