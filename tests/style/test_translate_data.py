"""What a translation learns from: pairs by name, and pictures that are left out, named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from catalog_gen.errors import UsageError
from catalog_gen.style.translate_data import (
    Reading,
    jitter,
    list_pictures,
    read_outlines,
    read_pairs,
    read_sides,
)


def _picture(file: Path, value: int) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((40, 40, 3), value, np.uint8)).save(file)
    return file


@pytest.fixture
def reading(tmp_path: Path) -> Reading:
    return Reading(32, tmp_path / "cache", held_out=2)


def test_pairs_are_equal_names_and_the_rest_is_listed(tmp_path: Path, reading: Reading) -> None:
    for number in range(6):
        _picture(tmp_path / "a" / f"{number}.png", 10 * number)
        _picture(tmp_path / "b" / f"{number}.webp", 200 - 10 * number)
    _picture(tmp_path / "a" / "lonely.png", 1)
    _picture(tmp_path / "b" / "alone.png", 1)
    _picture(tmp_path / "b" / "3.png", 1)  # beside 3.webp
    (tmp_path / "a" / "4.png").write_bytes(b"no picture")
    (tmp_path / "a" / "notes.txt").write_text("not looked at")
    data = read_pairs(list_pictures(tmp_path / "a", "--data"), list_pictures(tmp_path / "b", "--data"), reading)
    assert data.source is not None and data.source.names == data.target.names == ["0", "1", "2", "3", "5"]
    sources = data.source.load(np.arange(5), "cpu")[:, 0, 16, 16] * 255
    targets = data.target.load(np.arange(5), "cpu")[:, 0, 16, 16] * 255
    assert sources.round().tolist() == [0, 10, 20, 30, 50]
    assert (targets - torch.tensor([200.0, 190, 180, 1, 150])).abs().max() <= 2  # 3.png comes before 3.webp
    told = {(Path(each.path).name, each.reason) for each in data.left_out}
    assert told == {
        ("lonely.png", "no partner among the targets"),
        ("alone.png", "no partner among the sources"),
        ("3.webp", "a second picture of this name, beside 3.png"),
        ("4.png", "not an image of a known format"),
    }
    assert len(data.target.held_out) == 1  # never more than one in five
    assert sorted([*data.target.train, *data.target.held_out]) == [0, 1, 2, 3, 4]


def test_no_pairs(tmp_path: Path, reading: Reading) -> None:
    a, b = _picture(tmp_path / "a" / "x.png", 1), _picture(tmp_path / "b" / "y.png", 1)
    with pytest.raises(UsageError, match="none of 1 and 1 pictures have the same name"):
        read_pairs([a], [b], reading)
    with pytest.raises(UsageError, match="no pictures in the folder"):
        list_pictures(tmp_path, "--a")
    with pytest.raises(UsageError, match="cannot be listed"):
        list_pictures(tmp_path / "nowhere", "--a")


def test_sides_are_apart(tmp_path: Path, reading: Reading) -> None:
    files = [_picture(tmp_path / "a" / f"{number}.png", number) for number in range(3)]
    with pytest.raises(UsageError, match="1 pictures are on both sides"):
        read_sides(files[:2], files[1:], reading)
    broken = tmp_path / "a" / "broken.jpg"
    broken.write_bytes(b"")
    data = read_sides([*files[:2], broken], files[2:], reading)
    assert data.source is not None and (data.source.names, data.target.names) == (["0", "1"], ["2"])
    assert [each.reason for each in data.left_out] == ["the file is empty"] and not data.paired
    with pytest.raises(UsageError, match="none of 1 pictures can be read; the first: the file is empty"):
        read_sides([broken], files, reading)


def test_key_names_the_pictures(tmp_path: Path, reading: Reading) -> None:
    files = [_picture(tmp_path / "a" / f"{number}.png", number) for number in range(3)]
    assert read_outlines(files, reading).key == read_outlines(files, reading).key
    assert read_outlines(files, reading).key != read_outlines(files[:2], reading).key
    assert read_outlines(files, reading).source is None


def test_jitter_moves_both_sides_of_a_pair_alike() -> None:
    place = torch.arange(64.0).view(1, 1, 8, 8).expand(20, 1, 8, 8)
    a, b = jitter([place, place * 2 + 1], torch.Generator().manual_seed(0), 2, True)
    assert torch.equal(b, a * 2 + 1)
    assert not torch.equal(a[0], a[1])
    rows = a[:, 0, 4, 4] // 8  # a pixel's row of origin: moved by up to two, all five amounts drawn
    assert set(rows.tolist()) == {2, 3, 4, 5, 6}
    mirrored = a[:, 0, 4, 4] > a[:, 0, 4, 5]  # numbers grow to the right unless turned
    assert 0 < int(mirrored.sum()) < 20
    assert int(a.min()) == 0 and int(a.max()) == 63  # the border is repeated: nothing else comes in


def test_no_jitter_changes_nothing() -> None:
    x = torch.rand(3, 3, 8, 8)
    assert torch.equal(jitter([x], torch.Generator().manual_seed(0), 0, False)[0], x)
