"""The perceptual losses that the style networks are trained with (arXiv 1603.08155), on SWAG-smoothed features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from catalog_gen.style.features import FeatureNetwork, gram, moments

LAYOUT = 8  # px: what is larger than this is the scene's layout, and stays


@dataclass(frozen=True)
class LossWeights:
    """What each loss counts; all but `variation` are relative to what they compare with, and about one untrained."""

    style: float = 2.0  # Gram matrices of smoothed features (arXiv 2104.05623)
    moments: float = 1.0  # means and deviations of the features themselves (arXiv 1703.06868)
    content: float = 0.1  # features of the recoloured scene
    layout: float = 2.0  # the recoloured scene itself, averaged over LAYOUT px
    variation: float = 0.02


@dataclass(frozen=True)
class Targets:
    """What the style is, a feature map each: Gram matrices (B, C, C), means and deviations (B, C, 1, 1).

    Gram matrices are of smoothed features about their means: smoothed they lie around one, which would drown the rest,
    and the means have a loss of their own.
    """

    grams: tuple[Tensor, ...]
    moments: tuple[tuple[Tensor, Tensor], ...]

    def choose(self, index: Tensor) -> Targets:
        """Return the targets of the styles `index` (B,)."""
        return Targets(tuple(g[index] for g in self.grams), tuple((m[index], d[index]) for m, d in self.moments))


def targets_of(features: FeatureNetwork, maps: Sequence[Tensor]) -> Targets:
    """Return the statistics of a style's feature maps (B, C, h, w)."""
    centred = [m - m.mean((2, 3), keepdim=True) for m in features.smooth(maps)]
    return Targets(tuple(gram(m) for m in centred), tuple(moments(m) for m in maps))


def style_losses(features: FeatureNetwork, styled: Tensor, scene: Tensor, targets: Targets) -> dict[str, Tensor]:
    """Return the losses by the names of their weights, of styled pictures (B, 3, H, W) made of recoloured scenes."""
    maps = features(styled)
    with torch.no_grad():
        wanted = features(scene.clamp(0, 1))[features.content]
    found = targets_of(features, maps)
    pairs = zip(found.grams, targets.grams, strict=True)
    # Counted against both, so that a still style does not outweigh every other by what it lacks.
    grams = [_relative(own - target, torch.cat([own.detach(), target], 1)) for own, target in pairs]
    parts = [
        _relative(torch.cat([m - tm, d - td], 1), torch.cat([tm, td], 1))
        for (m, d), (tm, td) in zip(found.moments, targets.moments, strict=True)
    ]
    return {
        "style": torch.stack(grams).mean(),
        "moments": torch.stack(parts).mean(),
        "content": _relative(maps[features.content] - wanted, wanted),
        "layout": _layout(styled, scene),
        "variation": _variation(styled),
    }


def total(losses: dict[str, Tensor], weights: LossWeights) -> Tensor:
    """Return the weighted sum."""
    return torch.stack([getattr(weights, name) * loss for name, loss in losses.items()]).sum()


def _relative(difference: Tensor, target: Tensor) -> Tensor:
    """Return the mean over the batch of |difference|^2 / |target|^2."""
    size = target.flatten(1).square().sum(1).clamp_min(1e-8)
    return (difference.flatten(1).square().sum(1) / size).mean()


def _layout(styled: Tensor, scene: Tensor) -> Tensor:
    return F.mse_loss(F.avg_pool2d(styled, LAYOUT), F.avg_pool2d(scene.clamp(0, 1), LAYOUT))


def _variation(pictures: Tensor) -> Tensor:
    across = (pictures[..., 1:] - pictures[..., :-1]).abs().mean()
    return across + (pictures[..., 1:, :] - pictures[..., :-1, :]).abs().mean()
