"""`train upscale` from a folder of photos to a bundle that serves, stopped once and gone on with."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
import torch
from shop_folder import write_shop

from catalog_gen.config import load_settings
from catalog_gen.errors import EXIT_OK, EXIT_PARTIAL, UsageError
from catalog_gen.pipeline.training_source import training_source
from catalog_gen.pipeline.upscale_training import UpscaleRequest, train_upscaler_on_rows
from catalog_gen.training.checkpoint import read_state
from catalog_gen.training.history import read_history
from catalog_gen.upscale.training import UpscaleTrainer
from catalog_gen.upscale.upscaler import load_upscaler

TINY = {
    "batch": 2,
    "images": 8,
    "crop": 32,
    "sheet_every": 4,
    "report_every": 1,
    "warmup": 0.5,
    "critic_width": 4,
    "network.width": 4,
    "network.blocks": 1,
    "network.tail": 3,
}


def train(tmp_path: Path, name: str, **more: object) -> tuple[str, int]:
    if not (tmp_path / "shop").exists():
        write_shop(tmp_path / "shop", 10)
    settings = load_settings(env={}, use_default_file=False, flags={})
    work = tmp_path / f"work-{name}"
    asked = UpscaleRequest(tmp_path / name, work, held_out=2, given=TINY | more)
    with training_source(settings, tmp_path / "shop", work) as source:
        return train_upscaler_on_rows(source.settings, source.database, asked)


def test_an_upscaler_is_learnt_stopped_and_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text, code = train(tmp_path, "whole")
    assert code == EXIT_OK

    step = UpscaleTrainer.train_step

    def interrupted(trainer: UpscaleTrainer) -> dict[str, float]:
        assert len(trainer.source.photos) == 8  # of 10
        if trainer.step == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return step(trainer)

    monkeypatch.setattr(UpscaleTrainer, "train_step", interrupted)
    text, code = train(tmp_path, "parts")
    assert code == EXIT_PARTIAL and "stopped after 6 images" in text
    assert not (tmp_path / "parts").exists()

    monkeypatch.setattr(UpscaleTrainer, "train_step", step)
    text, code = train(tmp_path, "parts")
    assert code == EXIT_OK and "8 images" in text and "2 held-out photos, degraded" in text

    # The same curve: every step's losses and every weight are those of the training in one go.
    lines = [read_history(tmp_path / f"work-{name}" / "metrics.jsonl") for name in ("whole", "parts")]
    assert lines[0] == lines[1] and [line["images"] for line in lines[0]] == [2, 4, 6, 8]
    assert [line["critic"] > 0 for line in lines[0]] == [False, False, True, True]
    states = [read_state(tmp_path / f"work-{name}" / "checkpoint.pt")["average"] for name in ("whole", "parts")]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())

    written = {file.name for file in (tmp_path / "work-parts").iterdir()}
    assert {"checkpoint.pt", "curves.png", "sheet-000004.png", "sheet-000008.png"} <= written
    card = (tmp_path / "parts" / "CARD.md").read_text()
    assert "| 2 | " in card and "| 8 | " in card, "the losses' course"
    assert "8 photos of products" in card and "| degraded | upscaler |" in card
    config = json.loads((tmp_path / "parts" / "bundle.json").read_text())["config"]
    assert config["training"]["images_seen"] == 8 and config["held_out_rule"]["seed"] == 0
    assert set(config["measured"]["clean upscaler"]) == {"psnr", "ssim", "features"}
    assert load_upscaler(str(tmp_path / "parts"), 256).passes(64) == 1


def test_another_training_does_not_go_on_from_a_checkpoint(tmp_path: Path) -> None:
    train(tmp_path, "one", images=2)
    with pytest.raises(UsageError, match="another training"):
        train(tmp_path, "one", images=4, learning_rate=0.01)


def test_crops_that_the_factor_does_not_divide_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="multiple of 8"):
        train(tmp_path, "odd", crop=36)
