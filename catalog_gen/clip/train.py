"""Training the product CLIP on a shop's own photos, on a CPU.

First the image trunk (EfficientNet-Lite0, arXiv 1905.11946) is frozen and its features are computed once; a small head
on them and the whole text tower (MiniLM, arXiv 2002.10957) learn to agree by the symmetric InfoNCE of CLIP
(arXiv 2103.00020). Then the text tower rests, and the trunk's last stages learn with the head, from the maps before
them. A training that starts from a bundle does the second phase alone, so generators go with what comes of it. The
bundle is the epoch that measured best on products that are held out.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from catalog_gen.bundles import Bundle, check_place
from catalog_gen.clip.alarms import BEST_BY
from catalog_gen.clip.config import ClipTrainConfig
from catalog_gen.clip.evaluate import HeldOutEmbeddings, calibrate
from catalog_gen.clip.learner import Learner
from catalog_gen.clip.phases import Subject, joint_phase, stage_maps, stages_phase
from catalog_gen.clip.products import load_products
from catalog_gen.clip.publish import Trained, publish
from catalog_gen.clip.towers import bundle_towers, config_of, new_towers
from catalog_gen.clip.trainer import Ending, Trainer
from catalog_gen.errors import UsageError
from catalog_gen.training.watch import check_packages
from catalog_gen.training_data import HeldOut, TrainRow

logger = logging.getLogger(__name__)

FEWEST_FROM_A_BUNDLE = 2  # products: one of them needs another to be told from


@dataclass(frozen=True)
class ClipTrainResult:
    """What came of a training. `ending` is "stopped" when somebody asked for it: run it again to go on.

    bundle: None when it was stopped, or when nothing worth keeping was learnt before an alarm. metrics: the bundle's
    own held-out figures. epoch: the one that the bundle is, where any was measured.
    """

    ending: Ending
    bundle: Path | None
    hash: str
    metrics: dict[str, float]
    steps: int
    seconds: float
    unreadable: list[tuple[str, str]]
    epoch: float | None = None
    alarm: str = ""

    @property
    def finished(self) -> bool:
        return self.ending == "finished"


@dataclass
class _Progress:
    """How far a training has come, over its phases. `metrics` and `held` are of the model as it is."""

    ending: Ending = "finished"
    steps: int = 0
    seconds: float = 0.0
    epoch: float | None = None
    alarm: str = ""
    metrics: dict[str, float] = field(default_factory=dict)
    held: HeldOutEmbeddings | None = None

    def take(self, trainer: Trainer[Any], ending: Ending) -> bool:
        """Note what came of a phase; return whether its model is one to keep."""
        self.ending, self.alarm = ending, trainer.alarm if ending == "alarm" else ""
        self.steps += trainer.step
        self.seconds += trainer.seconds
        kept = ending == "finished" or (ending == "alarm" and bool(trainer.best))
        if kept and (self.epoch is None or trainer.best_step):  # else the phase bettered nothing
            self.epoch = trainer.best_epoch
        return kept


def train_clip(
    rows: Sequence[TrainRow],
    *,
    out: Path,
    work_dir: Path,
    config: ClipTrainConfig | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    rule: HeldOut | None = None,
    preparing: AbstractContextManager[None] | None = None,
    start: Bundle | None = None,
) -> ClipTrainResult:
    """Train a product CLIP on `rows`, and write its bundle to the folder `out`.

    work_dir keeps the decoded photos, the features and maps, the checkpoints, the curves, and sheets/ with what
    held-out words find; the same call again resumes from it, to the same result. `should_stop` is asked between steps;
    the first Ctrl-C has the same effect.
    rule: which rows to measure on and not to learn from; None: `config.held_out` of those that can be used.
    preparing: entered for all that comes before the first step; what it raises loses no step.
    start: a product CLIP's bundle to go on from; it gives the sizes, its text tower stays as it is, and only the image
    tower's last stages and its head learn.
    Raises ConfigError when there are too few usable rows or when work_dir holds another training's checkpoint,
    UsageError when the checkpoint cannot be read or nothing is left to learn, BundleError when the pretrained parts
    (`catalog-gen[train]`) are not installed, `start` is no product CLIP or `out` holds what is no bundle, and
    Unavailable when the curves' packages are not installed.
    """
    config = config or ClipTrainConfig()
    config = config_of(start, config) if start else config
    if start and not config.last_stages.stages:
        raise UsageError("from a bundle only the last stages learn, and there are none", where="last_stages.stages")
    check_packages(config.watch.wandb)
    check_place(out)
    started = time.monotonic()
    with preparing or nullcontext():
        subject, joint, maps = _prepare(rows, work_dir, config, rule, start)
    progress = _Progress()
    kept = _learn(subject, joint, maps, should_stop, progress)
    if kept and not _fits_half(subject.towers.model):
        kept, progress.ending = False, "alarm"
        progress.alarm = "divergence: what was learnt is beyond half precision; lower the rates"
    bundle = _publish(out, subject, progress) if kept else None
    return ClipTrainResult(
        ending=progress.ending,
        bundle=bundle.path if bundle else None,
        hash=bundle.hash if bundle else "",
        metrics=progress.metrics if bundle else {},
        steps=progress.steps,
        seconds=time.monotonic() - started,
        unreadable=subject.products.unreadable,
        epoch=progress.epoch,
        alarm=progress.alarm,
    )


def _prepare(
    rows: Sequence[TrainRow], work_dir: Path, config: ClipTrainConfig, rule: HeldOut | None, start: Bundle | None
) -> tuple[Subject, Trainer[Learner] | None, list[npt.NDArray[np.float16]]]:
    """Return what is trained, its first phase (None: it starts from a bundle), and the maps of the second."""
    products = load_products(rows, work_dir, config, rule, FEWEST_FROM_A_BUNDLE if start else config.batch_size)
    towers = bundle_towers(start) if start else new_towers(config)
    subject = Subject(towers, products, config, work_dir)
    maps = stage_maps(subject) if config.last_stages.stages else []
    return subject, None if start else joint_phase(subject), maps


def _learn(
    subject: Subject,
    joint: Trainer[Learner] | None,
    maps: Sequence[npt.NDArray[np.float16]],
    should_stop: Callable[[], bool],
    progress: _Progress,
) -> bool:
    """Go through the phases; return whether there is a model to keep, which is then in the subject's towers."""
    if joint is not None:
        if not progress.take(joint, joint.go(should_stop)):
            return False
        progress.metrics, progress.held = _polished(joint)
    if progress.ending == "finished" and maps:
        stages = stages_phase(subject, maps, should_stop)
        if stages is None:
            progress.ending = "stopped"
            return False
        if not progress.take(stages, stages.go(should_stop)):
            return False
        progress.metrics, progress.held = stages.finish()
        stages.learner.settle()
    logger.info("held out: %s", json.dumps(progress.metrics))
    return True


def _polished(joint: Trainer[Learner]) -> tuple[dict[str, float], HeldOutEmbeddings | None]:
    """Bring the best epoch back, and give its image head its last lessons, where they do it good."""
    learner, before = joint.learner, joint.finish()
    learnt = learner.weights()
    learner.polish()
    after = joint.examine()
    if before[1] is not None and not after[0][BEST_BY] >= before[0][BEST_BY]:
        logger.info("the head's last lessons did it no good: %s stays %.4g", BEST_BY, before[0][BEST_BY])
        learner.load_weights(learnt)
        after = before
    learner.settle()
    return after


def _fits_half(model: torch.nn.Module) -> bool:
    """Return whether every weight is finite in half precision, which a bundle keeps."""
    return all(bool(torch.isfinite(parameter.detach().half()).all()) for parameter in model.parameters())


def _publish(out: Path, subject: Subject, progress: _Progress) -> Bundle:
    held = progress.held
    trained = Trained(
        model=subject.towers.model,
        model_config=subject.towers.model_config,
        config=subject.config,
        metrics=progress.metrics,
        calibration=calibrate(held.texts, held.score) if held else calibrate(torch.zeros(0, 1), torch.zeros(0, 1)),
        products=len(subject.products.places(held_out=False)),
        seconds=progress.seconds,
        rule=subject.products.rule,
        epoch=progress.epoch,
        start=subject.towers.start,
    )
    return publish(out, trained, subject.towers.text_folder)
