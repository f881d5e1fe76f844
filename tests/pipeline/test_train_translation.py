"""`train pix2pix` and `train cyclegan` on folders and on rows, as a person uses them."""

from __future__ import annotations

import csv
import json
import math
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from shop_folder import photo, write_shop

from catalog_gen.bundles import load_bundle
from catalog_gen.config import Settings, load_settings
from catalog_gen.errors import EXIT_OK, EXIT_PARTIAL, UsageError
from catalog_gen.pipeline.signals import StopRequest
from catalog_gen.pipeline.training_source import training_source
from catalog_gen.pipeline.translate_training import (
    Observing,
    TranslateRequest,
    TranslateTrained,
    train_translation,
    train_translation_on_rows,
)
from catalog_gen.training.watch import Watch, Watched

TINY: dict[str, Any] = {"size": 32, "width": 4, "judge_width": 4, "batch": 2, "images": 4, "log_every": 1}


def settings() -> Settings:
    return load_settings(env={}, use_default_file=False, flags={"gan.device": "cpu"})


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Eight pairs, one picture without a partner, and one that is none."""
    for name, colour in (("a", "red"), ("b", "blue")):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(8):
            photo(number, colour).save(tmp_path / "data" / name / f"{number}.png")
    photo(9).save(tmp_path / "data" / "a" / "lonely.png")
    (tmp_path / "data" / "b" / "7.png").write_bytes(b"GIF89a, and no more")
    return tmp_path / "data"


def _train(engine: Any, tmp_path: Path, given: dict[str, Any] | None = None, **paths: Path) -> TranslateTrained:
    torch.set_num_threads(1)
    request = TranslateRequest(engine, tmp_path / "bundle", tmp_path / "work", given={**TINY, **(given or {})}, **paths)
    return train_translation(settings(), request)


def test_pairs_leave_a_bundle_curves_sheets_and_a_list(folders: Path, tmp_path: Path) -> None:
    trained = _train("pix2pix", tmp_path, data=folders)
    assert trained.exit_code == EXIT_OK
    assert "4 images" in trained.text and "done" in trained.text and "l1_mean" in trained.text
    bundle = load_bundle(str(tmp_path / "bundle"), "translate")
    assert (bundle.config["engine"], bundle.config["direction"], bundle.config["size"]) == ("pix2pix", "a-to-b", 32)
    work = tmp_path / "work"
    with (work / "unreadable.csv").open(newline="") as file:
        assert {row["sku"] for row in csv.DictReader(file)} == {"lonely", "7"}
    lines = [json.loads(line) for line in (work / "metrics.jsonl").read_text().splitlines()]
    assert [line["images"] for line in lines if line["kind"] == "loss"] == [2, 4]
    with Image.open(work / "curves.png") as curves, Image.open(work / "sheets" / "00000004.png") as sheet:
        assert curves.width > 1000 and sheet.height == 3 * 34  # source, translation, target of the one held out


def test_the_other_direction_learns_from_b(folders: Path, tmp_path: Path) -> None:
    _train("pix2pix", tmp_path, {"direction": "b-to-a"}, data=folders)
    with Image.open(tmp_path / "work" / "sheets" / "00000004.png") as sheet:
        first = sheet.convert("RGB").crop((0, 0, 32, 32)).resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
    assert isinstance(first, tuple) and first[2] > first[0]  # blue squares: side b


def test_outlines_and_folders_of_two_sides(folders: Path, tmp_path: Path) -> None:
    outlines = _train("pix2pix", tmp_path / "1", {"pairs": "edges"}, data=folders / "a")
    assert outlines.exit_code == EXIT_OK and "edges_held_out" in outlines.text
    sides = _train("cyclegan", tmp_path / "2", {"blocks": 1}, a=folders / "a", b=folders / "b")
    assert sides.exit_code == EXIT_OK and "cycle_held_out" in sides.text


def test_rows_of_the_catalogue_are_sides(tmp_path: Path) -> None:
    write_shop(tmp_path / "shop", 12)
    request = TranslateRequest("cyclegan", tmp_path / "bundle", tmp_path / "work", given={**TINY, "blocks": 1})
    with training_source(settings(), tmp_path / "shop", tmp_path / "work") as source:
        red, blue = ((("colour", "red"),), (("colour", "blue"),))
        trained = train_translation_on_rows(source.settings, source.database, request, red, blue)
        assert trained.exit_code == EXIT_OK
        with pytest.raises(UsageError, match="6 pictures are on both sides"):
            train_translation_on_rows(source.settings, source.database, request, red, red)
        with pytest.raises(UsageError, match="no product"):
            train_translation_on_rows(source.settings, source.database, request, red, (("colour", "green"),))
    assert "6 pictures of side a" not in (tmp_path / "bundle" / "CARD.md").read_text()  # one is held out
    assert "5 pictures of side a, 5 of side b" in (tmp_path / "bundle" / "CARD.md").read_text()


def test_ctrl_c_saves_and_the_same_command_goes_on(folders: Path, tmp_path: Path) -> None:
    metrics = tmp_path / "work" / "metrics.jsonl"

    def press() -> None:
        while not metrics.exists() or not metrics.read_bytes():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    finger = threading.Thread(target=press, daemon=True)
    finger.start()
    stopped = _train("pix2pix", tmp_path, {"images": 100_000}, data=folders)
    finger.join()
    assert stopped.exit_code == EXIT_PARTIAL and "the same command goes on" in stopped.text
    seen = torch.load(tmp_path / "work" / "checkpoint.pt", weights_only=True)["step"] * 2
    assert 2 <= seen < 100_000 and load_bundle(str(tmp_path / "bundle"), "translate")
    done = _train("pix2pix", tmp_path, {"images": seen + 4}, data=folders)
    assert done.exit_code == EXIT_OK and f"{seen + 4:,} images" in done.text
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    assert [line["images"] for line in lines if line["kind"] == "loss"] == list(range(2, seen + 5, 2))


def test_a_time_bound_stops(folders: Path, tmp_path: Path) -> None:
    bounded = _train("pix2pix", tmp_path, {"images": 100_000, "minutes": 1e-6}, data=folders)
    assert bounded.exit_code == EXIT_PARTIAL and "2 images" in bounded.text


def test_a_loss_that_is_no_number_is_an_alarm(tmp_path: Path) -> None:
    with Watch(tmp_path, Watched("x", {}, best_by=""), resume_at=None) as watch:
        observer = Observing(watch, tmp_path, StopRequest())
        assert observer.losses(2, {"d": 0.5}) == ""
        assert "divergence at 4 images: g = nan" in observer.losses(4, {"g": math.nan})
        large = [observer.losses(at, {"g": 2e3}) for at in (6, 8, 10)]
        assert large[:2] == ["", ""] and "beyond 1000" in large[2]
    assert '"kind": "note"' in (tmp_path / "metrics.jsonl").read_text()


@pytest.mark.parametrize(
    ("engine", "given", "paths", "words"),
    [
        ("pix2pix", {}, {}, "a folder is needed"),
        ("pix2pix", {}, {"data": "data/a"}, "cannot be listed"),  # no a/ in it
        ("pix2pix", {"pairs": "edges", "direction": "b-to-a"}, {"data": "data/a"}, "outlines are drawn into photos"),
        ("cyclegan", {}, {"a": "data/a"}, "two folders are needed"),
        ("cyclegan", {"a": 1}, {}, "a is no setting"),
    ],
)
def test_what_cannot_be_trained(
    folders: Path, tmp_path: Path, engine: str, given: dict[str, Any], paths: dict[str, str], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        _train(engine, tmp_path, given, **{name: tmp_path / path for name, path in paths.items()})
