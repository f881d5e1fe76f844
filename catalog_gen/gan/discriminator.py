"""The projected discriminator (Projected GAN, arXiv 2111.01007): small heads on a frozen network's features.

Each head gives a map of logits, a cell at a time: realness of the cell, plus how well it agrees with the words
(projection discriminator, arXiv 1802.05637). One more head, trained from the pixels up at full resolution, sees what
the frozen features are blind to: checkerboard marks and colour noise.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from catalog_gen.gan.config import DiscriminatorConfig
from catalog_gen.gan.features import STAGE_CHANNELS

SMALLEST_MAP = 4  # px: heads shrink larger maps to this


class _Judge(nn.Module):
    """Features h (B, C, H, W) and words (B, text_dim) at unit variance -> logits (B, H, W)."""

    def __init__(self, width: int, text_dim: int) -> None:
        super().__init__()
        self.realness = spectral_norm(nn.Conv2d(width, 1, 1))
        self.words = spectral_norm(nn.Linear(text_dim, width))
        self.norm = 1 / math.sqrt(width)

    def forward(self, h: Tensor, text: Tensor) -> Tensor:
        agreement: Tensor = (h * self.words(text)[:, :, None, None]).sum(1) * self.norm
        realness: Tensor = self.realness(h)[:, 0]
        return realness.float() + agreement.float()


class StageHead(nn.Module):
    """One stage's head: frozen random mixing (1x1) to standardised channels, spectral-norm convolutions, a judge."""

    def __init__(self, channels: int, map_size: int, width: int, text_dim: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(channels, width, 1).requires_grad_(False)
        nn.init.kaiming_normal_(self.mix.weight)
        layers: list[nn.Module] = []
        while map_size > SMALLEST_MAP:
            layers += [spectral_norm(nn.Conv2d(width, width, 4, stride=2, padding=1)), nn.LeakyReLU(0.2)]
            map_size //= 2
        layers += [spectral_norm(nn.Conv2d(width, width, 3, padding=1)), nn.LeakyReLU(0.2)]
        self.body = nn.Sequential(*layers)
        self.judge = _Judge(width, text_dim)

    @torch.no_grad()
    def calibrate(self, features: Tensor) -> None:
        """Rescale the mixing so that each of its channels has zero mean and unit variance on these features."""
        std, mean = torch.std_mean(self.mix(features), dim=(0, 2, 3))
        std = std.clamp_min(1e-3)
        self.mix.weight.div_(std[:, None, None, None])
        assert self.mix.bias is not None
        self.mix.bias.sub_(mean).div_(std)

    def forward(self, mixed: Tensor, texts: Sequence[Tensor]) -> list[Tensor]:
        h = self.body(mixed)
        return [self.judge(h, text) for text in texts]


class PixelHead(nn.Module):
    """A small convolutional discriminator on the picture itself. images (B, 3, S, S) in [-1, 1].

    Blocks of 2x2 pixels enter as 12 channels: nothing is lost, and the costliest size is a quarter.
    """

    def __init__(self, widths: Sequence[int], text_dim: int) -> None:
        super().__init__()
        first = spectral_norm(nn.Conv2d(12, widths[0], 3, padding=1))
        layers: list[nn.Module] = [nn.PixelUnshuffle(2), first, nn.LeakyReLU(0.2)]
        for cin, cout in itertools.pairwise(widths):
            layers += [spectral_norm(nn.Conv2d(cin, cout, 4, stride=2, padding=1)), nn.LeakyReLU(0.2)]
        self.body = nn.Sequential(*layers)
        self.judge = _Judge(widths[-1], text_dim)

    def forward(self, images: Tensor, texts: Sequence[Tensor]) -> list[Tensor]:
        h = self.body(images)
        return [self.judge(h, text) for text in texts]


class ProjectedDiscriminator(nn.Module):
    """All heads. Features come from outside (`FrozenFeatures`), so that one pass serves both players.

    `forward(images, mixed, texts)`: images (B, 3, S, S), `mixed` from `mix`, texts: k tensors (B, text_dim) of unit
    length; returns k lists, each with one logit map a head.
    """

    def __init__(self, config: DiscriminatorConfig, *, image_size: int, text_dim: int) -> None:
        super().__init__()
        self.text_dim = text_dim
        self.stages = nn.ModuleList(
            StageHead(channels, max(1, image_size // 2 ** (index + 1)), config.head_width, text_dim)
            for index, channels in enumerate(STAGE_CHANNELS)
        )
        for index, channels in enumerate(STAGE_CHANNELS):
            self.register_buffer(f"mean_{index}", torch.zeros(1, channels, 1, 1))
            self.register_buffer(f"std_{index}", torch.ones(1, channels, 1, 1))
        self.pixels = PixelHead(config.pixel_widths, text_dim) if config.pixel_widths else None

    def mix(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Return each stage's mixed, standardised features; frozen, so computed once a step for both players."""
        heads = [head for head in self.stages if isinstance(head, StageHead)]
        return [head.mix(f) for head, f in zip(heads, features, strict=True)]

    def standardise(self, features: Sequence[Tensor], first: int = 0) -> list[Tensor]:
        """Return the features of stages `first` and on, each channel of zero mean and unit variance on real photos."""
        moments = [(self.get_buffer(f"mean_{i}"), self.get_buffer(f"std_{i}")) for i in range(len(features))]
        pairs = list(zip(features, moments, strict=True))[first:]
        return [(f.float() - mean) / std for f, (mean, std) in pairs]

    @torch.no_grad()
    def calibrate(self, features: Sequence[Tensor]) -> None:
        """Measure means and variances on these features of real photos, before the first step."""
        for index, (head, f) in enumerate(zip(self.stages, features, strict=True)):
            assert isinstance(head, StageHead)
            head.calibrate(f.float())
            std, mean = torch.std_mean(f.float(), dim=(0, 2, 3), keepdim=True)
            self.get_buffer(f"mean_{index}").copy_(mean)
            self.get_buffer(f"std_{index}").copy_(std.clamp_min(1e-2))

    def forward(self, images: Tensor, mixed: Sequence[Tensor], texts: Sequence[Tensor]) -> list[list[Tensor]]:
        words = [text * math.sqrt(self.text_dim) for text in texts]
        by_head = [head(m, words) for head, m in zip(self.stages, mixed, strict=True)]
        if self.pixels is not None:
            by_head.append(self.pixels(images, words))
        return [list(logits) for logits in zip(*by_head, strict=True)]


def freeze(module: nn.Module, frozen: bool) -> None:
    """Stop or start gradients to `module`'s trainable parameters; the random mixing stays frozen."""
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(not frozen and ".mix." not in name)


__all__ = ["PixelHead", "ProjectedDiscriminator", "StageHead", "freeze"]
