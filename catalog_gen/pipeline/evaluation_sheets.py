"""The sheets of an evaluation: pictures to look at, as the job would deliver them, none of them chosen by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from catalog_gen.report.montage import Cell, Look, Section, write_pictures
from catalog_gen.training_data import TrainRow

SEED = 0
HELD_OUT, CATEGORIES, WORST = "held-out.png", "categories.png", "worst.png"
SHOWN, LARGEST, EACH, LOWEST = 100, 20, 10, 50
COLUMNS = 10


@dataclass(frozen=True)
class Looked:
    """What was evaluated: rows, the CLIP similarity of each one's picture (N,), and how to get pictures.

    large: the pictures at these places (K) -> (K, S, S, 3) at the sheets' size. training: photos by category.
    captions: whether a picture's words stand below it.
    """

    name: str
    rows: Sequence[TrainRow]
    similarities: npt.NDArray[np.float64]
    large: Callable[[Sequence[int]], npt.NDArray[np.uint8]]
    training: Mapping[str, int]
    captions: bool = True


def write_sheets(out: Path, looked: Looked, cell: int) -> list[str]:
    """Write held-out.png, categories.png (where rows have one) and worst.png to the folder `out`; return the names.

    cell: px of a picture's side. Raises Unavailable when one cannot be written.
    """
    look = Look(COLUMNS, cell)
    pages = {HELD_OUT: held_out_page(looked), CATEGORIES: categories_page(looked), WORST: worst_page(looked)}
    written = {name: page for name, page in pages.items() if page[1]}
    for name, (title, sections) in written.items():
        write_pictures(sections, out / name, look, title)
    return list(written)


def held_out_page(looked: Looked) -> tuple[str, list[Section]]:
    """Return the title and the one section: rows chosen by the seed, with their words."""
    chosen = _some(range(len(looked.rows)), SHOWN)
    title = f"{looked.name}: {len(chosen)} of {len(looked.rows):,} held-out rows, chosen by seed {SEED}"
    return title, [Section(_cells(looked, chosen))]


def categories_page(looked: Looked) -> tuple[str, list[Section]]:
    """Return the title and a section for each of the categories with the most training photos; rows by the seed."""
    by_category: dict[str, list[int]] = {}
    for place, row in enumerate(looked.rows):
        if row.category:
            by_category.setdefault(row.category, []).append(place)
    ordered = sorted(by_category, key=lambda name: (-looked.training.get(name, 0), name))[:LARGEST]
    sections = []
    for category in ordered:
        places = by_category[category]
        chosen = _some(places, EACH)
        heading = f"{category}: {looked.training.get(category, 0):,} training photos; {len(chosen)} of {len(places):,}"
        sections.append(Section(_cells(looked, chosen), heading))
    title = f"{looked.name}: the {len(ordered)} largest categories, up to {EACH} held-out rows each, by seed {SEED}"
    return title, sections


def worst_page(looked: Looked) -> tuple[str, list[Section]]:
    """Return the title and the one section: the rows whose pictures CLIP finds least like their words, worst first."""
    chosen = [int(place) for place in np.argsort(looked.similarities, kind="stable")[:LOWEST]]
    notes = [f"{looked.similarities[place]:.3f} {looked.rows[place].category}".rstrip() for place in chosen]
    title = f"{looked.name}: the {len(chosen)} of {len(looked.rows):,} held-out rows with the lowest CLIP similarity"
    return title, [Section(_cells(looked, chosen, notes))]


def _cells(looked: Looked, chosen: Sequence[int], notes: Sequence[str] = ()) -> list[Cell]:
    pictures = looked.large(chosen)
    said = notes or [""] * len(chosen)
    return [
        Cell(Image.fromarray(picture), note=note, words=looked.rows[place].prompt if looked.captions else "")
        for place, picture, note in zip(chosen, pictures, said, strict=True)
    ]


def _some(places: Sequence[int], count: int) -> list[int]:
    """Return `count` of the places, or all, in order; always the same."""
    if len(places) <= count:
        return list(places)
    chosen = np.random.default_rng(SEED).choice(len(places), count, replace=False)
    return [places[index] for index in np.sort(chosen)]
