"""`catalog-gen styles`: templates listed, shown, checked, begun; a preview of real products on one sheet."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from PIL import Image

from catalog_gen.catalog.model import Product
from catalog_gen.config import load_settings
from catalog_gen.errors import BundleError, ConfigError, TemplateError, UsageError
from catalog_gen.pipeline.restyle_parts import load_parts
from catalog_gen.pipeline.style_preview import PreviewPhoto, folder_photos, preview_style
from catalog_gen.pipeline.styler import open_styler
from catalog_gen.pipeline.styles import check_style, list_styles, new_style, show_style
from catalog_gen.style.template import load_template
from quality.studio import studio_photo
from style.style_fixtures import PLAIN, write_template
from style.test_matte_kinds import glasses


def test_list_tells_own_broken_and_shipped(tmp_path: Path) -> None:
    write_template(tmp_path / "brand")
    write_template(tmp_path / "broken", PLAIN.replace("title", "titel"))
    lines = {line.split()[0]: line for line in list_styles(tmp_path).splitlines()}
    assert set(lines) == {"name", "brand", "broken", "festive", "studio", "summer", "winter"}
    assert "square 200x200, wide 320x180" in lines["brand"]
    assert "2 mistakes" in lines["broken"], "titel is unknown, and title is missing"
    assert lines["winter"].endswith("shipped")


def test_show_has_hashes_and_limits(tmp_path: Path) -> None:
    template = load_template(str(write_template(tmp_path / "brand")))
    shown = show_style("brand", tmp_path)
    assert template.hash in shown
    assert template.output_hash(template.output("wide"))[:16] in shown
    assert "delta E 3 (95 %: 8), SSIM 0.95, CLIP 0.9" in shown


@pytest.mark.parametrize("like", ["", "winter"])
def test_a_new_template_is_good_as_it_is(tmp_path: Path, like: str) -> None:
    line = new_style("spring", tmp_path, like)
    assert str(tmp_path / "spring" / "template.toml") in line
    assert check_style("spring", tmp_path).endswith("good, 3 outputs")
    with pytest.raises(UsageError, match="is there already"):
        new_style("spring", tmp_path)


def test_a_check_finds_that_the_engine_cannot_draw_it(tmp_path: Path) -> None:
    new_style("spring", tmp_path, "winter")
    file = tmp_path / "spring" / "template.toml"
    plain = file.read_text(encoding="utf-8").replace('engine = "statistics"', 'engine = "fast"')
    file.write_text(plain, encoding="utf-8")
    assert check_style("spring", tmp_path).endswith("good, 3 outputs"), "the shipped network has learnt the frost"
    Image.effect_noise((256, 256), 90).convert("RGB").save(tmp_path / "spring" / "noise.png")
    file.write_text(plain.replace("frost.webp", "noise.png"), encoding="utf-8")
    with pytest.raises(ConfigError, match="learnt"):
        check_style("spring", tmp_path)
    file.write_text(plain.replace("[[style]]", 'bundle = "nowhere"\n[[style]]', 1), encoding="utf-8")
    with pytest.raises(BundleError, match="there is no style bundle 'nowhere'"):
        check_style("spring", tmp_path)


def test_the_starter_says_every_default_as_it_is(tmp_path: Path) -> None:
    """With every comment that holds a key taken in, nothing of the top-level keys changes."""
    new_style("spring", tmp_path)
    before = load_template(str(tmp_path / "spring"))
    file = tmp_path / "spring" / "template.toml"
    keys = (
        "bundle",
        "features",
        "keep_colours",
        "clear_glass",
        "weight",
        "focus",
        "x",
        "pose",
        "bleed",
        "distance",
        "tracking",
    )
    lines = []
    section = ""
    for line in file.read_text(encoding="utf-8").splitlines():
        bare = line.removeprefix("# ")
        section = line if line.startswith(("[", "# [")) else section
        taken = line.startswith("# ") and bare.split(" = ")[0] in keys and not section.startswith("#")
        lines.append(bare if taken else line)
    file.write_text("\n".join(lines), encoding="utf-8")
    after = load_template(str(tmp_path / "spring"))
    assert file.read_text(encoding="utf-8").count("\nbleed = true") == 1
    assert after.config == before.config


@pytest.mark.parametrize("name", ["", "../x", "a b", "-x"])
def test_a_name_must_be_a_folders(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be a template's name"):
        new_style(name, tmp_path)


def test_check_tells_what_is_wrong(tmp_path: Path) -> None:
    write_template(tmp_path / "brand", PLAIN + '[[text]]\ntext = "x"\ncolour = "#808080"\n')
    with pytest.raises(TemplateError, match="cannot be read well"):
        check_style("brand", tmp_path)


def test_preview_draws_real_products_and_leaves_out_what_it_cannot(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, colour in (("a", (180, 30, 40)), ("b", (30, 60, 150))):
        Image.fromarray(studio_photo("bag", colour, size=96)).save(folder / f"{name}.png")
    (folder / "c.jpg").write_bytes(b"no photo")
    template = load_template(str(write_template(tmp_path / "brand")))
    styler = open_styler(load_settings(env={}, use_default_file=False), template)
    photos = folder_photos(folder, 10)
    assert [photo.label for photo in photos] == ["a", "b", "c"]
    with caplog.at_level(logging.WARNING):
        line = preview_style(styler, photos, tmp_path / "out" / "sheet.png", cell=60)
    assert line.endswith("2 products in brand, 2 outputs")
    assert "c is left out of the preview" in caplog.text
    sheet = Image.open(tmp_path / "out" / "sheet.png").convert("RGB")
    reds = sum(r > 120 and g < 90 and b < 100 for _, (r, g, b) in sheet.getcolors(1 << 24) or [])
    assert reds > 5, "the red bag is on the sheet"
    with pytest.raises(UsageError, match="none of the photos"):
        preview_style(styler, [PreviewPhoto("c", folder / "c.jpg")], tmp_path / "sheet.png")


@pytest.mark.parametrize(
    ("keys", "words", "shows"),
    [
        ("", "Sunglasses Aviator", False),
        ("clear_glass = true\n", "Sunglasses Aviator", True),
        ("clear_glass = true\n", "Perfume Glass bottle", False),
    ],
)
def test_the_scene_shows_through_glasses_where_the_template_says_so(
    tmp_path: Path, keys: str, words: str, shows: bool
) -> None:
    photo, _, pane = glasses(0.45)
    template = load_template(str(write_template(tmp_path / "brand", keys + PLAIN)))
    styler = open_styler(load_settings(env={}, use_default_file=False), template)
    alpha = styler.cut_out(photo, words).alpha[pane == 1]
    assert alpha.mean() == pytest.approx(0.45 if shows else 1.0, abs=0.01)


def test_a_template_that_shows_through_redoes_glasses_alone(tmp_path: Path) -> None:
    settings = load_settings(env={}, use_default_file=False)
    folders = (tmp_path / "opaque", tmp_path / "clear")
    for folder, keys in zip(folders, ("", "clear_glass = true\n"), strict=True):
        write_template(folder, keys + PLAIN)
    opaque, clear = (load_parts(settings, str(folder)) for folder in folders)
    shirt, shades = Product("1", "Blue shirt", "Shirts"), Product("2", "Aviator", "Sunglasses")
    assert opaque.detail(shirt) == clear.detail(shirt) == "worn"
    assert (opaque.detail(shades), clear.detail(shades)) == ("float", "float clear")
    assert [opaque.output_hash(one) for one in opaque.outputs] == [clear.output_hash(one) for one in clear.outputs]


def test_a_folder_without_photos(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no photo"):
        folder_photos(tmp_path, 3)
