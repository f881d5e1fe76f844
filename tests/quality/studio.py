"""Pictures like a studio's, made up for the tests: garments, shoes and bags as shapes on white, shaded and textured."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

SHAPES = ("shirt", "trousers", "bag", "bottle", "shoe")


def studio_photo(
    shape: str, colour: tuple[int, int, int], *, seed: int = 0, size: int = 64, scale: float = 1.0
) -> NDArray[np.uint8]:
    """Return (size, size, 3) uint8: `shape` in `colour` on white, with shading and a seam drawn from `seed`."""
    rng = np.random.default_rng(seed)
    big = 4 * size
    mask = Image.new("L", (big, big), 0)
    draw = ImageDraw.Draw(mask)
    wobble = rng.uniform(-0.03, 0.03, 12)

    def points(*pairs: tuple[float, float]) -> list[tuple[float, float]]:
        moved = [(x + wobble[i % 12], y + wobble[(i + 5) % 12]) for i, (x, y) in enumerate(pairs)]
        return [((0.5 + (x - 0.5) * scale) * big, (0.5 + (y - 0.5) * scale) * big) for x, y in moved]

    outlines = {
        "shirt": ((0.35, 0.15), (0.65, 0.15), (0.9, 0.35), (0.8, 0.48), (0.7, 0.4), (0.7, 0.88), (0.3, 0.88),
                  (0.3, 0.4), (0.2, 0.48), (0.1, 0.35)),
        "trousers": ((0.33, 0.08), (0.67, 0.08), (0.74, 0.92), (0.56, 0.92), (0.5, 0.35), (0.44, 0.92), (0.26, 0.92)),
        "bag": ((0.2, 0.4), (0.8, 0.4), (0.86, 0.85), (0.14, 0.85)),
        "bottle": ((0.45, 0.08), (0.55, 0.08), (0.56, 0.3), (0.64, 0.42), (0.64, 0.92), (0.36, 0.92), (0.36, 0.42),
                   (0.44, 0.3)),
        "shoe": ((0.08, 0.5), (0.3, 0.36), (0.55, 0.52), (0.9, 0.58), (0.92, 0.72), (0.1, 0.72)),
    }  # fmt: skip
    draw.polygon(points(*outlines[shape]), fill=255)
    if shape == "bag":
        draw.arc((0.34 * big, 0.15 * big, 0.66 * big, 0.65 * big), 180, 360, fill=255, width=big // 24)
    shade = Image.new("L", (big, big), 0)
    for _ in range(5):
        (x, y), radius = rng.uniform(0.2, 0.8, 2) * big, rng.uniform(0.05, 0.2) * big
        ImageDraw.Draw(shade).ellipse((x - radius, y - radius, x + radius, y + radius), fill=int(rng.integers(60, 200)))
    shade = shade.filter(ImageFilter.GaussianBlur(big / 20)).resize((size, size), Image.Resampling.BOX)
    cover = np.asarray(mask.resize((size, size), Image.Resampling.BOX), np.float32)[..., None] / 255
    folds = 1 - np.asarray(shade, np.float32)[..., None] / 255 * 0.45
    cloth = np.array(colour, np.float32) * folds + rng.normal(0, 2, (size, size, 1))
    return (255 * (1 - cover) + cloth * cover).clip(0, 255).astype(np.uint8)


def studio_set(count: int, *, seed: int = 0) -> NDArray[np.uint8]:
    """Return (count, 64, 64, 3) uint8: different products, many of them white, black or grey as in a real shop."""
    rng = np.random.default_rng(seed)
    whites_and_greys = [(252, 252, 250), (240, 240, 240), (25, 25, 28), (120, 120, 122)]
    colours = [(180, 30, 40), (30, 60, 150), (20, 110, 60), (225, 190, 150), (250, 220, 60), (110, 70, 40)]
    palette = whites_and_greys + colours
    return np.stack(
        [
            studio_photo(
                SHAPES[rng.integers(len(SHAPES))],
                palette[rng.integers(len(palette))],
                seed=int(rng.integers(1 << 30)),
                scale=float(rng.uniform(0.75, 1.0)),
            )
            for _ in range(count)
        ]
    )
