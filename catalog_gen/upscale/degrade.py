"""Small pictures made of large ones, with the faults that small pictures have.

After Real-ESRGAN (arXiv 2107.10833), but milder, since the pictures at work come from a generator and no camera:
blur, one of several reductions, noise, compression; and a generator's own faults: edges that waver, blotches of colour,
a faint veil of grey on the white ground.
"""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

Pixels = npt.NDArray[np.uint8]  # (H, W, 3) RGB
Floats = npt.NDArray[np.float32]

REDUCTIONS = (
    Image.Resampling.BOX,
    Image.Resampling.BICUBIC,
    Image.Resampling.LANCZOS,
    Image.Resampling.HAMMING,
)
GROUND = 250  # of 255, in every channel: from here on a pixel counts as white ground
_BLURRED, _WAVERING, _BLOTCHED, _VEILED, _NOISY, _COMPRESSED = 0.75, 0.2, 0.3, 0.35, 0.4, 0.4  # shares of pictures


def reduce_cleanly(large: Pixels, factor: int) -> Pixels:
    """Return `large` reduced bicubically, and nothing else done to it."""
    return _reduced(large, factor, Image.Resampling.BICUBIC)


def degrade(large: Pixels, factor: int, rng: np.random.Generator) -> Pixels:
    """Return a small picture (H / factor, W / factor, 3) of `large`, with faults as `rng` says."""
    picture = large
    if rng.random() < _WAVERING:
        picture = _waver(picture, factor, rng)
    if rng.random() < _BLURRED:
        most = 0.6 if rng.random() < 0.7 else 1.1  # deviation in small pixels
        radius = float(rng.uniform(0, most)) * factor
        picture = np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(radius)))
    small = _reduced(picture, factor, REDUCTIONS[int(rng.integers(len(REDUCTIONS)))])
    return _compress(_soil(small, rng), rng)


def waves(shape: tuple[int, int, int], cell: float, rng: np.random.Generator) -> Floats:
    """Return smooth noise (H, W, C), about in [-1, 1], that changes over some `cell` pixels."""
    height, width, channels = shape
    coarse = rng.uniform(-1, 1, (round(height / cell) + 2, round(width / cell) + 2, channels)).astype(np.float32)
    layers = [
        np.asarray(
            Image.fromarray(np.ascontiguousarray(coarse[..., i])).resize((width, height), Image.Resampling.BICUBIC)
        )
        for i in range(channels)
    ]
    return np.stack(layers, 2)


def _waver(picture: Pixels, factor: int, rng: np.random.Generator) -> Pixels:
    """Move every pixel a little, as its neighbours."""
    height, width = picture.shape[:2]
    moved = waves((height, width, 2), float(rng.uniform(2, 5)) * factor, rng) * float(rng.uniform(0.1, 0.4)) * factor
    rows = np.clip(np.rint(np.arange(height)[:, None] + moved[..., 0]), 0, height - 1).astype(np.intp)
    columns = np.clip(np.rint(np.arange(width)[None] + moved[..., 1]), 0, width - 1).astype(np.intp)
    return picture[rows, columns]


def _soil(small: Pixels, rng: np.random.Generator) -> Pixels:
    """Add blotches to the product, a veil to the ground, noise to both."""
    height, width = small.shape[:2]
    levels = small.astype(np.float32)
    on_product = (small.min(2, keepdims=True) < GROUND).astype(np.float32)
    if rng.random() < _BLOTCHED:
        spread = float(rng.uniform(1, 5))
        levels += spread * on_product * waves((height, width, 3), float(rng.uniform(2, 8)), rng)
    if rng.random() < _VEILED:
        depth = float(rng.uniform(1, 8))
        veil = 0.6 + 0.4 * waves((height, width, 1), float(rng.uniform(4, 16)), rng)
        levels -= depth * (1 - on_product) * np.clip(veil, 0, 1)
    if rng.random() < _NOISY:
        spread = float(rng.uniform(0.3, 3))
        levels += rng.normal(0, spread, small.shape).astype(np.float32) * (0.3 + 0.7 * on_product)
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)


def _compress(small: Pixels, rng: np.random.Generator) -> Pixels:
    if rng.random() >= _COMPRESSED:
        return small
    file = io.BytesIO()
    kind = "JPEG" if rng.random() < 0.6 else "WEBP"
    Image.fromarray(small).save(file, kind, quality=int(rng.integers(75, 98)))
    with Image.open(file) as image:
        return np.asarray(image.convert("RGB"))


def _reduced(large: Pixels, factor: int, resample: Image.Resampling) -> Pixels:
    height, width = large.shape[:2]
    return np.asarray(Image.fromarray(large).resize((width // factor, height // factor), resample))
