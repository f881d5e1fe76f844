from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from catalog_gen.quality.gate import duplicate_reason, few_photos_reason, find_faults, judge
from tests.quality.studio import SHAPES, studio_photo, studio_set

SIZE = (64, 64, 3)


def fault(picture: NDArray[np.uint8] | NDArray[np.floating]) -> str:
    return find_faults(picture[None])[0]


def test_studio_photos_pass() -> None:
    assert set(find_faults(studio_set(200, seed=11))) == {""}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("colour", [(252, 252, 250), (255, 255, 255), (5, 5, 6), (250, 0, 0), (255, 255, 0)])
def test_every_kind_passes_in_the_hardest_colours(shape: str, colour: tuple[int, int, int]) -> None:
    assert fault(studio_photo(shape, colour, seed=12)) == ""


@pytest.mark.parametrize("size", [32, 128, 256])
def test_the_limits_hold_at_other_sizes(size: int) -> None:
    assert fault(studio_photo("shirt", (250, 250, 250), seed=13, size=size)) == ""
    assert fault(np.full((size, size, 3), 255, np.uint8)).startswith("blank")


class TestFaults:
    rng = np.random.default_rng(14)

    def test_white(self) -> None:
        assert fault(np.full(SIZE, 255, np.uint8)) == "blank: nothing but white"

    def test_white_with_a_generators_grain(self) -> None:
        assert fault(self.rng.integers(251, 256, SIZE, dtype=np.uint8)) == "blank: nothing but white"

    def test_white_with_a_speck(self) -> None:
        picture = np.full(SIZE, 255, np.uint8)
        picture[30:33, 30:33] = 90
        assert fault(picture) == "blank: nothing but white"

    @pytest.mark.parametrize("colour", [0, 128, (200, 30, 40)])
    def test_one_colour(self, colour: int | tuple[int, int, int]) -> None:
        flat = np.empty(SIZE, np.int64)
        flat[:] = colour
        grain = self.rng.integers(-2, 3, SIZE)
        assert fault((flat + grain).clip(0, 255).astype(np.uint8)) == "blank: one flat colour"

    def test_noise(self) -> None:
        assert fault(self.rng.integers(0, 256, SIZE, dtype=np.uint8)) == "noise: no shapes"

    def test_noise_in_grey(self) -> None:
        grey = self.rng.integers(90, 160, (64, 64, 1), dtype=np.uint8)
        assert fault(np.repeat(grey, 3, axis=2)) == "noise: no shapes"

    def test_a_checkerboard(self) -> None:
        board = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)
        assert fault(np.repeat(board[..., None], 3, axis=2)) == "noise: no shapes"

    def test_clipped_colours(self) -> None:
        blocks = self.rng.integers(0, 2, (8, 8, 3)).repeat(8, axis=0).repeat(8, axis=1) * 255
        assert fault(blocks.astype(np.uint8)) == "degenerate: colours clipped"

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_values_that_are_not_numbers(self, value: float) -> None:
        picture = studio_photo("bag", (180, 30, 40)).astype(np.float32) / 255
        assert fault(picture) == ""
        picture[5, 6, 1] = value
        assert fault(picture) == "the picture has values that are not numbers"

    @pytest.mark.parametrize(("value", "expected"), [(1.005, ""), (-0.005, ""), (1.2, "range"), (-0.2, "range")])
    def test_values_out_of_range(self, value: float, expected: str) -> None:
        picture = studio_photo("bag", (180, 30, 40)).astype(np.float64) / 255
        picture[5, 6, 1] = value
        assert expected in fault(picture)
        assert bool(fault(picture)) == bool(expected)


def test_each_picture_of_a_batch_gets_its_own_verdict() -> None:
    pictures = studio_set(600, seed=15)
    blank = [3, 255, 256, 511, 599]
    pictures[blank] = 255
    faults = find_faults(pictures)
    assert [index for index, found in enumerate(faults) if found] == blank
    assert find_faults(pictures[:0]) == []


def test_other_arrays_are_refused() -> None:
    for wrong in (np.zeros(SIZE, np.uint8), np.zeros((1, 3, 64, 64), np.uint8), np.zeros((1, 1, 64, 3), np.uint8)):
        with pytest.raises(ValueError, match="pictures are"):
            find_faults(wrong)
    with pytest.raises(ValueError, match="uint8 or floating"):
        find_faults(np.zeros((1, *SIZE), np.int32))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("similarity", "found", "expected"),
    [
        (0.31, "", ("draft", "", "")),
        (0.18, "", ("draft", "", "")),
        (0.1799, "", ("needs_review", "similarity 0.179 below 0.180", "similarity")),
        (0.12, "", ("needs_review", "similarity 0.120 below 0.180", "similarity")),
        (-0.4, "", ("needs_review", "similarity -0.400 below 0.180", "similarity")),
        (0.9, "noise: no shapes", ("needs_review", "noise: no shapes", "fault")),
        (0.1, "blank: one flat colour", ("needs_review", "blank: one flat colour", "fault")),
        (float("nan"), "", ("needs_review", "similarity is not a number", "similarity")),
        (float("inf"), "", ("needs_review", "similarity is not a number", "similarity")),
    ],
)
def test_the_verdict(similarity: float, found: str, expected: tuple[str, str, str]) -> None:
    assert judge(similarity, found, 0.18) == expected


def test_a_duplicate_names_the_other_product() -> None:
    assert duplicate_reason("SHOE-1") == "near-duplicate of SHOE-1"


@pytest.mark.parametrize(
    ("category", "photos", "expected"),
    [
        ("Cufflinks", 7, 'of its kind, "Cufflinks", the generator saw too few photos: 7 of 20'),
        ("Cufflinks", 1, 'of its kind, "Cufflinks", the generator saw too few photos: 1 of 20'),
        ("Cufflinks", 0, 'of its kind, "Cufflinks", the generator saw too few photos: 0 of 20'),
        ("Cufflinks", 19, 'of its kind, "Cufflinks", the generator saw too few photos: 19 of 20'),
        ("Cufflinks", 20, ""),
        (" ", 0, ""),  # a row without a category is not asked
        ("Men's  6\" ; big", 0, "of its kind, \"Men's 6' , big\", the generator saw too few photos: 0 of 20"),
    ],
)
def test_a_kind_that_was_hardly_seen_is_for_review(category: str, photos: int, expected: str) -> None:
    assert few_photos_reason(category, photos, 20) == expected
    assert few_photos_reason(category, photos, 0) == "", "the check is off"


def test_a_long_category_is_cut_in_its_reason() -> None:
    assert f'"{"x" * 59}…", the generator' in few_photos_reason("x" * 61, 0, 20)
