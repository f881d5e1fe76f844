"""Pictures on one page: a grid of cells of one size, under headings, with their words below; for a README or a log.

Words are cut to their cell's width, and every line of a page has room for the same number of them: nothing overlaps.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, UnidentifiedImageError

from catalog_gen.errors import Unavailable
from catalog_gen.photos import letterbox
from catalog_gen.report.page import printable, replacing

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

    from catalog_gen.report.contact_sheet import SheetItem

Colour = tuple[int, int, int]

WHITE, INK, QUIET, MISSING = (255, 255, 255), (30, 30, 30), (110, 110, 110), (210, 210, 205)
EDGES = {"needs_review": (214, 138, 20), "failed": (190, 40, 30), "rejected": (190, 40, 30)}
LINES = 2  # of words below a picture, at most
ELLIPSIS = "…"


@dataclass(frozen=True)
class Cell:
    """A picture, whole, None where it cannot be read; an edge's colour; a note of one line, and words of two, below."""

    picture: Image.Image | None
    edge: Colour | None = None
    note: str = ""
    words: str = ""


@dataclass(frozen=True)
class Section:
    """Cells under a heading; without one they follow what is above."""

    cells: Sequence[Cell]
    heading: str = ""


@dataclass(frozen=True)
class Look:
    """Of a page: cells a line, px of a cell's side, px between cells, and the ground's colour."""

    columns: int = 10
    cell: int = 160
    gap: int = 14
    ground: Colour = WHITE


def write_montage(
    items: Iterable[SheetItem], out: Path, *, columns: int = 10, limit: int = 100, cell: int = 128
) -> Path:
    """Write the first `limit` pictures as one PNG, `cell` pixels each, and return its path: for a README or a log.

    A picture that needs review has an amber edge, a failed or rejected one a red edge. Raises Unavailable when it
    cannot be written, ValueError when there is no item at all.
    """
    cells = [Cell(open_picture(item.image), EDGES.get(item.state)) for item in islice(items, limit)]
    if not cells:
        raise ValueError("a montage needs at least one picture")
    look = Look(min(columns, len(cells)), cell, gap=6, ground=(236, 236, 232))
    return write_pictures([Section(cells)], out, look)


def write_pictures(sections: Sequence[Section], out: Path, look: Look, title: str = "") -> Path:
    """Write the sections as one PNG and return its path.

    Raises Unavailable when it cannot be written, or there are words and matplotlib, whose font they are in, is not
    installed.
    """
    sheet = draw_pictures(sections, look, title)
    with replacing(out) as file:
        sheet.save(file, "PNG")
    return out


def draw_pictures(sections: Sequence[Section], look: Look, title: str = "") -> Image.Image:
    """Return the page as a picture, RGB."""
    page = _Page(sections, look, title)
    sheet = Image.new("RGB", (page.width, page.height), look.ground)
    draw = ImageDraw.Draw(sheet)
    for left, top, text, font, ink in page.texts():
        draw.text((left, top), text, fill=ink, font=font)
    for left, top, cell in page.cells():
        box = (left, top, left + look.cell - 1, top + look.cell - 1)
        if cell.picture is None:
            draw.rectangle(box, fill=MISSING)
        else:
            whole = letterbox(cell.picture.convert("RGB"), look.cell, fill=look.ground)
            sheet.paste(whole, (left, top))
        if cell.edge is not None:
            draw.rectangle((box[0] - 3, box[1] - 3, box[2] + 3, box[3] + 3), outline=cell.edge, width=3)
    return sheet


def fit(text: str, width: float, most: int, measure: Callable[[str], float]) -> list[str]:
    """Return `text` as at most `most` lines that `measure` finds no wider than `width`; what is too long is cut."""
    words = printable(text).split()
    lines: list[str] = []
    while words and len(lines) < most - 1:
        count = 1
        while count < len(words) and measure(" ".join(words[: count + 1])) <= width:
            count += 1
        lines.append(_cut(" ".join(words[:count]), width, measure))
        words = words[count:]
    return [*lines, _cut(" ".join(words), width, measure)] if words else lines


def _cut(text: str, width: float, measure: Callable[[str], float]) -> str:
    if measure(text) <= width:
        return text
    while text and measure(text + ELLIPSIS) > width:
        text = text[:-1].rstrip()
    return text + ELLIPSIS


class _Page:
    """Where everything goes: `title`, then each section's heading and lines of cells."""

    def __init__(self, sections: Sequence[Section], look: Look, title: str) -> None:
        self.sections, self.look, self.title = sections, look, title
        cells = [cell for section in sections for cell in section.cells]
        self.noted, worded = any(cell.note for cell in cells), any(cell.words for cell in cells)
        self.size = max(11, round(look.cell * 0.07))  # px of the words' letters
        self.line = round(self.size * 1.35)
        self.below = self.line * (self.noted + LINES * worded) + (look.gap // 2 if self.noted or worded else 0)
        self.step = look.cell + look.gap
        self.head = round(self.size * 2.6)
        self.width = look.columns * self.step + look.gap
        self.height = look.gap + (self.head if title else 0) + sum(self._height(section) for section in sections)

    def cells(self) -> Iterator[tuple[int, int, Cell]]:
        """Yield (left, top, cell)."""
        for top, section in self._tops():
            for index, cell in enumerate(section.cells):
                down, across = divmod(index, self.look.columns)
                yield self.look.gap + across * self.step, top + down * (self.step + self.below), cell

    def texts(self) -> Iterator[tuple[int, int, str, FreeTypeFont, Colour]]:
        """Yield (left, top, text, font, colour) of the title, the headings, and what stands below pictures."""
        gap, wide = self.look.gap, self.width - 2 * self.look.gap
        if self.title:
            font = load_font(round(self.size * 1.35), bold=True)
            yield gap, gap, "".join(fit(self.title, wide, 1, font.getlength)), font, INK
        for top, section in self._tops():
            if section.heading:
                font = load_font(round(self.size * 1.2), bold=True)
                text = "".join(fit(section.heading, wide, 1, font.getlength))
                yield gap, top - round(self.size * 1.9), text, font, INK
        for left, top, cell in self.cells():
            top += self.look.cell + self.look.gap // 3
            if self.noted:
                yield from self._lines(left, top, cell.note, 1, INK)
                top += self.line
            yield from self._lines(left, top, cell.words, LINES, QUIET if self.noted else INK)

    def _lines(
        self, left: int, top: int, text: str, most: int, ink: Colour
    ) -> Iterator[tuple[int, int, str, FreeTypeFont, Colour]]:
        if not text:
            return
        font = load_font(self.size)
        for place, line in enumerate(fit(text, self.look.cell, most, font.getlength)):
            yield left, top + place * self.line, line, font, ink

    def _tops(self) -> Iterator[tuple[int, Section]]:
        """Yield where each section's first line of cells begins."""
        top = self.look.gap + (self.head if self.title else 0)
        for section in self.sections:
            yield top + (self.head if section.heading else 0), section
            top += self._height(section)

    def _height(self, section: Section) -> int:
        lines = -(-len(section.cells) // self.look.columns)
        return lines * (self.step + self.below) + (self.head if section.heading else 0)


@cache
def load_font(size: int, *, bold: bool = False) -> FreeTypeFont:
    """Return DejaVu Sans, which comes with matplotlib, with letters of `size` px; raises Unavailable without it."""
    try:
        from matplotlib import get_data_path
    except ImportError as error:
        raise Unavailable(
            "words on a sheet need the package matplotlib", hint="Install it with: pip install 'catalog-gen[train]'."
        ) from error
    from PIL import ImageFont

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(get_data_path()) / "fonts" / "ttf" / name, size)


def open_picture(image: bytes) -> Image.Image | None:
    """Return the picture, loaded; None for bytes that are none, which a sheet shows as missing."""
    try:
        opened = Image.open(io.BytesIO(image))
        opened.load()
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError, EOFError):
        return None  # a sheet is where damage should be seen, not what it should stop
    return opened
