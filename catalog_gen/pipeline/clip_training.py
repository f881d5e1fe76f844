"""`catalog-gen train clip` on rows with photos."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalog_gen.bundles import Bundle, load_bundle
from catalog_gen.catalog.database import Database
from catalog_gen.catalog.model import Where
from catalog_gen.config import Settings
from catalog_gen.errors import EXIT_OK, EXIT_PARTIAL, UsageError
from catalog_gen.pipeline.held_out import rule_before
from catalog_gen.pipeline.signals import TRAINING, Stopped, StopRequest, stop_on_signals
from catalog_gen.pipeline.training_data import DataChoices, DataPlan, prepare_data, unprepared
from catalog_gen.pipeline.training_source import keep_apart, training_rows
from catalog_gen.training.settings import apply as with_settings

if TYPE_CHECKING:
    from catalog_gen.clip.config import ClipTrainConfig
    from catalog_gen.clip.train import ClipTrainResult

AS_IT_IS = DataChoices()
TOLD = ("photo_r1", "photo_r10", "photo_median_rank", "photo_mrr", "score_r10", "held_out")


@dataclass(frozen=True)
class ClipRequest:
    """What a person asked for.

    out: the bundle's folder. given: dotted keys of ClipTrainConfig with their values. start_from: a bundle whose text
    tower rests while its image tower's last stages learn; empty: both towers are trained.
    """

    out: Path
    work_dir: Path
    where: Where = ()
    given: Mapping[str, Any] = field(default_factory=dict)
    start_from: str = ""


def train_clip_on_catalogue(
    settings: Settings, database: Database, request: ClipRequest, data: DataChoices = AS_IT_IS
) -> tuple[str, int]:
    """Train a product CLIP and write its bundle; return what came of it in a line or two, and the exit code.

    With `data.check_only`, nothing is trained and the report on the data is returned.
    Raises UsageError when settings do not fit, BundleError when a bundle is not to be had, and what `prepare_data` and
    `train_clip` raise.
    """
    from catalog_gen.clip.train import train_clip
    from catalog_gen.gan.checkpoint import CHECKPOINT as GAN_CHECKPOINT

    out, work_dir = request.out, request.work_dir
    keep_apart(work_dir, GAN_CHECKPOINT)
    start = load_bundle(request.start_from, "clip") if request.start_from else None
    config = _config(request, start)
    plan = DataPlan(config.image_size, work_dir, work_dir, config.held_out, config.seed)
    stop = StopRequest()
    with stop_on_signals(stop, wording=TRAINING):
        try:
            with stop.at_once():
                rule = rule_before(settings, database, start)
                rows = training_rows(settings, database, request.where)
                found = prepare_data(rows, replace(plan, rule=rule), data)
            if data.check_only:
                return found.report.describe(), EXIT_OK
            result = train_clip(
                [*found.train, *found.held_out],
                out=out,
                work_dir=work_dir,
                config=config,
                should_stop=stop.asked,
                rule=found.rule,
                preparing=stop.at_once(),
                start=start,
            )
        except Stopped:
            return unprepared(out), EXIT_PARTIAL
    text = describe(result, out, work_dir, len(found.train))
    return text, EXIT_OK if result.finished else EXIT_PARTIAL


def _config(request: ClipRequest, start: Bundle | None) -> ClipTrainConfig:
    """Return the defaults with the settings that were given; from a bundle, what it was trained with."""
    from catalog_gen.clip.config import FREE_FROM_A_BUNDLE, ClipTrainConfig
    from catalog_gen.clip.towers import config_of

    given = request.given
    if "name" in given:
        raise UsageError("name follows from --out", where="--set", hint="Name the folder as the bundle is to be named.")
    if start is None:
        return with_settings(ClipTrainConfig(name=request.out.name), given)
    resting = sorted(key for key in given if key.partition(".")[0] not in FREE_FROM_A_BUNDLE)
    if resting:
        raise UsageError(f"{resting[0]} is the bundle's own", where=str(start.path), hint="Leave it out.")
    return config_of(start, with_settings(ClipTrainConfig(name=request.out.name), given))


def describe(result: ClipTrainResult, out: Path, work_dir: Path, products: int) -> str:
    """Return what came of a training in a line or two."""
    if result.ending == "stopped":
        return f"stopped after {result.steps} steps; the same command goes on from {work_dir}"
    trained = f"{out}: trained in {result.seconds / 60:.1f} minutes on {products:,} products"
    figures = ", ".join(f"{name} {result.metrics[name]:.4g}" for name in TOLD if name in result.metrics)
    best = (
        f"epoch {result.epoch:g}, which measured best" if result.epoch else "what it started from: nothing was better"
    )
    kept = f"\n  the bundle is {best}: {figures}" if result.epoch is not None else ""
    if result.ending == "alarm":
        return f"{trained}; stopped by an alarm\n  {result.alarm}" + (
            kept if result.bundle else "\n  no bundle was good enough to be kept"
        )
    return trained + (kept or (f"\n  {figures}" if figures else ""))
