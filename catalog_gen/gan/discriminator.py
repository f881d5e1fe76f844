"""The discriminators by name, and the projected one (Projected GAN, arXiv 2111.01007).

That is small heads on a frozen network's features, each with a map of logits, a cell at a time. One more head, trained
from the pixels up at full resolution, sees what the frozen features are blind to: checkerboard marks and colour noise.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from catalog_gen.gan.config import DiscriminatorConfig
from catalog_gen.gan.conv_discriminator import ConvDiscriminator
from catalog_gen.gan.features import STAGE_CHANNELS
from catalog_gen.gan.judge import Discriminator, Judge, Seen, dropout

SMALLEST_MAP = 4  # px: heads shrink larger maps to this


class StageHead(nn.Module):
    """One stage's head: frozen random mixing (1x1) to standardised channels, spectral-norm convolutions, a judge."""

    def __init__(self, channels: int, map_size: int, config: DiscriminatorConfig, text_dim: int) -> None:
        super().__init__()
        width = config.head_width
        self.mix = nn.Conv2d(channels, width, 1).requires_grad_(False)
        nn.init.kaiming_normal_(self.mix.weight)
        layers: list[nn.Module] = []
        while map_size > SMALLEST_MAP:
            layers += [spectral_norm(nn.Conv2d(width, width, 4, stride=2, padding=1)), nn.LeakyReLU(0.2)]
            map_size //= 2
        layers += [spectral_norm(nn.Conv2d(width, width, 3, padding=1)), nn.LeakyReLU(0.2)]
        self.body = nn.Sequential(*layers, *dropout(config.dropout))
        self.judge = Judge(width, text_dim)

    @torch.no_grad()
    def calibrate(self, features: Tensor) -> None:
        """Rescale the mixing so that each of its channels has zero mean and unit variance on these features."""
        std, mean = torch.std_mean(self.mix(features), dim=(0, 2, 3))
        std = std.clamp_min(1e-3)
        self.mix.weight.div_(std[:, None, None, None])
        assert self.mix.bias is not None
        self.mix.bias.sub_(mean).div_(std)

    def forward(self, mixed: Tensor, words: Sequence[Tensor]) -> list[Tensor]:
        logits: list[Tensor] = self.judge(self.body(mixed), words)
        return logits


class PixelHead(nn.Module):
    """A small convolutional discriminator on the picture itself. images (B, 3, S, S) in [-1, 1].

    Blocks of 2x2 pixels enter as 12 channels: nothing is lost, and the costliest size is a quarter.
    """

    def __init__(self, config: DiscriminatorConfig, text_dim: int) -> None:
        super().__init__()
        widths = config.pixel_widths
        first = spectral_norm(nn.Conv2d(12, widths[0], 3, padding=1))
        layers: list[nn.Module] = [nn.PixelUnshuffle(2), first, nn.LeakyReLU(0.2)]
        for cin, cout in itertools.pairwise(widths):
            layers += [spectral_norm(nn.Conv2d(cin, cout, 4, stride=2, padding=1)), nn.LeakyReLU(0.2)]
        self.body = nn.Sequential(*layers, *dropout(config.dropout))
        self.judge = Judge(widths[-1], text_dim)

    def forward(self, images: Tensor, words: Sequence[Tensor]) -> list[Tensor]:
        logits: list[Tensor] = self.judge(self.body(images), words)
        return logits


class ProjectedDiscriminator(Discriminator):
    """All heads. Features come from outside (`FrozenFeatures`), so that one pass serves both players.

    Logits: (B, 4, 4) or smaller a stage, from the finest to the coarsest, then (B, H, W) of the head on the pixels.
    """

    needs_features = True

    def __init__(self, config: DiscriminatorConfig, *, image_size: int, text_dim: int) -> None:
        super().__init__()
        self.text_dim = text_dim
        self.stages = nn.ModuleList(
            StageHead(channels, max(1, image_size // 2 ** (index + 1)), config, text_dim)
            for index, channels in enumerate(STAGE_CHANNELS)
        )
        self.pixels = PixelHead(config, text_dim) if config.pixel_widths else None

    @property
    def _stage_heads(self) -> list[StageHead]:
        return [head for head in self.stages if isinstance(head, StageHead)]

    def look(self, images: Tensor, features: Sequence[Tensor]) -> Seen:
        """Return the images beside each stage's mixed, standardised features."""
        mixed = tuple(head.mix(f) for head, f in zip(self._stage_heads, features, strict=True))
        return Seen(images, mixed)

    def calibrate(self, features: Sequence[Tensor]) -> None:
        """Rescale the mixing of each stage to these features of real photos."""
        for head, f in zip(self._stage_heads, features, strict=True):
            head.calibrate(f.float())

    def heads(self, seen: Seen, words: Sequence[Tensor]) -> list[list[Tensor]]:
        """Return one list of logit maps a head, as `Discriminator` says."""
        by_head: list[list[Tensor]] = [head(m, words) for head, m in zip(self._stage_heads, seen.mixed, strict=True)]
        if self.pixels is not None:
            by_head.append(self.pixels(seen.images, words))
        return by_head


def build_discriminator(config: DiscriminatorConfig, *, image_size: int, text_dim: int) -> Discriminator:
    """Return a freshly initialised discriminator of the config's kind for pictures of `image_size` px."""
    kind = ConvDiscriminator if config.kind == "conv" else ProjectedDiscriminator
    return kind(config, image_size=image_size, text_dim=text_dim)


def freeze(module: nn.Module, frozen: bool) -> None:
    """Stop or start gradients to `module`'s trainable parameters; the random mixing stays frozen."""
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(not frozen and ".mix." not in name)


__all__ = ["Discriminator", "PixelHead", "ProjectedDiscriminator", "Seen", "StageHead", "build_discriminator", "freeze"]
