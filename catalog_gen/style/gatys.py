"""The engine `gatys`: a picture optimised until its features' statistics are the style's (arXiv 1508.06576).

The slowest engine, and the one that needs no training and follows any style image. What is optimised is the scene with
the product's place filled from around it, and its statistics are guided Gram matrices (arXiv 1611.07865) of what will
be seen of it, so the product has no part in them; partial convolution over the hole would keep it out too, at a larger
error (see `FeatureNetwork.masked`). A small picture first sets the large strokes cheaply, then finer ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from catalog_gen.errors import ConfigError
from catalog_gen.style.colour import Palette, directions, mix_palettes, palette_of, quantiles_of, transport_gaussian
from catalog_gen.style.engine import EngineConfig, Look, engine_hash
from catalog_gen.style.features import FeatureNetwork, coverage, gram, load_features, scene_of
from catalog_gen.style.pyramid import fill, laplacian, rebuild

VERSION = 2
PRODUCT_TEXTURE = 0.25  # from this product_strength on the style's texture is worth optimising in the product too
_PLACES = 8  # where the picture is looked at from, in turn
_SAMPLES = 64  # px a side that colours are measured on
_NARROWEST = 0.05  # how freely at least a colour moves that the style has not
_CHROMA = 2.0  # how much more a step in colour counts than one in grey
_BASE = 10  # cells along the shorter side in what is not optimised
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
    colour_weight: float = 2.0
    tv_weight: float = 0.3
    noise: float = 0.05  # deviation of the noise that the optimisation starts from, over the content
    texture_product: bool = False  # whether the product is optimised too, by statistics of its own
    seed: int = 0

    def __post_init__(self) -> None:
        if self.optimiser not in ("adam", "lbfgs"):
            raise ConfigError(f"gatys knows no optimiser {self.optimiser!r}", hint="Known: adam, lbfgs.")


@dataclass(frozen=True)
class StyleTargets:
    """The style's Gram matrices by level, coarse to fine, (1, C, C) each (`GatysEngine.grams_of`); and its palettes."""

    grams: tuple[tuple[Tensor, ...], ...]
    palette: Palette
    base: Palette  # of the large areas alone


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
                grams = [weight * g for g in self.grams_of(self._style_at(image, scale))]
                mixed = [a + b for a, b in zip(mixed, grams, strict=True)] if mixed else grams
            levels.append(tuple(mixed))
        images = [image.unsqueeze(0).to(self.features.mean) for image, _ in look.mixed()]
        weights = [weight for _, weight in look.mixed()]
        palettes = [
            mix_palettes([palette_of(F.adaptive_avg_pool2d(image, cells).flatten(2)) for image in images], weights)
            for cells in (2 * _SAMPLES, _BASE)
        ]
        return StyleTargets(tuple(levels), palettes[0], palettes[1])

    def stylise(self, content: Tensor, product: Tensor, prepared: StyleTargets) -> Tensor:
        """Return the pictures (B, 3, H, W) in [0, 1], each optimised by itself from noise of the settings' seed.

        The scene is optimised as if it went on behind the product, so that no edge of the product marks it. The product
        gets the style's palette, and its texture with `texture_product`. Deterministic on one device and version of
        torch.
        """
        return torch.cat(
            [
                self._one(c, p, prepared)
                for c, p in zip(content.chunk(len(content)), product.chunk(len(content)), strict=True)
            ]
        )

    def _one(self, content: Tensor, product: Tensor, prepared: StyleTargets) -> Tensor:
        scene = scene_of(product)
        stylised = self._region(content, scene, prepared) if bool(scene.any()) else content
        if self.settings.texture_product and bool((scene < 1).any()):
            covered = self._region(content, 1 - scene, prepared)
        else:
            covered = _toned(content, product, prepared.palette).clamp(0, 1)
        return torch.lerp(stylised, covered, product)

    def _region(self, content: Tensor, valid: Tensor, prepared: StyleTargets) -> Tensor:
        """Return the content (1, 3, H, W) stylised by what is `valid` of it, coarse to fine."""
        content = fill(content, valid)
        base = min(1.0, self.settings.size / max(content.shape[-2:]))
        small, stylised = content, None
        for level, scale in enumerate(self._scales(base)):
            small, seen = _scaled(content, scale), (_scaled(valid, scale) > 0.99).to(content.dtype)
            if not bool(seen.any()):  # nothing of the region is left at this size
                continue
            start = self._start(small, seen, prepared.base) if stylised is None else _resized(stylised, small)
            task = _Task(small, seen, prepared.grams[level], prepared.palette)
            stylised = self._optimise(start, task, max(1, self.settings.steps >> level))
        if stylised is None or stylised.shape == content.shape:
            return content if stylised is None else stylised
        return (content + _resized(stylised - small, content)).clamp(0, 1)

    def _start(self, content: Tensor, valid: Tensor, palette: Palette) -> Tensor:
        """Return the content in the style's colours, under noise of the seed: the optimisation has texture to make."""
        generator = torch.Generator().manual_seed(self.settings.seed)  # on the CPU: the same noise on every device
        noise = torch.randn(content.shape, generator=generator).to(content)
        return (_toned(content, valid, palette) + self.settings.noise * noise).clamp(0, 1)

    def _optimise(self, start: Tensor, task: _Task, steps: int) -> Tensor:
        """Return the start, optimised: as the bands of a pyramid, in which large strokes move as easily as grain.

        Each band is in the palette's own axes, scaled by how far its colours spread along them: a direction that the
        style hardly uses hardly moves. The base stays, and with it the scene's layout: free, it would meet the palette
        by large stains.
        """
        levels = max(1, round(math.log2(min(start.shape[-2:]) / _BASE)))
        axes = _axes(task.palette)
        bands, base = laplacian(start.detach(), levels)
        planes = [(torch.linalg.inv(axes) @ b.flatten(2)).view_as(b).requires_grad_() for b in bands]
        losses = _Losses(self, task)

        def drawn() -> Tensor:
            return rebuild([(axes @ plane.flatten(2)).view_as(plane) for plane in planes], base)

        if self.settings.optimiser == "lbfgs":
            _lbfgs(planes, lambda: losses(drawn()), steps)
        else:
            _adam(planes, lambda: losses(drawn()), steps, self.settings.learning_rate, losses.jitter)
        with torch.no_grad():
            return drawn().clamp(0, 1)

    def grams_of(self, images: Tensor, valid: Tensor | None = None, maps: list[Tensor] | None = None) -> list[Tensor]:
        """Return the Gram matrices (1, C, C) of every map of the features.

        Cells count by how much of them is `valid` (B, 1, H, W); without it all do. maps: the images' features, where
        they are at hand.
        """
        valid = torch.ones_like(images[:, :1]) if valid is None else valid
        maps = self.features(images) if maps is None else maps
        weights = coverage(maps, valid)
        return [gram(m, w) for m, w in zip(self.features.smooth(maps, weights), weights, strict=True)]

    def _scales(self, base: float) -> list[float]:
        return [base / 2 ** (self.settings.levels - 1 - level) for level in range(self.settings.levels)]

    def _style_at(self, image: Tensor, scale: float) -> Tensor:
        shorter = min(image.shape[-2:])
        wanted = max(_SMALLEST, self.settings.size * scale)
        return _scaled(image.unsqueeze(0), min(1.0, wanted / shorter)).to(self.features.mean.device)


@dataclass(frozen=True)
class _Task:
    content: Tensor  # (1, 3, H, W)
    valid: Tensor  # (1, 1, H, W)
    grams: tuple[Tensor, ...]
    palette: Palette


class _Losses:
    """What a picture of the task is worth. `jitter` moves all by a few pixels, from one of a few places to the next.

    Networks that stride have gradients that favour some pixels of each cell over others, and a picture optimised in
    place grows their grid.
    """

    def __init__(self, engine: GatysEngine, task: _Task) -> None:
        self.engine, self.task, self.settings = engine, task, engine.settings
        generator = torch.Generator().manual_seed(self.settings.seed)
        self.places = [(int(y), int(x)) for y, x in torch.randint(0, 16, (_PLACES, 2), generator=generator)]
        self.place = (0, 0)
        self.norms = [t.square().sum() for t in task.grams]
        self._content: dict[tuple[int, int], Tensor] = {}

    def jitter(self, step: int) -> None:
        self.place = self.places[step % len(self.places)]

    def __call__(self, picture: Tensor) -> Tensor:
        settings = self.settings
        shown, valid = picture.roll(self.place, (2, 3)), self.task.valid.roll(self.place, (2, 3))
        maps = self.engine.features(shown)
        found, wanted = maps[self.engine.features.content], self._wanted_content()
        loss = settings.content_weight * (found - wanted).square().mean() / wanted.square().mean().clamp_min(1e-8)
        loss = loss + settings.tv_weight * _total_variation(picture)
        loss = loss + 10 * (picture - picture.clamp(0, 1)).square().mean()
        grams = self.engine.grams_of(shown, valid, maps)
        for own, target, norm in zip(grams, self.task.grams, self.norms, strict=True):
            loss = loss + settings.style_weight * (own - target).square().sum() / norm / len(grams)
        total: Tensor = loss + settings.colour_weight * _palette_distance(shown, valid, self.task.palette)
        return total

    @torch.no_grad()
    def _wanted_content(self) -> Tensor:
        if self.place not in self._content:
            maps = self.engine.features(self.task.content.roll(self.place, (2, 3)))
            self._content[self.place] = maps[self.engine.features.content]
        return self._content[self.place]


def _adam(
    planes: list[Tensor], loss_of: Callable[[], Tensor], steps: int, rate: float, jitter: Callable[[int], None]
) -> None:
    optimiser = torch.optim.Adam(planes, rate, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps, rate * 0.1)
    for step in range(steps):
        jitter(step)
        optimiser.zero_grad()
        loss_of().backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()


def _lbfgs(planes: list[Tensor], loss_of: Callable[[], Tensor], steps: int) -> None:
    optimiser = torch.optim.LBFGS(planes, 1.0, max_iter=steps, history_size=20, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = loss_of()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]


def _palette_distance(images: Tensor, valid: Tensor, palette: Palette) -> Tensor:
    """Return the squared sliced Wasserstein distance of the valid colours to the palette, in the palette's variances.

    Features hardly hear colour, and second moments alone could be met by a few stains of a loud one.
    """
    step = max(1, min(images.shape[-2:]) // _SAMPLES)
    colours = images[..., ::step, ::step].flatten(2) - palette.mean
    weight = valid[..., ::step, ::step].flatten(2)
    found = torch.stack([quantiles_of(rotation @ colours, weight) for rotation in directions(colours)], 1)
    return (found - palette.quantiles).square().mean() / palette.quantiles.square().mean().clamp_min(1e-6)


def _total_variation(picture: Tensor) -> Tensor:
    """Return the mean step between neighbours, in grey and, counted more, in colour: grain, and no rainbow."""
    grey = picture.mean(1, keepdim=True)
    total = picture.new_zeros(())
    for planes, share in ((grey, 1.0), (picture - grey, _CHROMA)):
        across = (planes[..., 1:] - planes[..., :-1]).abs().mean()
        down = (planes[..., 1:, :] - planes[..., :-1, :]).abs().mean()
        total = total + share * (across + down)
    return total


def _axes(palette: Palette) -> Tensor:
    """Return the palette's principal axes (1, 3, 3), columns scaled by its deviations, the largest being one."""
    values, vectors = torch.linalg.eigh(palette.covariance)
    spread = values.clamp_min(1e-8).sqrt()
    axes: Tensor = vectors * (spread / spread.max()).clamp_min(_NARROWEST).unsqueeze(1)
    return axes


def _toned(content: Tensor, weight: Tensor, palette: Palette) -> Tensor:
    planes = content.flatten(2)
    return transport_gaussian(planes, palette, planes, weight.flatten(2)).view_as(content)


def _scaled(images: Tensor, scale: float) -> Tensor:
    if scale >= 1:
        return images
    size = [max(16, round(side * scale)) for side in images.shape[-2:]]
    return F.interpolate(images, size, mode="bilinear", antialias=True, align_corners=False)


def _resized(images: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(images, like.shape[-2:], mode="bicubic", align_corners=False)
