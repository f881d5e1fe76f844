"""`catalog-gen train pix2pix` and `train cyclegan`: from folders (or rows) of pictures to a bundle for a template."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from catalog_gen.catalog.database import Database
from catalog_gen.catalog.model import Where
from catalog_gen.config import Settings
from catalog_gen.errors import EXIT_OK, EXIT_PARTIAL, UsageError
from catalog_gen.gan.alarms import Alarms
from catalog_gen.gan.config import WatchConfig
from catalog_gen.gan.sheet import save_grid
from catalog_gen.pipeline.models import choose_device
from catalog_gen.pipeline.signals import TRAINING, StopRequest, stop_on_signals
from catalog_gen.pipeline.training_source import make_work_dir, training_rows
from catalog_gen.style.translate_config import Config, Pix2pixConfig, translate_config
from catalog_gen.style.translate_data import (
    Reading,
    TranslateData,
    list_pictures,
    read_outlines,
    read_pairs,
    read_sides,
)
from catalog_gen.style.translate_training import TranslateResult, TranslateRun, baselines, train_translate
from catalog_gen.training.watch import Watch, Watched
from catalog_gen.training_data import write_unreadable

log = logging.getLogger(__name__)

LEFT_OUT = "unreadable.csv"
DIVERGED = 1e3  # a loss beyond this in three checks in a row, or one that is no number


@dataclass(frozen=True)
class TranslateRequest:
    """What `train pix2pix` or `train cyclegan` was asked for. `given`: settings of its config that a person set.

    data: pix2pix's folder, with a/ and b/ in it, or photos for `pairs` "edges". a, b: cyclegan's folders.
    """

    engine: Literal["pix2pix", "cyclegan"]
    out: Path
    work_dir: Path
    data: Path | None = None
    a: Path | None = None
    b: Path | None = None
    given: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TranslateTrained:
    """What is printed at the end, and how the command exits."""

    text: str
    exit_code: int = EXIT_OK


def train_translation(settings: Settings, request: TranslateRequest) -> TranslateTrained:
    """Train on the request's folders. The same command again goes on where an earlier one stopped.

    Raises UsageError when flags, folders or the work folder's checkpoint do not fit, Unavailable when an optional
    package is missing.
    """
    config = _config(settings, request)
    make_work_dir(request.work_dir)
    data = _read(request, config, _reading(request, config))
    return _train(request, config, data)


def train_translation_on_rows(
    settings: Settings, database: Database, request: TranslateRequest, from_where: Where, to_where: Where
) -> TranslateTrained:
    """Train a cyclegan from the photos of some of the catalogue's rows to those of others.

    Raises what `train_translation` raises, and UsageError when no row is on a side.
    """
    config = _config(settings, request)
    make_work_dir(request.work_dir)
    sides = [[row.image for row in training_rows(settings, database, where)] for where in (from_where, to_where)]
    return _train(request, config, read_sides(sides[0], sides[1], _reading(request, config)))


def _config(settings: Settings, request: TranslateRequest) -> Config:
    return translate_config(request.engine, {"device": choose_device(settings.gan.device), **request.given})


def _reading(request: TranslateRequest, config: Config) -> Reading:
    return Reading(config.size, request.work_dir / "photos", config.fit, config.held_out, config.seed)


def _read(request: TranslateRequest, config: Config, reading: Reading) -> TranslateData:
    if not isinstance(config, Pix2pixConfig):
        if request.a is None or request.b is None:
            raise UsageError("two folders are needed", hint="Give --a DIR and --b DIR, or rows of the catalogue.")
        return read_sides(list_pictures(request.a, "--a"), list_pictures(request.b, "--b"), reading)
    if request.data is None:
        raise UsageError(
            "a folder is needed", hint="Give --data DIR with a/ and b/ in it, or photos and --pairs edges."
        )
    if config.pairs == "edges":
        if config.direction != "a-to-b":
            raise UsageError("outlines are drawn into photos, not photos into outlines", where="--direction")
        return read_outlines(list_pictures(request.data, "--data"), reading)
    sides = [list_pictures(request.data / name, "--data") for name in ("a", "b")]
    if config.direction == "b-to-a":
        sides.reverse()
    return read_pairs(sides[0], sides[1], reading)


def _train(request: TranslateRequest, config: Config, data: TranslateData) -> TranslateTrained:
    write_unreadable(request.work_dir / LEFT_OUT, data.left_out)
    if data.left_out:
        log.warning("%d pictures left out, listed in %s", len(data.left_out), request.work_dir / LEFT_OUT)
    stop = StopRequest()
    with stop_on_signals(stop, wording=TRAINING):
        run = TranslateRun(data, config, request.work_dir)
        with Watch(
            request.work_dir,
            Watched(request.out.name, config.model_dump(mode="json"), best_by=""),
            resume_at=run.images_seen or None,
        ) as watch:
            result = train_translate(run, request.out, Observing(watch, request.work_dir, stop))
    exit_code = EXIT_OK if result.ending == "finished" else EXIT_PARTIAL
    return TranslateTrained(_describe(result, request, baselines(run)), exit_code)


class Observing:
    """Keeps the curves and the sheets, raises the alarm, and hears the signals."""

    def __init__(self, watch: Watch, work_dir: Path, stop: StopRequest) -> None:
        self.watch, self.work_dir, self.stop = watch, work_dir, stop
        self.alarms = Alarms(WatchConfig(diverged=DIVERGED))

    def losses(self, images: int, values: Mapping[str, float]) -> str:
        self.watch.losses(images, values)
        alarm = self.alarms.check_losses(images, values)
        if alarm is None:
            return ""
        log.warning("%s", alarm.message)
        self.watch.note(images, f"{alarm.kind}, stopped")
        return alarm.message

    def measured(self, images: int, values: Mapping[str, float]) -> None:
        self.watch.measured(images, values)

    def sheet(self, images: int, pictures: npt.NDArray[np.uint8], columns: int) -> None:
        path = self.work_dir / "sheets" / f"{images:08d}.png"
        save_grid(path, pictures, columns)
        self.watch.sheet(images, path)

    def should_stop(self) -> bool:
        return self.stop.asked()


def _describe(result: TranslateResult, request: TranslateRequest, beside: Mapping[str, float]) -> str:
    """Return what came of a training in a line or two."""
    seen = f"{request.out}: {result.images_seen:,} images in {result.seconds / 60:.1f} minutes"
    if result.ending == "alarm":
        kept = "the bundle is the last checkpoint's" if result.bundle else "nothing had been saved before"
        return f"{seen}; stopped by an alarm\n  {result.alarm}\n  {kept}"
    ended = "done" if result.ending == "finished" else f"stopped; the same command goes on from {request.work_dir}"
    figures = ", ".join(f"{name} {value:.4g}" for name, value in {**result.figures, **beside}.items())
    return f"{seen}, {ended}\n  held out: {figures}"
