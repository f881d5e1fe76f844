"""The matte against products whose alpha is known: drawn at four times the size, scaled down, laid on a ground."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from scipy import ndimage

from catalog_gen.style.matte import Cutout, cut_out
from style.drawn_products import SIZE, Drawing, Floats, colour, on_ground, shirt, true_alpha


def black_error(cutout: Cutout, alpha: Floats, product: Floats) -> float:
    """Return the mean error of the product laid on black, over the pixels that it covers at all: fringes show there."""
    apart = np.abs(cutout.alpha[..., None] * cutout.rgb - alpha[..., None] * product)
    return float(apart.max(axis=-1)[alpha > 0].mean())


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


@pytest.mark.parametrize("ground", [WHITE, NEAR, GREY], ids=["white", "near white", "grey"])
@pytest.mark.parametrize("product", [RED, BLACK, SKIN], ids=["red", "black", "skin"])
@pytest.mark.parametrize("draw", [shirt, ring, laces, bag])
def test_edges_are_as_soft_as_they_are_and_free_of_the_ground(draw: Drawing, product: Floats, ground: Floats) -> None:
    alpha = true_alpha(draw)
    found = cut_out(on_ground(alpha, product, ground))
    assert found.kind == "studio" and not found.fault
    assert np.abs(found.alpha - alpha).mean() < 0.015 * max(float(alpha.mean()), 0.2)
    assert black_error(found, alpha, product) < 0.03
    assert found.alpha[4:-4, 4:12].max() == 0


@pytest.mark.parametrize("ground", [WHITE, NEAR], ids=["white", "near white"])
@pytest.mark.parametrize("product", [RED, BLACK, SKIN], ids=["red", "black", "skin"])
@pytest.mark.parametrize("draw", [shirt, ring, bag])
def test_jpeg_noise_round_the_edges_is_not_the_product(draw: Drawing, product: Floats, ground: Floats) -> None:
    alpha = true_alpha(draw)
    found = cut_out(on_ground(alpha, product, ground, quality=85))
    assert np.abs(found.alpha - alpha).mean() < 0.03 * max(float(alpha.mean()), 0.2)
    assert black_error(found, alpha, product) < 0.06


def test_thin_straps_are_whole() -> None:
    alpha = true_alpha(laces)
    found = cut_out(on_ground(alpha, BLACK, WHITE, quality=90))
    strap = (alpha > 0.4) & (np.arange(SIZE[0]) < 70)
    assert strap.sum() > 150
    assert np.abs(found.alpha - alpha)[strap].mean() < 0.12
    assert (found.alpha[strap] > 0.2).mean() > 0.97


@pytest.mark.parametrize("draw, at", [(ring, (108, 83)), (bag, (85, 83))])
def test_holes_are_open(draw: Drawing, at: tuple[int, int]) -> None:
    alpha = true_alpha(draw)
    found = cut_out(on_ground(alpha, RED, WHITE, quality=85))
    assert alpha[at] == 0 and found.alpha[at[0] - 5 : at[0] + 5, at[1] - 5 : at[1] + 5].max() == 0


def test_white_cloth_on_white_is_whole() -> None:
    alpha = true_alpha(shirt)
    found = cut_out(on_ground(alpha, colour(0.97, 0.97, 0.97), WHITE, quality=90))
    assert np.minimum(found.alpha, alpha).sum() / np.maximum(found.alpha, alpha).sum() > 0.95


def test_blown_out_cloth_is_closed_by_its_outline() -> None:
    outline = true_alpha(lambda pen: pen.rectangle((200, 200, 470, 700), outline=255, width=10))
    whole = true_alpha(lambda pen: pen.rectangle((200, 200, 470, 700), fill=255))
    found = cut_out(on_ground(outline, colour(0.94, 0.94, 0.95), WHITE, quality=90))
    assert np.minimum(found.alpha, whole).sum() / np.maximum(found.alpha, whole).sum() > 0.95


def test_white_checks_are_no_holes() -> None:
    alpha = true_alpha(shirt)
    checks = true_alpha(lambda pen: [pen.rectangle((x, y, x + 36, y + 36), fill=255) for x in (250, 320, 390)
                                     for y in (380, 460, 540, 620)])  # fmt: skip
    printed = RED + checks[..., None] * (WHITE - RED)
    found = cut_out(on_ground(alpha, printed, WHITE, quality=90))
    assert found.alpha[(checks > 0) & (alpha == 1)].min() > 0.95


def test_a_cast_shadow_is_not_the_product() -> None:
    alpha = true_alpha(lambda pen: pen.rounded_rectangle((140, 420, 540, 600), 60, fill=255))
    cast = true_alpha(lambda pen: pen.ellipse((130, 570, 580, 660), fill=255))
    shade = ndimage.gaussian_filter(cast, 5)[..., None]
    found = cut_out(on_ground(alpha, RED, 1 - 0.25 * shade * WHITE, quality=90))
    below = (shade[..., 0] > 0.1) & (alpha == 0) & ~ndimage.binary_dilation(alpha > 0, iterations=2)
    assert below.sum() > 300
    assert found.alpha[below].mean() < 0.1
    assert found.alpha[alpha == 1].mean() > 0.98


def test_glass_keeps_what_shows_through_it() -> None:
    frame = true_alpha(lambda pen: pen.ellipse((150, 250, 520, 620), outline=255, width=24))
    pane = true_alpha(lambda pen: pen.ellipse((170, 270, 500, 600), fill=255))
    behind = 1 - 0.3 * pane[..., None] * (1 - colour(0.4, 0.4, 0.45))  # alpha 0.3
    photo = on_ground(frame, BLACK, behind, quality=90)
    found = cut_out(photo)
    again = found.alpha[..., None] * found.rgb + 1 - found.alpha[..., None]
    assert np.abs(again - np.asarray(photo) / 255).mean() < 0.005
    assert found.alpha[100:120, 78:90].min() == 1


def test_an_unevenly_lit_ground_is_a_studio() -> None:
    y = np.linspace(0.75, 0.95, SIZE[1], dtype=np.float32)[:, None, None]
    alpha = true_alpha(shirt)
    found = cut_out(on_ground(alpha, RED, y * WHITE, quality=90))
    assert found.kind == "studio"
    assert np.abs(found.alpha - alpha).mean() < 0.01


def test_a_product_before_texture_is_found() -> None:
    noise = np.random.default_rng(1).random((SIZE[1] // 6 + 1, SIZE[0] // 6 + 1, 1))
    texture = np.kron(noise, np.ones((6, 6, 1)))[: SIZE[1], : SIZE[0]].astype(np.float32)
    alpha = true_alpha(shirt)
    found = cut_out(on_ground(alpha, RED, 0.3 * texture + colour(0.3, 0.5, 0.3)))
    assert found.kind == "general" and not found.fault
    assert np.minimum(found.alpha, alpha).sum() / np.maximum(found.alpha, alpha).sum() > 0.9


def test_the_box_holds_what_is_more_than_half_covered() -> None:
    alpha = true_alpha(lambda pen: pen.rectangle((200, 400, 399, 599), fill=255))
    assert cut_out(on_ground(alpha, BLACK, WHITE)).box == (50, 100, 100, 150)


@pytest.mark.parametrize("grey", [0, 90, 255])
def test_nothing_but_ground_is_a_fault(grey: int) -> None:
    found = cut_out(Image.new("RGB", (60, 80), (grey, grey, grey)))
    assert found.fault and found.alpha.max() == 0 and found.box == (0, 0, 0, 0)


def test_large_photos_have_edges_as_fine_as_their_pixels() -> None:
    size = (500, 650)
    alpha = true_alpha(lambda pen: pen.ellipse((400, 500, 1600, 2100), fill=255), size)
    photo = on_ground(alpha, np.array([0.7, 0.1, 0.15], np.float32), np.ones(3, np.float32))
    found = cut_out(photo)
    assert found.alpha.shape == (650, 500)
    assert np.abs(found.alpha - alpha).mean() < 0.003


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 20, 255]))
def test_any_picture_has_a_matte(width: int, height: int, seed: int, spread: int) -> None:
    generator = np.random.default_rng(seed)
    base = int(generator.integers(0, 256 - spread))
    photo = Image.fromarray(generator.integers(base, base + spread + 1, (height, width, 3)).astype(np.uint8))
    found = cut_out(photo)
    assert found.alpha.shape == (height, width) and found.rgb.shape == (height, width, 3)
    assert found.alpha.dtype == found.rgb.dtype == np.float32
    for values in (found.alpha, found.rgb):
        assert np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1
