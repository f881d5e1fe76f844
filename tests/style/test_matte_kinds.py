"""The hard kinds: straps, laces, glass, white on white; each drawn, so that its alpha is known at every pixel."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy import ndimage

from catalog_gen.style.matte import Cutout, cut_out
from style.drawn_products import SIZE, Floats, colour, on_ground, shirt, true_alpha

BROWN, GREY, WHITE = colour(0.35, 0.22, 0.15), colour(0.25, 0.25, 0.28), colour(1, 1, 1)
QUALITY = 90


def error(found: Cutout, alpha: Floats) -> float:
    """Return the mean absolute error of alpha, in parts of the product's area."""
    return float(np.abs(found.alpha - alpha).sum() / alpha.sum())


def sandal(pen: ImageDraw.ImageDraw) -> None:
    pen.polygon([(60, 640), (620, 640), (620, 580), (480, 560), (60, 600)], fill=255)
    for left in (90, 210, 330):  # 3 px
        pen.line((left, 600, left + 110, 300), fill=255, width=12)
    pen.line((180, 300, 460, 300), fill=255, width=16)


def test_ground_shows_between_straps_and_the_straps_are_whole() -> None:
    alpha = true_alpha(sandal)
    found = cut_out(on_ground(alpha, BROWN, WHITE, QUALITY))
    straps = np.s_[80:138, 25:120]
    assert error(found, alpha) < 0.02
    assert found.alpha[straps].sum() == pytest.approx(alpha[straps].sum(), rel=0.03)
    assert found.alpha[100:120, 50:54].max() < 0.02  # ground, closed in by straps


def shoe(pen: ImageDraw.ImageDraw) -> None:
    pen.polygon([(80, 620), (80, 420), (200, 380), (600, 540), (600, 620)], fill=255)
    for step in range(5):  # loose ends of 1.5 px
        pen.arc((150 + 60 * step, 250 + 20 * step, 260 + 60 * step, 640), 180, 360, fill=255, width=6)


def test_laces_thinner_than_two_pixels_keep_their_coverage() -> None:
    alpha = true_alpha(shoe)
    found = cut_out(on_ground(alpha, GREY, WHITE, QUALITY))
    laces = (alpha > 0) & (np.arange(SIZE[1])[:, None] < 88)
    assert laces.sum() > 200
    assert error(found, alpha) < 0.03
    # where no pixel is all lace its colour is that of the darkest: too pale, and so alpha is a little too high
    assert 0.97 < found.alpha[laces].sum() / alpha[laces].sum() < 1.2
    again = found.alpha[..., None] * found.rgb + 1 - found.alpha[..., None]
    assert np.abs(again - (1 - alpha[..., None] * (1 - GREY)))[laces].mean() < 0.03


LENSES = [(60, 300, 300, 520), (360, 300, 600, 520)]


def frame_of(pen: ImageDraw.ImageDraw) -> None:
    for box in LENSES:
        pen.ellipse(box, outline=255, width=16)
    pen.line((300, 400, 360, 400), fill=255, width=16)


def lenses(pen: ImageDraw.ImageDraw) -> None:
    for box in LENSES:
        pen.ellipse(box, fill=255)


def glasses(tint: float) -> tuple[Image.Image, Floats, Floats]:
    """Return a photo of glasses whose panes take `tint` of the light away, their alpha, and which part is pane."""
    frame, whole = true_alpha(frame_of), true_alpha(lenses)
    pane = np.clip(whole - frame, 0, 1)
    photo = on_ground(frame, GREY, 1 - tint * pane[..., None] * WHITE, QUALITY)
    return photo, frame + pane * tint, ndimage.grey_erosion(pane, 7)


@pytest.mark.parametrize("tint", [0.2, 0.45, 0.8])
def test_the_panes_of_glasses_let_through_what_they_let_through(tint: float) -> None:
    photo, alpha, pane = glasses(tint)
    found = cut_out(photo, glass=True)
    inner = pane == 1
    assert inner.sum() > 1500
    assert np.abs(found.alpha - alpha)[inner].mean() < 0.01
    assert np.abs(found.alpha - alpha)[alpha > 0].mean() < 0.06
    assert found.rgb[inner].mean() < 0.02  # a neutral filter takes light away, and adds none


def test_panes_are_opaque_unless_the_product_is_known_to_have_some() -> None:
    photo, _, pane = glasses(0.45)
    found = cut_out(photo)
    assert found.alpha[pane == 1].min() == 1
    assert np.abs(found.rgb - np.asarray(photo) / np.float32(255))[pane == 1].max() == 0


def test_glass_on_its_own_ground_is_the_photo_again() -> None:
    photo, _, pane = glasses(0.45)
    found = cut_out(photo, glass=True)
    again = found.alpha[..., None] * found.rgb + 1 - found.alpha[..., None]
    assert np.abs(again - np.asarray(photo) / 255)[pane > 0].max() < 0.005


def test_cloth_of_a_product_with_panes_stays_opaque_where_it_is_patterned() -> None:
    alpha = true_alpha(shirt)
    checks = (np.indices((SIZE[1], SIZE[0])).sum(axis=0) // 3 % 2)[..., None].astype(np.float32)
    found = cut_out(on_ground(alpha, BROWN + 0.2 * checks, WHITE, QUALITY), glass=True)
    assert found.alpha[alpha == 1].mean() > 0.99


def folded_white() -> tuple[Image.Image, Floats]:
    """Return a white shirt on white, shaded in soft folds, whose hem is blown out for a hand's width; and its alpha."""
    alpha = true_alpha(shirt)
    x, y = np.arange(SIZE[0], dtype=np.float32), np.arange(SIZE[1], dtype=np.float32)[:, None]
    folds = 0.05 + 0.03 * np.sin(x / 9)[None] * np.ones_like(y)
    out = np.exp(-(((x[None] - 80) / 6) ** 2) - ((y - 190) / 6) ** 2)
    return on_ground(alpha, (1 - folds * (1 - out))[..., None] * WHITE, WHITE, QUALITY), alpha


def test_white_cloth_that_is_blown_out_at_its_hem_is_no_shadow() -> None:
    photo, alpha = folded_white()
    found = cut_out(photo)
    assert error(found, alpha) < 0.04
    assert found.alpha[140:180, 55:115].mean() > 0.99


def test_a_reflection_in_the_table_is_not_the_product() -> None:
    alpha = true_alpha(lambda pen: pen.rectangle((240, 200, 440, 600), fill=255))
    mirrored = true_alpha(lambda pen: pen.rectangle((240, 600, 440, 840), fill=255))
    fading = np.clip(1 - (np.arange(SIZE[1], dtype=np.float32)[:, None] - 150) / 35, 0, 1)
    shade = ndimage.gaussian_filter(mirrored * fading, 6)[..., None] * 0.25
    found = cut_out(on_ground(alpha, GREY, 1 - shade * WHITE, QUALITY))
    assert (shade[165:175, 60:110] > 0.05).mean() > 0.8
    assert found.alpha[160:].max() < 0.1
    assert found.alpha[alpha == 1].mean() > 0.99
