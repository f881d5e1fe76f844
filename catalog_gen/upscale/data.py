"""What an upscaler learns from: crops of product photos, and small pictures of them.

What a step sees follows from (seed, step), so a training that is resumed sees what it would have seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from catalog_gen.upscale.degrade import GROUND, Pixels, degrade

SIDE = 224  # px of the squares that photos are laid on
PRODUCT = 235  # of 255: a pixel darker than this in any channel is surely product
WHOLE, AT_EDGES = 0.25, 0.5  # shares of the crops: whole pictures, and of the others those at a product's edge
LEAST = 0.7  # photos are reduced to this, at the least, before they are cut: it takes their compression away
_CROPS = 0  # the stream of chance


@dataclass(frozen=True)
class Pair:
    """small (B, 3, S, S) and large (B, 3, factor S, factor S), in [-1, 1]."""

    small: Tensor
    large: Tensor


class CropSource:
    """Photos (N, S, S, 3) uint8 on white, cut to crops of `crop` px."""

    def __init__(self, photos: npt.NDArray[np.uint8] | Sequence[Pixels], crop: int, factor: int, seed: int) -> None:
        self.photos, self.crop, self.factor, self.seed = photos, crop, factor, seed

    def draw(self, step: int, count: int) -> Pair:
        """Return the pairs of a step."""
        rng = np.random.default_rng((self.seed, _CROPS, step % 2**32))
        large = [cut(self.photos[int(index)], self.crop, rng) for index in rng.integers(len(self.photos), size=count)]
        return pair([(degrade(picture, self.factor, rng), picture) for picture in large])


def pair(pictures: Sequence[tuple[Pixels, Pixels]]) -> Pair:
    """Return (small, large) pictures, (H, W, 3) each, as a batch."""
    return Pair(signed(np.stack([small for small, _ in pictures])), signed(np.stack([large for _, large in pictures])))


def signed(pictures: npt.NDArray[np.uint8]) -> Tensor:
    """Return pictures (B, H, W, 3) uint8 as (B, 3, H, W) in [-1, 1], channels last."""
    return torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1


def whiten(photo: Pixels) -> Pixels:
    """Return the photo with what is almost white made white, so that a ground is learnt as pure white."""
    levels = photo.astype(np.float32)
    lightest = levels.min(2, keepdims=True)
    share = np.clip((lightest - (GROUND - 5)) / 5, 0, 1)  # no step where a white product shades off
    white: Pixels = np.rint(levels + share * (255 - levels)).astype(np.uint8)
    return white


def cut(photo: Pixels, side: int, rng: np.random.Generator) -> Pixels:
    """Return a crop (side, side, 3) of the photo, whitened and maybe mirrored: whole, at an edge, or anywhere on it."""
    least = side / photo.shape[0]
    if rng.random() < WHOLE:
        picture = _scaled(photo, side)
    else:
        scaled = _scaled(photo, round(photo.shape[0] * float(rng.uniform(max(LEAST, least), 1))))
        top, left = _place(scaled, side, rng)
        picture = scaled[top : top + side, left : left + side]
    if rng.random() < 0.5:
        picture = picture[:, ::-1]
    return whiten(picture)


def _scaled(photo: Pixels, side: int) -> Pixels:
    if side == photo.shape[0]:
        return photo
    return np.asarray(Image.fromarray(photo).resize((side, side), Image.Resampling.LANCZOS))


def _place(photo: Pixels, side: int, rng: np.random.Generator) -> tuple[int, int]:
    """Return the top left corner of a crop around a pixel of the product's edge, or around any of the product's."""
    product = photo.min(2) < PRODUCT
    wanted = product
    if rng.random() < AT_EDGES:
        edge = np.zeros_like(product)
        edge[:-1] |= product[:-1] != product[1:]
        edge[:, :-1] |= product[:, :-1] != product[:, 1:]
        wanted = edge
    rows, columns = np.nonzero(wanted)
    most = photo.shape[0] - side
    if not len(rows):
        return int(rng.integers(most + 1)), int(rng.integers(most + 1))
    at = int(rng.integers(len(rows)))
    moved = rng.integers(-side // 4, side // 4 + 1, size=2)
    top, left = (
        int(np.clip(place - side // 2 + move, 0, most))
        for place, move in zip((rows[at], columns[at]), moved, strict=True)
    )
    return top, left
