"""The engine `statistics`: no network and no training, a scene given the style's palette and its texture's energy.

Colours move by optimal transport (`colour`), and in every band of a Laplacian pyramid the texture that the style has
and the scene lacks is added, its colours' covariance in that band made the difference of the two (band by band as in
Heeger and Bergen 1995). Both are measured in the scene alone: the product's place is filled from the scene around it
first. It follows no shapes, as a network's features do; it takes a tenth of a second.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

from catalog_gen.style.colour import (
    Palette,
    gaussian_of,
    mix_palettes,
    monge_kantorovich,
    palette_of,
    transport_gaussian,
    transport_sliced,
)
from catalog_gen.style.engine import EngineConfig, Look, engine_hash
from catalog_gen.style.features import scene_of
from catalog_gen.style.pyramid import enlarge, fill, laplacian, more_of, rebuild, shrink

VERSION = 2
_SAMPLES = 96  # px, about the longer side of what a palette is measured on
_ROUGH = 4  # px, the cells that the last correction of colours is worked out in
_COARSEST = 8  # px, the shorter side of the base, which keeps the scene's layout
_LARGEST_GAIN = 3.0  # a texture is raised to this at most: what a style hardly has is no texture of its


@dataclass(frozen=True)
class StatisticsSettings:
    """How much of the style is taken. texture_scale: at 1 the style image covers the picture; below, smaller."""

    texture: float = 1.0  # share of the style's energy in every band; 0 is colours alone
    texture_scale: float = 1.0
    least_content: float = 0.5  # a scene busier than the style is calmed, to this share of its contrast at most
    seed: int = 0


@dataclass(frozen=True)
class _Band:
    texture: Tensor  # (1, 3, h, w)
    own: Tensor  # (1, 3, 3) its covariance
    wanted: Tensor  # (1, 3, 3) the style's covariance in this band


@dataclass(frozen=True)
class StyleStatistics:
    """A look's palette, its base's palette, and its texture by picture size, made when a size is first met."""

    look: Look
    palette: Palette
    base: Palette
    textures: dict[tuple[int, int], list[_Band]] = field(default_factory=dict)


class StatisticsEngine:
    """Optimal-transport colour and subband matching; deterministic, any size, batches of one size in one go."""

    name = "statistics"
    stochastic = False
    whole = True  # linear in the pixels and without a network: never tiled

    def __init__(self, device: str | torch.device = "cpu", settings: StatisticsSettings | None = None) -> None:
        self.device, self.settings = torch.device(device), settings or StatisticsSettings()
        self.hash = engine_hash(self.name, VERSION, asdict(self.settings))

    @classmethod
    def open(cls, config: EngineConfig, device: str | torch.device) -> StatisticsEngine:
        """Return the engine; there is nothing to load."""
        return cls(device)

    @torch.inference_mode()
    def prepare(self, look: Look) -> StyleStatistics:
        """Return the palettes of the styles, mixed by weight; a texture is made when a picture's size is known."""
        samples, bases, weights = [], [], []
        for image, weight in look.mixed():
            picture = image.unsqueeze(0).to(self.device)
            samples.append(palette_of(_averaged(picture).flatten(2)))
            base = F.adaptive_avg_pool2d(picture, _COARSEST)
            bases.append(palette_of(base.flatten(2)))
            weights.append(weight)
        return StyleStatistics(look, mix_palettes(samples, weights), mix_palettes(bases, weights))

    @torch.inference_mode()
    def stylise(self, content: Tensor, product: Tensor, prepared: StyleStatistics) -> Tensor:
        """Return pictures (B, 3, H, W) in [0, 1]: the scene in the style's palette and texture.

        The product gets the palette alone, by its own colours' statistics.
        """
        scene = scene_of(product)
        stylised = self._scene(fill(content, scene), scene, prepared)
        if bool((scene < 1).any()):
            stylised.lerp_(_recoloured(content, product, prepared.palette), product)
        return stylised.clamp_(0, 1)

    def _scene(self, content: Tensor, scene: Tensor, prepared: StyleStatistics) -> Tensor:
        """Return the filled content (B, 3, H, W) in the style's palette and texture, as measured where `scene` is 1."""
        toned = transport_gaussian(content.flatten(2), prepared.base, *_thinned(content, scene)).view_as(content)
        textures = self._textures(prepared, (content.shape[2], content.shape[3]))
        bands, base = laplacian(toned, len(textures))
        share = scene
        for index, texture in enumerate(textures):
            bands[index] = self._textured(bands[index], share, texture)
            share = shrink(share)
        textured = rebuild(bands, base)
        seen, weight = _averaged(textured).flatten(2), _averaged(scene).flatten(2)
        rough = F.avg_pool2d(textured, _ROUGH, ceil_mode=True, count_include_pad=False)  # colours shift smoothly
        shift = transport_sliced(rough.flatten(2), prepared.palette, seen, weight).view_as(rough) - rough
        return enlarge(shift, textured).add_(textured)

    def _textured(self, band: Tensor, scene: Tensor, texture: _Band) -> Tensor:
        """Return a band (B, 3, h, w) with the energy that it lacks for the style's added, in its texture."""
        _, found = gaussian_of(*_thinned(band, scene))
        ratio = _energy(texture.wanted) / _energy(found).clamp_min(1e-12)
        calm = ratio.sqrt().clamp(self.settings.least_content, 1).view(-1, 1, 1)
        lacking = _positive(texture.wanted - found * calm.square())
        matrix = self.settings.texture * monge_kantorovich(texture.own, lacking, _LARGEST_GAIN)
        planes = texture.texture.flatten(2).expand(len(band), -1, -1)
        return band.mul_(calm.unsqueeze(3)).flatten(2).baddbmm_(matrix.expand(len(band), -1, -1), planes).view_as(band)

    def _textures(self, prepared: StyleStatistics, size: tuple[int, int]) -> list[_Band]:
        if size not in prepared.textures:
            levels = max(1, round(math.log2(max(2, min(size) / _COARSEST))))
            mixed: list[_Band] = []
            for image, weight in prepared.look.mixed():
                style = _covering(image.unsqueeze(0).to(self.device), size, self.settings.texture_scale)
                bands = [_scaled(band, weight) for band in self._bands_of(style, size, levels)]
                mixed = [_sum(a, b) for a, b in zip(mixed, bands, strict=True)] if mixed else bands
            prepared.textures[size] = mixed
        return prepared.textures[size]

    def _bands_of(self, style: Tensor, size: tuple[int, int], levels: int) -> list[_Band]:
        bands, base = laplacian(style, levels)
        detail = style - rebuild([torch.zeros_like(b) for b in bands], base)
        texture, _ = laplacian(more_of(detail, size, self.settings.seed), levels)
        return [
            _Band(made, gaussian_of(made.flatten(2))[1], gaussian_of(band.flatten(2))[1])
            for made, band in zip(texture, bands, strict=True)
        ]


def _scaled(band: _Band, weight: float) -> _Band:
    return _Band(band.texture * math.sqrt(weight), band.own * weight, band.wanted * weight)


def _sum(first: _Band, second: _Band) -> _Band:
    """Return two styles' textures laid over each other: being independent, their covariances add up."""
    return _Band(first.texture + second.texture, first.own + second.own, first.wanted + second.wanted)


def _recoloured(content: Tensor, product: Tensor, palette: Palette) -> Tensor:
    return transport_gaussian(content.flatten(2), palette, *_thinned(content, product)).view_as(content)


def _averaged(images: Tensor) -> Tensor:
    """Return the images (B, C, h, w) in cells, few enough for a palette to be measured on: about _SAMPLES a side."""
    return F.avg_pool2d(images, max(1, max(images.shape[-2:]) // _SAMPLES), ceil_mode=True, count_include_pad=False)


def _thinned(images: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return pixels (B, C, N) and weights (B, 1, N), every so many in each direction: a covariance needs no more."""
    step = max(1, min(images.shape[-2:]) // (2 * _SAMPLES))
    return images[..., ::step, ::step].flatten(2), weight[..., ::step, ::step].flatten(2)


def _covering(image: Tensor, size: tuple[int, int], scale: float) -> Tensor:
    """Return the style image (1, 3, h, w) as large as covers a picture of that size, times `scale`."""
    scale *= max(whole / own for whole, own in zip(size, image.shape[-2:], strict=True))
    wanted = [max(8, math.ceil(side * scale - 1e-6)) for side in image.shape[-2:]]
    return F.interpolate(image, wanted, mode="bicubic", antialias=scale < 1, align_corners=False)


def _energy(covariance: Tensor) -> Tensor:
    return covariance.diagonal(dim1=1, dim2=2).sum(1)


def _positive(covariance: Tensor) -> Tensor:
    """Return the nearest matrices (B, 3, 3) that are a covariance: no eigenvalue below zero."""
    values, vectors = torch.linalg.eigh(covariance)
    nearest: Tensor = (vectors * values.clamp_min(0).unsqueeze(1)) @ vectors.transpose(1, 2)
    return nearest
