"""`catalog-gen train gan --search`: many short trainings, and the flags that train the best one for long."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from catalog_gen.errors import EXIT_OK, EXIT_PARTIAL, CatalogGenError, UsageError
from catalog_gen.gan.checkpoint import BEST, CHECKPOINT
from catalog_gen.gan.config import GanTrainConfig
from catalog_gen.gan.search import Interrupted, Report, search
from catalog_gen.gan.settings import apply as with_settings
from catalog_gen.gan.settings import as_flags
from catalog_gen.gan.space import SPACE, Space, read_space
from catalog_gen.gan.train import data_key, train_gan
from catalog_gen.pipeline.gan_request import GanRequest, Lessons, Trained

TRIAL_REPORTS = 4  # measurements of a trial: a hopeless one can be ended after the first


def _about(config: GanTrainConfig, lessons: Lessons) -> str:
    """Return what all trials of one search must share, as a hash."""
    shared = config.model_dump_json(exclude={"device", "workers", "checkpoint_minutes"})
    key = data_key(lessons.rows, lessons.provenance.clip.origin)
    start = "".join(lessons.provenance.notes)
    return hashlib.sha256(f"{shared}\n{key}\n{start}".encode()).hexdigest()


def searched(request: GanRequest) -> Space:
    """Return what a search tries: the file's space, or the usual one without the settings that a person has given.

    Raises UsageError when a given setting cannot count in a search, and what `read_space` raises.
    """
    if "watch.measure_every" in request.given:
        every = f"a search measures each trial {TRIAL_REPORTS} times, and compares them"
        raise UsageError(f"watch.measure_every cannot be set: {every}", where="--search", hint="Leave it out.")
    if request.space is None:
        space: Space = {key: axis for key, axis in SPACE.items() if key not in request.given}
        if not space:
            raise UsageError("every setting that it tries is set", where="--search", hint="Name others: --space FILE.")
        return space
    space = read_space(request.space)
    both = sorted(space.keys() & request.given.keys())
    if both:
        raise UsageError(f"{both[0]} is set, and cannot be tried", where=str(request.space), hint="Leave one out.")
    return space


def longer(given: Mapping[str, Any], best: Mapping[str, Any]) -> str:
    """Return the flags that train a search's best trial for long: its settings and a person's, but for the length."""
    return as_flags({key: value for key, value in given.items() if key not in ("images", "minutes")} | dict(best))


def search_settings(request: GanRequest, space: Space, config: GanTrainConfig, lessons: Lessons) -> Trained:
    """Train many short ones, each in its own folder below the work folder, and say how to train the best for long."""
    if lessons.context.measure is None:
        raise UsageError("a search needs measurements", hint="Hold out more products.")
    watch = config.watch.model_copy(update={"measure_every": max(config.batch_size, config.images // TRIAL_REPORTS)})
    config = config.model_copy(update={"watch": watch})
    stop = lessons.context.should_stop

    def train_once(values: dict[str, Any], report: Report) -> float:
        name = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:10]
        folder = request.work_dir / "trials" / name
        try:
            return short_training(folder, values, report)
        finally:  # a trial is never resumed
            for file in (CHECKPOINT, BEST):
                (folder / file).unlink(missing_ok=True)

    def short_training(folder: Path, values: dict[str, Any], report: Report) -> float:
        context = replace(lessons.context, report=lambda seen, figures: report(seen, figures["kid"]))
        result = train_gan(
            lessons.rows,
            lessons.embeddings,
            out=folder / "bundle",
            work_dir=folder,
            config=with_settings(config, values),
            provenance=lessons.provenance,
            context=context,
        )
        if result.ending == "stopped" and stop():  # its own time bound ends a trial as `images` does
            raise Interrupted
        if "kid" not in result.measured:
            raise CatalogGenError(result.alarm or "nothing was measured", where=str(folder))
        return result.measured["kid"]

    found = search(
        train_once,
        space,
        trials=request.trials,
        folder=request.work_dir,
        sampler=request.sampler,
        seed=config.seed,
        about=_about(config, lessons),
        should_stop=stop,
    )
    best = found.best
    lines = [f"{request.work_dir}: {len(found.trials)} trials, in search.json and search.png"]
    if best is not None and best.value is not None:
        lines.append(f"  best: kid {best.value:.4g}, trial {best.number}")
        lines.append(f"  train it for longer, without --search, with: {longer(request.given, best.params)}")
    if not found.finished:
        lines.append("  stopped; the same command goes on with the trials that are left")
    return Trained("\n".join(lines), EXIT_OK if found.finished else EXIT_PARTIAL)
