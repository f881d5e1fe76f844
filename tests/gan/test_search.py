"""Searches over a toy objective whose answer is known."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from catalog_gen.errors import CatalogGenError, Unavailable, UsageError
from catalog_gen.gan import search as module
from catalog_gen.gan.search import Interrupted, Report, search
from catalog_gen.gan.space import Choices, Range, Space

BOWL: Space = {"optimiser.g_lr": Range(1e-4, 1e-2, log=True), "text_noise": Range(0.0, 1.0)}
GRID: Space = {
    "optimiser.betas": Choices(((0.0, 0.99), (0.5, 0.999))),
    "losses.layout": Choices((0.0, 4.0, 8.0)),
}


def bowl(values: dict[str, Any], report: Report) -> float:
    """Lowest, 0, at a rate of 1e-3 and a noise of 0.3."""
    return (math.log10(values["optimiser.g_lr"]) + 3) ** 2 + (values["text_noise"] - 0.3) ** 2


def layout(values: dict[str, Any], report: Report) -> float:
    return float(values["losses.layout"] + values["optimiser.betas"][0])


def test_bayesian_search_comes_near_the_optimum(tmp_path: Path) -> None:
    result = search(bowl, BOWL, trials=40, folder=tmp_path)
    assert result.finished and [row.number for row in result.trials] == list(range(40))
    best = result.best
    assert best is not None and best.value is not None and best.value < 0.01
    assert best.value == min(row.value for row in result.trials if row.value is not None)
    random_part, modelled = result.trials[:10], result.trials[-10:]
    mean = [np.mean([row.value or 0.0 for row in part]) for part in (random_part, modelled)]
    assert mean[1] < mean[0] / 3, "it learns where to look"


def test_the_same_seed_gives_the_same_search(tmp_path: Path) -> None:
    found = [
        [row.params for row in search(bowl, BOWL, trials=6, folder=tmp_path / name, seed=seed).trials]
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    assert found[0] == found[1] != found[2]
    assert len({params["text_noise"] for params in found[0]}) == 6, "each trial is another"


def test_a_grid_is_covered_once(tmp_path: Path) -> None:
    result = search(layout, GRID, trials=100, folder=tmp_path, sampler="grid")
    points = {(row.params["optimiser.betas"], row.params["losses.layout"]) for row in result.trials}
    assert len(result.trials) == 6 and result.finished
    assert points == {(betas, weight) for betas in ((0.0, 0.99), (0.5, 0.999)) for weight in (0.0, 4.0, 8.0)}
    assert result.best is not None and result.best.params == {"optimiser.betas": (0.0, 0.99), "losses.layout": 0.0}


def test_part_of_a_grid_goes_on(tmp_path: Path) -> None:
    assert len(search(layout, GRID, trials=2, folder=tmp_path, sampler="grid").trials) == 2
    result = search(layout, GRID, trials=6, folder=tmp_path, sampler="grid")
    assert len({str(row.params) for row in result.trials}) == len(result.trials) == 6


def test_a_grid_needs_points(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"optimiser\.g_lr is a range without points"):
        search(bowl, BOWL, trials=4, folder=tmp_path, sampler="grid")


def stopped_after(count: int, train: Callable[[dict[str, Any], Report], float]) -> module.TrainOnce:
    """Return `train` as it is when Ctrl-C comes in the middle of its call number `count`, from 0."""
    calls = iter(range(1000))

    def train_once(values: dict[str, Any], report: Report) -> float:
        if next(calls) == count:
            raise Interrupted
        return train(values, report)

    return train_once


@pytest.mark.parametrize("space, train, sampler", [(BOWL, bowl, "bayesian"), (GRID, layout, "grid")])
def test_an_interrupted_search_goes_on_as_if_it_had_not_been(
    tmp_path: Path, space: Space, train: module.TrainOnce, sampler: Any
) -> None:
    whole = search(train, space, trials=6, folder=tmp_path / "whole", sampler=sampler)
    part = search(stopped_after(4, train), space, trials=6, folder=tmp_path / "parts", sampler=sampler)
    assert not part.finished and [row.state for row in part.trials] == ["complete"] * 4 + ["interrupted"]
    rest = search(train, space, trials=6, folder=tmp_path / "parts", sampler=sampler)
    counted = [row for row in rest.trials if row.state != "interrupted"]
    assert rest.finished and len(rest.trials) == 7
    assert [(row.params, row.value) for row in counted] == [(row.params, row.value) for row in whole.trials]
    again = search(stopped_after(0, train), space, trials=6, folder=tmp_path / "parts", sampler=sampler)
    assert again.trials == rest.trials, "nothing is left to do"


@pytest.mark.parametrize("sampler", ["bayesian", "grid"])
def test_a_killed_search_goes_on(tmp_path: Path, sampler: str) -> None:
    code = f"""
import os, signal
from pathlib import Path
from gan.test_search import GRID, layout
from catalog_gen.gan.search import search
calls = iter(range(9))
def train_once(values, report):
    if next(calls) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return layout(values, report)
search(train_once, GRID, trials=6, folder=Path({str(tmp_path)!r}), sampler={sampler!r})
"""
    tests = str(Path(__file__).parents[1])
    path = os.pathsep.join([tests, os.environ.get("PYTHONPATH", "")])
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path}, check=False)
    assert done.returncode == -signal.SIGKILL
    result = search(layout, GRID, trials=6, folder=tmp_path, sampler=sampler)  # type: ignore[arg-type]
    assert [row.state for row in result.trials] == ["complete"] * 2 + ["interrupted"] + ["complete"] * 4
    assert result.trials[2].params == result.trials[3].params, "what was lost is tried again"
    if sampler == "grid":
        assert len({str(row.params) for row in result.trials}) == 6


def test_a_search_killed_before_its_trial_began_goes_on(tmp_path: Path) -> None:
    import optuna

    search(layout, GRID, trials=2, folder=tmp_path, sampler="grid")
    study = optuna.load_study(study_name=module.STUDY, storage=f"sqlite:///{tmp_path / module.DATABASE}")
    module._enqueue_next(study, module._grid(GRID, seed=0))
    result = search(layout, GRID, trials=6, folder=tmp_path, sampler="grid")
    assert len({str(row.params) for row in result.trials}) == len(result.trials) == 6


def test_should_stop_is_asked_between_trials(tmp_path: Path) -> None:
    done: list[float] = []

    def train_once(values: dict[str, Any], report: Report) -> float:
        done.append(bowl(values, report))
        return done[-1]

    result = search(train_once, BOWL, trials=9, folder=tmp_path, should_stop=lambda: len(done) == 3)
    assert not result.finished and [row.value for row in result.trials] == done and len(done) == 3


def test_a_failed_trial_keeps_its_reason_and_the_search_goes_on(tmp_path: Path) -> None:
    def train_once(values: dict[str, Any], report: Report) -> float:
        report(100, 1.0)
        if values["losses.layout"] == 4.0:
            raise CatalogGenError("divergence at 100 images: d = nan", hint="Lower the rates.")
        return math.nan if values["losses.layout"] == 8.0 else 0.5

    result = search(train_once, GRID, trials=6, folder=tmp_path, sampler="grid")
    assert result.finished and result.best is not None and result.best.value == 0.5
    told = {row.params["losses.layout"]: (row.state, row.value, row.reason) for row in result.trials}
    assert told == {
        0.0: ("complete", 0.5, ""),
        4.0: ("failed", None, "divergence at 100 images: d = nan. Lower the rates."),
        8.0: ("failed", None, "it ended with the value nan"),
    }


def test_all_failing_raises_and_the_reasons_are_kept(tmp_path: Path) -> None:
    def train_once(values: dict[str, Any], report: Report) -> float:
        raise Unavailable("no photo is usable")

    with pytest.raises(UsageError, match="no photo is usable"):
        search(train_once, BOWL, trials=3, folder=tmp_path)
    written = json.loads((tmp_path / "search.json").read_text(encoding="utf-8"))
    assert [row["reason"] for row in written["trials"]] == ["no photo is usable"] * 3 and written["best"] is None


def test_a_bug_ends_the_search_and_its_trial_does_not_count(tmp_path: Path) -> None:
    def train_once(values: dict[str, Any], report: Report) -> float:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        search(train_once, BOWL, trials=3, folder=tmp_path)
    assert len([row for row in search(bowl, BOWL, trials=3, folder=tmp_path).trials if row.state == "complete"]) == 3


def test_what_is_worse_than_the_median_is_pruned_at_its_second_report(tmp_path: Path) -> None:
    reports: list[int] = []

    def train_once(values: dict[str, Any], report: Report) -> float:
        bad = len(reports) >= 9  # the first three trials are good
        for images in (100, 200, 300):
            reports.append(images)
            report(images, 9.0 if bad else 1.0)
        return 1.0

    result = search(train_once, BOWL, trials=5, folder=tmp_path)
    assert [row.state for row in result.trials[:3]] == ["complete"] * 3
    assert [(row.state, row.value) for row in result.trials[3:]] == [("pruned", 9.0)] * 2
    assert reports[9:] == [100, 200, 100, 200]
    assert result.best is not None and result.best.state == "complete"


def test_another_space_needs_another_folder(tmp_path: Path) -> None:
    search(bowl, BOWL, trials=1, folder=tmp_path)
    with pytest.raises(UsageError, match="another space"):
        search(layout, GRID, trials=1, folder=tmp_path)


def test_the_result_is_written(tmp_path: Path) -> None:
    result = search(layout, GRID, trials=6, folder=tmp_path, sampler="grid")
    written = json.loads((tmp_path / "search.json").read_text(encoding="utf-8"))
    assert written["metric"] == "kid" and written["finished"] is True
    assert written["best"]["params"] == {"optimiser.betas": [0.0, 0.99], "losses.layout": 0.0}
    assert [row["value"] for row in written["trials"]] == [row.value for row in result.trials]
    assert all(row["seconds"] >= 0 for row in written["trials"])
    with Image.open(tmp_path / "search.png") as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    blue = (abs(pixels - np.array((43, 108, 177))) < 12).all(axis=2)
    above, below = blue[: len(blue) // 2], blue[len(blue) // 2 :]
    panel = blue.shape[1] // 4
    assert above.sum() > 200, "the trials"
    assert below[:, :panel].sum() > 200 and below[:, panel : 2 * panel].sum() > 200, "a panel for each setting"
    assert below[:, 2 * panel + panel // 4 :].sum() == 0, "and no more"


def test_without_optuna_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(Unavailable, match=r"catalog-gen\[train\]"):
        search(bowl, BOWL, trials=1, folder=tmp_path)
