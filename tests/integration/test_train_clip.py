"""`train clip` as it is typed: watched, interrupted, stopped by an alarm, and set by key."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from catalog_gen import photo_cache
from catalog_gen.bundles import load_bundle
from catalog_gen.cli import run
from catalog_gen.clip import data
from catalog_gen.training.history import read_history

SMALL = ["image_size=32", "score_size=32", "draft_size=16", "embed_dim=16", "context_length=8", "watch.log_every=1"]
SMALL += ["last_stages.stages=0"]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a feed of 20 products and their photos: blocks of noise on white."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "images").mkdir()
    chance = np.random.default_rng(0)
    lines = ["sku,title,category,colour"]
    for number in range(20):
        pixels = np.full((64, 64, 3), 255, np.uint8)
        pixels[8:50, 10:50] = chance.integers(0, 200, 3)
        Image.fromarray(pixels).save(folder / "images" / f"p{number}.png")
        lines.append(f"p{number},Shirt number {number},Shirts,{'red' if number % 3 else 'blue'}")
    (folder / "feed.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def arguments(shop: Path, folder: Path, *more: str) -> list[str]:
    paths = ["--data", str(shop), "--out", str(folder / "bundle"), "--work-dir", str(folder / "work")]
    small = [word for pair in SMALL for word in ("--set", pair)]
    return ["train", "clip", *paths, "--batch", "8", *small, *more]


def test_the_best_epoch_becomes_the_bundle(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    assert run(arguments(shop, tmp_path, "--epochs", "1", "--wandb", "shop", "--set", "data=Ours.")) == 0
    assert "the bundle is epoch 1, which measured best: photo_r1 " in capsys.readouterr().out
    config = load_bundle(str(tmp_path / "bundle"), "clip").config
    assert (config["training"]["kept_epoch"], config["training"]["watch"]["wandb"]) == (1, "shop")
    assert config["training"]["data"] == "Ours." and config["metrics"]["held_out"] == 4
    work = tmp_path / "work"
    assert [line["kind"] for line in read_history(work / "metrics.jsonl")] == ["loss", "loss", "measure"]
    for made in ("curves.png", "data.png", "tensorboard/events.*", "sheets/00000016.png", "wandb/offline-run-*"):
        assert list(work.glob(made)), made


def test_from_a_bundle_its_words_rest(shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments(shop, tmp_path, "--epochs", "1")) == 0
    start = load_bundle(str(tmp_path / "bundle"), "clip")
    more = ["--from", str(start.path), "--out", str(tmp_path / "next"), "--work-dir", str(tmp_path / "next-work")]
    capsys.readouterr()
    assert run(["train", "clip", "--data", str(shop), *more, "--set", "last_stages.epochs=1"]) == 0
    bundle = load_bundle(str(tmp_path / "next"), "clip")
    assert (bundle.config["text_of"], bundle.config["text_hash"]) == (start.hash, start.config["text_hash"])
    assert bundle.config["held_out_rule"] == start.config["held_out_rule"] and bundle.config["embed_dim"] == 16
    kept = bundle.config["training"]["kept_epoch"]
    said = "epoch 1, which measured best" if kept else "what it started from: nothing was better"
    assert f"the bundle is {said}: photo_r1 " in capsys.readouterr().out
    assert run(["train", "clip", "--data", str(shop), *more, "--epochs", "3"]) == 64
    assert "epochs is the bundle's own" in capsys.readouterr().err


def test_ctrl_c_saves_and_says_how_to_go_on(shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    curves = tmp_path / "work" / "metrics.jsonl"

    def interrupt() -> None:
        while not (curves.exists() and curves.stat().st_size):
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    more = ["--epochs", "10000", "--set", "watch.measure_every=0"]
    waiting = threading.Thread(target=interrupt, daemon=True)
    waiting.start()
    assert run(arguments(shop, tmp_path, *more)) == 4
    waiting.join()
    said = capsys.readouterr().out
    saved = torch.load(tmp_path / "work" / "clip-checkpoint.pt", weights_only=True)
    assert saved["step"] == read_history(curves)[-1]["images"] / 8 >= 1
    assert f"stopped after {saved['step']} steps; the same command goes on from {tmp_path / 'work'}" in said
    assert not (tmp_path / "bundle").exists()


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
            if len(calls) >= at:
                time.sleep(0.2)  # the signal is the main thread's to hear, and the decoding ones must not run ahead
            return real(*given)

        return call

    module, name, at = {"photos": (photo_cache, "open_photo", 5), "features": (data, "show", 2)}[place]
    monkeypatch.setattr(module, name, interrupting(getattr(module, name), at))
    assert run(arguments(shop, tmp_path, "--epochs", "1")) == 4
    said = capsys.readouterr()
    assert "bundle: stopped before the first step; the same command starts again" in said.out
    assert "SIGTERM: stopping; once more stops at once" in said.err and "drawn" not in said.err
    assert len(calls) <= 10, "what was left to do was not done"
    work = tmp_path / "work"
    assert not (tmp_path / "bundle").exists() and not (work / "clip-checkpoint.pt").exists()
    assert len(list(work.glob("features-*.npy"))) == (0 if place == "photos" else 1), "the view that was whole"
    assert run(arguments(shop, tmp_path, "--epochs", "1")) == 0


def test_a_folder_that_is_no_bundle_is_refused_before_it_is_trained_for(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "notes.txt").write_text("ours", encoding="utf-8")
    assert run(arguments(shop, tmp_path, "--epochs", "1")) == 69
    assert "something else is here, and it stays" in capsys.readouterr().err
    assert not list((tmp_path / "work").glob("features-*"))


def test_a_divergence_ends_it_with_a_line_and_a_code(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = ["--set", "text_lr=1e30", "--set", "head_lr=1e30", "--set", "watch.measure_every=0"]
    assert run(arguments(shop, tmp_path, "--epochs", "20", *broken)) == 4
    said = capsys.readouterr().out
    assert "stopped by an alarm" in said and "divergence at " in said and "no bundle was good enough" in said


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--set", "head_rl=1"], "Did you mean head_lr?"),
        (["--set", "watch.on_alarm=panic"], "watch.on_alarm cannot be 'panic'"),
        (["--set", "name=other"], "name follows from --out"),
        (["--held-out", "4", "--set", "held_out=4"], "--held-out 4 and --set held_out=4 set the same thing"),
    ],
)
def test_wrong_settings_are_named(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], given: list[str], said: str
) -> None:
    assert run(arguments(shop, tmp_path, *given)) == 64
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("catalog-gen: ")]
    assert len(lines) == 1 and said in lines[0]


def test_two_kinds_of_training_do_not_share_a_work_folder(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for kind, theirs in (
        ("clip", "checkpoint.pt"),
        ("gan", "clip-checkpoint.pt"),
        ("gan", "clip-stages-checkpoint.pt"),
    ):
        work = tmp_path / kind / theirs
        work.mkdir(parents=True)
        (work / theirs).touch()
        paths = ["--data", str(shop), "--out", str(tmp_path / "bundle"), "--work-dir", str(work)]
        assert run(["train", kind, *paths]) == 64
        assert "another kind of training" in capsys.readouterr().err
