"""The rows that both trainers learn from: split once, decoded once."""

from __future__ import annotations

import csv
import hashlib
import os
import resource
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from catalog_gen import photo_cache
from catalog_gen.errors import ConfigError, Unavailable
from catalog_gen.photo_cache import cached_photos
from catalog_gen.training_data import (
    HeldOut,
    TrainRow,
    Unreadable,
    describe_kinds,
    hold_out,
    load_photos,
    read_photos,
    split,
    split_by,
    write_unreadable,
)


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


def arrays(cache: Path) -> list[str]:
    return sorted(file.name for file in cache.glob("*.npy"))


def test_what_is_known_of_a_photo_is_known_of_the_cached_one(tmp_path: Path) -> None:
    rows = rows_in(tmp_path / "photos", 3)
    Image.new("RGB", (40, 20), (255, 255, 255)).save(rows[1].image)
    for _ in range(2):
        found = read_photos(rows, 16, tmp_path / "cache")
        assert found.sides.tolist() == [[24, 32], [40, 20], [24, 32]]
        assert found.white.tolist() == [0.0, 1.0, 0.0]


def test_a_cropped_cache_is_another_than_a_letterboxed_one(tmp_path: Path) -> None:
    rows = rows_in(tmp_path / "photos", 2)
    boxed, _, _ = load_photos(rows, 16, tmp_path / "cache")
    cropped, _, _ = load_photos(rows, 16, tmp_path / "cache", fit="crop")
    assert boxed[0][8, 0].tolist() == [255, 255, 255]
    assert cropped[0][8, 0].tolist() == [0, 100, 200]
    assert len(arrays(tmp_path / "cache")) == 2


def test_a_part_of_cached_rows_is_a_view_and_any_choice_of_them_a_copy(tmp_path: Path) -> None:
    rows = rows_in(tmp_path / "photos", 6)
    rows[2].image.write_bytes(b"no photo")
    whole = read_photos(rows, 16, tmp_path / "cache")
    assert len(arrays(tmp_path / "cache")) == 1
    part = read_photos(rows[1:5], 16, tmp_path / "cache")
    assert len(arrays(tmp_path / "cache")) == 1
    assert [row.sku for row in part.kept] == ["sku-1", "sku-3", "sku-4"]
    assert [each.sku for each in part.unreadable] == ["sku-2"]
    assert (part.photos == whole.photos[1:4]).all()
    chosen = read_photos([rows[5], rows[2], rows[0]], 16, tmp_path / "cache")
    assert len(arrays(tmp_path / "cache")) == 2
    assert [row.sku for row in chosen.kept] == ["sku-5", "sku-0"]
    assert (chosen.photos == whole.photos[[4, 0]]).all()
    assert [each.reason for each in chosen.unreadable] == [whole.unreadable[0].reason]


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were opened, in no order."""
    names: list[str] = []
    original = photo_cache.open_photo

    def open_photo(file: Path) -> Image.Image:
        names.append(file.name)
        return original(file)

    monkeypatch.setattr(photo_cache, "open_photo", open_photo)
    return names


def test_a_new_photo_is_decoded_alone(tmp_path: Path, decoded: list[str]) -> None:
    rows = rows_in(tmp_path / "photos", 7)
    cache, alone = tmp_path / "cache", tmp_path / "alone"
    read_photos(rows[:3], 16, cache)
    read_photos(rows[3:5], 16, cache)
    assert sorted(decoded) == [f"{i}.png" for i in range(5)]
    decoded.clear()
    mixed = [rows[at] for at in (5, 4, 0, 6, 2)]  # of both arrays and of none, in an order of their own
    Image.new("RGB", (30, 30), (255, 255, 255)).save(rows[6].image)
    found = read_photos(mixed, 16, cache)
    assert sorted(decoded) == ["5.png", "6.png"]
    assert found.kept == mixed and len(arrays(cache)) == 3
    afresh = read_photos(mixed, 16, alone)
    assert (found.photos == afresh.photos).all() and found.white.tolist() == afresh.white.tolist()
    assert found.sides.tolist() == afresh.sides.tolist() == [[24, 32], [24, 32], [24, 32], [30, 30], [24, 32]]
    decoded.clear()
    read_photos(mixed, 16, cache)
    read_photos(rows, 32, cache)
    read_photos(rows[:1], 16, cache, fit="crop")
    assert sorted(decoded) == sorted(["0.png", *(f"{i}.png" for i in range(7))]), "another size or fit is another photo"


def test_a_changed_photo_is_decoded_anew_and_a_broken_one_tried_again(tmp_path: Path, decoded: list[str]) -> None:
    rows = rows_in(tmp_path / "photos", 5)
    rows[1].image.write_bytes(b"no photo")
    read_photos(rows[:4], 16, tmp_path / "cache")
    decoded.clear()
    Image.new("RGB", (32, 32), (9, 9, 9)).save(rows[2].image)
    found = read_photos(rows, 16, tmp_path / "cache")
    assert sorted(decoded) == ["1.png", "2.png", "4.png"]
    assert [row.sku for row in found.kept] == ["sku-0", "sku-2", "sku-3", "sku-4"]
    assert found.photos[:, 8, 8, 0].tolist() == [0, 9, 15, 20]
    assert [each.sku for each in found.unreadable] == ["sku-1"]


def test_an_array_that_a_person_removed_is_made_again(tmp_path: Path, decoded: list[str]) -> None:
    rows = rows_in(tmp_path / "photos", 4)
    read_photos(rows[:3], 16, tmp_path / "cache")
    for file in (tmp_path / "cache").glob("*.npy"):
        file.unlink()
    for some in (rows, rows[:3]):
        assert read_photos(some, 16, tmp_path / "cache").photos[2, 8, 8].tolist() == [10, 100, 200]
    assert sorted(decoded) == sorted([*(f"{i}.png" for i in range(3)), *(f"{i}.png" for i in range(4))])
    assert len(arrays(tmp_path / "cache")) == 1, "the second is a part of the first"


def test_two_products_may_share_a_photo(tmp_path: Path) -> None:
    first, second = rows_in(tmp_path / "photos", 2)
    twin = TrainRow("twin", "the same thing", "Things", "Blue", first.image)
    for _ in range(2):
        photos, _, kept = load_photos([first, twin, second], 16, tmp_path / "cache")
        assert [row.sku for row in kept] == ["sku-0", "twin", "sku-1"]
        assert (photos[0] == photos[1]).all() and (photos[0] != photos[2]).any()
    assert len(arrays(tmp_path / "cache")) == 1


FILL = """
import resource, sys
from pathlib import Path
from catalog_gen.errors import Unavailable
from catalog_gen.photo_cache import cached_photos
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
try:
    cached_photos(sorted(Path("photos").iterdir()), 64, Path("cache"))
except Unavailable as error:
    print(error)
"""


def test_a_disk_that_is_full_leaves_nothing_and_says_what_is_needed(tmp_path: Path) -> None:
    """Eight photos of 64 px take 98 kB, and the system refuses to write more than 50 kB."""
    rows_in(tmp_path / "photos", 8)
    code = [sys.executable, "-c", FILL, "50000"]
    done = subprocess.run(code, cwd=tmp_path, capture_output=True, text=True, check=True, env=dict(os.environ))
    assert "cannot be kept (File too large)" in done.stdout and "8 photos of 64 px" in done.stdout
    assert [file.name for file in (tmp_path / "cache").iterdir()] == [".photos-64-letterbox.lock"]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 50000  # of the other process only
    assert len(cached_photos(sorted((tmp_path / "photos").iterdir()), 64, tmp_path / "cache").photos) == 8


KILL = """
import os, sys
from pathlib import Path
from catalog_gen import photo_cache
before = photo_cache._settle
def settle(file):
    before(file)
    if file.name.endswith(sys.argv[1]):
        os._exit(9)
photo_cache._settle = settle
photo_cache.cached_photos(sorted(Path("photos").iterdir()), 16, Path("cache"))
"""


@pytest.mark.parametrize("half_there", [False, True])
@pytest.mark.parametrize("killed_after", [".npy.part", ".json.part"])
def test_a_process_that_dies_leaves_no_half_cache(tmp_path: Path, killed_after: str, half_there: bool) -> None:
    rows = rows_in(tmp_path / "photos", 3)
    if half_there:  # in the very form that the process will ask for: it copies one photo and decodes two
        one = "from pathlib import Path; from catalog_gen.photo_cache import cached_photos as cached; "
        one += "cached([Path('photos/1.png')], 16, Path('cache'))"
        subprocess.run([sys.executable, "-c", one], cwd=tmp_path, env=dict(os.environ), check=True)
    code = [sys.executable, "-c", KILL, killed_after]
    assert subprocess.run(code, cwd=tmp_path, env=dict(os.environ), check=False).returncode == 9
    assert list((tmp_path / "cache").glob("*.part"))
    photos, _, kept = load_photos(rows[:2], 16, tmp_path / "cache")
    assert len(photos) == len(kept) == 2 and photos[1][8, 8].tolist() == [5, 100, 200]
    assert not list((tmp_path / "cache").glob("*.part"))


def test_two_at_once_decode_once(tmp_path: Path, decoded: list[str]) -> None:
    rows = rows_in(tmp_path / "photos", 4)
    results: list[int] = []
    tasks = [
        threading.Thread(target=lambda: results.append(len(load_photos(rows, 16, tmp_path / "cache")[0])))
        for _ in range(3)
    ]
    for task in tasks:
        task.start()
    for task in tasks:
        task.join()
    assert results == [4, 4, 4] and len(decoded) == 4


def test_a_cache_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    rows = rows_in(tmp_path / "photos", 1)
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(Unavailable, match="cannot be kept"):
        load_photos(rows, 16, tmp_path / "cache")


def test_unreadable_photos_are_listed_and_counted_by_kind(tmp_path: Path) -> None:
    refused = [
        Unreadable("a", "a.jpg", "damaged (broken data stream)"),
        Unreadable("b,c", "b.jpg", "12x8 is too small to show a product"),
        Unreadable("d", "d.jpg", "damaged (truncated)"),
    ]
    assert describe_kinds(refused) == "2 damaged, 1 too small to show a product"
    file = tmp_path / "unreadable.csv"
    write_unreadable(file, refused)
    with file.open(newline="") as text:
        assert list(csv.reader(text)) == [
            ["sku", "path", "reason"],
            ["a", "a.jpg", "damaged (broken data stream)"],
            ["b,c", "b.jpg", "12x8 is too small to show a product"],
            ["d", "d.jpg", "damaged (truncated)"],
        ]
    write_unreadable(file, [])
    assert not file.exists()


def test_a_rule_is_the_seed_and_the_largest_hash_held_out(tmp_path: Path) -> None:
    """Written out with hashlib: of ten rows, the two whose hash is smallest, and the larger hash of them."""
    rows = [TrainRow(f"s{i}", "p", "c", "d", tmp_path) for i in range(10)]
    hashes = {row.sku: hashlib.sha256(b"3:" + row.sku.encode()).hexdigest() for row in rows}
    first, second = sorted(hashes, key=lambda sku: hashes[sku])[:2]
    rule = hold_out(rows, 1000, seed=3)
    assert rule == HeldOut(3, hashes[second])
    train, held = split_by(rows, rule)
    assert {row.sku for row in held} == {first, second}
    assert train == [row for row in rows if row.sku not in (first, second)]
    assert split(rows, 1000, seed=3) == (train, held)


def test_a_rule_says_the_same_of_a_row_whatever_stands_beside_it(tmp_path: Path) -> None:
    rows = [TrainRow(f"s{i}", "p", "c", "d", tmp_path) for i in range(300)]
    rule = hold_out(rows[:200], 30)
    train, held = split_by(rows, rule)
    assert [row for row in held if row in rows[:200]] == split(rows[:200], 30)[1]
    assert len(held) > 30, "of later rows some lie below the threshold as well"
    assert split_by(rows[150:], rule) == (
        train[-len(split_by(rows[150:], rule)[0]) :],
        [r for r in rows[150:] if r in held],
    )


def test_a_rule_of_nothing_holds_nothing_out(tmp_path: Path) -> None:
    rows = [TrainRow(f"s{i}", "p", "c", "d", tmp_path) for i in range(4)]
    assert hold_out(rows, 1000) == hold_out(rows * 9, 0) == HeldOut(0, "")
    assert split_by(rows, HeldOut(0, "")) == (rows, [])
    assert split_by(rows, HeldOut(0, "f" * 64)) == ([], rows)
