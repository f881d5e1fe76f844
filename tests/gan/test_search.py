"""The search: it finds what is there to find, covers a grid, goes on after an interruption, and survives bad trials."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from catalog_gen.errors import CatalogGenError, UsageError
from catalog_gen.gan.search import Interrupted, Report, search
from catalog_gen.gan.space import Choices, Range

LAYOUTS: Any = {"losses.layout": Choices((0.0, 4.0, 8.0))}
GRID: Any = LAYOUTS | {"text_noise": Range(0.0, 0.4, grid=(0.0, 0.4))}
BOWL: Any = {"text_noise": Range(0.0, 1.0), "losses.layout": Range(0.0, 16.0)}


def bowl(values: dict[str, Any], report: Report) -> float:
    return float((values["text_noise"] - 0.3) ** 2 + ((values["losses.layout"] - 12) / 16) ** 2)


def test_bayesian_comes_near_the_optimum(tmp_path: Path) -> None:
    result = search(bowl, BOWL, trials=40, folder=tmp_path)
    assert result.best is not None and result.best.value is not None and len(result.trials) == 40 and result.finished
    assert result.best.value < 0.01
    first, last = ([row.value or 0.0 for row in part] for part in (result.trials[:10], result.trials[-10:]))
    assert np.mean(last) < np.mean(first) / 2, "it learns where to look"


def test_a_grid_is_covered_once_and_then_ends(tmp_path: Path) -> None:
    met: list[tuple[float, float]] = []

    def train_once(values: dict[str, Any], report: Report) -> float:
        met.append((values["losses.layout"], values["text_noise"]))
        return values["losses.layout"] + values["text_noise"]  # type: ignore[no-any-return]

    result = search(train_once, GRID, trials=100, folder=tmp_path, sampler="grid")
    assert sorted(met) == [(layout, noise) for layout in (0.0, 4.0, 8.0) for noise in (0.0, 0.4)]
    assert result.best is not None and result.best.params == {"losses.layout": 0.0, "text_noise": 0.0}
    with pytest.raises(UsageError, match="text_noise is a range without points"):
        search(train_once, BOWL, trials=3, folder=tmp_path / "other", sampler="grid")


def test_an_interrupted_search_goes_on_with_what_is_left(tmp_path: Path) -> None:
    ran: list[float] = []

    def train_once(values: dict[str, Any], report: Report) -> float:
        if len(ran) == 2:
            ran.append(-1)
            raise Interrupted
        ran.append(values["text_noise"])
        return bowl(values, report)

    first = search(train_once, BOWL, trials=6, folder=tmp_path)
    assert not first.finished and [row.state for row in first.trials] == ["complete", "complete", "interrupted"]
    again = search(train_once, BOWL, trials=6, folder=tmp_path)
    assert again.finished and sum(row.state == "complete" for row in again.trials) == 6
    whole = search(bowl, BOWL, trials=6, folder=tmp_path / "whole")
    complete = [row.params for row in again.trials if row.state == "complete"]
    assert complete == [row.params for row in whole.trials], "the interruption changed nothing"
    with pytest.raises(UsageError, match="another space"):
        search(train_once, LAYOUTS, trials=6, folder=tmp_path)


def test_a_killed_trial_does_not_count(tmp_path: Path) -> None:
    def killed(values: dict[str, Any], report: Report) -> float:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(killed, BOWL, trials=2, folder=tmp_path)
    result = search(bowl, BOWL, trials=2, folder=tmp_path)
    assert [row.state for row in result.trials] == ["interrupted", "complete", "complete"]


def test_failed_trials_keep_their_reason_and_the_search_goes_on(tmp_path: Path) -> None:
    def train_once(values: dict[str, Any], report: Report) -> float:
        if values["losses.layout"] == 0:
            raise CatalogGenError("divergence at 800 images")
        return float("nan") if values["losses.layout"] == 4 else 0.5

    result = search(train_once, LAYOUTS, trials=3, folder=tmp_path, sampler="grid")
    found = {row.params["losses.layout"]: (row.state, row.value, row.reason) for row in result.trials}
    assert found == {
        0.0: ("failed", None, "divergence at 800 images"),
        4.0: ("failed", None, "it ended with the value nan"),
        8.0: ("complete", 0.5, ""),
    }

    def broken(values: dict[str, Any], report: Report) -> float:
        raise CatalogGenError("out of luck")

    with pytest.raises(UsageError, match="no trial came to an end; the last: out of luck"):
        search(broken, LAYOUTS, trials=2, folder=tmp_path / "broken")


def test_hopeless_trials_are_ended_early(tmp_path: Path) -> None:
    count = iter(range(100))
    reached: dict[int, int] = {}

    def train_once(values: dict[str, Any], report: Report) -> float:
        number = next(count)
        value = 1.0 if number < 4 else 5.0
        for step in range(4):
            reached[number] = step
            report(1000 * (step + 1), value)
        return value

    result = search(train_once, BOWL, trials=6, folder=tmp_path)
    assert [row.state for row in result.trials] == ["complete"] * 4 + ["pruned"] * 2
    assert [reached[number] for number in range(6)] == [3, 3, 3, 3, 1, 1], (
        "the first report never ends a trial, the second does"
    )


def test_the_files_show_every_trial(tmp_path: Path) -> None:
    search(bowl, BOWL, trials=5, folder=tmp_path, should_stop=lambda: False)
    saved = json.loads((tmp_path / "search.json").read_text("utf-8"))
    assert len(saved["trials"]) == 5 and saved["metric"] == "kid" and saved["finished"]
    assert saved["best"]["value"] == min(trial["value"] for trial in saved["trials"])
    pixels = np.asarray(Image.open(tmp_path / "search.png").convert("RGB")).astype(int)
    blue = (abs(pixels - [43, 108, 176]).max(2) < 12).sum()
    assert blue > 200, "the trials' marks are drawn"


def test_a_stop_is_heard_between_trials(tmp_path: Path) -> None:
    asked = iter([False, False, True])
    result = search(bowl, BOWL, trials=9, folder=tmp_path, should_stop=lambda: next(asked))
    assert len(result.trials) == 2 and not result.finished
