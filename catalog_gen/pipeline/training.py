"""`catalog-gen train clip|gan` on the catalogue's own rows with photos."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np

from catalog_gen.catalog.database import Database
from catalog_gen.catalog.model import Product, Where
from catalog_gen.catalog.source import open_source
from catalog_gen.config import Settings
from catalog_gen.errors import UsageError
from catalog_gen.pipeline.models import choose_device
from catalog_gen.pipeline.prompting import product_prompt
from catalog_gen.pipeline.signals import StopRequest, stop_on_signals
from catalog_gen.training_data import TrainRow, split

log = logging.getLogger(__name__)

COLOUR_FIELDS = ("colour", "color", "baseColour", "base_colour", "baseColor")
SHEET_PICTURES = 64


def training_rows(settings: Settings, database: Database, where: Where) -> list[TrainRow]:
    """Return the catalogue's products that have words and a photo on this machine.

    Raises UsageError when there are none.
    """
    source = open_source(settings, database)
    rows: list[TrainRow] = []
    elsewhere = 0
    for page in source.pages(where, with_image=True):
        for product in page:
            photo = _local_photo(product)
            prompt = product_prompt(product, settings.prompt)
            elsewhere += photo is None
            if photo is not None and prompt:
                rows.append(TrainRow(product.sku, prompt, product.category, _colour(product), photo))
    if elsewhere:
        log.warning("%d photos are not files on this machine and are left out", elsewhere)
    if not rows:
        raise UsageError(
            "no product has both words and a photo on this machine",
            where=database.where,
            hint="Import the feed with --images FOLDER first.",
        )
    return rows


def train_clip_on_catalogue(
    settings: Settings, database: Database, where: Where, out: Path, work_dir: Path, options: dict[str, Any]
) -> str:
    """Train a product CLIP and write its bundle to `out`; return what came of it in a line."""
    from catalog_gen.clip.train import ClipTrainConfig, train_clip

    given = {name: value for name, value in options.items() if value is not None}
    config = ClipTrainConfig(name=out.name, **given)
    rows = training_rows(settings, database, where)
    stop = StopRequest()
    with stop_on_signals(stop):
        result = train_clip(rows, out=out, work_dir=work_dir, config=config, should_stop=stop.asked)
    if not result.finished:
        return f"stopped after {result.steps} steps; the same command goes on from {work_dir}"
    measured = ", ".join(f"{name} {value:.3f}" for name, value in result.metrics.items())
    return f"{out}: trained in {result.seconds / 60:.1f} minutes on {len(rows)} products ({measured})"


def train_gan_on_catalogue(
    settings: Settings, database: Database, where: Where, out: Path, work_dir: Path, options: dict[str, Any]
) -> str:
    """Train a generator for the configured CLIP and write its bundle to `out`; return what came of it in a line."""
    from catalog_gen.clip.model import load_clip
    from catalog_gen.gan.config import GanTrainConfig, GeneratorConfig
    from catalog_gen.gan.export import Provenance
    from catalog_gen.gan.sheet import Sheet, pick_varied
    from catalog_gen.gan.train import train_gan

    held_out = int(options.pop("held_out"))
    device = choose_device(settings.gan.device)
    clip = load_clip(settings.clip.model, device, pretrained=settings.clip.pretrained or None)
    given = {name: value for name, value in options.items() if value is not None}
    config = GanTrainConfig(generator=GeneratorConfig(text_dim=clip.embed_dim), device=device, **given)
    train_rows, held_rows = split(training_rows(settings, database, where), held_out, config.seed)
    shown = held_rows or train_rows
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


def _local_photo(product: Product) -> Path | None:
    """Return the photo's path when it is a file on this machine: a plain path or a file:// URL."""
    text = product.image or ""
    parts = urlsplit(text)
    path = Path(unquote(parts.path)) if parts.scheme == "file" else Path(text)
    return path if (parts.scheme in ("", "file") and path.is_file()) else None


def _colour(product: Product) -> str:
    return next((product.attributes[name] for name in COLOUR_FIELDS if name in product.attributes), "")
