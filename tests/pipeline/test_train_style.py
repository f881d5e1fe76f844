"""`train style` from a folder of photos to a bundle that an engine opens, stopped once and gone on with."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from shop_folder import write_shop

from catalog_gen.bundles import load_bundle
from catalog_gen.config import load_settings
from catalog_gen.errors import EXIT_OK, EXIT_PARTIAL, UsageError
from catalog_gen.pipeline.style_training import StyleRequest, train_style_on_rows
from catalog_gen.pipeline.training_source import training_source
from catalog_gen.style.fast import FastEngine
from catalog_gen.style.network import NetworkConfig
from catalog_gen.style.style_training import StyleTrainer
from catalog_gen.style.template import load_template
from catalog_gen.training.history import read_history

TINY = {
    "batch": 2,
    "size": 32,
    "style_size": 32,
    "textures": 8,
    "images": 6,
    "sheet_every": 4,
    "report_every": 1,
    "network": NetworkConfig(4, 6, 8, 1, (1,), 2),
}


def train(tmp_path: Path, **request: Any) -> tuple[str, int]:
    if not (tmp_path / "shop").exists():
        write_shop(tmp_path / "shop", 6)
    settings = load_settings(env={}, use_default_file=False, flags={})
    asked = StyleRequest(tmp_path / "out", tmp_path / "work", held_out=1, given=TINY, **request)
    with training_source(settings, tmp_path / "shop", tmp_path / "work") as source:
        return train_style_on_rows(source.settings, source.database, asked)


def test_a_template_is_learnt_stopped_and_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = StyleTrainer.train_step

    def interrupted(trainer: StyleTrainer) -> dict[str, float]:
        if trainer.step == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return step(trainer)

    monkeypatch.setattr(StyleTrainer, "train_step", interrupted)
    text, code = train(tmp_path, styles=("winter",), start_from="")
    assert code == EXIT_PARTIAL and "stopped after 4 images" in text
    assert not (tmp_path / "out").exists()

    monkeypatch.setattr(StyleTrainer, "train_step", step)
    text, code = train(tmp_path, styles=("winter",), start_from="")

    assert code == EXIT_OK and "6 images" in text
    assert [line["images"] for line in read_history(tmp_path / "work" / "metrics.jsonl")] == [2, 4, 6]
    written = {file.name for file in (tmp_path / "work").iterdir()}
    assert {"checkpoint.pt", "curves.png", "sheet-000004.png", "sheet-000006.png"} <= written
    engine = FastEngine(load_bundle(str(tmp_path / "out"), "style"), "cpu")
    assert engine.prepare(load_template("winter").look("cpu")).code.shape == (1, engine.network.code_size)
    assert "the styles winter" in (tmp_path / "out" / "CARD.md").read_text()


def test_fast_starts_from_any_style(tmp_path: Path) -> None:
    assert train(tmp_path, arbitrary=True)[1] == EXIT_OK
    start = load_bundle(str(tmp_path / "out"), "style")
    assert start.config["engine"] == "arbitrary"
    start.path.rename(tmp_path / "start")
    (tmp_path / "work" / "checkpoint.pt").unlink()

    assert train(tmp_path, styles=("winter", "summer"), start_from=str(tmp_path / "start"))[1] == EXIT_OK

    learnt = load_bundle(str(tmp_path / "out"), "style").config
    assert [style["name"] for style in learnt["styles"]] == ["winter", "summer"]
    assert learnt["network"] == start.config["network"]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({}, "give the templates"),
        ({"styles": ("winter",), "arbitrary": True}, "give the templates"),
        ({"arbitrary": True, "start_from": "style-arbitrary"}, "only a training for templates"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, asked: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        train(tmp_path, **asked)
