"""`catalog-gen train upscale`: the network that makes the job's pictures large."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from catalog_gen.bundles import check_place
from catalog_gen.catalog.database import Database
from catalog_gen.catalog.model import Where
from catalog_gen.config import Settings
from catalog_gen.cpu import has_fast_bf16
from catalog_gen.errors import EXIT_OK, EXIT_PARTIAL
from catalog_gen.gan.features import FrozenFeatures
from catalog_gen.pipeline.held_out import KEY
from catalog_gen.pipeline.signals import TRAINING, StopRequest, stop_on_signals
from catalog_gen.pipeline.training_source import make_work_dir, training_rows
from catalog_gen.pipeline.upscale_card import Learnt, Table, card
from catalog_gen.training import settings as training_settings
from catalog_gen.training.history import METRICS, read_history
from catalog_gen.training.stepped import run_in
from catalog_gen.training_data import TrainRow, hold_out, load_photos, split_by
from catalog_gen.upscale.config import UpscaleTrainConfig
from catalog_gen.upscale.data import SIDE
from catalog_gen.upscale.degrade import Pixels
from catalog_gen.upscale.measure import FeatureJudge, Pictures, measure
from catalog_gen.upscale.resample import resampled
from catalog_gen.upscale.training import UpscaleTrainer
from catalog_gen.upscale.upscaler import prepared, save_upscaler

SHOWN = 5  # held-out photos on a sheet


@dataclass(frozen=True)
class UpscaleRequest:
    """What `train upscale` was asked for. given: settings of UpscaleTrainConfig by dotted key, as a person set them."""

    out: Path
    work_dir: Path
    where: Where = ()
    held_out: int = 1000
    given: Mapping[str, Any] = field(default_factory=dict)


def train_upscaler_on_rows(settings: Settings, database: Database, request: UpscaleRequest) -> tuple[str, int]:
    """Train an upscaler on rows with photos; return what came of it in a few lines, and the exit code.

    Stopped by a signal it writes its checkpoint, and the same command goes on from there. Raises UsageError for a
    setting that cannot be or a checkpoint of another training, ConfigError when no photo can be read, Unavailable
    without matplotlib, BundleError without the frozen networks' weights or when the bundle's place is taken.
    """
    config = training_settings.apply(UpscaleTrainConfig(), request.given)
    check_place(request.out)
    make_work_dir(request.work_dir)
    rows = training_rows(settings, database, request.where)
    rule = hold_out(rows, request.held_out, config.seed)
    train, held_out = split_by(rows, rule)
    photos, _, learnt = load_photos(train, SIDE, request.work_dir)
    unseen = _held_out_photos(held_out, config.measured, request.work_dir)
    judge = FeatureJudge()  # now, and not at the end: its weights may be missing
    stop = StopRequest()
    with stop_on_signals(stop, wording=TRAINING):
        features = FrozenFeatures(dtype=torch.bfloat16 if has_fast_bf16() else torch.float32)
        trainer = UpscaleTrainer(config, photos, unseen[:SHOWN], features, _key(learnt))
        finished = run_in(trainer, request.work_dir, stop.asked)
    if not finished:
        seen = f"stopped after {trainer.images:,} images"
        return f"{seen}; the same command goes on from {request.work_dir}", EXIT_PARTIAL
    table = _measured(trainer, unseen, judge)
    history = read_history(request.work_dir / METRICS)
    text = card(request.out.name, trainer, Learnt(len(learnt), len(unseen), rule), table, history)
    made = {
        "training": config.model_dump(mode="json", exclude={"network"}) | {"images_seen": trainer.images},
        KEY: asdict(rule),
        "measured": {f"{a} {b}": _rounded(asdict(near)) for (a, b), near in table.items()},
    }
    bundle = save_upscaler(request.out, trainer.average, made, text)
    told = f"{request.out}: {trainer.images:,} images in {trainer.seconds / 60:.1f} minutes; bundle {bundle.hash[:12]}"
    return f"{told}\n{_told(table, len(unseen))}\n  sheets and curves: {request.work_dir}", EXIT_OK


def _held_out_photos(rows: Sequence[TrainRow], count: int, folder: Path) -> list[Pixels]:
    """Return photos (S, S, 3) of at most `count` rows, spread over all; none where nothing is held out."""
    if not rows:
        return []
    step = max(1, -(-len(rows) // count))
    photos, _, _ = load_photos(rows[::step], SIDE, folder)
    return [np.array(photo) for photo in photos]


def _key(rows: Sequence[TrainRow]) -> str:
    return hashlib.sha256("\n".join(row.sku for row in rows).encode()).hexdigest()


def _measured(trainer: UpscaleTrainer, photos: Sequence[Pixels], judge: FeatureJudge) -> Table:
    if not photos:
        return {}
    upscaler = prepared(copy.deepcopy(trainer.average))
    factor = trainer.config.network.factor

    def classic(how: Image.Resampling, pictures: Pictures) -> Pictures:
        return resampled(pictures, pictures.shape[1] * factor, how)

    ways = {
        "bicubic": lambda pictures: classic(Image.Resampling.BICUBIC, pictures),
        "Lanczos": lambda pictures: classic(Image.Resampling.LANCZOS, pictures),
        "upscaler": upscaler.enlarge,
    }
    return measure(photos, factor, ways, judge, trainer.config.seed)


def _rounded(values: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 5) for name, value in values.items()}


def _told(table: Table, count: int) -> str:
    if not table:
        return "  nothing was held out, so nothing was measured"
    ours, other = table["degraded", "upscaler"], table["degraded", "Lanczos"]
    return (
        f"  {count} held-out photos, degraded: feature distance {ours.features:.3f} (Lanczos {other.features:.3f}), "
        f"PSNR {ours.psnr:.2f} dB ({other.psnr:.2f}), SSIM {ours.ssim:.3f} ({other.ssim:.3f})"
    )
