"""The classical discriminator: convolutions and pooling from the pixels down to one number a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from catalog_gen.gan.config import DiscriminatorConfig
from catalog_gen.gan.judge import Discriminator, Judge, Seen, dropout

SMALLEST_MAP = 4  # px: pooling ends here
STD_GROUP = 4  # pictures whose variety is measured together


class ResidualStage(nn.Module):
    """A convolution beside a shortcut, and average pooling of both. (B, cin, H, W) -> (B, cout, H/2, W/2).

    A second convolution costs a third more time and learnt no faster; without the shortcut, words were heard later.
    """

    def __init__(self, cin: int, cout: int) -> None:
        super().__init__()
        self.conv = spectral_norm(nn.Conv2d(cin, cout, 3, padding=1))
        self.shortcut = spectral_norm(nn.Conv2d(cin, cout, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        change = F.avg_pool2d(self.conv(F.leaky_relu(x, 0.2)), 2)
        # A 1x1 convolution and an average change places: pooling first is a quarter of the work.
        short: Tensor = self.shortcut(F.avg_pool2d(x, 2))
        return change + short


def minibatch_std(x: Tensor) -> Tensor:
    """Return (B, 1, H, W), how much pictures of a group differ: their deviation, averaged over channels and places.

    From arXiv 1710.10196, with the groups of arXiv 1912.04958: items B/G apart, where G is the greatest common divisor
    of B and 4, so that any batch divides; an odd batch has groups of one, which do not differ.

    It couples pictures: a logit depends on all G of its group. For a gradient penalty, the gradient of the summed
    logits to a picture then holds what it does to its neighbours' logits too. Real and drawn pictures must not share a
    batch, or a group would mix them.
    """
    batch, channels, rows, columns = x.shape
    group = math.gcd(batch, STD_GROUP)
    grouped = x.float().reshape(group, -1, channels, rows, columns)
    std = (grouped.var(0, correction=0) + 1e-8).sqrt().mean((1, 2, 3))  # (B/G,)
    return std.to(x.dtype).repeat(group)[:, None, None, None].expand(-1, 1, rows, columns)


class ConvDiscriminator(Discriminator):
    """Convolutions and average pooling to 4 px, global pooling, then one logit (B,) a picture.

    Every layer has spectral norm (arXiv 1802.05957). Blocks of 2x2 pixels enter as 12 channels: nothing is lost, and
    the costliest size is a quarter. Channels are the config's, at half of image_size, a quarter, ... px; the last of
    them is used again where more are needed, and what is left over at 4 px is not used. Image sizes from 8 px.
    """

    needs_features = False

    def __init__(self, config: DiscriminatorConfig, *, image_size: int, text_dim: int) -> None:
        super().__init__()
        self.text_dim = text_dim
        stages = int(math.log2(image_size // 2 // SMALLEST_MAP))
        widths = [config.channels[min(i, len(config.channels) - 1)] for i in range(stages + 1)]
        self.pixels = nn.Sequential(nn.PixelUnshuffle(2), spectral_norm(nn.Conv2d(12, widths[0], 3, padding=1)))
        self.stages = nn.Sequential(*map(ResidualStage, widths[:-1], widths[1:]))
        self.last = spectral_norm(nn.Conv2d(widths[-1] + 1, widths[-1], 3, padding=1))
        self.dropout = nn.Sequential(*dropout(config.dropout))
        self.judge = Judge(widths[-1], text_dim)

    def look(self, images: Tensor, features: Sequence[Tensor]) -> Seen:
        """Return the images alone."""
        return Seen(images)

    def calibrate(self, features: Sequence[Tensor]) -> None:
        """Nothing is frozen, so nothing is fitted."""

    def heads(self, seen: Seen, words: Sequence[Tensor]) -> list[list[Tensor]]:
        """Return the only head's logits (B,), one tensor for each of `words`; the pictures are read once."""
        h = F.leaky_relu(self.stages(self.pixels(seen.images)), 0.2)
        h = F.leaky_relu(self.last(torch.cat([h, minibatch_std(h)], dim=1)), 0.2)
        h = self.dropout(h).sum((2, 3), keepdim=True)
        return [[logits[:, 0, 0] for logits in self.judge(h, words)]]
