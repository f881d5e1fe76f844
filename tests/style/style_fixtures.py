"""Templates and products made for the tests: what they look like is known to the pixel."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PLAIN = """
title = "Plain"
engine = "statistics"
[[style]]
image = "style.png"
[background]
kind = "colour"
colours = ["#808080"]
[placement]
width = 0.5
height = 0.5
y = 0.5
ground = 0.8
[[output]]
name = "square"
aspect = "1:1"
width = 200
height = 200
[[output]]
name = "wide"
aspect = "16:9"
width = 320
height = 180
"""


@dataclass(frozen=True)
class Product:
    """A cut-out, as compose.py reads it."""

    rgb: NDArray[np.float32]
    alpha: NDArray[np.float32]
    kind: str = "studio"
    fault: str = ""
    box: tuple[int, int, int, int] = (0, 0, 0, 0)


def block(
    width: int, height: int, *, margin: int = 10, colour: tuple[float, float, float] = (0.8, 0.2, 0.1)
) -> Product:
    """A block of one colour, `margin` away from its photo's edges on all sides."""
    alpha = np.zeros((height + 2 * margin, width + 2 * margin), np.float32)
    alpha[margin : margin + height, margin : margin + width] = 1
    rgb = np.broadcast_to(np.array(colour, np.float32), (*alpha.shape, 3)).copy()
    return Product(rgb, alpha)


def write_template(folder: Path, text: str = PLAIN, **files: Image.Image) -> Path:
    """Write a template with a style image, and `files` (name without .png)."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "template.toml").write_text(text, encoding="utf-8")
    noise = np.random.default_rng(0).integers(0, 255, (256, 256, 3), dtype=np.uint8)
    for name, image in {"style": Image.fromarray(noise), **files}.items():
        image.save(folder / f"{name}.png")
    return folder
