"""Composing: geometry for any shape and size, colours kept, shadows where they belong, overlays crisp."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog_gen.errors import RowError
from catalog_gen.style.compose import draw_background, overlay, overlay_box, place
from catalog_gen.style.layout import find_pose, pose_of, product_box
from catalog_gen.style.light import blur, contrast, luminance, to_light, to_srgb
from catalog_gen.style.template import Template, load_template
from catalog_gen.style.template_config import Placement
from style.style_fixtures import PLAIN, Product, block, write_template

part = st.floats(0, 1)
share = st.floats(0.01, 1)


@pytest.fixture
def plain(tmp_path: Path) -> Template:
    return load_template(str(write_template(tmp_path / "plain")))


@given(
    product=st.tuples(st.integers(1, 4_000), st.integers(1, 4_000)),
    canvas=st.tuples(st.integers(64, 8_192), st.integers(64, 8_192)),
    numbers=st.tuples(share, share, st.floats(0.01, 1.5), part, part, part),
    pose=st.sampled_from(["stand", "float", "bleed"]),
)
@settings(max_examples=300, deadline=None)
def test_a_product_is_inside_whatever_the_numbers(product, canvas, numbers, pose) -> None:  # type: ignore[no-untyped-def]
    names = ("width", "height", "scale", "x", "y", "ground")
    box = product_box(Placement(**dict(zip(names, numbers, strict=True))), pose, product, canvas)
    assert 0 <= box.left < box.right <= canvas[0]
    assert 0 <= box.top < box.bottom <= canvas[1]
    if min(box.width, box.height) > 20:  # rounding to whole pixels hides the shape of less
        assert box.width / box.height == pytest.approx(product[0] / product[1], rel=0.06)


@pytest.mark.parametrize(
    "pose, expected",
    # 50 x 100 px into half of 200 x 200: 50 x 100, or 61 x 122 where it is cut off below.
    [("stand", (75, 60, 125, 160)), ("float", (75, 50, 125, 150)), ("bleed", (70, 78, 131, 200))],
)
def test_boxes_worked_out_by_hand(pose: str, expected: tuple[int, ...]) -> None:
    placement = Placement(width=0.5, height=0.5, x=0.5, y=0.5, ground=0.8)
    box = product_box(placement, pose, (50, 100), (200, 200))  # type: ignore[arg-type]
    assert (box.left, box.top, box.right, box.bottom) == expected


def test_the_pose_follows_words_then_shape() -> None:
    assert [pose_of(w) for w in ("Casual Shoes", "Tshirts Nike", "Watches", "Zubehör")] == [
        "stand", "worn", "float", None,
    ]  # fmt: skip
    auto = Placement()
    assert find_pose(auto, block(40, 40).alpha) == "stand", "wide at its foot"
    triangle = np.tril(np.ones((60, 60), np.float32))[::-1].copy()
    triangle[50:] = 0
    assert find_pose(auto, np.pad(triangle, 8)) == "float", "narrow at its foot"
    assert find_pose(auto, block(40, 100).alpha, "worn") == "stand", "a person from head to foot"
    assert find_pose(auto, block(40, 50).alpha, "worn") == "float"
    cut = block(40, 40).alpha[:-10]
    assert find_pose(auto, cut) == "bleed"
    assert find_pose(Placement(bleed=False, pose="float"), cut, "stand") == "float"


def test_the_product_keeps_its_colour_and_the_scene_its_own(plain: Template) -> None:
    output = plain.config.output[0]
    scene = place(plain, output, block(60, 60))
    assert scene.content.shape == (200, 200, 3)
    assert scene.content.dtype == scene.alpha.dtype == np.float32
    inside = scene.content[scene.box.rows, scene.box.columns][4:-4, 4:-4]
    assert np.abs(inside - (0.8, 0.2, 0.1)).max() < 1e-5
    assert np.abs(scene.content[:20] - 128 / 255).max() < 0.02, "far above, the shadow is nothing"
    assert scene.alpha[scene.box.rows, scene.box.columns].mean() > 0.97
    assert scene.alpha.sum() == scene.alpha[scene.box.rows, scene.box.columns].sum()


def test_what_is_half_transparent_lets_the_scene_through(tmp_path: Path) -> None:
    text = PLAIN + '[shadow]\nkind = "none"\n'
    template = load_template(str(write_template(tmp_path / "t", text)))
    glass = block(60, 60)
    scene = place(template, template.config.output[0], Product(glass.rgb, glass.alpha * np.float32(0.6)))
    middle = scene.content[scene.box.rows, scene.box.columns][45:55, 45:55].mean(axis=(0, 1))
    # 0.6 of the product and 0.4 of the ground, in sRGB values
    assert middle == pytest.approx(np.array([0.8, 0.2, 0.1]) * 0.6 + 0.4 * 128 / 255, abs=2e-3)


def test_a_standing_product_darkens_the_ground_at_its_foot(plain: Template) -> None:
    output = plain.config.output[0]
    scene = place(plain, output, block(60, 60), known="stand")
    empty = draw_background(plain, output)
    dimmed = (empty - scene.content).mean(axis=2) * (1 - scene.alpha)
    below = dimmed[scene.box.bottom + 1, scene.box.columns].mean()
    assert below > 0.1, "the contact line"
    assert dimmed[scene.box.bottom + 25, scene.box.columns].mean() < 0.25 * below
    assert dimmed[: scene.box.top - 5].max() < 1e-3
    assert dimmed.min() > -1e-6, "a shadow only takes light"
    right, left = (dimmed[150:165, a:b].mean() for a, b in ((scene.box.right, 180), (20, scene.box.left)))
    assert right > 1.2 * left, "the light comes from the left"


def test_a_floating_product_leaves_a_gap_to_its_shadow(plain: Template) -> None:
    output = plain.config.output[0]
    scene = place(plain, output, block(40, 40), known="float")
    dimmed = (draw_background(plain, output) - scene.content).mean(axis=2) * (1 - scene.alpha)
    column = dimmed[:, 100]
    deepest = int(column.argmax())
    assert abs(deepest - 160) <= 4, "on the ground line, 0.8 of 200"
    assert column[scene.box.bottom + 1] < column[deepest]


def test_no_product_is_a_failed_row(plain: Template) -> None:
    output, empty = plain.config.output[0], block(4, 4)
    with pytest.raises(RowError, match="it is empty"):
        place(plain, output, Product(empty.rgb, empty.alpha * 0))
    with pytest.raises(RowError, match="white on white"):
        place(plain, output, Product(empty.rgb, empty.alpha, fault="white on white"))


def test_an_enlarged_edge_is_drawn_in(plain: Template) -> None:
    y, x = np.mgrid[0:40, 0:40]
    disc = (np.hypot(x - 19.5, y - 19.5) < 8).astype(np.float32)
    product = Product(np.full((40, 40, 3), 0.3, np.float32), disc)
    scene = place(plain, plain.config.output[0], product)
    assert scene.box.width == 100
    between = int(((scene.alpha[scene.box.top + 50] > 0.05) & (scene.alpha[scene.box.top + 50] < 0.95)).sum())
    assert 2 <= between <= 9, "two edges; Lanczos alone leaves each 6 px soft, as the enlargement is 6-fold"


def test_the_same_picture_twice(plain: Template) -> None:
    output = plain.config.output[1]
    first, second = (place(plain, output, block(30, 50)).content for _ in range(2))
    assert (first == second).all()


def test_overlays_are_where_they_are_said_to_be(tmp_path: Path) -> None:
    text = PLAIN + '[frame]\ncolour = "#ff0000"\nwidth = 0.01\ninset = 0.05\noutputs = ["square"]\n'
    text += '[[text]]\ntext = "Ab"\noutputs = ["square"]\nsize = 0.2\n'
    text += 'x = 0.5\ny = 0.3\nanchor = "middle"\ncolour = "#000000"\n'
    template = load_template(str(write_template(tmp_path / "t", text)))
    square, wide = template.config.output
    grey = np.full((200, 200, 3), 0.5, np.float32)
    drawn = overlay(template, square, grey)
    assert drawn[100, 10].tolist() == [1, 0, 0], "inset: 0.05 of 200"
    assert drawn[100, 11].tolist() == [1, 0, 0], "two pixels wide"
    assert drawn[100, 13].tolist() == [0.5, 0.5, 0.5]
    box = overlay_box(template, square, template.config.text[0])
    dark = np.argwhere(drawn.max(axis=2) < 0.2)
    assert len(dark) > 50
    assert (dark.min(axis=0) >= (box[1], box[0])).all()
    assert (dark.max(axis=0) < (box[3], box[2])).all()
    assert (box[0] + box[2]) / 2 == pytest.approx(100, abs=1)
    untouched = np.full((180, 320, 3), 0.5, np.float32)
    assert overlay(template, wide, untouched) is untouched


def test_light_by_the_standards_numbers() -> None:
    grey = np.array([0.0, 0.04045, 0.5, 1.0], np.float32)
    assert to_light(grey) == pytest.approx([0, 0.0031308, 0.214041, 1], abs=1e-6)
    assert to_srgb(to_light(grey)) == pytest.approx(grey, abs=1e-6)
    white, black = luminance(np.ones(3, np.float32)), luminance(np.zeros(3, np.float32))
    assert float(contrast(white, black)) == pytest.approx(21)
    assert float(contrast(luminance(np.full(3, 0x77 / 255, np.float32)), white)) == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("sigma", [0.8, 3.0, 20.0])
def test_blur_is_a_gaussian(sigma: float) -> None:
    plane = np.zeros((161, 161), np.float32)
    plane[80, 80] = 1
    soft = blur(plane, sigma)
    assert float(soft.sum()) == pytest.approx(1, abs=0.02)
    spread = np.sqrt((soft.sum(axis=0) * (np.arange(161) - 80) ** 2).sum())
    assert spread == pytest.approx(sigma, rel=0.06)
