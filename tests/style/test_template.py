"""Templates: every mistake named at once, hashes that change with what they stand for, the shipped ones in order."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from catalog_gen.errors import TemplateError
from catalog_gen.style.engine import ENGINES
from catalog_gen.style.template import known_templates, load_template, shipped_templates
from catalog_gen.style.template_config import TemplateConfig
from style.style_fixtures import PLAIN, write_template


def problems(folder: Path) -> dict[str, str]:
    with pytest.raises(TemplateError) as caught:
        load_template(str(folder))
    assert caught.value.exit_code == 78
    assert {problem.file for problem in caught.value.problems} == {str(folder / "template.toml")}
    return {problem.key: problem.reason for problem in caught.value.problems}


def test_every_mistake_is_told_at_once_with_its_key(tmp_path: Path) -> None:
    text = PLAIN.replace("width = 0.5", "width = 1.5\nhight = 1").replace('aspect = "16:9"', 'aspect = "4:5"')
    text = text.replace('engine = "statistics"', 'engine = "magic"\nstrenght = 0.5')
    found = problems(write_template(tmp_path / "bad", text))
    assert found["placement.hight"] == "unknown key; did you mean height?"
    assert found["strenght"] == "unknown key; did you mean strength?"
    assert found["placement.width"] == "should be less than or equal to 1 (it is 1.5)"
    assert found["output[2]"] == "320x180 is not 4:5"
    assert "'gatys', 'fast'" in found["engine"]
    assert len(found) == 5


def test_what_sections_name_must_be_there(tmp_path: Path) -> None:
    text = PLAIN.replace('image = "style.png"', 'image = "gone.png"').replace('"#808080"', '"palette.3"')
    text += '[[text]]\ntext = "x"\nfont = "Comic"\noutputs = ["wide", "tall"]\n[placement."4:5"]\nx = 0.4\n'
    found = problems(write_template(tmp_path / "bad", text))
    assert found["style[1].image"].startswith("gone.png: cannot be read")
    assert found["background.colours"] == "palette.3: the palette has 0 colours"
    assert "EBGaramond-Italic" in found["text[1].font"]
    assert found["text[1].outputs"] == "no output is called 'tall'; there are square, wide"
    assert found['placement."4:5"'] == "no output has this aspect; there are 16:9, 1:1"


@pytest.mark.parametrize("name", ["../style.png", "/etc/passwd"])
def test_files_stay_in_the_folder(tmp_path: Path, name: str) -> None:
    found = problems(write_template(tmp_path / "bad", PLAIN.replace("style.png", name)))
    assert found["style[1].image"].endswith("a template's files lie in its own folder")


def test_a_damaged_image_is_named(tmp_path: Path) -> None:
    folder = write_template(tmp_path / "bad")
    data = (folder / "style.png").read_bytes()
    (folder / "style.png").write_bytes(data[: len(data) // 2])
    assert "damaged" in problems(folder)["style[1].image"]


def test_an_override_changes_only_what_it_names(tmp_path: Path) -> None:
    text = PLAIN + '[placement."16:9"]\nx = 0.3\n'
    placement = load_template(str(write_template(tmp_path / "t", text))).config.placement
    assert (placement.at("16:9").x, placement.at("16:9").ground, placement.at("1:1").x) == (0.3, 0.8, 0.5)


def test_overlays_are_told_by_the_output_that_shows_them(tmp_path: Path) -> None:
    text = '[[text]]\ntext = "Sale"\noutputs = ["wide"]\n[frame]\nopacity = 0.5\n[frame."16:9"]\nopacity = 0\n'
    config = load_template(str(write_template(tmp_path / "t", PLAIN + text))).config
    assert config.overlays_on("square") == ("frame",)
    assert config.overlays_on("wide") == ("text",)  # a frame that nobody sees there is none


def test_a_mistake_in_an_override_is_told_there(tmp_path: Path) -> None:
    found = problems(write_template(tmp_path / "bad", PLAIN + '[placement."16:9"]\nground = 2\n'))
    assert found == {'placement."16:9".ground': "should be less than or equal to 1 (it is 2)"}


CHANGES = {
    # what changes: (from, to, whether the square's hash changes, whether the wide's does)
    "title": ('title = "Plain"', 'title = "Other"', False, False),
    "limits": ("[background]", "[limits]\nssim = 0.9\n[background]", False, False),
    "palette unused": ("[background]", '[palette]\ncolours = ["#112233"]\n[background]', False, False),
    "strength": ("[[style]]", "strength = 0.5\n[[style]]", True, True),
    "colour": ("#808080", "#818181", True, True),
    "wide placement": ("[[output]]\nname", '[placement."16:9"]\nx = 0.4\n[[output]]\nname', False, True),
    "text on wide": ("[[output]]\nname", '[[text]]\ntext = "x"\noutputs = ["wide"]\n[[output]]\nname', False, True),
    "output's quality": ("width = 320", "quality = 80\nwidth = 320", False, True),
    "output's name": ('name = "wide"', 'name = "banner"', False, False),
}


@pytest.mark.parametrize("change", CHANGES)
def test_an_outputs_hash_is_of_what_decides_its_pixels(tmp_path: Path, change: str) -> None:
    old, new, *expected = CHANGES[change]
    before = load_template(str(write_template(tmp_path / "before")))
    after = load_template(str(write_template(tmp_path / "after", PLAIN.replace(old, new, 1))))
    pairs = zip(before.config.output, after.config.output, strict=True)
    assert [before.output_hash(a) != after.output_hash(b) for a, b in pairs] == expected
    assert before.hash != after.hash


def test_hashes_follow_a_files_bytes_and_not_its_name(tmp_path: Path) -> None:
    folder = write_template(tmp_path / "t")
    before = load_template(str(folder))
    output = before.config.output[0]
    (folder / "style.png").rename(folder / "renamed.png")
    (folder / "template.toml").write_text(PLAIN.replace("style.png", "renamed.png"), encoding="utf-8")
    renamed = load_template(str(folder))
    assert renamed.output_hash(output) == before.output_hash(output)
    Image.new("RGB", (256, 256), "#123456").save(folder / "renamed.png")
    assert load_template(str(folder)).output_hash(output) != before.output_hash(output)


def test_a_palette_colour_counts_where_it_is_used(tmp_path: Path) -> None:
    text = PLAIN.replace('"#808080"', '"palette.1"') + '[palette]\ncolours = ["#808080", "#111111"]\n'
    plain, named = (load_template(str(write_template(tmp_path / n, t))) for n, t in (("a", PLAIN), ("b", text)))
    assert [plain.output_hash(o) for o in plain.config.output] == [named.output_hash(o) for o in named.config.output]


def test_names_are_looked_up_and_near_ones_told(tmp_path: Path) -> None:
    write_template(tmp_path / "winter")
    assert load_template("winter", tmp_path).config.title == "Plain", "the shop's own goes before the shipped one"
    assert load_template("winter").config.title == "Winter"
    assert set(known_templates(tmp_path)) == {"festive", "studio", "summer", "winter"}
    with pytest.raises(TemplateError, match=r"Did you mean winter\?"):
        load_template("wintr")
    (tmp_path / "empty").mkdir()
    with pytest.raises(TemplateError, match=r"has no template\.toml"):
        load_template(str(tmp_path / "empty"))


@pytest.mark.parametrize("text", ["title = ", "\udcff"])
def test_what_is_no_toml_is_one_line(tmp_path: Path, text: str) -> None:
    folder = write_template(tmp_path / "bad")
    (folder / "template.toml").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(TemplateError, match="is not valid TOML"):
        load_template(str(folder))


def test_the_engines_are_those_of_the_engine_list() -> None:
    assert TemplateConfig.model_fields["engine"].annotation.__args__ == ENGINES


def test_shipped_templates() -> None:
    assert shipped_templates() == ["festive", "studio", "summer", "winter"]
    for name in shipped_templates():
        template = load_template(name)
        assert [o.name for o in template.config.output] == ["square", "portrait", "wide"]
    folder = known_templates()["winter"].parent
    assert sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) < 3_000_000


def test_the_look_has_the_images_and_weights_that_sum_to_one(tmp_path: Path) -> None:
    text = PLAIN.replace("[background]", '[[style]]\nimage = "red.png"\nweight = 3\n[background]')
    folder = write_template(tmp_path / "t", text, red=Image.new("RGB", (2048, 512), "#ff0000"))
    look = load_template(str(folder)).look()
    assert look.weights == (0.25, 0.75)
    assert [tuple(image.shape) for image in look.images] == [(3, 256, 256), (3, 256, 1024)]
    assert look.images[1].mean(dim=(1, 2)).tolist() == [1, 0, 0]
