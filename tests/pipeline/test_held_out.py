"""Which rows a bundle left out: as it says, or derived; and what a fine-tuning does with either."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from shop_folder import photo

from catalog_gen.bundles import Bundle
from catalog_gen.config import Settings
from catalog_gen.errors import BundleError, UsageError
from catalog_gen.pipeline import held_out
from catalog_gen.pipeline.held_out import derived_rule, evaluated_rule, rule_before, stated_rule
from catalog_gen.pipeline.training_data import DataChoices, DataPlan, prepare_data
from catalog_gen.training_data import HeldOut, TrainRow, hold_out, split_by

MIDDLE = "8" + "0" * 63


def bundle(**config: Any) -> Bundle:
    return Bundle("mine", "gan", Path("somewhere"), config, "h")


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[TrainRow]:
    folder = tmp_path_factory.mktemp("photos")
    found = []
    for number in range(40):
        photo(number, ("red", "blue")[number % 2]).save(folder / f"{number}.png")
        found.append(TrainRow(f"s{number}", f"thing {number}", "Shirts", "red", folder / f"{number}.png"))
    return found


def test_a_stated_rule_is_read_and_half_a_one_refused() -> None:
    assert stated_rule(bundle(held_out_rule={"seed": 7, "up_to": MIDDLE})) == HeldOut(7, MIDDLE)
    assert stated_rule(bundle(held_out_rule={"seed": 7, "up_to": ""})) == HeldOut(7, "")
    assert stated_rule(bundle(held_out=3)) is None
    for broken in ({"seed": 7}, {"seed": "7", "up_to": MIDDLE}, {"seed": 7, "up_to": MIDDLE[:-1]}, [7, MIDDLE]):
        with pytest.raises(BundleError, match="its held_out_rule is not a seed and a hash"):
            stated_rule(bundle(held_out_rule=broken))


def test_an_older_bundle_is_split_by_its_seed_and_number(rows: list[TrainRow]) -> None:
    assert derived_rule(bundle(training={"seed": 4}, held_out=3), rows) == hold_out(rows, 3, seed=4)
    assert derived_rule(bundle(), rows) == hold_out(rows, 8, seed=0), "1,000, and no more than one in five"
    assert evaluated_rule(bundle(held_out=3), rows, 5) == hold_out(rows, 5)


def test_a_number_beside_a_stated_rule_is_refused(rows: list[TrainRow]) -> None:
    stated = bundle(held_out_rule={"seed": 7, "up_to": MIDDLE})
    assert evaluated_rule(stated, rows) == HeldOut(7, MIDDLE)
    with pytest.raises(UsageError, match="mine says itself which rows it left out"):
        evaluated_rule(stated, rows, 5)


def test_a_fine_tuning_takes_the_rule_before_it(
    rows: list[TrainRow], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[object] = []

    def all_rows(settings: object, database: object, where: object) -> list[TrainRow]:
        asked.append(where)
        return rows

    monkeypatch.setattr(held_out, "training_rows", all_rows)
    database: Any = None
    assert rule_before(Settings(), database, None) is None
    stated = bundle(held_out_rule={"seed": 7, "up_to": MIDDLE})
    assert rule_before(Settings(), database, stated) == HeldOut(7, MIDDLE) and not asked
    with caplog.at_level(logging.WARNING):
        assert rule_before(Settings(), database, bundle(held_out=6)) == hold_out(rows, 6)
    assert asked == [()], "all rows, whatever the fine-tuning narrows to"
    assert "does not say which rows it left out" in caplog.text


def test_data_prepared_by_a_rule_says_how_many_rows_it_lacks(rows: list[TrainRow], tmp_path: Path) -> None:
    plan = DataPlan(64, tmp_path / "photos", tmp_path, held_out=8, seed=0)
    own = prepare_data(rows, plan, DataChoices())
    assert own.rule == hold_out(rows, 8) and len(own.held_out) == 8 and own.report.held_out_missing == 0
    assert not any("fine-tuning" in note for note in own.report.advice)

    before = hold_out(rows, 3, seed=9)
    tuned = prepare_data(
        rows, DataPlan(64, tmp_path / "photos", tmp_path, held_out=8, seed=0, rule=before), DataChoices()
    )
    assert tuned.rule == before and tuned.held_out == split_by(rows, before)[1]
    assert tuned.report.held_out == 3 and tuned.report.held_out_missing == 5
    assert any(note.startswith("5 fewer rows are held out than asked for") for note in tuned.report.advice)


def test_a_rule_that_leaves_nothing_to_learn_from_is_still_reported(rows: list[TrainRow], tmp_path: Path) -> None:
    everything = HeldOut(0, "f" * 64)
    plan = DataPlan(64, tmp_path / "photos", tmp_path, held_out=8, seed=0, rule=everything)
    for choices in (DataChoices(), DataChoices(drop_duplicates=True)):
        data = prepare_data(rows, plan, choices)
        assert data.train == [] and data.held_out == rows and data.report.dropped == 0


def test_neither_twins_nor_unreadable_photos_move_the_rule(rows: list[TrainRow], tmp_path: Path) -> None:
    """A held-out row's photo is damaged, and a row to learn from repeats another held-out one: the rule stays."""
    changed = [TrainRow(row.sku, row.prompt, row.category, row.colour, tmp_path / row.image.name) for row in rows]
    for row, copied in zip(rows, changed, strict=True):
        copied.image.write_bytes(row.image.read_bytes())
    rule = hold_out(changed, 8)
    train, held = split_by(changed, rule)
    held[0].image.write_bytes(b"no photo")
    train[0].image.write_bytes(held[1].image.read_bytes())
    plan = DataPlan(64, tmp_path / "cache", tmp_path / "work", held_out=8, seed=0)
    data = prepare_data(changed, plan, DataChoices(drop_duplicates=True))
    assert data.rule == rule and data.held_out == held[1:] and data.report.dropped >= 1
    assert train[0] not in data.train and not any(row in rule for row in data.train)
