"""`train gan` as it is typed, where it is stopped early, has finished, or searches: what is said and what is left."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import torch
from PIL import Image

from catalog_gen import photo_cache
from catalog_gen.cli import run
from catalog_gen.quality.lite1 import Lite1Features

ROWS = 65
SMALL = [
    *("--set", "generator.channels=[8, 8, 8, 8]", "--set", "generator.image_size=32"),
    *("--set", "discriminator.kind=conv", "--set", "discriminator.channels=[8, 8]", "--set", "losses.perceptual=0"),
]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a feed of 65 products and their photos, blocks of their own colour on white."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "images").mkdir()
    lines = ["sku,title,category,colour"]
    for number in range(ROWS):
        pixels = np.full((40, 40, 3), 255, np.uint8)
        pixels[8:32, 4 + number % 8 : 30] = np.random.default_rng(number).integers(0, 200, 3)
        Image.fromarray(pixels).save(folder / "images" / f"p{number}.png")
        lines.append(f"p{number},Thing number {number},Kind {number % 2},{'red' if number % 3 else 'blue'}")
    (folder / "feed.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def train(shop: Path, folder: Path, *more: str, held_out: int = 13) -> int:
    paths = ["--data", str(shop), "--out", str(folder / "bundle"), "--work-dir", str(folder / "work")]
    return run(["train", "gan", *paths, *SMALL, "--batch", "4", "--held-out", str(held_out), *more])


@pytest.mark.parametrize("place", ["photos", "features"])
def test_a_signal_before_the_first_step_is_heard_where_it_falls(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    calls: list[int] = []

    def interrupting(real: Any, at: int) -> Any:
        def call(*given: Any) -> Any:
            calls.append(len(calls))
            if len(calls) == at:
                os.kill(os.getpid(), signal.SIGTERM)
            elif len(calls) > at:
                time.sleep(0.05)  # photos are read ahead in threads: the main one hears the signal meanwhile
            return real(*given)

        return call

    with monkeypatch.context() as patched:
        if place == "photos":
            patched.setattr(photo_cache, "open_photo", interrupting(photo_cache.open_photo, at=5))
        else:
            patched.setattr(Lite1Features, "__call__", interrupting(Lite1Features.__call__, at=1))
        assert train(shop, tmp_path, "--images", "8") == 4
    said = capsys.readouterr()
    assert "bundle: stopped before the first step; the same command starts again" in said.out
    assert "SIGTERM: stopping; once more stops at once" in said.err and "drawn" not in said.err
    assert len(calls) < 40, "what was left to do was not done"
    assert not (tmp_path / "bundle").exists() and not (tmp_path / "work" / "checkpoint.pt").exists()
    kept = sorted(file.suffix for file in (tmp_path / "work" / "photos").iterdir() if not file.name.startswith("."))
    assert kept == ([] if place == "photos" else [".json", ".npy"])
    assert train(shop, tmp_path, "--images", "8", "--set", "watch.measure_every=0") == 0


def test_a_finished_training_says_so_and_more_images_go_on(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    off = ["--set", "watch.measure_every=0", "--set", "optimiser.decay=linear"]
    assert train(shop, tmp_path, "--images", "8", *off) == 0
    assert "already" not in capsys.readouterr().out
    history = (tmp_path / "work" / "metrics.jsonl").read_bytes()
    assert train(shop, tmp_path, "--images", "8", *off) == 0
    assert "already finished, 8 images on 52 photos" in capsys.readouterr().out
    assert (tmp_path / "work" / "metrics.jsonl").read_bytes() == history
    assert train(shop, tmp_path, "--images", "16", *off) == 0
    said = capsys.readouterr()
    assert "16 images on 52 photos" in said.out and "already" not in said.out
    assert "images was 8 and is 16: the rate goes from 4e-05 to 0.00022" in said.err


def test_a_search_s_trials_may_be_bounded_in_time_and_share_their_data(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space = tmp_path / "space.toml"
    space.write_text("losses.layout = [0, 8]\n", encoding="utf-8")
    more = ["--images", "4000", "--minutes", "0.0001", "--search", "2", "--sampler", "grid", "--space", str(space)]
    assert train(shop, tmp_path, *more) == 0
    result = json.loads((tmp_path / "work" / "search.json").read_text("utf-8"))
    assert [trial["state"] for trial in result["trials"]] == ["complete"] * 2
    capsys.readouterr()
    assert train(shop, tmp_path, *more, held_out=12) == 64, "other products to learn from"
    assert "another space, by another sampler, or of other trainings" in capsys.readouterr().err
    assert train(shop, tmp_path, *more) == 0, "what was there stays"


def test_a_trial_that_is_ended_early_leaves_no_checkpoint(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    reported: list[int] = []

    def hopeless(trial: optuna.Trial) -> bool:
        reported.append(len(list((tmp_path / "work" / "trials").glob("*/best.pt"))))
        return True

    monkeypatch.setattr(optuna.trial.Trial, "should_prune", hopeless)
    assert train(shop, tmp_path, "--images", "16", "--search", "1") == 64
    assert "no trial came to an end; the last: it was ended early" in capsys.readouterr().err
    assert reported == [1], "there was one to be taken away"
    result = json.loads((tmp_path / "work" / "search.json").read_text("utf-8"))
    assert [trial["state"] for trial in result["trials"]] == ["pruned"]
    assert not list((tmp_path / "work" / "trials").rglob("*.pt"))
