"""Search over a training's settings with Optuna: by a grid, or Bayesian (TPE, arXiv 2304.11127).

Each trial is stored as it ends, so a search that was interrupted goes on with the trials that are left. One process
at a time may search in a folder.
"""

from __future__ import annotations

import itertools
import logging
import math
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from catalog_gen.errors import CatalogGenError, UsageError
from catalog_gen.gan.search_result import RESULT, SearchResult, TrialRow
from catalog_gen.gan.space import Choices, Range, Space
from catalog_gen.training.extras import needs

if TYPE_CHECKING:
    import optuna

logger = logging.getLogger(__name__)

DATABASE = "search.sqlite3"
STUDY = "search"
PRUNE_AFTER = 3  # complete trials, before one can be below their median
WARM_UP = 1  # reports of a trial that never end it

Report = Callable[[int, float], None]  # images seen, value so far; raises Pruned
TrainOnce = Callable[[dict[str, Any], Report], float]  # dotted settings, report -> the value to make small


class Pruned(Exception):
    """Raised by a trial's report: it is worse than most were at this point. The training lets it pass."""


class Interrupted(Exception):
    """To be raised by a training that was stopped before its end: the trial does not count, and the search stops."""


def search(
    train_once: TrainOnce,
    space: Space,
    *,
    trials: int,
    folder: Path,
    sampler: Literal["bayesian", "grid"] = "bayesian",
    seed: int = 0,
    about: str = "",
    should_stop: Callable[[], bool] = lambda: False,
) -> SearchResult:
    """Call `train_once` with settings out of `space` until there are `trials` of them; return all with their values.

    The study lies in folder/search.sqlite3: trials that are there already count, but for those that were interrupted
    or killed. A trial that raises CatalogGenError, runs out of memory or ends with no finite value has failed: its
    reason is kept, and the search goes on. A grid ends when it is covered, in an order drawn from `seed`.
    about: names what all trials share (settings, data); a folder takes trials of one such name.
    should_stop: asked between trials. search.json and search.png are written to `folder` at the end.

    Raises UsageError for a grid over a range that has no points, for a folder that holds a search over another space,
    and when no trial of all came to an end; Unavailable when optuna is not installed.
    """
    points = _grid(space, seed) if sampler == "grid" else []
    total = min(trials, len(points)) if sampler == "grid" else trials
    study = _open(space, folder, f"{sampler} {about}".strip())
    finished = True
    while (done := _counted(study)) < total:
        if should_stop():
            finished = False
            break
        study.sampler = _bayesian(seed, done, trials)
        if sampler == "grid":
            _enqueue_next(study, points)
        try:
            _run_trial(study, train_once, space)
        except Interrupted:
            finished = False
            break
    rows = tuple(_row(trial, space) for trial in study.get_trials(deepcopy=False))
    logarithmic = frozenset(key for key, axis in space.items() if isinstance(axis, Range) and axis.log)
    result = SearchResult(rows, finished, logarithmic=logarithmic)
    result.write(folder)
    if finished and result.best is None:
        reason = (result.trials[-1].reason or "it was ended early") if result.trials else "there were none"
        raise UsageError(f"no trial came to an end; the last: {reason}", where=str(folder / RESULT))
    return result


def _open(space: Space, folder: Path, about: str) -> optuna.Study:
    """Return the folder's study, new or as it was left; a trial that was running then is buried."""
    with needs("optuna"):
        import optuna

    folder.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=f"sqlite:///{folder / DATABASE}",
        study_name=STUDY,
        load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=PRUNE_AFTER, n_warmup_steps=WARM_UP),
    )
    asked = {"about": about, **{key: repr(axis) for key, axis in sorted(space.items())}}
    if study.user_attrs.get("asked", asked) != asked:
        raise UsageError(
            "the folder holds a search over another space, by another sampler, or of other trainings",
            where=str(folder),
            hint="Name another folder.",
        )
    study.set_user_attr("asked", asked)
    for trial in study.get_trials(deepcopy=False, states=[optuna.trial.TrialState.RUNNING]):
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
    return study


def _bayesian(seed: int, done: int, trials: int) -> optuna.samplers.BaseSampler:
    """Return the sampler of the next trial: seeded by how many came before, so that an interruption changes nothing."""
    import optuna

    first = max(3, min(10, trials // 3))  # drawn at random before there is a model
    return optuna.samplers.TPESampler(seed=(seed * 1_000_003 + done) % 2**32, n_startup_trials=first)


def _grid(space: Space, seed: int) -> list[dict[str, Any]]:
    """Return all points, as Optuna stores them, shuffled: a part of the grid is then spread over all of it."""
    for key, axis in space.items():
        if not axis.grid:
            raise UsageError(
                f"{key} is a range without points", hint=f"A grid needs them: {key} = {{low, high, grid = [...]}}."
            )
    axes = [[axis.label(v) if isinstance(axis, Choices) else v for v in axis.grid] for axis in space.values()]
    points = [dict(zip(space, values, strict=True)) for values in itertools.product(*axes)]
    random.Random(seed).shuffle(points)
    return points


def _enqueue_next(study: optuna.Study, points: list[dict[str, Any]]) -> None:
    """Make the first point that no trial had the next trial's, unless one waits that a killed process left behind."""
    from optuna.trial import TrialState

    if study.get_trials(deepcopy=False, states=[TrialState.WAITING]):
        return
    taken = [trial.params for trial in study.get_trials(deepcopy=False) if trial.state != TrialState.FAIL]
    study.enqueue_trial(next(point for point in points if point not in taken))


def _run_trial(study: optuna.Study, train_once: TrainOnce, space: Space) -> None:
    """Run one trial and store what came of it. Optuna's FAIL is for what does not count.

    A failed trial is stored as pruned: so the model learns to keep away from its settings.
    """
    from optuna.trial import TrialState

    trial = study.ask()
    values = _suggest(trial, space)
    logger.info("trial %d: %s", trial.number, values)
    reports = itertools.count()

    def report(images_seen: int, value: float) -> None:
        step = next(reports)  # not the images: trials with other batch sizes are measured at other counts
        logger.info("trial %d at %d images: %g", trial.number, images_seen, value)
        trial.report(value, step)
        if trial.should_prune():
            raise Pruned(f"trial {trial.number} is worse than the median at {images_seen} images")

    started = time.monotonic()
    try:
        value = float(train_once(values, report))
        reason = "" if math.isfinite(value) else f"it ended with the value {value}"
        state = TrialState.PRUNED if reason else TrialState.COMPLETE
    except Pruned:
        state, reason = TrialState.PRUNED, ""
    except (CatalogGenError, MemoryError, torch.OutOfMemoryError) as error:
        state, reason = TrialState.PRUNED, " ".join(str(error).split()) or type(error).__name__
    except BaseException:
        study.tell(trial, state=TrialState.FAIL)
        raise
    trial.set_user_attr("seconds", time.monotonic() - started)
    if reason:
        trial.set_user_attr("reason", reason)
        logger.warning("trial %d failed: %s", trial.number, reason)
    study.tell(trial, value if state == TrialState.COMPLETE else None, state)


def _suggest(trial: optuna.Trial, space: Space) -> dict[str, Any]:
    for key, axis in space.items():
        if isinstance(axis, Choices):
            trial.suggest_categorical(key, [axis.label(value) for value in axis.values])
        elif axis.whole:
            trial.suggest_int(key, int(axis.low), int(axis.high), log=axis.log)
        else:
            trial.suggest_float(key, axis.low, axis.high, log=axis.log)
    return _settings(trial.params, space)


def _settings(params: dict[str, Any], space: Space) -> dict[str, Any]:
    """Return Optuna's parameters as settings: a choice's label becomes the choice."""
    found = dict(params)
    for key, axis in space.items():
        if key in found and isinstance(axis, Choices):
            found[key] = next(value for value in axis.values if axis.label(value) == found[key])
    return found


def _counted(study: optuna.Study) -> int:
    return sum(trial.state.name in ("COMPLETE", "PRUNED") for trial in study.get_trials(deepcopy=False))


def _row(trial: optuna.trial.FrozenTrial, space: Space) -> TrialRow:
    reason = str(trial.user_attrs.get("reason", ""))
    state: Literal["complete", "pruned", "failed", "interrupted"] = "interrupted"
    if trial.state.name == "COMPLETE":
        state = "complete"
    elif trial.state.name == "PRUNED":
        state = "failed" if reason else "pruned"
    value = trial.value if state in ("complete", "pruned") else None
    seconds = trial.user_attrs.get("seconds")
    return TrialRow(trial.number, state, _settings(trial.params, space), value, seconds, reason)
