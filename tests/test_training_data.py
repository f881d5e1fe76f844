"""The rows that both trainers learn from: split once, decoded once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from catalog_gen.errors import ConfigError
from catalog_gen.training_data import TrainRow, load_photos, split


def rows_in(folder: Path, count: int) -> list[TrainRow]:
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for i in range(count):
        file = folder / f"{i}.png"
        Image.new("RGB", (24, 32), (i * 5 % 256, 100, 200)).save(file)
        rows.append(TrainRow(f"sku-{i}", f"thing {i}", "Things", "Blue", file))
    return rows


def test_the_split_follows_from_sku_and_seed(tmp_path: Path) -> None:
    rows = [TrainRow(f"s{i}", "p", "c", "d", tmp_path) for i in range(200)]
    train, held = split(rows, 30)
    assert (len(train), len(held)) == (170, 30)
    assert {row.sku for row in train} | {row.sku for row in held} == {row.sku for row in rows}
    shuffled_train, shuffled_held = split(rows[::-1], 30)
    assert {row.sku for row in shuffled_held} == {row.sku for row in held}
    assert shuffled_train == train[::-1]
    assert {row.sku for row in split(rows, 30, seed=1)[1]} != {row.sku for row in held}


def test_a_small_set_holds_out_one_in_five_at_most(tmp_path: Path) -> None:
    rows = [TrainRow(f"s{i}", "p", "c", "d", tmp_path) for i in range(12)]
    assert len(split(rows, 1000)[1]) == 2
    assert split([], 1000) == ([], [])


def test_photos_are_letterboxed_and_bad_ones_named(tmp_path: Path) -> None:
    rows = rows_in(tmp_path / "photos", 5)
    rows[1].image.write_bytes(b"")
    rows[3].image.unlink()
    photos, unreadable, kept = load_photos(rows, 16, tmp_path / "cache")
    assert photos.shape == (3, 16, 16, 3) and photos.dtype == np.uint8
    assert [row.sku for row in kept] == ["sku-0", "sku-2", "sku-4"]
    assert [sku for sku, _ in unreadable] == ["sku-1", "sku-3"]
    assert "empty" in unreadable[0][1]
    assert photos[2][8, 8].tolist() == [20, 100, 200]
    assert photos[2][8, 0].tolist() == [255, 255, 255]  # 24 x 32 leaves white at the sides


def test_the_cache_is_used_until_a_photo_changes(tmp_path: Path) -> None:
    rows = rows_in(tmp_path / "photos", 3)
    load_photos(rows, 16, tmp_path / "cache")
    first = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "cache").iterdir()}
    load_photos(rows, 16, tmp_path / "cache")
    assert {file.name: file.stat().st_mtime_ns for file in (tmp_path / "cache").iterdir()} == first
    Image.new("RGB", (32, 32), (9, 9, 9)).save(rows[0].image)
    photos, _, _ = load_photos(rows, 16, tmp_path / "cache")
    assert photos[0][8, 8].tolist() == [9, 9, 9]


def test_no_photo_at_all_is_an_error(tmp_path: Path) -> None:
    rows = rows_in(tmp_path / "photos", 2)
    for row in rows:
        row.image.unlink()
    with pytest.raises(ConfigError, match="none of the 2 photos"):
        load_photos(rows, 16, tmp_path / "cache")
