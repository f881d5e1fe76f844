"""What a matte doubts, which scraps it drops, and which openings it sees through."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageDraw
from scipy import ndimage

from catalog_gen.style.doubt import doubt_of, weak_outline
from catalog_gen.style.matte import cut_out
from catalog_gen.style.parts import split, without_odd

Boxes = list[tuple[int, int, int, int]]
SIZE = (168, 224)
DARK = (60, 60, 70)


def photo_of(boxes: Boxes, colour: tuple[int, int, int] = DARK, holes: Boxes = []) -> Image.Image:  # noqa: B006
    """Return boxes (left, top, right, bottom; px, inclusive) on white, as JPEG leaves them; holes show the white."""
    photo = Image.new("RGB", SIZE, "white")
    pen = ImageDraw.Draw(photo)
    for box in boxes:
        pen.rectangle(box, fill=colour)
    for box in holes:
        pen.rectangle(box, fill="white")
    return stored(photo)


def stored(photo: Image.Image) -> Image.Image:
    file = io.BytesIO()
    photo.save(file, "JPEG", quality=90)
    return Image.open(file).convert("RGB")


def mask_of(*boxes: tuple[int, int, int, int]) -> npt.NDArray[np.bool_]:
    mask = np.zeros((60, 80), bool)
    for left, top, right, bottom in boxes:
        mask[top:bottom, left:right] = True
    return mask


def test_the_outline_is_weak_where_the_photo_shows_no_edge() -> None:
    rgb = np.ones((60, 80, 3), np.float32)
    rgb[10:15, 20:30] = 0.5  # the upper half of the product; the lower is as white as the ground
    share, run = weak_outline(rgb, mask_of((20, 10, 30, 20)))
    # 36 px of rim; the last row and three of each side have no neighbour that differs
    assert (share, run) == (pytest.approx(16 / 36), 16)


def test_where_the_picture_ends_there_is_no_outline() -> None:
    assert weak_outline(np.ones((60, 80, 3), np.float32), mask_of((0, 0, 80, 5))) == (1.0, 80)
    assert weak_outline(np.ones((60, 80, 3), np.float32), np.ones((60, 80), bool)) == (0.0, 0)


def test_colour_alone_shows_an_edge() -> None:
    rgb = np.full((60, 80, 3), 0.5, np.float32)
    rgb[10:20, 20:30] += np.array([0.0587, -0.0299, 0], np.float32)  # as light as the ground
    assert weak_outline(rgb, mask_of((20, 10, 30, 20)))[0] == 0
    rgb[10:20, 20:30] = 0.5 + np.array([0.0294, -0.015, 0], np.float32)
    assert weak_outline(rgb, mask_of((20, 10, 30, 20)))[0] == 1


def test_parts_that_nearly_touch_are_one() -> None:
    assert split(mask_of((0, 0, 20, 20), (28, 0, 48, 20))).size.tolist() == [800]
    assert split(mask_of((0, 0, 20, 20), (29, 0, 49, 20))).size.tolist() == [400, 400]
    assert split(mask_of()).size.tolist() == []


def test_a_lonely_scrap_is_odd_and_three_of_a_size_are_not() -> None:
    large, scraps = (0, 0, 40, 40), [(60, y, 62, y + 3) for y in (5, 25, 45)]  # 1600 px, and 6 px each
    for count, kept in ((1, 1600), (2, 1600), (3, 1618)):
        assert without_odd(mask_of(large, *scraps[:count]), 0.005).sum() == kept
    assert without_odd(mask_of(large, scraps[0]), 0.003).sum() == 1606
    uneven = mask_of(large, scraps[0], (60, 25, 61, 27), (60, 45, 61, 46))  # 6, 2 and 1 px
    assert without_odd(uneven, 0.005).sum() == 1600


@pytest.mark.parametrize("count, shown", [(1, False), (4, True)])
def test_a_scrap_goes_and_buttons_stay(count: int, shown: bool) -> None:
    buttons = [(140, 40 + 40 * index, 144, 44 + 40 * index) for index in range(count)]
    found = cut_out(photo_of([(20, 20, 110, 200), *buttons]))
    assert (found.alpha[40:45, 140:145].mean() > 0.9) == shown
    assert (found.alpha[:, 125:].max() > 0) == shown
    assert found.alpha[30:190, 30:100].min() == 1
    assert ("5 parts that lie apart" in found.doubt) == shown


def test_a_pair_is_whole_and_beyond_doubt() -> None:
    found = cut_out(photo_of([(20, 80, 70, 140), (95, 80, 145, 140)]))
    assert found.alpha[90:130, 30:60].min() == found.alpha[90:130, 105:135].min() == 1
    assert not found.doubt and not found.fault


def test_a_piece_too_small_for_a_second_product_is_doubted() -> None:
    found = cut_out(photo_of([(20, 20, 110, 150), (90, 180, 105, 192)]))  # 208 px beside 11921
    assert found.alpha[182:190, 92:104].min() > 0.9
    assert "2 parts that lie apart" in found.doubt and not found.fault


def test_cloth_that_fades_into_the_ground_is_doubted() -> None:
    rgb = np.full((SIZE[1], SIZE[0], 3), 255, np.float32)
    rgb[40:180, 40:130] = np.linspace(225, 255, 140)[:, None, None]
    faded = Image.fromarray(rgb.astype(np.uint8))
    found = cut_out(stored(faded))
    assert "can hardly be told apart" in found.doubt and not found.fault
    assert not cut_out(photo_of([(40, 40, 129, 179)])).doubt


def trousers(gap: tuple[int, int, int, int], eyelets: int) -> Image.Image:
    small = [(60 + 9 * index, 50, 63 + 9 * index, 53) for index in range(eyelets)]
    return photo_of([(40, 30, 125, 200)], holes=[gap, *small])


def test_ground_between_legs_that_the_feet_close_is_open() -> None:
    found = cut_out(trousers((78, 90, 88, 112), eyelets=5))
    assert found.alpha[95:108, 81:86].max() < 0.05
    assert found.alpha[95:108, 60:74].min() > 0.95


def test_a_white_print_of_many_like_parts_is_no_opening() -> None:
    print_ = [
        (50 + 18 * column, 60 + 26 * row, 61 + 18 * column, 79 + 26 * row) for column in range(4) for row in (0, 1)
    ]
    found = cut_out(photo_of([(40, 30, 125, 200)], holes=print_))
    assert found.alpha[64:76, 53:59].min() > 0.95


def test_a_white_stripe_and_the_ring_round_a_dial_are_no_openings() -> None:
    found = cut_out(photo_of([(30, 30, 135, 200)], holes=[(50, 90, 115, 97)]))
    assert found.alpha[92:96, 55:110].min() > 0.95
    dial = Image.new("RGB", SIZE, "white")
    pen = ImageDraw.Draw(dial)
    pen.ellipse((30, 60, 140, 170), fill=DARK)
    pen.ellipse((50, 80, 120, 150), outline="white", width=6)
    assert cut_out(stored(dial)).alpha[112:118, 35:135].min() > 0.95


@pytest.mark.parametrize("strength, doubted", [(0.05, True), (0.4, False)])
def test_a_product_of_the_colours_behind_it_is_doubted(strength: float, doubted: bool) -> None:
    noise = np.random.default_rng(1).random((38, 28, 1))
    behind = 0.5 * np.kron(noise, np.ones((6, 6, 1)))[: SIZE[1]] + np.array([0.3, 0.4, 0.3])
    rgb = behind.copy()
    rgb[50:180, 45:125] = (1 - strength) * behind[::-1, ::-1][50:180, 45:125] + strength * np.array([0.7, 0.1, 0.15])
    found = cut_out(Image.fromarray((rgb * 255).astype(np.uint8)))
    assert found.kind == "general" and not found.fault
    assert ("plainly product or background" in found.doubt) == doubted


def test_where_a_prior_expects_an_outline_none_need_show() -> None:
    rgb = np.ones((60, 80, 3), np.float32)
    mask = mask_of((20, 10, 30, 20))
    assert doubt_of(rgb, mask)
    assert not doubt_of(rgb, mask, mask.astype(np.float32))
    vague = ndimage.gaussian_filter(mask.astype(np.float32), 6)  # nowhere sure
    assert "hardly be told apart" in doubt_of(rgb, mask, vague)


def test_a_prior_that_is_sure_of_the_opposite_is_a_doubt() -> None:
    rgb = np.ones((60, 80, 3), np.float32)
    mask = mask_of((20, 10, 50, 50))
    rgb[mask] = 0
    sure = mask.astype(np.float32)
    assert not doubt_of(rgb, mask, sure)
    rim = ndimage.binary_dilation(mask).astype(np.float32)
    assert not doubt_of(rgb, mask, rim)
    sure[10:50, 50:60] = 1  # 10 columns more than its 30
    assert "end elsewhere: 33% of its area" in doubt_of(rgb, mask, sure)
    less = mask.astype(np.float32)
    less[10:50, 20:26] = 0  # 6 columns fewer
    assert "end elsewhere: 20% of its area" in doubt_of(rgb, mask, less)
