"""What the style networks learn from: products on grounds made up for each step, and styles.

Everything that a step sees comes from (seed, step), so a training that is resumed sees what it would have seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from catalog_gen.style.features import scene_of
from catalog_gen.style.pyramid import fill
from catalog_gen.style.textures import ground, texture

_GROUNDS, _TEXTURES, _CONTENT, _STYLE, _PHOTOS = range(5)  # streams of chance that never meet
WHITE, SOFT = 0.98, 0.12  # from this level on a studio photo's pixel is ground, and this far below it is product


@dataclass(frozen=True)
class Content:
    """Pictures (B, 3, S, S) in [0, 1] as the network gets them, and what counts in its statistics (B, 1, S, S)."""

    images: Tensor
    valid: Tensor


class ContentSource:
    """Photos (N, S, S, 3) uint8 of products on white, cut out roughly and put on grounds.

    Grounds are `made` made-up ones, and cuts of the scenes given, (3, h, w) in [0, 1], at several scales.
    """

    def __init__(self, photos: npt.NDArray[np.uint8], seed: int, made: int = 96, scenes: Sequence[Tensor] = ()) -> None:
        self.photos, self.seed, self.size = photos, seed, photos.shape[1]
        pool = [to_bytes(ground(np.random.default_rng((seed, _GROUNDS, i)), self.size)) for i in range(made)]
        rng = np.random.default_rng((seed, _GROUNDS))
        for scene in scenes:
            level = to_bytes(scene.permute(1, 2, 0).numpy())
            pool += [_cut(level, self.size, rng, zoom) for zoom in (1.0, 1.5, 2.5, 3.5) for _ in range(made // 16)]
        self.grounds = np.stack(pool)

    def draw(self, step: int, count: int) -> Content:
        """Return a step's pictures: half of them whole, half as the scene around the product, with its place filled."""
        rng = np.random.default_rng((self.seed, _CONTENT, step % 2**32))
        photos = planes(self.photos[np.sort(rng.integers(len(self.photos), size=count))])
        photos = 1 - F.grid_sample(1 - photos, _moves(rng, photos), mode="bilinear", align_corners=False)
        grounds = planes(self.grounds[rng.integers(len(self.grounds), size=count)])
        alpha = ((WHITE - photos.amin(1, keepdim=True)) / SOFT).clamp(0, 1)
        images = torch.lerp(grounds, photos, alpha)
        whole = torch.ones_like(alpha)
        scene = scene_of(alpha)
        hidden = (torch.arange(count) % 2 == 0).view(-1, 1, 1, 1) & (scene.mean((1, 2, 3), keepdim=True) > 0.1)
        valid = torch.where(hidden, scene, whole)
        return Content(torch.where(hidden, fill(images, scene), images), valid)


class StylePool:
    """Styles (N, S, S, 3) uint8: made-up textures, cuts of photos, and cuts of the images given."""

    def __init__(
        self, size: int, textures: int, photos: npt.NDArray[np.uint8], images: Sequence[Tensor], seed: int
    ) -> None:
        self.seed = seed
        numbers = tqdm(range(textures), desc="textures", leave=False)
        pool = [to_bytes(texture(np.random.default_rng((seed, _TEXTURES, i)), size)) for i in numbers]
        rng = np.random.default_rng((seed, _PHOTOS))
        pool += [_cut(photos[i], size, rng) for i in rng.integers(len(photos), size=textures // 8)]
        for image in images:
            level = to_bytes(image.permute(1, 2, 0).numpy())
            pool += [
                _cut(level, size, rng, zoom) for zoom in (1.0, 1.3, 1.6, 2.0) for _ in range(max(1, textures // 60))
            ]
        self.pool = np.stack(pool)

    def draw(self, step: int, count: int) -> Tensor:
        """Return a step's styles (B, 3, S, S) in [0, 1], flipped now and then."""
        rng = np.random.default_rng((self.seed, _STYLE, step % 2**32))
        chosen = planes(self.pool[rng.integers(len(self.pool), size=count)])
        flip = torch.from_numpy(rng.random(count) < 0.5).view(-1, 1, 1, 1)
        return torch.where(flip, chosen.flip(-1), chosen)


def choose_styles(seed: int, step: int, count: int, styles: int) -> Tensor:
    """Return which of a few styles a step's pictures get, (count,): each in turn, from a random one on."""
    first = int(np.random.default_rng((seed, _STYLE, step)).integers(styles))
    return (torch.arange(count) + first) % styles


def planes(pictures: npt.NDArray[np.uint8]) -> Tensor:
    """Return pictures (B, H, W, 3) uint8 as (B, 3, H, W) float32 in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))).float() / 255


def to_bytes(picture: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Return a picture in [0, 1] as uint8, rounded to nearest."""
    return (picture.clip(0, 1) * 255).round().astype(np.uint8)


def _cut(
    picture: npt.NDArray[np.uint8], size: int, rng: np.random.Generator, zoom: float = 1.2
) -> npt.NDArray[np.uint8]:
    """Return a random square of `size` px of a picture whose shorter side is scaled to size * zoom."""
    whole = planes(picture[None])
    scale = size * zoom / min(picture.shape[:2])
    wanted = [max(size, round(side * scale)) for side in picture.shape[:2]]
    scaled = F.interpolate(whole, wanted, mode="bilinear", antialias=True, align_corners=False)
    top, left = (int(rng.integers(side - size + 1)) for side in wanted)
    return to_bytes(scaled[0, :, top : top + size, left : left + size].permute(1, 2, 0).numpy())


def _moves(rng: np.random.Generator, photos: Tensor) -> Tensor:
    """Return a sampling grid that makes each photo a little smaller, moves it, and mirrors half of them."""
    count = len(photos)
    theta = torch.zeros(count, 2, 3)
    zoom = torch.from_numpy(rng.uniform(1.0, 1.7, count)).float()
    theta[:, 0, 0] = zoom * torch.from_numpy(rng.choice([-1.0, 1.0], count)).float()
    theta[:, 1, 1] = zoom
    theta[:, :, 2] = torch.from_numpy(rng.uniform(-0.4, 0.4, (count, 2))).float()
    return F.affine_grid(theta, list(photos.shape), align_corners=False)
