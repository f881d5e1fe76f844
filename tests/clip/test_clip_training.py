"""Training: it learns, a stopped one goes on along the same curve, and the result is a bundle that loads."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from clip_fixtures import COLOURS, CONFIG, SHAPES, after, changed, measures, train
from PIL import Image

from catalog_gen.bundles import load_bundle, read_weights
from catalog_gen.clip.evaluate import calibrate, retrieval
from catalog_gen.clip.learner import Learner, info_nce, schedule
from catalog_gen.clip.model import load_clip
from catalog_gen.clip.trainer import BEST, CURVES, Trainer
from catalog_gen.errors import ConfigError, UsageError
from catalog_gen.training.history import read_history
from catalog_gen.training_data import TrainRow, hold_out


@pytest.mark.usefixtures("small")
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
    ours, theirs = (read_weights(load_bundle(str(result.bundle), "clip")) for result in (last, whole))
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
    curves = [read_history(tmp_path / part / "work" / "metrics.jsonl") for part in ("whole", "parts")]
    assert curves[0] == curves[1] and len(curves[0]) == 4 + 3, "losses at 1, 5, 10, 15; a measurement each epoch"
    clip = load_clip(str(last.bundle))
    assert clip.hash == whole.hash and clip.score_size == 48 and clip.threshold is not None
    stated = load_bundle(str(last.bundle), "clip").config["held_out_rule"]
    assert stated == {"seed": 0, "up_to": hold_out(rows, 8).up_to} and whole.metrics["held_out"] == 8
    assert set(whole.metrics) >= {"photo_r1", "photo_r10", "score_r1", "score_median_rank", "held_out"}


def test_the_bundle_embeds_as_the_trained_model_did(rows: list[TrainRow], tmp_path: Path) -> None:
    """The head's folded standardisation, float16 weights and the loader together change next to nothing."""
    result = train(rows, tmp_path, changed(epochs=4, head_lr=6e-3))
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


@pytest.mark.usefixtures("small")
def test_another_training_in_the_same_work_folder_is_refused(rows: list[TrainRow], tmp_path: Path) -> None:
    train(rows, tmp_path, stop=after(1))
    with pytest.raises(ConfigError, match="belongs to a training with other rows or settings"):
        train(rows, tmp_path, changed(seed=7))


def test_too_few_rows_are_refused(rows: list[TrainRow], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="fewer than one batch of 256"):
        train(rows, tmp_path, changed(batch_size=256))


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"batch_size": 1}, {"dropout": 1.0}, {"photo_view_share": -0.1}])
def test_settings_that_cannot_train_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        changed(**wrong)


def test_info_nce_of_perfect_and_of_twin_pairs() -> None:
    eye = torch.eye(4)
    scale = torch.tensor(50.0)
    assert float(info_nce(eye, eye, scale, list("abcd"))) < 1e-6
    same = torch.ones(2, 4) / 2
    assert float(info_nce(same, same, scale, ["a", "b"])) == pytest.approx(math.log(2))
    assert float(info_nce(same, same, scale, ["a", "a"])) == 0.0


def test_retrieval_and_threshold_of_known_vectors() -> None:
    eye = torch.eye(20)
    assert retrieval(eye, eye) == {"r1": 1.0, "r10": 1.0, "median_rank": 1.0, "mrr": 1.0}
    order = torch.tensor([[0.9, 0.1], [0.8, 0.2]])  # both like the first photo best: ranks 1 and 2
    assert retrieval(order, torch.eye(2)) == {"r1": 0.5, "r10": 1.0, "median_rank": 1.0, "mrr": 0.75}
    assert all(math.isnan(value) for value in retrieval(order * math.nan, torch.eye(2)).values())
    assert retrieval(eye, eye.roll(1, 0))["r1"] == 0.0
    found = calibrate(eye, eye)
    assert found["threshold"] == 1.0 and found["false_pass"] == 0.0
    assert found["matched"]["p50"] == 1.0 and found["mismatched"]["p99"] == 0.0


def test_rates_rise_and_fall_by_hand() -> None:
    rates = [schedule(step, 12, 1 / 3) for step in range(12)]
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0], "four steps of twelve"
    assert rates[4] == 1.0 and rates[8] == pytest.approx(0.5), "half of the cosine's eight steps"
    assert rates[11] == pytest.approx(0.5 * (1 + math.cos(math.pi * 7 / 8)))


def losses(folder: Path) -> list[dict[str, Any]]:
    return [line for line in read_history(folder / "work" / "metrics.jsonl") if line["kind"] == "loss"]


def notes(folder: Path) -> list[str]:
    return [line["text"] for line in read_history(folder / "work" / "metrics.jsonl") if line["kind"] == "note"]


@pytest.mark.usefixtures("small")
def test_the_watch_shows_curves_and_what_words_find(rows: list[TrainRow], tmp_path: Path) -> None:
    result = train(rows, tmp_path)
    work = tmp_path / "work"
    assert [line["images"] for line in measures(tmp_path)] == [40, 80, 120], "5 steps of 8 photos an epoch"
    assert measures(tmp_path)[0].keys() - {"images", "kind"} == set(CURVES) and len(CURVES) == 8
    sheets = [f"{images:08d}.png" for images in (40, 80, 120)]
    assert sorted(file.name for file in (work / "sheets").iterdir()) == sheets
    assert Image.open(work / "curves.png").width > 400
    assert list((work / "tensorboard").glob("events.out.tfevents.*"))
    best = max(line["photo_mrr"] for line in measures(tmp_path))
    assert result.metrics["photo_mrr"] >= best, "polished, where that did it good"


def worse_after(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    """Break the text tower's weights at the end of every step after `steps`: what is measured then is chance."""
    step = Learner.step

    def breaking(self: Learner, number: int, chosen: Any) -> dict[str, float]:
        said = step(self, number, chosen)
        if number >= steps:
            with torch.no_grad():
                for parameter in self.model.text.parameters():
                    parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
        return said

    monkeypatch.setattr(Learner, "step", breaking)


@pytest.mark.usefixtures("small")
def test_the_best_epoch_is_kept_and_not_the_last(
    rows: list[TrainRow], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worse_after(monkeypatch, 10)
    result = train(rows, tmp_path, changed(watch__on_alarm="log", head_lr=3e-3))
    values = [line["photo_mrr"] for line in measures(tmp_path)]
    assert values[2] < max(values[:2]), "the last epoch is the worst"
    assert result.finished and result.epoch == 1 + values.index(max(values[:2]))
    bundle = load_bundle(str(result.bundle), "clip")
    assert bundle.config["training"]["kept_epoch"] == result.epoch
    assert f"Epoch {result.epoch:g} measured best" in (tmp_path / "out" / "CARD.md").read_text("utf-8")
    kept = torch.load(tmp_path / "work" / BEST, weights_only=True)["trained"]
    words = read_weights(bundle)
    for name in kept:
        if name.startswith("text."):  # the head was polished; the words were not
            torch.testing.assert_close(words[name].float(), kept[name], atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("answer", ["stop", "rollback"])
@pytest.mark.usefixtures("small")
def test_forgetting_is_an_alarm(
    rows: list[TrainRow], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    monkeypatch.setattr("catalog_gen.clip.alarms.MEASURES_BEFORE", 1)
    figures = iter([0.8, 0.3, 0.9, 0.9, 0.9])
    examine = Trainer.examine

    def forgetful(self: Trainer[Any]) -> Any:
        found, held = examine(self)
        return found | {"photo_mrr": next(figures)}, held

    monkeypatch.setattr(Trainer, "examine", forgetful)
    result = train(rows, tmp_path, changed(watch__on_alarm=answer))
    said = {"stop": "stopped", "rollback": "rolled back"}[answer]
    assert [text.partition(":")[0] for text in notes(tmp_path)] == [f"forgetting, {said}"]
    assert result.ending == ("alarm" if answer == "stop" else "finished")
    assert result.bundle is not None and result.epoch == (1 if answer == "stop" else 3)
    if answer == "stop":
        assert "photo_mrr fell to 0.3, below 50% of its best 0.8" in result.alarm
    else:
        (rate,) = [line["head_lr"] for line in losses(tmp_path) if line["images"] == 120]
        assert rate == pytest.approx(CONFIG.head_lr * schedule(14, 15, CONFIG.warmup_share) / 2)


@pytest.mark.parametrize("answer", ["stop", "log"])
@pytest.mark.usefixtures("small")
def test_a_divergence_leaves_no_bundle(rows: list[TrainRow], tmp_path: Path, answer: str) -> None:
    result = train(rows, tmp_path, changed(text_lr=1e30, head_lr=1e30, watch__log_every=1, watch__on_alarm=answer))
    assert (result.ending, result.bundle) == ("alarm", None) and result.steps < 15, "nothing is left to learn"
    assert "divergence at " in result.alarm and "the loss is nan" in result.alarm
    assert not (tmp_path / "out").exists()
