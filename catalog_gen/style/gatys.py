"""The engine `gatys`: a picture optimised until its features' statistics are the style's (arXiv 1508.06576).

The slowest engine, and the one that needs no training and follows any style image. The scene's statistics are Gram
matrices of features by partial convolution, so that the product has no part in them; they are matched from coarse to
fine (arXiv 1611.07865), a small picture first, which sets the large strokes cheaply.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from catalog_gen.errors import ConfigError
from catalog_gen.style.engine import EngineConfig, Look, engine_hash
from catalog_gen.style.features import FeatureNetwork, gram, load_features, scene_of

VERSION = 1
PRODUCT_TEXTURE = 0.25  # from this product_strength on the style's texture is worth optimising in the product too
_SMALLEST = 64  # px, the shorter side of the coarsest level at least


@dataclass(frozen=True)
class GatysSettings:
    """How a picture is optimised. Weights are relative to losses that are about one at the start."""

    optimiser: Literal["adam", "lbfgs"] = "adam"
    steps: int = 120  # at the coarsest level; each finer one takes half of the one before
    levels: int = 2  # each twice the size of the one before
    size: int = 512  # px, longer side at the finest level; a larger picture gets the difference, enlarged
    learning_rate: float = 0.03
    style_weight: float = 1.0
    content_weight: float = 0.1
    tv_weight: float = 0.02
    noise: float = 0.05  # deviation of the noise that the optimisation starts from, over the content
    texture_product: bool = False  # whether the product is optimised too, by statistics of its own
    seed: int = 0

    def __post_init__(self) -> None:
        if self.optimiser not in ("adam", "lbfgs"):
            raise ConfigError(f"gatys knows no optimiser {self.optimiser!r}", hint="Known: adam, lbfgs.")


@dataclass(frozen=True)
class StyleTargets:
    """The style's Gram matrices, level by level from coarse to fine, one (1, C, C) a feature map; and the style images."""

    look: Look
    grams: tuple[tuple[Tensor, ...], ...]


class GatysEngine:
    """Optimises each picture by itself; `stochastic`: another `seed` in the settings gives another picture."""

    name = "gatys"
    stochastic = True
    whole = True  # `size` bounds its memory: never tiled

    def __init__(self, features: FeatureNetwork, settings: GatysSettings | None = None) -> None:
        self.features, self.settings = features, settings or GatysSettings()
        self.hash = engine_hash(self.name, VERSION, asdict(self.settings), features.hash)

    @classmethod
    def open(cls, config: EngineConfig, device: str | torch.device, seed: int = 0) -> GatysEngine:
        """Return the engine over the template's features; raises BundleError when their weights cannot be had."""
        texture = config.product_strength >= PRODUCT_TEXTURE
        return cls(load_features(config.features, device), GatysSettings(texture_product=texture, seed=seed))

    @torch.no_grad()
    def prepare(self, look: Look) -> StyleTargets:
        """Return the Gram matrices of the styles, mixed by weight.

        The mean of Gram matrices is what the weighted sum of each style's squared distance is least at.
        """
        levels = []
        for scale in self._scales(1.0):
            mixed: list[Tensor] = []
            for image, weight in look.mixed():
                grams = [weight * g for g in self._grams(self._style_at(image, scale))]
                mixed = [a + b for a, b in zip(mixed, grams, strict=True)] if mixed else grams
            levels.append(tuple(mixed))
        return StyleTargets(look, tuple(levels))

    def stylise(self, content: Tensor, product: Tensor, prepared: StyleTargets) -> Tensor:
        """Return the pictures (B, 3, H, W) in [0, 1], each optimised by itself from noise of the settings' seed.

        What the product covers keeps its content, unless `texture_product`. Deterministic on one device and version
        of torch.
        """
        return torch.cat([self._one(c, p, prepared) for c, p in zip(content.split(1), product.split(1), strict=True)])

    def _one(self, content: Tensor, product: Tensor, prepared: StyleTargets) -> Tensor:
        longer = max(content.shape[-2:])
        base = min(1.0, self.settings.size / longer)
        stylised: Tensor | None = None
        small = content
        for level, scale in enumerate(self._scales(base)):
            small, alpha = _scaled(content, scale), _scaled(product, scale)
            start = self._start(small) if stylised is None else _resized(stylised, small)
            steps = max(1, self.settings.steps >> level)
            stylised = self._optimise(start, _Task(small, alpha, prepared.grams[level]), steps)
        assert stylised is not None  # there is at least one level
        if small.shape == content.shape:
            return stylised
        return (content + _resized(stylised - small, content)).clamp(0, 1)

    def _start(self, content: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(self.settings.seed)  # on the CPU: the same noise on every device
        noise = torch.randn(content.shape, generator=generator).to(content)
        return (content + self.settings.noise * noise).clamp(0, 1)

    def _optimise(self, start: Tensor, task: _Task, steps: int) -> Tensor:
        picture = start.detach().clone().requires_grad_()
        loss_of = self._loss(task)
        if self.settings.optimiser == "lbfgs":
            _lbfgs(picture, loss_of, steps)
        else:
            _adam(picture, loss_of, steps, self.settings.learning_rate)
        return picture.detach().clamp(0, 1)

    def _loss(self, task: _Task) -> Callable[[Tensor], Tensor]:
        scene = scene_of(task.product)
        regions = [scene] if bool(scene.any()) else []
        if bool((scene < 1).any()) and self.settings.texture_product:
            regions.append(1 - scene)
        with torch.no_grad():
            content = self.features(task.content)[self.features.content]
            scale = content.square().mean().clamp_min(1e-8)
        norms = [t.square().sum() for t in task.grams]

        def loss_of(picture: Tensor) -> Tensor:
            found = self.features(picture)[self.features.content]
            loss = self.settings.content_weight * (found - content).square().mean() / scale
            loss = loss + self.settings.tv_weight * _total_variation(picture)
            for region in regions:
                for own, wanted, norm in zip(self._grams(picture, region), task.grams, norms, strict=True):
                    loss = loss + self.settings.style_weight * (own - wanted).square().sum() / norm / len(norms)
            if not self.settings.texture_product:
                loss = loss + ((picture - task.content).square() * (1 - scene)).mean() * 10
            return loss

        return loss_of

    def _grams(self, images: Tensor, valid: Tensor | None = None) -> list[Tensor]:
        if valid is None:
            return [gram(m) for m in self.features.smooth(self.features(images))]
        maps, weights = self.features.masked(images, valid)
        smooth = self.features.smooth(maps, weights)
        return [gram(m, w) for m, w in zip(smooth, weights, strict=True)]

    def _scales(self, base: float) -> list[float]:
        return [base / 2 ** (self.settings.levels - 1 - level) for level in range(self.settings.levels)]

    def _style_at(self, image: Tensor, scale: float) -> Tensor:
        shorter = min(image.shape[-2:])
        wanted = max(_SMALLEST, self.settings.size * scale)
        return _scaled(image.unsqueeze(0), min(1.0, wanted / shorter)).to(self.features.mean.device)


@dataclass(frozen=True)
class _Task:
    content: Tensor  # (1, 3, H, W)
    product: Tensor  # (1, 1, H, W)
    grams: tuple[Tensor, ...]


def _adam(picture: Tensor, loss_of: Callable[[Tensor], Tensor], steps: int, rate: float) -> None:
    optimiser = torch.optim.Adam([picture], rate, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps, rate * 0.1)
    for _ in range(steps):
        optimiser.zero_grad()
        loss_of(picture).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        with torch.no_grad():
            picture.clamp_(0, 1)


def _lbfgs(picture: Tensor, loss_of: Callable[[Tensor], Tensor], steps: int) -> None:
    optimiser = torch.optim.LBFGS([picture], 1.0, max_iter=steps, history_size=20, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = loss_of(picture)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call, arg-type]


def _total_variation(picture: Tensor) -> Tensor:
    across = (picture[..., 1:] - picture[..., :-1]).abs().mean()
    down = (picture[..., 1:, :] - picture[..., :-1, :]).abs().mean()
    return across + down


def _scaled(images: Tensor, scale: float) -> Tensor:
    if scale >= 1:
        return images
    size = [max(16, round(side * scale)) for side in images.shape[-2:]]
    return F.interpolate(images, size, mode="bilinear", antialias=True, align_corners=False)


def _resized(images: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(images, like.shape[-2:], mode="bicubic", align_corners=False)
