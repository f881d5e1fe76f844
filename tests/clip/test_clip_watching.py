"""The alarms and the retrieval sheet, by hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from catalog_gen.clip.alarms import ClipAlarms
from catalog_gen.clip.config import ClipTrainConfig, ClipWatchConfig
from catalog_gen.clip.evaluate import HeldOutEmbeddings
from catalog_gen.clip.retrieval_sheet import GAP, HEAD, RIGHT, TILE, WORDS, Finding, findings, write_retrieval_sheet
from catalog_gen.errors import UsageError
from catalog_gen.training.settings import apply, known_keys, parse_settings
from catalog_gen.training_data import TrainRow


def test_a_loss_far_above_its_start_three_times_is_a_divergence() -> None:
    alarms = ClipAlarms(ClipWatchConfig(diverged=3.0))
    losses = [2.0, 6.1, 6.1, 5.9, 6.1, 6.1, 6.1]
    found = [alarms.check_loss(images, loss) for images, loss in enumerate(losses)]
    assert [alarm is not None for alarm in found] == [False] * 6 + [True]
    assert found[-1] is not None and found[-1].kind == "divergence" and found[-1].images_seen == 6
    assert "the loss is 6.1, beyond 3 times the first one, 2, in 3 checks in a row" in found[-1].message
    assert alarms.check_loss(7, 6.1) is None, "after an answer, three again"
    assert alarms.check_loss(8, math.nan) is not None and alarms.check_loss(9, math.inf) is not None


def test_retrieval_far_below_its_best_is_an_alarm_and_memory_is_kept() -> None:
    alarms = ClipAlarms(ClipWatchConfig(forgotten=0.5))
    values = [0.4, 0.1, 0.6, 0.6, 0.31, 0.29]
    found, improved = [], []
    for images, value in enumerate(values):
        again = ClipAlarms(alarms.config)
        again.load_state_dict(alarms.state_dict())
        alarms = again
        figures = {"photo_mrr": value}
        found.append(alarms.check_measure(images, figures))
        improved.append(alarms.improved(figures))
    assert improved == [True, False, True, True, False, False], "of equals the later has learnt for longer"
    assert [alarm is not None for alarm in found] == [False, False, False, False, False, True]
    assert found[-1] is not None and found[-1].kind == "forgetting"
    assert alarms.check_measure(9, {"photo_mrr": math.nan}) is not None
    assert not alarms.improved({"photo_mrr": math.nan}) and alarms.best == 0.6


def test_what_words_find_by_hand() -> None:
    photo = torch.eye(7)
    texts = torch.tensor([[0.1 * place for place in range(7)], [0.0, 1.0, 0.5, 0.4, 0.3, 0.2, 0.1]])
    held = HeldOutEmbeddings(torch.cat([texts, torch.zeros(5, 7)]), photo, photo, photo)
    assert findings(held, [0, 1]) == [Finding(0, 7, [6, 5, 4, 3, 2]), Finding(1, 1, [1, 2, 3, 4, 5])]


def test_the_sheet_shows_each_photo_in_its_place(tmp_path: Path) -> None:
    greys = [20, 60, 100, 140, 180, 220]
    rows = [TrainRow(f"s{i}", f"Prompt {i}, Ćwikła " * 9, "kind", "grey", tmp_path) for i in range(6)]
    shown = [Finding(1, 1, [1, 0, 2, 3, 4]), Finding(5, 9, [4, 3, 2, 1, 0])]
    file = tmp_path / "sheets" / "sheet.png"
    write_retrieval_sheet(file, shown, rows, lambda position: np.full((8, 8, 3), greys[position], np.uint8))
    with Image.open(file) as image:
        pixels = np.asarray(image.convert("RGB"))
    assert pixels.shape[0] == HEAD + 2 * (TILE + GAP)
    for line, finding in enumerate(shown):
        middle = HEAD + line * (TILE + GAP) + TILE // 2
        lefts = [GAP + WORDS + column * (TILE + GAP) + (GAP if column else 0) for column in range(6)]
        got = [int(pixels[middle, left + TILE // 2, 0]) for left in lefts]
        assert got == [greys[position] for position in [finding.own, *finding.found]]
        framed = [tuple(pixels[middle, left + 1]) == RIGHT for left in lefts]
        assert framed == [False, *(position == finding.own for position in finding.found)]
        assert (pixels[middle - TILE // 2 : middle + TILE // 2, :WORDS] < 100).any(), "words"
    assert list((tmp_path / "sheets").iterdir()) == [file]


def test_settings_by_key() -> None:
    given = parse_settings(["head_lr=2e-3", "watch.on_alarm=rollback", "epochs=3"], ClipTrainConfig)
    config = apply(ClipTrainConfig(name="ours"), given)
    assert (config.name, config.head_lr, config.epochs, config.watch.on_alarm) == ("ours", 2e-3, 3, "rollback")
    with pytest.raises(UsageError, match=r"unknown setting head_rl. Did you mean head_lr\?"):
        parse_settings(["head_rl=1"], ClipTrainConfig)
    with pytest.raises(UsageError, match="'stop', 'rollback' or 'log'"):
        parse_settings(["watch.on_alarm=panic"], ClipTrainConfig)
    for key in known_keys(ClipTrainConfig):
        value = ClipTrainConfig()
        for part in key.split("."):
            value = getattr(value, part)
        assert apply(ClipTrainConfig(), {key: value}) == ClipTrainConfig(), key
