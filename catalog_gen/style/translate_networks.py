"""The networks that translate pictures, and those that judge them. Pictures inside are in [-1, 1].

Both generators are convolutional and take any height and width that are multiples of their `multiple`. Upsampling is
nearest-neighbour and a convolution: transposed convolutions leave a checkerboard (Odena et al. 2016). Normalisation is
by instance (arXiv 1607.08022) throughout, so that a picture never depends on the others in its batch.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

Norm = Literal["instance", "spectral"]

WIDEST = 8  # the widest layer, in widths of the first
DROPPED_LAYERS = 3  # innermost layers of a U-Net with dropout
DEVIATION = 0.02  # of the weights before training, as in both papers


class _Down(nn.Sequential):
    """Half the size. The outermost and the innermost layer have no norm: a 2x2 map has little left to normalise."""

    def __init__(self, cin: int, cout: int, *, first: bool, last: bool) -> None:
        before = [] if first else [nn.LeakyReLU(0.2)]
        after = [] if first or last else [nn.InstanceNorm2d(cout)]
        super().__init__(*before, nn.Conv2d(cin, cout, 4, 2, 1), *after)


class _Up(nn.Sequential):
    """Twice the size."""

    def __init__(self, cin: int, cout: int, dropout: float) -> None:
        noise = [nn.Dropout(dropout)] if dropout else []
        layers = [nn.ReLU(), nn.Upsample(scale_factor=2), nn.Conv2d(cin, cout, 3, padding=1), nn.InstanceNorm2d(cout)]
        super().__init__(*layers, *noise)


class UNet(nn.Module):
    """pix2pix's generator (arXiv 1611.07004, after arXiv 1505.04597): down to 2 px at `size`, up again, with skips.

    (B, 3, H, W) -> (B, 3, H, W), H and W multiples of `multiple`. The source itself is the outermost skip.
    In training mode, dropout is the noise; in evaluation mode the same picture always gives the same one.
    """

    def __init__(self, size: int, width: int, dropout: float = 0.0) -> None:
        super().__init__()
        depth = _unet_depth(size)
        self.multiple = 2**depth
        widths = [min(2**i, WIDEST) * width for i in range(depth)]
        ends = [3, *widths]
        self.down = nn.ModuleList(
            _Down(cin, cout, first=i == 0, last=i == depth - 1) for i, (cin, cout) in enumerate(pairwise(ends))
        )
        ups = []
        for i, cout in enumerate(reversed(widths[:-1])):
            cin = widths[-1] if i == 0 else 2 * widths[depth - 1 - i]
            ups.append(_Up(cin, cout, dropout if i < DROPPED_LAYERS else 0.0))
        self.up = nn.ModuleList(ups)
        self.grow = nn.Sequential(nn.ReLU(), nn.Upsample(scale_factor=2))
        self.head = nn.Sequential(
            nn.Conv2d(2 * width + 3, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, 3, 3, padding=1), nn.Tanh()
        )

    def forward(self, x: Tensor) -> Tensor:
        skips: list[Tensor] = []
        h = x
        for layer in self.down:
            h = layer(h)
            skips.append(h)
        h = skips.pop()
        for layer in self.up:
            h = torch.cat([layer(h), skips.pop()], dim=1)
        out: Tensor = self.head(torch.cat([self.grow(h), x], dim=1))
        return out


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_conv(width, width, 3), nn.ReLU(), *_conv(width, width, 3)
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.body(x)
        return out


class ResnetGenerator(nn.Module):
    """CycleGAN's generator (arXiv 1703.10593, after arXiv 1603.08155): residual blocks at a quarter of the size.

    (B, 3, H, W) -> (B, 3, H, W), H and W multiples of 4 and at least 16.
    """

    multiple = 4

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        w = width
        down = [*_conv(3, w, 7), nn.ReLU(), *_conv(w, 2 * w, 3, 2), nn.ReLU(), *_conv(2 * w, 4 * w, 3, 2), nn.ReLU()]
        middle = [_Residual(4 * w) for _ in range(blocks)]
        up = [
            nn.Upsample(scale_factor=2), *_conv(4 * w, 2 * w, 3), nn.ReLU(),
            nn.Upsample(scale_factor=2), *_conv(2 * w, w, 3), nn.ReLU(),
        ]  # fmt: skip
        last = [nn.Conv2d(w, 3, 7, padding=3, padding_mode="reflect"), nn.Tanh()]
        self.layers = nn.Sequential(*down, *middle, *up, *last)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        return out


class PatchDiscriminator(nn.Module):
    """One logit a patch (arXiv 1611.07004): (B, C, H, W) -> (B, 1, h, w).

    With 1 to 5 strided layers a patch is 16, 34, 70, 142 or 286 px a side. For pairs, source and picture are laid on
    each other: 6 channels. norm "instance" takes each picture's own mean out of every layer but the first, and so much
    of what its colours are; "spectral" (arXiv 1802.05957) leaves it in.
    """

    def __init__(self, channels: int, width: int, layers: int, norm: Norm = "instance") -> None:
        super().__init__()
        widths = [min(2**i, WIDEST) * width for i in range(layers + 1)]
        stages: list[nn.Module] = [nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(0.2)]
        for i, (cin, cout) in enumerate(pairwise(widths), 1):
            stages.append(nn.Conv2d(cin, cout, 4, 2 if i < layers else 1, 1))
            stages += [nn.InstanceNorm2d(cout)] if norm == "instance" else []
            stages.append(nn.LeakyReLU(0.2))
        stages.append(nn.Conv2d(widths[-1], 1, 4, 1, 1))
        if norm == "spectral":
            stages = [spectral_norm(part) if isinstance(part, nn.Conv2d) else part for part in stages]
        self.layers = nn.Sequential(*stages)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        return out


def patch_layers(size: int) -> int:
    """Return how many strided layers keep the patch near the paper's share, 70 px of 256; at least 34 px."""
    return min(5, max(2, round(math.log2(size / 256)) + 3))


def initialise(module: nn.Module, rng: torch.Generator) -> nn.Module:
    """Draw every convolution's weights from N(0, 0.02) and clear its bias; return the module."""
    for parameter in module.parameters():  # nothing but convolutions has any
        if parameter.ndim == 4:
            nn.init.normal_(parameter, 0.0, DEVIATION, generator=rng)
        else:
            nn.init.zeros_(parameter)
    return module


def _conv(cin: int, cout: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    """A convolution without a frame of zeros, which would show at a picture's border, and its norm."""
    conv = nn.Conv2d(cin, cout, kernel, stride, kernel // 2, padding_mode="reflect")
    return [conv, nn.InstanceNorm2d(cout)]


def _unet_depth(size: int) -> int:
    """Return how often `size` can be halved, down to 2 px at the least."""
    halvings = (size & -size).bit_length() - 1  # its power of two
    return min(halvings, max(2, int(math.log2(size)) - 1))
