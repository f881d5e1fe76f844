"""The upscaler's network: small pictures in, large ones out.

Residual convolutions at the small picture's resolution and pixel shuffles at the end (arXiv 1609.05158), each set up so
that the pixels of one place start alike (ICNR, arXiv 1707.02937). What it draws is added to the bicubic enlargement:
colours come from there, and before the first step it is that enlargement.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from catalog_gen.upscale.config import UpscalerConfig

SLOPE = 0.1  # of the rectifiers below nothing


class UpscaleNetwork(nn.Module):
    """Pictures (B, 3, H, W) in [-1, 1] -> (B, 3, factor H, factor W), about in [-1, 1] and not clamped."""

    def __init__(self, config: UpscalerConfig) -> None:
        super().__init__()
        self.config = config
        doublings = config.factor.bit_length() - 1
        self.head = nn.Conv2d(3, config.width, 3, padding=1)
        self.blocks = nn.ModuleList([_Block(config.width) for _ in range(config.blocks)])
        widths = [config.width, *[config.tail] * (doublings - 1)]
        outputs = [*[config.tail] * (doublings - 1), 3]
        self.doublings = nn.ModuleList(
            [nn.Conv2d(i, 4 * o, 3, padding=1) for i, o in zip(widths, outputs, strict=True)]
        )
        for conv in self.doublings:
            assert isinstance(conv, nn.Conv2d)
            _start_alike(conv)
        last = self.doublings[-1]
        assert isinstance(last, nn.Conv2d)
        nn.init.zeros_(last.weight)

    def detail(self, pictures: Tensor) -> Tensor:
        """Return what is to be added to the bicubic enlargement, (B, 3, factor H, factor W)."""
        x = F.leaky_relu(self.head(pictures), SLOPE)
        for block in self.blocks:
            x = block(x)
        for index, conv in enumerate(self.doublings):
            x = F.pixel_shuffle(conv(F.leaky_relu(x, SLOPE) if index else x), 2)
        return x

    def forward(self, pictures: Tensor) -> Tensor:
        # Clamped, as the enlargement of bytes is: an overshoot at an edge is nothing to learn from.
        return enlarge(pictures, self.config.factor).clamp(-1, 1) + self.detail(pictures)


class _Block(nn.Module):
    """Two convolutions 3 x 3, added to what came in."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        change: Tensor = self.second(F.leaky_relu(self.first(x), SLOPE))
        return x + change


def enlarge(pictures: Tensor, factor: int) -> Tensor:
    """Return pictures (B, 3, H, W), floats, enlarged bicubically as Pillow does it (a = -0.5), but not rounded.

    By two products of matrices, rows and columns: three times as fast on a CPU as torch's own way.
    """
    rows, columns = (_spread(side, factor).to(pictures) for side in pictures.shape[-2:])
    return rows @ pictures.contiguous() @ columns.T


@cache
def _spread(side: int, factor: int) -> Tensor:
    """Return (factor side, side): how much each of so many pixels of a line gives to each of the enlarged line."""
    each = torch.eye(side)[None, None]
    return F.interpolate(each, (factor * side, side), mode="bicubic", antialias=True, align_corners=False)[0, 0]


@torch.no_grad()
def _start_alike(conv: nn.Conv2d) -> None:
    """Give the four convolutions that a pixel shuffle weaves together the same weights: no checkerboard to unlearn."""
    outputs, inputs = conv.weight.shape[:2]
    one = torch.empty(outputs // 4, inputs, *conv.weight.shape[2:])
    nn.init.kaiming_normal_(one, a=SLOPE)
    conv.weight.copy_(one.repeat_interleave(4, 0))
    assert conv.bias is not None
    nn.init.zeros_(conv.bias)
