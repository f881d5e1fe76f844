"""Files that appear whole or not at all, and the list beside them."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from catalog_gen.errors import UsageError
from catalog_gen.export.files import HELD_HEADER, Output
from catalog_gen.export.formats import open_channel, open_file
from catalog_gen.export.items import Held
from export.export_fixtures import config, item, picture


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_nothing_changes_before_the_commit(tmp_path: Path) -> None:
    target = tmp_path / "feed.csv"
    target.write_text("yesterday's")
    output = Output(target, b"head\n", b"tail\n")
    output.write(b"row\n")
    output.held.add([Held("1", "product", "title", "has no title")])
    assert target.read_text() == "yesterday's"
    output.discard()
    assert names(tmp_path) == ["feed.csv"] and target.read_text() == "yesterday's"


def test_an_error_on_the_way_leaves_yesterday_s_file(tmp_path: Path) -> None:
    target, settings = tmp_path / "feed.csv", config()
    target.write_text("yesterday's")
    with (
        pytest.raises(RuntimeError),
        open_file("csv", open_channel("csv", settings, target), settings, target) as file,
    ):
        file.add([{"sku": "1"}])
        raise RuntimeError("the storage is gone")
    assert names(tmp_path) == ["feed.csv"] and target.read_text() == "yesterday's"


def test_the_list_of_what_is_held_back(tmp_path: Path) -> None:
    output = Output(tmp_path / "feed.csv")
    output.held.add([Held("=1", "picture", "size", "64x64 px,\nunder 500", picture("generated", "g", asset_id="a1"))])
    output.commit()
    with (tmp_path / "feed.csv.held-back.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [
            list(HELD_HEADER),
            ["'=1", "picture", "size", "64x64 px, under 500", "generated", "a1", "https://cdn.example.com/p/g.jpg"],
        ]


def test_an_earlier_list_goes_when_nothing_is_held_back_any_more(tmp_path: Path) -> None:
    output = Output(tmp_path / "feed.csv")
    output.held.add([Held("1", "product", "title", "has no title")])
    output.commit()
    Output(tmp_path / "feed.csv").commit()
    assert names(tmp_path) == ["feed.csv"]


def test_another_file_in_the_list_s_place_is_not_touched(tmp_path: Path) -> None:
    other = tmp_path / "feed.csv.held-back.csv"
    other.write_text("sku,mine\n")
    with pytest.raises(UsageError, match="exists and lists nothing held back"):
        Output(tmp_path / "feed.csv")
    assert names(tmp_path) == [other.name]


def test_a_large_file_is_cut_between_products_and_stale_parts_go(tmp_path: Path) -> None:
    target = tmp_path / "products.csv"
    expected = [("products.csv", b"head\nrow-0\nrow-1\n"), ("products.part2.csv", b"head\nmore than 20 bytes\n"),
                ("products.part3.csv", b"head\nrow-3\n")]  # fmt: skip
    for count in (3, 1):
        output = Output(target, b"head\n", b"", max_bytes=20)
        for row in (b"row-0\n", b"row-1\n", b"more than 20 bytes\n", b"row-3\n")[: count + 1]:
            output.write(row)
        output.commit()
        assert [(path.name, path.read_bytes()) for path in output.paths] == expected[:count]
        assert names(tmp_path) == [name for name, _ in expected[:count]]


def test_shopify_s_files_stay_under_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("catalog_gen.export.formats.MAX_FILE", 2_000)
    target, settings = tmp_path / "p.csv", config(shopify={"columns": "pictures"})
    channel = open_channel("shopify", settings, target)
    with open_file("shopify", channel, settings, target) as file:
        for number in range(60):
            each = item(picture(), picture("restyled", "b"), sku=str(number))
            file.add(channel.rows(each, each.pictures)[0])
        file.commit()
    sizes = [path.stat().st_size for path in file.paths]
    assert len(sizes) > 2 and max(sizes) <= 2_000
    lines = [line for path in file.paths for line in path.read_text().splitlines()[1:]]
    assert [line.split(",")[0] for line in lines] == [str(n // 2) for n in range(120)]
    assert all(path.read_text().splitlines()[1].split(",")[3] == "1" for path in file.paths)


@pytest.mark.parametrize(("name", "reason"), [("gone/feed.csv", "No such file"), ("folder", "is a folder")])
def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError, match=reason) as caught:
        Output(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert names(tmp_path) == ["folder"]
