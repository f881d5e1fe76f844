"""How a training ends, is taken up again and is left alone: broken weights, finished work, rates, what is measured."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from catalog_gen.bundles import load_bundle, read_weights
from catalog_gen.errors import BundleError, UsageError
from catalog_gen.gan.checkpoint import BEST, CHECKPOINT
from catalog_gen.gan.config import DiscriminatorConfig, GanTrainConfig, LossConfig, OptimiserConfig, WatchConfig
from catalog_gen.gan.export import settle_norms
from catalog_gen.gan.generator import Generator
from catalog_gen.gan.train import GanTrainResult, TrainContext, train_gan
from catalog_gen.training_data import TrainRow
from tests.gan.conftest import unit_rows


@pytest.fixture
def quick(config: GanTrainConfig) -> GanTrainConfig:
    """Without a frozen network: steps in milliseconds. 16 images are four steps."""
    small = DiscriminatorConfig(kind="conv", channels=(4, 8))
    return config.model_copy(update={"discriminator": small, "losses": LossConfig(perceptual=0), "images": 16})


def _train(rows: list[TrainRow], work: Path, config: GanTrainConfig, **more: Any) -> GanTrainResult:
    resume = more.pop("resume", False)
    context = TrainContext(pretrained=False, **more)
    texts = unit_rows(len(rows))
    return train_gan(
        rows, texts, out=work / "bundle", work_dir=work, config=config, context=context, resume=resume
    )  # fmt: skip


def _watched(config: GanTrainConfig, **watch: Any) -> GanTrainConfig:
    return config.model_copy(update={"watch": WatchConfig(**watch)})


def _kid(value: float) -> Any:
    return lambda generator: {"kid": value}


def _never(generator: Generator) -> Mapping[str, float]:
    raise AssertionError("nothing is measured here")


def _poison(checkpoint: Path) -> bytes:
    """Make a weight of the live generator a NaN; return the file's content."""
    state = torch.load(checkpoint, weights_only=True)
    state["players"]["generator"]["to_rgb.bias"].fill_(float("nan"))
    torch.save(state, checkpoint)
    return checkpoint.read_bytes()


def _lines(work: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (work / "metrics.jsonl").read_text("utf-8").splitlines()]


@pytest.mark.parametrize("answer", ["log", "stop"])
def test_weights_that_are_no_numbers_end_it_whatever_alarms_do(
    rows: list[TrainRow], tmp_path: Path, quick: GanTrainConfig, answer: str
) -> None:
    watched = _watched(quick, measure_every=8, on_alarm=answer)
    good = _train(rows, tmp_path, watched, measure=_kid(0.1))
    poisoned, kept = _poison(good.checkpoint), load_bundle(str(good.bundle), "gan").hash
    longer = watched.model_copy(update={"images": 4000})
    result = _train(rows, tmp_path, longer, resume=True, measure=_never)
    assert result.ending == "alarm" and result.steps == 6, "at the next measurement, and before it"
    assert "divergence at 24 images: " in result.alarm and "holds what is no finite number" in result.alarm
    assert load_bundle(str(result.bundle), "gan").hash == kept and result.measured == {"kid": 0.1}
    assert good.checkpoint.read_bytes() == poisoned
    assert [line["text"] for line in _lines(tmp_path) if line["kind"] == "note"] == ["divergence, stopped"]


def test_weights_that_are_no_numbers_can_be_taken_back(
    rows: list[TrainRow], tmp_path: Path, quick: GanTrainConfig
) -> None:
    watched = _watched(quick, measure_every=8, on_alarm="rollback")
    good = _train(rows, tmp_path, watched, measure=_kid(0.1))
    _poison(good.checkpoint)
    result = _train(rows, tmp_path, watched.model_copy(update={"images": 40}), resume=True, measure=_kid(0.3))
    assert result.finished and "divergence at 24 images" in result.alarm
    average = torch.load(result.checkpoint, weights_only=True)["players"]["average"]
    assert all(bool(torch.isfinite(tensor).all()) for tensor in average.values())


@pytest.mark.parametrize("minutes, images", [(10.0, 24), (1e-9, 4000)], ids=["at the end", "by the clock"])
def test_weights_that_are_no_numbers_are_never_saved(
    rows: list[TrainRow], tmp_path: Path, quick: GanTrainConfig, minutes: float, images: int
) -> None:
    watched = _watched(quick, measure_every=0, on_alarm="log")
    good = _train(rows, tmp_path, watched)
    poisoned = _poison(good.checkpoint)
    longer = watched.model_copy(update={"images": images, "checkpoint_minutes": minutes})
    result = _train(rows, tmp_path, longer, resume=True)
    assert result.ending == "alarm" and result.steps == min(25, images // 4)
    assert good.checkpoint.read_bytes() == poisoned and load_bundle(str(good.bundle), "gan")


def test_a_finished_training_stays_as_it_is(rows: list[TrainRow], tmp_path: Path, quick: GanTrainConfig) -> None:
    watched = _watched(quick, measure_every=8)
    first = _train(rows, tmp_path, watched, measure=_kid(0.1))
    assert first.finished and not first.already
    files = [file for file in tmp_path.rglob("*") if file.is_file() and "shop" not in file.parts]
    before = {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in files}
    again = _train(rows, tmp_path, watched, resume=True, measure=_never)
    assert again.finished and again.already and again.measured == {"kid": 0.1} and again.bundle == first.bundle
    after = {file for file in tmp_path.rglob("*") if file.is_file() and "shop" not in file.parts}
    assert after == set(files)
    assert before == {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in files}
    more = _train(rows, tmp_path, watched.model_copy(update={"images": 24}), resume=True, measure=_kid(0.2))
    assert more.finished and not more.already and more.steps == 6


@pytest.mark.parametrize("measured", [True, False])
def test_a_bundle_that_was_taken_away_is_written_again(
    rows: list[TrainRow], tmp_path: Path, quick: GanTrainConfig, measured: bool
) -> None:
    kids = iter([0.1, 0.2])  # the best is the first, at 8 images
    watched = _watched(quick, measure_every=8 if measured else 0)
    first = _train(rows, tmp_path, watched, measure=lambda generator: {"kid": next(kids)})
    before = load_bundle(str(first.bundle), "gan")
    assert before.config["images_seen"] == (8 if measured else 16)
    (tmp_path / "bundle").rename(tmp_path / "taken")
    again = _train(rows, tmp_path, watched, resume=True, measure=_never)
    assert again.finished and load_bundle(str(again.bundle), "gan").hash == before.hash


def test_what_a_signal_kept_from_being_measured_is_measured_later(
    rows: list[TrainRow], tmp_path: Path, quick: GanTrainConfig
) -> None:
    watched = _watched(quick, measure_every=100)
    asked = iter(range(100))
    first = _train(rows, tmp_path, watched, measure=_never, should_stop=lambda: next(asked) == 4)
    assert first.ending == "stopped" and first.steps == 4, "all images are shown, and the signal would not wait"
    again = _train(rows, tmp_path, watched, resume=True, measure=_kid(0.3))
    assert again.finished and not again.already and again.measured == {"kid": 0.3}


def test_the_time_bound_at_the_end_is_no_stop_and_measures_once(
    rows: list[TrainRow], tmp_path: Path, quick: GanTrainConfig
) -> None:
    bounded = _watched(quick, measure_every=4).model_copy(update={"minutes": 1e-9})
    first = _train(rows, tmp_path, bounded, measure=_kid(0.3))
    assert first.ending == "stopped" and [line["images"] for line in _lines(tmp_path)] == [4]
    assert [_train(rows, tmp_path, bounded, resume=True, measure=_kid(0.2)).ending for _ in range(3)] == [
        "stopped",
        "stopped",
        "finished",
    ]


def test_a_stop_before_the_first_step_leaves_nothing(
    rows: list[TrainRow], tmp_path: Path, quick: GanTrainConfig
) -> None:
    result = _train(rows, tmp_path, quick, measure=_never, should_stop=lambda: True)
    assert (result.ending, result.steps, result.bundle) == ("stopped", 0, None)
    assert not (tmp_path / "bundle").exists() and not (tmp_path / CHECKPOINT).exists()
    assert _train(rows, tmp_path, quick, resume=True).finished


def test_a_rate_that_jumps_because_images_were_raised_is_said(
    rows: list[TrainRow], tmp_path: Path, quick: GanTrainConfig, caplog: pytest.LogCaptureFixture
) -> None:
    falling = _watched(quick, measure_every=0, log_every=1).model_copy(
        update={"optimiser": OptimiserConfig(g_lr=4e-4, decay="linear", final_lr=0.1)}
    )
    asked = iter(range(100))
    with caplog.at_level(logging.WARNING):
        _train(rows, tmp_path, falling, should_stop=lambda: next(asked) == 2)
        _train(rows, tmp_path, falling, resume=True)
    assert not caplog.messages, "the same schedule goes on without a word"
    with caplog.at_level(logging.WARNING):
        _train(rows, tmp_path, falling.model_copy(update={"images": 32}), resume=True)
    # At the end of 16 images a tenth of the rate; halfway to 32, 0.1 + 0.9 / 2 of it.
    (said,) = caplog.messages
    assert said.startswith("images was 16 and is 32: the rate goes from 4e-05 to 0.00022")
    rates = {line["images"]: line["lr"] for line in _lines(tmp_path)}
    assert rates[20] == pytest.approx(2.2e-4)


def test_rates_keep_their_digits(rows: list[TrainRow], tmp_path: Path, quick: GanTrainConfig) -> None:
    slow = _watched(quick, measure_every=0, log_every=1)
    _train(rows, tmp_path, slow.model_copy(update={"images": 4, "optimiser": OptimiserConfig(g_lr=2.5e-7)}))
    assert _lines(tmp_path)[0]["lr"] == 2.5e-7


def test_what_is_measured_is_the_bundle_the_average_with_its_norms_settled(
    rows: list[TrainRow], tmp_path: Path, quick: GanTrainConfig
) -> None:
    seen: list[Generator] = []

    def measure(generator: Generator) -> Mapping[str, float]:
        seen.append(generator)
        return {"kid": 0.1}

    result = _train(rows, tmp_path, _watched(quick, measure_every=100), measure=measure)
    (judged,) = seen
    assert not judged.training
    players = torch.load(tmp_path / BEST, weights_only=True)["players"]
    average = Generator(quick.generator)
    average.load_state_dict(players["average"])
    expected = settle_norms(average, unit_rows(len(rows)), quick.seed).state_dict()
    moments = [name for name in expected if "running" in name]
    assert moments
    for name, tensor in judged.state_dict().items():
        assert torch.equal(tensor, expected[name]), name
        if name in moments:
            assert not torch.equal(tensor, players["average"][name]), "those of training are another's"
    assert not torch.equal(judged.state_dict()["to_rgb.weight"], players["generator"]["to_rgb.weight"])
    for name, tensor in read_weights(load_bundle(str(result.bundle), "gan")).items():
        assert torch.equal(tensor, expected[name].half()), name


def test_losses_are_counted_anew_after_going_back(rows: list[TrainRow], tmp_path: Path, quick: GanTrainConfig) -> None:
    """Every loss here is out of bounds, so an alarm comes at each third step; the first is answered."""
    watched = _watched(quick, measure_every=8, log_every=1, diverged=1e-9, on_alarm="rollback", max_rollbacks=1)
    result = _train(rows, tmp_path, watched.model_copy(update={"images": 400}), measure=_kid(0.1))
    assert result.ending == "alarm" and result.steps == 6
    assert [line["images"] for line in _lines(tmp_path) if line["kind"] == "note"] == [12, 24]


def test_a_place_that_holds_something_else_is_refused_before_the_work(
    rows: list[TrainRow], tmp_path: Path, quick: GanTrainConfig
) -> None:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(BundleError, match="something else is here, and it stays"):
        _train(rows, tmp_path, quick)
    assert not (tmp_path / "photos").exists()


def test_checkpoints_of_another_version_and_left_over_parts(
    rows: list[TrainRow], tmp_path: Path, quick: GanTrainConfig
) -> None:
    left = tmp_path / f".{CHECKPOINT}.part"
    left.write_bytes(b"what a killed process had written")
    result = _train(rows, tmp_path, quick)
    assert not left.exists()
    state = torch.load(result.checkpoint, weights_only=True)
    del state["data"]
    torch.save(state, result.checkpoint)
    with pytest.raises(UsageError, match="no checkpoint of this version"):
        _train(rows, tmp_path, quick, resume=True)
