"""How much of the style is taken, and what stays."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from catalog_gen.style.blend import blend


def test_by_hand() -> None:
    content, stylised = torch.zeros(1, 3, 1, 3), torch.ones(1, 3, 1, 3)
    product = torch.tensor([0.0, 0.5, 1.0]).view(1, 1, 1, 3)
    found = blend(content, stylised, product, 0.8, 0.1)
    assert found[0, 0, 0].tolist() == pytest.approx([0.8, 0.45, 0.1])


def test_strength_zero_is_the_content_bit_for_bit() -> None:
    content, stylised, product = torch.rand(2, 3, 9, 9), torch.rand(2, 3, 9, 9), torch.rand(2, 1, 9, 9)
    assert torch.equal(blend(content, stylised, product, 0, 0), content)
    assert torch.equal(blend(content, stylised, product, 0, 0, keep_colours=True), content)
    product[:, :, 2:5] = 1
    assert torch.equal(blend(content, stylised, product, 1, 0)[:, :, 2:5], content[:, :, 2:5])


def test_strength_one_is_the_stylised() -> None:
    content, stylised = torch.rand(1, 3, 5, 5), torch.rand(1, 3, 5, 5)
    torch.testing.assert_close(blend(content, stylised, torch.zeros(1, 1, 5, 5), 1, 0), stylised)


def test_keep_colours_keeps_chroma_and_takes_luma() -> None:
    """Read by Pillow's own YCbCr."""
    content, stylised = torch.rand(1, 3, 40, 40) * 0.3 + 0.35, torch.rand(1, 3, 40, 40) * 0.3 + 0.35
    kept = blend(content, stylised, torch.zeros(1, 1, 40, 40), 1, 0, keep_colours=True)

    def ycbcr(images: torch.Tensor) -> torch.Tensor:
        pixels = (images[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
        return torch.from_numpy(np.array(Image.fromarray(pixels).convert("YCbCr"))).float().flatten(0, 1)

    before, wanted, found = ycbcr(content), ycbcr(stylised), ycbcr(kept)
    assert float((found[:, 1:] - before[:, 1:]).abs().max()) <= 2  # levels of 255: rounding
    assert float((found[:, 0] - wanted[:, 0]).abs().max()) <= 2
    assert float((found[:, 0] - before[:, 0]).abs().max()) > 20


def test_keep_colours_keeps_hue_where_luma_has_no_room() -> None:
    red = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1)
    kept = blend(red, torch.ones(1, 3, 1, 1), torch.zeros(1, 1, 1, 1), 1, 0, keep_colours=True)
    assert torch.equal(kept, red)  # any grey added would leave the range, and any cut would turn it pink
