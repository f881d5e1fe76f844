"""`train matte` from a folder of photos to a bundle that serves, stopped once and gone on with."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from shop_folder import write_shop

from catalog_gen.config import load_settings
from catalog_gen.errors import EXIT_OK, EXIT_PARTIAL
from catalog_gen.pipeline.matte_training import MatteRequest, train_matte_on_rows
from catalog_gen.pipeline.training_source import training_source
from catalog_gen.style.matte import cut_out_with
from catalog_gen.style.prior import PriorConfig, load_prior
from catalog_gen.style.prior_training import PriorTrainer
from catalog_gen.training.history import read_history

TINY = {"batch": 2, "images": 6, "sheet_every": 4, "report_every": 1, "network": PriorConfig((4, 6), 1)}


def write_products(folder: Path, count: int) -> None:
    """Write a shop whose photos show one plain square each, of another size and place."""
    write_shop(folder, count)
    for number in range(count):
        pixels = np.full((80, 60, 3), 255, np.uint8)
        pixels[20 + number : 60, 15 : 35 + number] = (180, 30, 30)
        Image.fromarray(pixels).save(folder / "images" / f"p{number}.png")


def train(tmp_path: Path) -> tuple[str, int]:
    if not (tmp_path / "shop").exists():
        write_products(tmp_path / "shop", 10)
    settings = load_settings(env={}, use_default_file=False, flags={})
    asked = MatteRequest(tmp_path / "out", tmp_path / "work", photos=5, held_out=2, given=TINY)
    with training_source(settings, tmp_path / "shop", tmp_path / "work") as source:
        return train_matte_on_rows(source.settings, source.database, asked)


def test_a_prior_is_learnt_stopped_and_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = PriorTrainer.train_step

    def interrupted(trainer: PriorTrainer) -> dict[str, float]:
        assert len(trainer.labelled.skus) == 4  # every second of the 8 that are not held out
        if trainer.step == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return step(trainer)

    monkeypatch.setattr(PriorTrainer, "train_step", interrupted)
    text, code = train(tmp_path)
    assert code == EXIT_PARTIAL and "stopped after 4 images" in text
    assert not (tmp_path / "out").exists()

    monkeypatch.setattr(PriorTrainer, "train_step", step)
    text, code = train(tmp_path)

    assert code == EXIT_OK and "6 images" in text and "2 bleached products, held out" in text
    assert [line["images"] for line in read_history(tmp_path / "work" / "metrics.jsonl")] == [2, 4, 6]
    written = {file.name for file in (tmp_path / "work").iterdir()}
    assert {"checkpoint.pt", "curves.png", "sheet-000004.png", "sheet-000006.png"} <= written
    card = (tmp_path / "out" / "CARD.md").read_text()
    assert "4 photos of products" in card and "6 images in" in card
    prior = load_prior(str(tmp_path / "out"))
    assert cut_out_with(Image.open(tmp_path / "shop" / "images" / "p0.png"), prior).alpha.max() == 1
