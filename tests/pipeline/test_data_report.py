"""The report before a training: every figure counted by hand on a small shop, and a picture that shows it."""

from __future__ import annotations

import csv
import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from shop_folder import photo, write_shop

from catalog_gen.cli import run
from catalog_gen.pipeline.data_picture import example_pairs
from catalog_gen.pipeline.data_report import Measured
from catalog_gen.pipeline.training_data import DataChoices, DataPlan, prepare_data, to_drop
from catalog_gen.quality.near_groups import NearDuplicates
from catalog_gen.training_data import PhotoSet, TrainRow, Unreadable, read_photos, split


@pytest.fixture
def rows(tmp_path: Path) -> list[TrainRow]:
    """Twenty products. 2 and 3 are photographed on grey, 4 is small, 5 is a twin of 6, 7 has a damaged file."""
    folder = tmp_path / "photos"
    folder.mkdir()
    found = []
    for number in range(20):
        colour = ("red", "blue")[number % 2]
        file = folder / f"s{number}.png"
        photo(number, colour, ground=120 if number in (2, 3) else 255).save(file)
        prompt = "the same words" if number in (10, 11, 12) else f"Thing {number}"
        found.append(TrainRow(f"s{number}", prompt, "Shirts" if number < 15 else "Bags$", colour, file))
    photo(4).resize((30, 40)).save(found[4].image)
    photo(5, "blue").save(found[6].image, compress_level=1)
    found[7].image.write_bytes(b"not a photo")
    return found


def plan_in(tmp_path: Path, **changes: object) -> DataPlan:
    work = tmp_path / "work"
    return replace(DataPlan(64, work / "photos", work, held_out=4, seed=0, few_photos=2_000), **changes)  # type: ignore[arg-type]


def test_every_figure_is_right(rows: list[TrainRow], tmp_path: Path) -> None:
    refused = (Unreadable("elsewhere", "x.jpg", "damaged (truncated)"),)
    data = prepare_data(rows, plan_in(tmp_path), DataChoices(refused=refused))
    report = data.report
    train, held = split(rows, 4)
    assert [row.sku for row in data.train] == [row.sku for row in train if row.sku != "s7"]
    assert [row.sku for row in data.held_out] == [row.sku for row in held if row.sku != "s7"]
    assert (report.rows, report.photos) == (21, 19)
    assert report.unreadable == {"damaged": 1, "not an image of a known format": 1}
    assert (report.train, report.held_out) == (len(data.train), len(data.held_out))
    assert (report.smallest, report.median, report.largest, report.scaled_up) == ((30, 40), (60, 80), (60, 80), 1)
    assert report.on_white == report.clear_of_edge == pytest.approx(17 / 19, abs=1e-4)
    assert (report.duplicate_pairs, report.duplicate_groups, report.duplicate_photos) == (1, 1, 2)
    across = len({row.sku for row in held} & {"s5", "s6"}) == 1
    assert (report.pairs_across, report.held_out_twins) == (int(across), int(across))
    assert report.kinds == {"Shirts": 14, "Bags$": 5} and report.colours == {"red": 10, "blue": 9}
    assert report.distinct_prompts == pytest.approx(16 / 19, abs=1e-4)

    written = json.loads((tmp_path / "work" / "data.json").read_text())
    assert written["photos"] == 19 and written["rare_kinds"] == 2 and written["kinds"] == report.kinds
    with (tmp_path / "work" / "unreadable.csv").open(newline="") as file:
        assert [row["sku"] for row in csv.DictReader(file)] == ["elsewhere", "s7"]
    with Image.open(tmp_path / "work" / "data.png") as picture:
        assert picture.size == (1600, 1000)
        pixels = np.asarray(picture.convert("RGB"))
    for colour in ((255, 0, 0), (0, 0, 255)):  # the bars of red and blue
        assert (pixels == colour).all(axis=-1).sum() > 2_000


def test_the_advice_names_what_a_person_can_do(rows: list[TrainRow], tmp_path: Path) -> None:
    report = prepare_data(rows, plan_in(tmp_path), DataChoices()).report
    text = report.describe()
    assert f"only {report.train} photos to learn from: the few-photo recipe is used" in text
    assert "10.5 % of the photos are not on white" in text
    assert "1 photos are unusable" in text and "1 photos are smaller than 64 px" in text
    assert "2 kinds have fewer than 20 photos" in text
    plain = [replace(row, category="", colour="") for row in rows[12:]]
    report = prepare_data(plain, plan_in(tmp_path, few_photos=0), DataChoices()).report
    assert report.advice == [
        "no kinds of product: name their column with --map category=COLUMN",
        "no colours: a column named colour, color or baseColour would be read",
    ]


def test_a_crop_is_judged_by_the_shorter_side(rows: list[TrainRow], tmp_path: Path) -> None:
    """60 x 80 covers a square of 64 px when it is letterboxed, and not when it is cropped."""
    assert prepare_data(rows, plan_in(tmp_path, fit="crop"), DataChoices()).report.scaled_up == 19


def test_the_trainers_find_the_photos_decoded(rows: list[TrainRow], tmp_path: Path) -> None:
    plan = plan_in(tmp_path)
    data = prepare_data(rows, plan, DataChoices())
    arrays = list(plan.cache_dir.glob("*.npy"))
    for part in (data.train, data.held_out):
        assert read_photos(part, 64, plan.cache_dir).kept == part
    assert list(plan.cache_dir.glob("*.npy")) == arrays and len(arrays) == 1


def test_dropping_duplicates_leaves_none_behind(rows: list[TrainRow], tmp_path: Path) -> None:
    for number in range(8, 18):
        rows[number].image.write_bytes(rows[8].image.read_bytes())
    before = prepare_data(rows, plan_in(tmp_path), DataChoices())
    after = prepare_data(rows, plan_in(tmp_path), DataChoices(drop_duplicates=True))
    assert before.report.pairs_across > 0 and before.report.duplicate_pairs == 1 + 45
    assert any("--drop-duplicates" in note for note in before.report.advice)
    assert (after.report.pairs_across, after.report.held_out_twins) == (0, 0)
    assert after.held_out == before.held_out
    assert after.report.dropped == len(before.train) - len(after.train) > 0
    again = prepare_data(after.train, plan_in(tmp_path, held_out=0), DataChoices()).report
    assert again.duplicate_pairs == 0


def test_who_is_dropped() -> None:
    """Groups {0, 1, 2} and {4, 5}, and 3 alone; 5 is held out: 0 stays for its group, 4 repeats what is measured on."""
    kind = np.array([0, 0, 1, 2, 3, 3])
    held_out = np.array([False, False, False, False, False, True])
    duplicates = NearDuplicates(kind, np.array([[0, 1]]))
    assert to_drop(duplicates, held_out).tolist() == [False, True, True, False, True, False]
    rows = [TrainRow(f"s{i}", "p", "k", "c", Path()) for i in range(6)]
    found = PhotoSet(rows, np.zeros((6, 8, 8, 3), np.uint8), np.full((6, 2), 8), np.ones(6), [])
    measured = Measured(found, held_out, np.zeros(6, np.bool_), duplicates)
    assert example_pairs(measured, 5) == [(4, 5), (0, 1)]  # across the split first
    assert example_pairs(measured, 1) == [(4, 5)]


def test_the_log_has_the_report_unless_it_is_the_answer(
    rows: list[TrainRow], tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("catalog_gen"), "propagate", True)
    caplog.set_level(logging.INFO)
    prepare_data(rows, plan_in(tmp_path), DataChoices())
    assert "photos usable" in caplog.text and "1 photos are left out (1 not an image of a known format)" in caplog.text
    caplog.clear()
    prepare_data(rows, plan_in(tmp_path), DataChoices(check_only=True))
    assert "photos usable" not in caplog.text and "left out" in caplog.text


@pytest.mark.parametrize("kind", ["gan", "clip"])
def test_check_data_trains_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    write_shop(tmp_path / "shop", 10)
    where = ["--data", str(tmp_path / "shop"), "--out", str(tmp_path / "out"), "--work-dir", str(tmp_path / "work")]
    assert run(["train", kind, *where, "--check-data"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("10 rows with words and a photo, 10 photos usable\n")
    assert ("the few-photo recipe" in said) == (kind == "gan")
    assert (tmp_path / "work" / "data.png").exists() and not (tmp_path / "out").exists()
    size = 64 if kind == "gan" else 224
    assert json.loads((tmp_path / "work" / "data.json").read_text())["size"] == size
