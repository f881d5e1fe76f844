"""Sheets of pictures: where everything lies, by hand; words within their cell; nothing over anything else."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from catalog_gen.errors import Unavailable
from catalog_gen.report import montage
from catalog_gen.report.montage import Cell, Look, Section, draw_pictures, fit, load_font, write_pictures

BLUE, GREY = (20, 40, 200), (236, 236, 232)
WORDS = "Extraordinarily long words about a pair of running shoes, in navy blue and white, for men"


def plain(colour: tuple[int, int, int], size: int = 40) -> Image.Image:
    return Image.new("RGB", (size, size), colour)


@pytest.mark.parametrize(
    ("text", "width", "most", "lines"),
    [
        ("red shoe", 20, 2, ["red shoe"]),
        ("red running shoe", 8, 2, ["red", "running…"]),
        ("red running shoe", 8, 3, ["red", "running", "shoe"]),
        ("a b c d e f", 5, 2, ["a b c", "d e f"]),
        ("a b c d e f g", 5, 2, ["a b c", "d e…"]),
        ("supercalifragilistic shoe", 6, 2, ["super…", "shoe"]),
        ("one line only", 8, 1, ["one lin…"]),
        ("tab\tand\x00\u202enul", 20, 1, ["tab and nul"]),
        ("", 5, 2, []),
        ("   ", 5, 2, []),
    ],
)
def test_words_are_cut_to_lines(text: str, width: int, most: int, lines: list[str]) -> None:
    assert fit(text, width, most, len) == lines


def test_a_page_without_words_is_a_plain_grid() -> None:
    look = Look(columns=3, cell=20, gap=4)
    sheet = draw_pictures([Section([Cell(plain(BLUE))] * 4 + [Cell(None)])], look)
    assert sheet.size == (3 * 24 + 4, 2 * 24 + 4)
    pixels = np.asarray(sheet)
    for left, top in ((4, 4), (28, 4), (52, 4), (4, 28)):
        assert (pixels[top : top + 20, left : left + 20] == BLUE).all()
    assert (pixels[28:48, 28:48] == montage.MISSING).all(), "what cannot be read shows as missing"
    assert (pixels[28:, 52:] == 255).all() and (pixels[:4] == 255).all(), "white ground"


def test_a_picture_that_is_not_square_keeps_its_shape() -> None:
    wide, tall = Image.new("RGB", (160, 90), BLUE), Image.new("RGB", (40, 50), BLUE)
    look = Look(columns=2, cell=80, gap=4, ground=GREY)
    pixels = np.asarray(draw_pictures([Section([Cell(wide), Cell(tall)])], look))
    is_blue = (pixels == BLUE).all(axis=2)
    first, second = is_blue[4:84, 4:84], is_blue[4:84, 88:168]
    assert first.any(axis=0).sum() == 80 and first.any(axis=1).sum() == 45
    assert second.any(axis=0).sum() == 64 and second.any(axis=1).sum() == 80
    assert first[17:62].all() and is_blue.sum() == 80 * 45 + 64 * 80
    assert (pixels[~is_blue] == GREY).all(), "beside it the sheet's ground, and no bars"


def test_nothing_overlaps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where ink is: each line of words within its cell's width, between its picture and the next line's."""
    drawn: list[tuple[int, int, int, int]] = []
    real = montage.ImageDraw.ImageDraw.text

    def text(self: Any, xy: tuple[int, int], words: str, **more: Any) -> None:
        box = self.textbbox(xy, words, font=more["font"])
        drawn.append(tuple(round(side) for side in box))
        real(self, xy, words, **more)

    monkeypatch.setattr(montage.ImageDraw.ImageDraw, "text", text)
    look = Look(columns=2, cell=100, gap=10)
    cells = [Cell(plain(BLUE), note="0.213 A category with a very long name", words=WORDS) for _ in range(3)]
    sections = [Section(cells, "Shoes " + WORDS * 3), Section(cells[:1], "Bags")]
    page = montage._Page(sections, look, "Title")
    sheet = draw_pictures(sections, look, "Title")
    assert len(drawn) == 1 + 2 + 4 * 3, "a title, two headings, and a note and two lines below each of four pictures"
    pictures = [(left, top, left + 100, top + 100) for left, top, _ in page.cells()]
    boxes = drawn + pictures
    for index, (left, top, right, bottom) in enumerate(boxes):
        assert left >= 0 and top >= 0 and right <= sheet.width and bottom <= sheet.height
        for other in boxes[index + 1 :]:
            apart = right <= other[0] or other[2] <= left or bottom <= other[1] or other[3] <= top
            assert apart, (boxes[index], other)
    assert [left for left, *_ in pictures] == [10, 120, 10, 10]
    for left, _, right, _ in drawn[3:]:
        cell = 10 if left < 110 else 120
        assert left >= cell and right <= cell + 100, "within its cell's width"
    pixels = np.asarray(sheet)
    for left, top, right, bottom in pictures:
        assert (pixels[top:bottom, left:right] == BLUE).all()


def test_it_is_written_as_a_png(tmp_path: Path) -> None:
    out = write_pictures([Section([Cell(plain(BLUE), words="a")])], tmp_path / "deep" / "s.png", Look(columns=1))
    with Image.open(out) as sheet:
        assert sheet.format == "PNG" and sheet.width == 160 + 2 * 14


def test_words_need_matplotlib_and_pictures_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *rest, **more)

    load_font.cache_clear()
    monkeypatch.setattr(builtins, "__import__", without)
    assert draw_pictures([Section([Cell(plain(BLUE))])], Look()).width
    with pytest.raises(Unavailable, match="pip install 'catalog-gen"):
        draw_pictures([Section([Cell(plain(BLUE), words="a")])], Look())
