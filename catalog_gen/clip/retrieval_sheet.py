"""A sheet of what words find: each prompt with its own photo and the five held-out photos nearest to it."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from catalog_gen.clip.evaluate import HeldOutEmbeddings
from catalog_gen.training.extras import needs
from catalog_gen.training_data import TrainRow

FOUND = 5  # photos a prompt
TILE, GAP, HEAD, WORDS = 96, 8, 24, 250  # px: a photo's side, between photos, the line of titles, the words' column
FONT_SIZE, LINE, LINE_WIDTH, LINES = 12, 16, 36, 5  # px, px, characters, lines
RIGHT, GREY = (47, 133, 90), (110, 110, 110)  # the frame of a prompt's own photo where it was found; small print


@dataclass(frozen=True)
class Finding:
    """What one prompt finds: `own` is its product's position, `found` those of the nearest photos, best first."""

    own: int
    rank: int  # of its own photo; 1 is best
    found: list[int]


def findings(held: HeldOutEmbeddings, chosen: Sequence[int]) -> list[Finding]:
    """Return what the prompts at the positions `chosen` find among all held-out photos."""
    similarity = held.texts[list(chosen)] @ held.photo.T  # (len(chosen), N)
    nearest = similarity.topk(min(FOUND, similarity.shape[1]), dim=1).indices.tolist()
    ranks = [int((row > row[own]).sum()) + 1 for row, own in zip(similarity, chosen, strict=True)]
    return [Finding(own, rank, found) for own, rank, found in zip(chosen, ranks, nearest, strict=True)]


def write_retrieval_sheet(
    path: Path, shown: Sequence[Finding], rows: Sequence[TrainRow], photo: Callable[[int], npt.NDArray[np.uint8]]
) -> None:
    """Draw the findings and write them as PNG, by a temporary name.

    rows: the held-out ones, which the findings' positions count; photo: the square (S, S, 3) uint8 at a position. One
    that is the prompt's own has a green frame.
    Raises Unavailable without matplotlib, whose typeface has most of the world's letters.
    """
    font, columns = _font(), 1 + FOUND
    width = WORDS + columns * (TILE + GAP) + 2 * GAP
    sheet = Image.new("RGB", (width, HEAD + len(shown) * (TILE + GAP)), "white")
    draw = ImageDraw.Draw(sheet)
    titles = [(GAP, "words, and the rank of their own photo"), (_left(0), "their own"), (_left(1), "found, best first")]
    for left, title in titles:
        draw.text((left, 4), title, GREY, font)
    for line, finding in enumerate(shown):
        top = HEAD + line * (TILE + GAP)
        _write_words(draw, top, rows[finding.own].prompt, finding.rank, font)
        for column, position in enumerate([finding.own, *finding.found]):
            tile = Image.fromarray(np.asarray(photo(position))).resize((TILE, TILE), Image.Resampling.LANCZOS)
            left = _left(column)
            sheet.paste(tile, (left, top))
            if column and position == finding.own:
                draw.rectangle((left, top, left + TILE - 1, top + TILE - 1), outline=RIGHT, width=4)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    sheet.save(part, format="PNG")
    part.replace(path)


def _left(column: int) -> int:
    return GAP + WORDS + column * (TILE + GAP) + (GAP if column else 0)


def _write_words(draw: ImageDraw.ImageDraw, top: int, prompt: str, rank: int, font: ImageFont.FreeTypeFont) -> None:
    wrapped = textwrap.wrap(prompt, LINE_WIDTH, max_lines=LINES, placeholder=" …")
    for line, text in enumerate(wrapped):
        draw.text((GAP, top + line * LINE), text, "black", font)
    draw.text((GAP, top + len(wrapped) * LINE), f"rank {rank:,}", RIGHT if rank == 1 else GREY, font)


def _font() -> ImageFont.FreeTypeFont:
    with needs("matplotlib"):
        import matplotlib
    return ImageFont.truetype(str(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")), FONT_SIZE)
