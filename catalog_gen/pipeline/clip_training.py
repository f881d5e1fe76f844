"""`catalog-gen train clip` on rows with photos."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalog_gen.catalog.database import Database
from catalog_gen.catalog.model import Where
from catalog_gen.config import Settings
from catalog_gen.errors import EXIT_OK, EXIT_PARTIAL, UsageError
from catalog_gen.pipeline.signals import TRAINING, Stopped, StopRequest, stop_on_signals
from catalog_gen.pipeline.training_data import DataChoices, DataPlan, prepare_data, unprepared
from catalog_gen.pipeline.training_source import keep_apart, training_rows
from catalog_gen.training.settings import apply as with_settings

if TYPE_CHECKING:
    from catalog_gen.clip.train import ClipTrainResult

AS_IT_IS = DataChoices()
TOLD = ("photo_r1", "photo_r10", "photo_median_rank", "photo_mrr", "score_r10", "held_out")


def train_clip_on_catalogue(
    settings: Settings,
    database: Database,
    where: Where,
    out: Path,
    work_dir: Path,
    given: Mapping[str, Any],
    data: DataChoices = AS_IT_IS,
) -> tuple[str, int]:
    """Train a product CLIP and write its bundle to `out`; return what came of it in a line or two, and the exit code.

    given: dotted keys of ClipTrainConfig that a person set, with their values. With `data.check_only`, nothing is
    trained and the report on the data is returned.
    Raises UsageError when settings do not fit, and what `prepare_data` and `train_clip` raise.
    """
    from catalog_gen.clip.config import ClipTrainConfig
    from catalog_gen.clip.train import train_clip
    from catalog_gen.gan.checkpoint import CHECKPOINT as GAN_CHECKPOINT

    keep_apart(work_dir, GAN_CHECKPOINT)
    if "name" in given:
        raise UsageError("name follows from --out", where="--set", hint="Name the folder as the bundle is to be named.")
    config = with_settings(ClipTrainConfig(name=out.name), given)
    plan = DataPlan(config.image_size, work_dir, work_dir, config.held_out, config.seed)
    stop = StopRequest()
    with stop_on_signals(stop, wording=TRAINING):
        try:
            with stop.at_once():
                found = prepare_data(training_rows(settings, database, where), plan, data)
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
            )
        except Stopped:
            return unprepared(out), EXIT_PARTIAL
    text = describe(result, out, work_dir, len(found.train))
    return text, EXIT_OK if result.finished else EXIT_PARTIAL


def describe(result: ClipTrainResult, out: Path, work_dir: Path, products: int) -> str:
    """Return what came of a training in a line or two."""
    if result.ending == "stopped":
        return f"stopped after {result.steps} steps; the same command goes on from {work_dir}"
    trained = f"{out}: trained in {result.seconds / 60:.1f} minutes on {products:,} products"
    figures = ", ".join(f"{name} {result.metrics[name]:.4g}" for name in TOLD if name in result.metrics)
    kept = f"\n  the bundle is epoch {result.epoch:g}, which measured best: {figures}" if result.epoch else ""
    if result.ending == "alarm":
        return f"{trained}; stopped by an alarm\n  {result.alarm}" + (
            kept if result.bundle else "\n  no bundle was good enough to be kept"
        )
    return trained + (kept or (f"\n  {figures}" if figures else ""))
