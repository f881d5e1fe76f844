"""`catalog-gen train clip|gan` on the catalogue's own rows with photos."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from catalog_gen.catalog.database import Database
from catalog_gen.catalog.model import Where
from catalog_gen.config import Settings
from catalog_gen.pipeline.models import choose_device
from catalog_gen.pipeline.signals import StopRequest, stop_on_signals
from catalog_gen.pipeline.training_data import DataChoices, DataPlan, prepare_data
from catalog_gen.pipeline.training_source import training_rows

SHEET_PICTURES = 64
AS_IT_IS = DataChoices()


def train_clip_on_catalogue(
    settings: Settings,
    database: Database,
    where: Where,
    out: Path,
    work_dir: Path,
    options: dict[str, Any],
    data: DataChoices = AS_IT_IS,
) -> str:
    """Train a product CLIP and write its bundle to `out`; return what came of it in a line.

    With `data.check_only`, nothing is trained and the report on the data is returned.
    """
    from catalog_gen.clip.train import ClipTrainConfig, train_clip

    given = {name: value for name, value in options.items() if value is not None}
    config = ClipTrainConfig(name=out.name, **given)
    plan = DataPlan(config.image_size, work_dir, work_dir, config.held_out, config.seed)
    found = prepare_data(training_rows(settings, database, where), plan, data)
    if data.check_only:
        return found.report.describe()
    rows = [*found.train, *found.held_out]
    held_out = {row.sku for row in found.held_out}
    stop = StopRequest()
    with stop_on_signals(stop):
        result = train_clip(rows, out=out, work_dir=work_dir, config=config, should_stop=stop.asked, held_out=held_out)
    if not result.finished:
        return f"stopped after {result.steps} steps; the same command goes on from {work_dir}"
    measured = ", ".join(f"{name} {value:.3f}" for name, value in result.metrics.items())
    return f"{out}: trained in {result.seconds / 60:.1f} minutes on {len(rows)} products ({measured})"


def train_gan_on_catalogue(
    settings: Settings,
    database: Database,
    where: Where,
    out: Path,
    work_dir: Path,
    options: dict[str, Any],
    data: DataChoices = AS_IT_IS,
) -> str:
    """Train a generator for the configured CLIP and write its bundle to `out`; return what came of it in a line.

    With `data.check_only`, nothing is trained and the report on the data is returned.
    """
    from catalog_gen.clip.model import load_clip
    from catalog_gen.gan.config import GanTrainConfig
    from catalog_gen.gan.export import Provenance
    from catalog_gen.gan.few_photos import FEW_PHOTOS, few_photo_recipe
    from catalog_gen.gan.sheet import Sheet, pick_varied
    from catalog_gen.gan.train import train_gan

    held_out = int(options.pop("held_out"))
    device = choose_device(settings.gan.device)
    given = {name: value for name, value in options.items() if value is not None}
    config = GanTrainConfig(device=device, **given)
    plan = DataPlan(
        config.generator.image_size,
        work_dir / "photos",
        work_dir,
        held_out,
        config.seed,
        config.fit,
        config.workers,
        FEW_PHOTOS,
    )
    found = prepare_data(training_rows(settings, database, where), plan, data)
    if data.check_only:
        return found.report.describe()
    config = few_photo_recipe(config, len(found.train), given)
    clip = load_clip(settings.clip.model, device, pretrained=settings.clip.pretrained or None)
    shape = config.generator.model_copy(update={"text_dim": clip.embed_dim})
    config = config.model_copy(update={"generator": shape})
    train_rows, shown = found.train, found.held_out or found.train
    picked = [shown[index] for index in pick_varied(shown, SHEET_PICTURES)]
    stop = StopRequest()
    with stop_on_signals(stop):
        result = train_gan(
            train_rows,
            clip.embed_texts([row.prompt for row in train_rows]),
            out=out,
            work_dir=work_dir,
            config=config,
            provenance=Provenance(name=out.name, clip_hash=clip.hash, photos=len(train_rows)),
            sheet=Sheet(np.asarray(clip.embed_texts([row.prompt for row in picked]))),
            resume=True,
            should_stop=stop.asked,
        )
    ended = "done" if result.finished else f"stopped; the same command goes on from {work_dir}"
    seen = f"{result.images_seen:,} images on {len(train_rows):,} photos in {result.seconds / 60:.1f} minutes"
    return f"{out}: {seen}, {ended}"
