"""Products whose alpha is known: drawn at four times the size, scaled down, laid on a ground."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

Floats = npt.NDArray[np.float32]
Drawing = Callable[[ImageDraw.ImageDraw], None]
SIZE = (168, 224)
FINE = 4  # drawn this much larger


def true_alpha(draw: Drawing, size: tuple[int, int] = SIZE) -> Floats:
    """Return (H, W): how much of each pixel `draw` covers, that draws in white on a canvas `FINE` times the size."""
    canvas = Image.new("L", (size[0] * FINE, size[1] * FINE))
    draw(ImageDraw.Draw(canvas))
    return np.asarray(canvas.resize(size, Image.Resampling.BOX), dtype=np.float32) / 255


def on_ground(alpha: Floats, product: Floats, ground: Floats, quality: int = 0) -> Image.Image:
    mixed = alpha[..., None] * product + (1 - alpha[..., None]) * ground
    photo = Image.fromarray((np.clip(mixed, 0, 1) * 255 + 0.5).astype(np.uint8))
    if not quality:
        return photo
    stored = io.BytesIO()
    photo.save(stored, "JPEG", quality=quality)
    return Image.open(stored).convert("RGB")


def colour(*channels: float) -> Floats:
    return np.broadcast_to(np.array(channels, np.float32), (SIZE[1], SIZE[0], 3))


def shirt(pen: ImageDraw.ImageDraw) -> None:
    right = [(380, 120), (480, 160), (600, 380), (530, 420), (470, 320), (470, 760)]
    left = [(210, 760), (210, 320), (150, 420), (80, 380), (200, 160), (300, 120)]
    pen.polygon(right + left, fill=255)
