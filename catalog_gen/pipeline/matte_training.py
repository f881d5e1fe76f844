"""`catalog-gen train matte`: the prior that tells how a product goes on where it has its ground's colour."""

from __future__ import annotations

import copy
import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from catalog_gen.catalog.database import Database
from catalog_gen.catalog.model import Where
from catalog_gen.config import Settings
from catalog_gen.errors import EXIT_OK, EXIT_PARTIAL
from catalog_gen.pipeline.signals import TRAINING, StopRequest, stop_on_signals
from catalog_gen.pipeline.training_source import make_work_dir, training_rows
from catalog_gen.style.prior import Prior, save_prior
from catalog_gen.style.prior_data import labelled_photos
from catalog_gen.style.prior_training import Measured, PriorTrainConfig, PriorTrainer, measure
from catalog_gen.style.studio import SIDE
from catalog_gen.training.history import METRICS, read_history
from catalog_gen.training.stepped import run_in
from catalog_gen.training_data import TrainRow, split

log = logging.getLogger(__name__)

LAST = 50  # reports whose mean the card gives
TRIED = 2  # photos looked at for each product to be measured on: not every one is cut out beyond doubt


@dataclass(frozen=True)
class MatteRequest:
    """What `train matte` was asked for. given: fields of PriorTrainConfig that a person set."""

    out: Path
    work_dir: Path
    where: Where = ()
    photos: int = 4000  # at most this many to learn from
    held_out: int = 1000
    given: Mapping[str, Any] = field(default_factory=dict)


def train_matte_on_rows(settings: Settings, database: Database, request: MatteRequest) -> tuple[str, int]:
    """Train the matte's prior on rows with photos; return what came of it in a line or two, and the exit code.

    Stopped by a signal it writes its checkpoint, and the same command goes on from there. Raises UsageError when no
    photo shows its product clearly or when a checkpoint is of another training, Unavailable without matplotlib or when
    the work folder cannot be written, BundleError when the bundle's place is taken.
    """
    config = PriorTrainConfig(**{name: value for name, value in request.given.items() if value is not None})
    make_work_dir(request.work_dir)
    train, held_out = split(training_rows(settings, database, request.where), request.held_out, config.seed)
    labelled = labelled_photos(_spread(train, request.photos), request.work_dir)
    trainer = PriorTrainer(config, labelled, hashlib.sha256("\n".join(labelled.skus).encode()).hexdigest())
    stop = StopRequest()
    with stop_on_signals(stop, wording=TRAINING):
        finished = run_in(trainer, request.work_dir, stop.asked)
    if not finished:
        seen = f"stopped after {trainer.images:,} images"
        return f"{seen}; the same command goes on from {request.work_dir}", EXIT_PARTIAL
    unseen = labelled_photos(_spread(held_out, TRIED * config.measured), request.work_dir)
    count = min(config.measured, len(unseen.skus))
    found = measure(unseen, Prior(copy.deepcopy(trainer.average), ""), count, config.seed)
    bundle = save_prior(request.out, trainer.average, _card(request, trainer, found, count))
    told = f"{request.out}: {trainer.images:,} images in {trainer.seconds / 60:.1f} minutes; bundle {bundle.hash[:12]}"
    return f"{told}\n  {_told(found, count)}\n  sheets and curves: {request.work_dir}", EXIT_OK


def _spread(rows: Sequence[TrainRow], count: int) -> list[tuple[str, Path]]:
    """Return (sku, photo) of at most `count` rows, spread over all of them."""
    step = max(1, -(-len(rows) // count))
    return [(row.sku, row.image) for row in rows[::step]]


def _told(found: Mapping[str, Measured], count: int) -> str:
    colours, prior = found["colours"], found["prior"]
    return (
        f"{count} bleached products, held out: alpha error {prior.error:.3f} of the product's area (by colours alone "
        f"{colours.error:.3f}), IoU {prior.overlap:.3f} ({colours.overlap:.3f})"
    )


def _card(request: MatteRequest, trainer: PriorTrainer, found: Mapping[str, Measured], count: int) -> str:
    reports = [line for line in read_history(request.work_dir / METRICS) if line["kind"] == "loss"][-LAST:]
    names = [name for name in (reports[0] if reports else {}) if name not in ("images", "kind")]
    losses = ", ".join(f"{name} {np.mean([line[name] for line in reports]):.4f}" for name in names)
    config = trainer.config
    rows = "\n".join(
        f"| {told} | {found[name].error:.3f} | {found[name].overlap:.3f} |"
        for name, told in (("colours", "by colours alone"), ("prior", "with this network"))
    )
    learnt = len(trainer.labelled.skus)
    weights = sum(p.numel() for p in trainer.average.parameters())
    return f"""# {request.out.name}

A network that tells how a product goes on where it has the colour of its plain ground: what the matte asks where
colours cannot tell.

## Data
{learnt:,} photos of products that their colours alone cut out beyond doubt, of at most {request.photos:,} looked at.
Two in three are bleached towards their ground, whole or in part; some are moved, on another ground, with a shadow.

## Recipe
- A U-Net at half of {SIDE} px, widths {config.network.widths}, {weights:,} parameters.
- Cross entropy and half of Dice's loss; AdamW, learning rate {config.learning_rate}, batch {config.batch},
  seed {config.seed}; the weights are the average of the late ones.
- {trainer.images:,} images in {trainer.seconds / 60:.0f} minutes on a CPU.

## Measured
Losses at the end of training: {losses}.

{count} products that were held out, bleached, so that their alpha is known: mean absolute error of alpha in parts of
the product's area, and intersection over union.

| matte | error | IoU |
| --- | ---: | ---: |
{rows}

## Limits
It sees {SIDE} px. It is asked on plain grounds alone, and never where colours tell.
"""
