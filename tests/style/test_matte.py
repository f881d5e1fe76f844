"""The matte against products whose alpha is known: drawn at four times the size, scaled down, laid on a ground."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from catalog_gen.style.matte import Cutout, cut_out

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


def black_error(cutout: Cutout, alpha: Floats, product: Floats) -> float:
    """Return the mean error of the product laid on black, over the pixels that it covers at all: fringes show there."""
    apart = np.abs(cutout.alpha[..., None] * cutout.rgb - alpha[..., None] * product)
    return float(apart.max(axis=-1)[alpha > 0].mean())


def shirt(pen: ImageDraw.ImageDraw) -> None:
    pen.polygon([(200, 160), (300, 120), (380, 120), (480, 160), (600, 380), (530, 420), (470, 320), (470, 760), (210, 760),
                 (210, 320), (150, 420), (80, 380)], fill=255)  # fmt: skip


def ring(pen: ImageDraw.ImageDraw) -> None:
    pen.ellipse((150, 250, 520, 620), outline=255, width=40)


def laces(pen: ImageDraw.ImageDraw) -> None:
    for step in range(6):
        pen.line((120, 200 + 90 * step, 540, 260 + 80 * step), fill=255, width=6)  # 1.5 px
    pen.rectangle((300, 120, 380, 800), fill=255)


def bag(pen: ImageDraw.ImageDraw) -> None:
    pen.rectangle((140, 420, 530, 760), fill=255)
    pen.arc((220, 200, 450, 640), 180, 360, fill=255, width=22)


RED, BLACK, SKIN = colour(0.7, 0.1, 0.15), colour(0.03, 0.03, 0.03), colour(0.85, 0.65, 0.5)
WHITE, NEAR, GREY = colour(1, 1, 1), colour(0.97, 0.97, 0.975), colour(0.62, 0.61, 0.6)


@pytest.mark.parametrize("quality", [0, 85])
@pytest.mark.parametrize("ground", [WHITE, NEAR, GREY], ids=["white", "near white", "grey"])
@pytest.mark.parametrize("product", [RED, BLACK, SKIN], ids=["red", "black", "skin"])
@pytest.mark.parametrize("draw", [shirt, ring, laces, bag])
def test_edges_are_as_soft_as_they_are_and_free_of_the_ground(
    draw: Drawing, product: Floats, ground: Floats, quality: int
) -> None:
    alpha = true_alpha(draw)
    found = cut_out(on_ground(alpha, product, ground, quality))
    assert found.kind == "studio" and not found.fault
    covered = float(alpha.mean())
    assert np.abs(found.alpha - alpha).mean() < (0.03 if quality else 0.015) * max(covered, 0.2)
    assert black_error(found, alpha, product) < (0.05 if quality else 0.03)
    assert found.alpha[4:-4, 4:12].max() == 0


def test_thin_straps_are_whole() -> None:
    alpha = true_alpha(laces)
    found = cut_out(on_ground(alpha, BLACK, WHITE, 90))
    strap = (alpha > 0.4) & (np.arange(SIZE[0]) < 70)
    assert strap.sum() > 150
    assert np.abs(found.alpha - alpha)[strap].mean() < 0.12
    assert (found.alpha[strap] > 0.2).mean() > 0.97


def test_holes_are_open() -> None:
    for draw, at in ((ring, (108, 83)), (bag, (85, 83))):
        alpha = true_alpha(draw)
        found = cut_out(on_ground(alpha, RED, WHITE, 85))
        assert alpha[at] == 0 and found.alpha[at[0] - 5 : at[0] + 5, at[1] - 5 : at[1] + 5].max() == 0
