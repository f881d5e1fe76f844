"""What the sheets of an evaluation show, and in which order; pictures as the job delivers them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from catalog_gen.pipeline import evaluation_sheets as sheets
from catalog_gen.pipeline.evaluated import Drawn, at_size, delivered, shown
from catalog_gen.pipeline.evaluation_sheets import Looked, write_sheets
from catalog_gen.training_data import TrainRow
from catalog_gen.upscale.config import UpscalerConfig
from catalog_gen.upscale.network import UpscaleNetwork
from catalog_gen.upscale.upscaler import prepared

COUNT = 240


def looked(categories: int = 24) -> Looked:
    """Rows of categories c0 to c23 in turn, c0 without a name; a picture's red says its place; the worst come last."""
    kinds = [f"c{place % categories}" if place % categories else "" for place in range(COUNT)]
    rows = [TrainRow(f"s{place}", f"words {place}", kind, "", Path("x")) for place, kind in enumerate(kinds)]

    def large(chosen: Sequence[int]) -> np.ndarray:
        return np.stack([np.full((32, 32, 3), (place, 0, 0), np.uint8) for place in chosen])

    training = {f"c{number}": 100 * number for number in range(categories)}
    return Looked("g", rows, np.linspace(1, 0, COUNT), large, training)


def words(section: sheets.Section) -> list[int]:
    assert all(cell.picture is not None for cell in section.cells)
    found = [int(cell.words.removeprefix("words ")) for cell in section.cells]
    assert found == [cell.picture.getpixel((0, 0))[0] for cell in section.cells if cell.picture], "its own picture"
    return found


def test_a_hundred_rows_are_chosen_by_the_seed() -> None:
    title, [section] = sheets.held_out_page(looked())
    chosen = words(section)
    expected = np.sort(np.random.default_rng(0).choice(COUNT, 100, replace=False)).tolist()
    assert chosen == expected == words(sheets.held_out_page(looked())[1][0])
    assert title == "g: 100 of 240 held-out rows, chosen by seed 0"


def test_the_largest_categories_come_first() -> None:
    title, sections = sheets.categories_page(looked())
    assert [section.heading for section in sections[:2]] == [
        "c23: 2,300 training photos; 10 of 10", "c22: 2,200 training photos; 10 of 10"
    ]  # fmt: skip
    assert len(sections) == 20 and sections[-1].heading.startswith("c4: ") and title.startswith("g: the 20 largest")
    assert words(sections[0]) == [23 + 24 * n for n in range(10)]
    few = sheets.categories_page(looked(categories=3))[1]
    assert [section.heading for section in few] == [
        "c2: 200 training photos; 10 of 80", "c1: 100 training photos; 10 of 80"
    ]  # fmt: skip
    assert len(set(words(few[0]))) == 10 and all(place % 3 == 2 for place in words(few[0]))


def test_the_worst_come_first_with_similarity_and_category() -> None:
    title, [section] = sheets.worst_page(looked())
    assert words(section) == list(range(239, 189, -1))
    assert section.cells[0].note == "0.000 c23" and section.cells[23].note == f"{23 / 239:.3f}", "without a category"
    assert title == "g: the 50 of 240 held-out rows with the lowest CLIP similarity"


def test_they_are_written(tmp_path: Path) -> None:
    assert write_sheets(tmp_path, looked(), 32) == ["held-out.png", "categories.png", "worst.png"]
    assert {file.name for file in tmp_path.iterdir()} == {"held-out.png", "categories.png", "worst.png"}
    with Image.open(tmp_path / "held-out.png") as page:
        assert page.width == 10 * (32 + 14) + 14


def test_pictures_are_enlarged_before_they_are_looked_at_and_measured() -> None:
    torch.manual_seed(0)
    with torch.random.fork_rng():
        network = UpscaleNetwork(UpscalerConfig(factor=2, width=4, blocks=1, tail=4))
    upscaler = prepared(network, size=64)
    pixels = np.random.default_rng(0).integers(0, 256, (70, 16, 16, 3), dtype=np.uint8)
    large = upscaler.enlarge(pixels)
    assert large.shape == (70, 64, 64, 3)
    assert np.array_equal(delivered(pixels, upscaler, 64), large), "in parts, as in one"
    assert np.array_equal(delivered(pixels, upscaler, 16), at_size(large, 16)), "measured at the view, once enlarged"
    assert np.array_equal(delivered(pixels, None, 16), pixels)
    drawn = Drawn(pixels, list(range(70)), named=True)
    assert np.array_equal(shown(drawn, [3, 1], upscaler, 64), large[[3, 1]])


def test_a_folder_s_files_are_shown_as_large_as_they_are(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    drawn = Drawn(np.zeros((1, 16, 16, 3), np.uint8), [0], True, [tmp_path / "a.png"])
    assert np.array_equal(shown(drawn, [0], None, 64)[0], pixels)


def test_without_captions_no_word_of_the_catalogue_is_on_a_sheet() -> None:
    silent = replace(looked(), captions=False)
    for page in (sheets.held_out_page, sheets.categories_page, sheets.worst_page):
        before, now = ([cell for part in page(some)[1] for cell in part.cells] for some in (looked(), silent))
        assert all(cell.words for cell in before) and not any(cell.words for cell in now)
        assert len(before) == len(now) and [cell.note for cell in before] == [cell.note for cell in now]
