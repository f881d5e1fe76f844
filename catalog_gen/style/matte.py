"""The product's matte: cut out of its photo with soft edges, free of the colour of the ground it stood on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from catalog_gen.style.ground import Floats, Ground, Mask, estimate_ground
from catalog_gen.style.studio import SIDE, product_mask
from catalog_gen.style.unmix import soften


@dataclass(frozen=True)
class Cutout:
    """A product without its ground.

    rgb: (H, W, 3) float32 in [0, 1], the product's own colours, also in its soft edges; alpha: (H, W) float32 in [0, 1];
    kind: what ground it stood on; fault: empty, or why no product could be told from it; box: left, top, right, bottom
    in pixels of where alpha is over 0.5, all 0 when nowhere.
    """

    rgb: Floats
    alpha: Floats
    kind: Literal["studio", "general"]
    fault: str
    box: tuple[int, int, int, int]


def cut_out(photo: Image.Image) -> Cutout:
    """Return the product of `photo` (RGB, any size)."""
    rgb = np.asarray(photo.convert("RGB"), dtype=np.float32) / 255
    small = _reduced(photo)
    ground = estimate_ground(small)
    mask = product_mask(small, ground)
    scale = max(photo.size) / max(small.shape[:2])
    if scale > 1:
        mask = _enlarged(mask, photo.size)
        ground = estimate_ground(rgb)
    alpha, colours = soften(rgb, ground.colour, mask, max(1.0, 0.7 * scale))
    return Cutout(colours, alpha, "studio", "", _box(alpha))


def _reduced(photo: Image.Image) -> Floats:
    factor = max(1.0, max(photo.size) / SIDE)
    size = (max(1, round(photo.width / factor)), max(1, round(photo.height / factor)))
    small = photo if factor == 1.0 else photo.resize(size, Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float32) / 255


def _enlarged(mask: Mask, size: tuple[int, int]) -> Mask:
    grown = Image.fromarray(mask.astype(np.uint8) * 255).resize(size, Image.Resampling.BILINEAR)
    return np.asarray(grown) > 100


def _box(alpha: Floats) -> tuple[int, int, int, int]:
    solid = alpha > 0.5
    rows, columns = np.flatnonzero(solid.any(axis=1)), np.flatnonzero(solid.any(axis=0))
    if not len(rows):
        return (0, 0, 0, 0)
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
