"""Training: it learns, a stopped one goes on along the same curve, and the result is a bundle that loads."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from catalog_gen.bundles import load_bundle
from catalog_gen.clip.evaluate import calibrate, retrieval
from catalog_gen.clip.model import load_clip
from catalog_gen.clip.train import ClipTrainConfig, ClipTrainResult, info_nce, train_clip
from catalog_gen.errors import ConfigError
from catalog_gen.training_data import TrainRow, hold_out

COLOURS = ("red", "green", "blue", "yellow")
SHAPES = ("ball", "box")
CONFIG = ClipTrainConfig(
    name="tiny",
    embed_dim=16,
    image_size=64,
    score_size=48,
    draft_size=32,
    context_length=16,
    epochs=3,
    batch_size=8,
    held_out=8,
    checkpoint_every=2,
)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[TrainRow]:
    folder = tmp_path_factory.mktemp("photos")
    found = []
    for i in range(48):
        colour, shape = COLOURS[i % 4], SHAPES[i // 4 % 2]
        hue = {"red": 0.0, "yellow": 0.16, "green": 0.33, "blue": 0.66}[colour]
        ink = tuple(round(255 * part) for part in colorsys.hsv_to_rgb(hue, 1, 0.5 + i / 96))
        image = Image.new("RGB", (48, 64), "white")
        draw = ImageDraw.Draw(image)
        (draw.ellipse if shape == "ball" else draw.rectangle)((8, 16, 38, 46), fill=ink)
        image.save(folder / f"{i}.png")
        found.append(TrainRow(f"s{i}", f"A {colour} {shape}, Toys, number {i}", shape, colour, folder / f"{i}.png"))
    return found


def train(
    rows: list[TrainRow],
    folder: Path,
    config: ClipTrainConfig = CONFIG,
    stop: Callable[[], bool] = lambda: False,
) -> ClipTrainResult:
    return train_clip(rows, out=folder / "out", work_dir=folder / "work", config=config, should_stop=stop)


def after(steps: int) -> Callable[[], bool]:
    asked = iter(range(10**6))
    return lambda: next(asked) >= steps


def test_a_stopped_training_goes_on_to_the_very_same_model(rows: list[TrainRow], tmp_path: Path) -> None:
    whole = train(rows, tmp_path / "whole")
    assert whole.finished and whole.bundle is not None
    first = train(rows, tmp_path / "parts", stop=after(3))
    assert (first.finished, first.bundle, first.steps) == (False, None, 3)
    second = train(rows, tmp_path / "parts", stop=after(5))
    assert (second.finished, second.steps) == (False, 8)
    last = train(rows, tmp_path / "parts")
    assert last.finished and last.steps == whole.steps == 15
    assert last.hash == whole.hash
    clip = load_clip(str(last.bundle))
    assert clip.hash == whole.hash and clip.score_size == 48 and clip.threshold is not None
    stated = load_bundle(str(last.bundle), "clip").config["held_out_rule"]
    assert stated == {"seed": 0, "up_to": hold_out(rows, 8).up_to} and whole.metrics["held_out"] == 8
    assert set(whole.metrics) >= {"photo_r1", "photo_r10", "score_r1", "score_median_rank", "held_out"}


def test_the_bundle_embeds_as_the_trained_model_did(rows: list[TrainRow], tmp_path: Path) -> None:
    """The head's folded standardisation, float16 weights and the loader together change next to nothing."""
    result = train(rows, tmp_path, replace(CONFIG, epochs=8, head_lr=3e-3))
    clip = load_clip(str(result.bundle))
    texts = clip.embed_texts([f"A {colour} {shape}" for colour in COLOURS for shape in SHAPES])
    photos = []
    for row in rows[:8]:
        square = Image.new("RGB", (64, 64), "white")
        square.paste(Image.open(row.image), (8, 0))
        photos.append(torch.from_numpy(np.array(square)).permute(2, 0, 1) / 255)
    similarity = clip.embed_images(torch.stack(photos), view="photo") @ texts.T
    names = [(colour, shape) for colour in COLOURS for shape in SHAPES]
    right = [names[best][0] == row.colour for best, row in zip(similarity.argmax(1), rows[:8], strict=True)]
    assert sum(right) >= 6  # chance is two of eight


def test_another_training_in_the_same_work_folder_is_refused(rows: list[TrainRow], tmp_path: Path) -> None:
    train(rows, tmp_path, stop=after(1))
    with pytest.raises(ConfigError, match="belongs to a training with other rows or settings"):
        train(rows, tmp_path, replace(CONFIG, seed=7))


def test_too_few_rows_are_refused(rows: list[TrainRow], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="fewer than one batch of 256"):
        train(rows, tmp_path, replace(CONFIG, batch_size=256))


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"batch_size": 1}, {"dropout": 1.0}, {"photo_view_share": -0.1}])
def test_settings_that_cannot_train_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        replace(CONFIG, **wrong)  # type: ignore[arg-type]


def test_info_nce_of_perfect_and_of_twin_pairs() -> None:
    eye = torch.eye(4)
    scale = torch.tensor(50.0)
    assert float(info_nce(eye, eye, scale, list("abcd"))) < 1e-6
    same = torch.ones(2, 4) / 2
    assert float(info_nce(same, same, scale, ["a", "b"])) == pytest.approx(math.log(2))
    assert float(info_nce(same, same, scale, ["a", "a"])) == 0.0


def test_retrieval_and_threshold_of_known_vectors() -> None:
    eye = torch.eye(20)
    assert retrieval(eye, eye) == {"r1": 1.0, "r10": 1.0, "median_rank": 1.0}
    assert retrieval(eye, eye.roll(1, 0))["r1"] == 0.0
    found = calibrate(eye, eye)
    assert found["threshold"] == 1.0 and found["false_pass"] == 0.0
    assert found["matched"]["p50"] == 1.0 and found["mismatched"]["p99"] == 0.0
