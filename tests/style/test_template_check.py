"""What `styles check` finds in a template that is valid; and that the shipped ones, as pictures, are what they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from catalog_gen.errors import TemplateError
from catalog_gen.style.compose import draw_background
from catalog_gen.style.light import luminance
from catalog_gen.style.template import load_template, shipped_templates
from catalog_gen.style.template_check import check_template
from style.style_fixtures import PLAIN, write_template

TEXT = '[[text]]\ntext = "Sale"\nsize = 0.1\nx = 0.02\ny = 0.02\ncolour = "#000000"\noutputs = ["square"]\n'


def told(folder: Path) -> dict[str, str]:
    with pytest.raises(TemplateError) as caught:
        check_template(load_template(str(folder)))
    return {problem.key: problem.reason for problem in reversed(caught.value.problems)}  # the first of a key


def test_a_good_template_passes(tmp_path: Path) -> None:
    check_template(load_template(str(write_template(tmp_path / "t", PLAIN + TEXT))))


@pytest.mark.parametrize(
    "old, new, reason",
    [
        ("#000000", "#909090", "cannot be read well in square: contrast 1.2:1, and 4.5:1 is needed"),
        ("x = 0.02\ny = 0.02", "x = 0.4\ny = 0.4", "lies over the product's room in square"),
        ("x = 0.02", "x = 0.95", "does not fit into square"),
        ('"Sale"', '"S\u4eba"', "the font Inter-Light has no '\u4eba'"),
    ],
)
def test_texts(tmp_path: Path, old: str, new: str, reason: str) -> None:
    found = told(write_template(tmp_path / "t", PLAIN + TEXT.replace(old, new)))
    assert found["text[1]"].startswith(reason)


def test_the_products_room_must_lie_inside(tmp_path: Path) -> None:
    found = told(write_template(tmp_path / "t", PLAIN.replace("ground = 0.8", "ground = 0.45\nx = 0.2")))
    # 0.5 of 200 px wide round 40: from -10; standing on 90 px and 100 high: from -10.
    assert found["placement"].startswith("the product's room reaches 10 px over the left edge of square")


def test_images_too_small_are_named(tmp_path: Path) -> None:
    text = PLAIN.replace('kind = "colour"\ncolours = ["#808080"]', 'kind = "image"\nimage = "scene.png"')
    text += '[logo]\nimage = "logo.png"\nwidth = 0.2\nx = 0.02\ny = 0.02\n'
    tiny = {name: Image.new("RGB", (20, 20)) for name in ("style", "scene", "logo")}
    found = told(write_template(tmp_path / "t", text, **tiny))
    assert found["style[1].image"] == "style.png is 20x20: 256 px a side are needed"
    assert found["background.image"] == "scene.png is 20x20, enlarged 10.0 times for square"
    assert found["logo.image"].startswith("is 20 px wide, and ")


def test_a_byte_limit_that_the_scene_alone_breaks(tmp_path: Path) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8))
    text = PLAIN.replace('kind = "colour"\ncolours = ["#808080"]', 'kind = "image"\nimage = "scene.png"')
    text = text.replace("height = 200", "height = 200\nmax_bytes = 5_000")
    found = told(write_template(tmp_path / "t", text, scene=noise))
    assert "the scene without a product takes" in found["output[1].max_bytes"]


@pytest.mark.parametrize("name", shipped_templates())
def test_shipped_templates_pass(name: str) -> None:
    check_template(load_template(name))


# Mean CIELAB-like facts of each scene: what an art director would say of it, in numbers with room to repaint.
SCENES = {
    # luminance of the whole, blue minus red of the upper half, and of the ground
    "winter": ((0.55, 0.95), (0.02, 0.30), (0.0, 0.15)),
    "summer": ((0.50, 0.95), (-0.10, 0.25), (-0.40, -0.12)),
    "festive": ((0.02, 0.20), (-0.15, 0.10), (-0.35, -0.02)),
    "studio": ((0.50, 0.95), (-0.20, -0.02), (-0.20, -0.02)),
}


@pytest.mark.parametrize("name", shipped_templates())
def test_shipped_scenes_have_their_light_and_colour(name: str) -> None:
    template = load_template(name)
    brightness, above, below = SCENES[name]
    for output in template.config.output:
        scene = draw_background(template, output)
        assert brightness[0] < float(luminance(scene).mean()) < brightness[1]
        cool = scene[..., 2] - scene[..., 0]
        third = output.height // 3
        assert above[0] < float(cool[:third].mean()) < above[1]
        assert below[0] < float(cool[-output.height // 5 :].mean()) < below[1]
        left, right = (luminance(part).mean() for part in np.array_split(scene[:third], 2, axis=1))
        assert name == "festive" or left > right, "the light comes from the upper left"


@pytest.mark.parametrize("name", shipped_templates())
def test_shipped_gradients_have_no_steps(name: str) -> None:
    """In a banded gradient most neighbours are equal and a few jump; grain keeps them apart."""
    template = load_template(name)
    scene = np.rint(draw_background(template, template.config.output[0]) * 255)
    sky = scene[: len(scene) // 4]
    assert float((np.diff(sky[..., 1], axis=0) == 0).mean()) < 0.45
