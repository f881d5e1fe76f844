"""A training in two processes is the training in one: the same losses, the same weights, one set of files."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

from catalog_gen.bundles import load_bundle, read_weights
from catalog_gen.errors import UsageError
from catalog_gen.gan.config import (
    AugmentConfig,
    DiscriminatorConfig,
    GanTrainConfig,
    LossConfig,
    OptimiserConfig,
    WatchConfig,
)
from catalog_gen.gan.distributed import processes, world
from catalog_gen.gan.train import TrainContext, check_shares, train_gan
from catalog_gen.training_data import TrainRow
from tests.gan.conftest import unit_rows

STEPS = 12


def _config(config: GanTrainConfig) -> GanTrainConfig:
    """Settings in which everything that processes share is at work; SGD, because Adam's first step is a sign."""
    return config.model_copy(
        update={
            "images": STEPS * 4,
            "augment": AugmentConfig(adaptive=True, adapt_images=40, cutout=0.3),
            "losses": LossConfig(adversarial="non_saturating", r1=0.1, penalty_every=4, mismatched_g=0.2),
            "optimiser": OptimiserConfig(name="sgd", g_lr=1e-3, d_lr=1e-3),
            "watch": WatchConfig(measure_every=0, log_every=1),
        }
    )


def _train(rows: list[TrainRow], folder: Path, config: GanTrainConfig, stop_at: int = -1) -> str:
    asked = iter(range(10**6))  # before the first step, and after each
    # Only the second process is asked to stop: both must.
    context = TrainContext(
        pretrained=False, should_stop=lambda: world()[0] == 1 and next(asked) == stop_at, photos=folder / "photos"
    )
    texts = unit_rows(len(rows))
    result = train_gan(rows, texts, out=folder / "bundle", work_dir=folder, config=config, context=context)
    return f"{result.ending} {result.steps}"


def _work(rank: int, port: int, rows: list[TrainRow], folder: Path, config: GanTrainConfig, stop_at: int) -> None:
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    with processes("cpu"):
        (folder / f"ended-{rank}").write_text(_train(rows, folder, config, stop_at), encoding="utf-8")


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _in_two(rows: list[TrainRow], folder: Path, config: GanTrainConfig, stop_at: int = -1) -> list[str]:
    folder.mkdir()
    mp.spawn(_work, (_free_port(), rows, folder, config, stop_at), nprocs=2)
    return [(folder / f"ended-{rank}").read_text("utf-8") for rank in (0, 1)]


def _losses(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text("utf-8").splitlines()]


def test_two_processes_learn_what_one_does(rows: list[TrainRow], tmp_path: Path, config: GanTrainConfig) -> None:
    config = _config(config)
    (tmp_path / "one").mkdir()
    assert _train(rows, tmp_path / "one", config) == f"finished {STEPS}"
    assert _in_two(rows, tmp_path / "two", config) == [f"finished {STEPS}"] * 2
    one, two = _losses(tmp_path / "one"), _losses(tmp_path / "two")
    assert len(one) == len(two) == STEPS
    for a, b in zip(one, two, strict=True):
        assert {"d", "adversarial", "mismatched_g", "layout", "perceptual", "augment"} <= a.keys() == b.keys()
        for name in a.keys() - {"kind"}:
            assert a[name] == pytest.approx(b[name], rel=1e-3, abs=1e-4), name
    alone, together = (read_weights(load_bundle(str(tmp_path / name / "bundle"), "gan")) for name in ("one", "two"))
    for name, weight in alone.items():
        np.testing.assert_allclose(weight.float(), together[name].float(), rtol=2e-2, atol=2e-3, err_msg=name)


def test_a_stop_that_one_process_hears_stops_both(rows: list[TrainRow], tmp_path: Path, config: GanTrainConfig) -> None:
    assert _in_two(rows, tmp_path / "two", _config(config), stop_at=3) == ["stopped 3"] * 2


def test_a_batch_that_cannot_be_shared_is_refused(config: GanTrainConfig) -> None:
    check_shares(config)
    with pytest.raises(UsageError, match="a batch of 4 cannot be shared by 1 processes in 3 parts"):
        check_shares(config.model_copy(update={"optimiser": OptimiserConfig(accumulate=3)}))


def test_a_part_of_which_no_half_can_be_matched_is_refused(config: GanTrainConfig) -> None:
    parts = config.model_copy(update={"optimiser": OptimiserConfig(accumulate=4)})
    check_shares(parts)
    with pytest.raises(UsageError, match="4 parts each, halves of which are matched") as caught:
        check_shares(parts.model_copy(update={"losses": LossConfig(best_of=4)}))
    assert caught.value.hint == "Choose a multiple of 8."


def _drop(rank: int, port: int, rows: list[TrainRow], folder: Path, config: GanTrainConfig) -> None:
    """Train twice, and write down which channels each dropout took out."""
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    dropped: list[Tensor] = []

    def note(module: nn.Module, given: tuple[Tensor, ...], result: Tensor) -> None:
        if isinstance(module, nn.Dropout2d):
            dropped.append((result == 0).all(dim=3).all(dim=2))

    register_module_forward_hook(note)
    with processes("cpu"):
        for name in ("one", "two"):
            _train(rows, folder / name, config)
    torch.save(dropped, folder / f"dropped-{rank}.pt")


def test_each_process_drops_channels_of_its_own_and_the_same_ones_again(
    rows: list[TrainRow], tmp_path: Path, config: GanTrainConfig
) -> None:
    discriminator = DiscriminatorConfig(kind="conv", channels=(8, 16), dropout=0.5)
    changes = {"discriminator": discriminator, "losses": LossConfig(perceptual=0), "images": 8}
    config = _config(config).model_copy(update=changes)
    mp.spawn(_drop, (_free_port(), rows, tmp_path, config), nprocs=2)
    first, second = (torch.load(tmp_path / f"dropped-{rank}.pt") for rank in (0, 1))
    once = len(first) // 2
    assert once and once % 2 == 0 and len(second) == 2 * once, "two trainings of two steps"
    for masks in (first, second):
        assert all(0 < mask.float().mean() < 1 for mask in masks)
        assert all(torch.equal(a, b) for a, b in zip(masks[:once], masks[once:], strict=True)), "the same ones again"
        steps = zip(masks[: once // 2], masks[once // 2 : once], strict=True)
        assert not any(torch.equal(a, b) for a, b in steps), "others at each step"
    assert not any(torch.equal(a, b) for a, b in zip(first, second, strict=True)), "others in each process"
    assert _losses(tmp_path / "one") == _losses(tmp_path / "two")
