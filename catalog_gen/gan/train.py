"""Training a generator: photos and their prompts' embeddings in, a bundle out; stoppable and resumable at any step."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from tqdm import tqdm

from catalog_gen.errors import UsageError
from catalog_gen.gan.checkpoint import CHECKPOINT, load_checkpoint, save_checkpoint
from catalog_gen.gan.config import GanTrainConfig
from catalog_gen.gan.export import Provenance, export_bundle
from catalog_gen.gan.sheet import Sheet, write_sheet
from catalog_gen.gan.step import ImageTower, Players, build_players, train_step, update_average
from catalog_gen.training_data import TrainRow, load_photos

logger = logging.getLogger(__name__)

CALIBRATION_PHOTOS = 256
CALIBRATION_BATCH = 64

Photos = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class GanTrainResult:
    """What came of a training. `finished` is False when a signal or the time bound ended it before `images`."""

    bundle: Path
    checkpoint: Path
    steps: int
    images_seen: int
    seconds: float  # of all starts together
    finished: bool
    losses: dict[str, float] = field(default_factory=dict)


def train_gan(
    rows: Sequence[TrainRow],
    embeddings: Floats,
    *,
    out: Path,
    work_dir: Path,
    config: GanTrainConfig,
    provenance: Provenance | None = None,
    sheet: Sheet | None = None,
    resume: bool = False,
    should_stop: Callable[[], bool] = lambda: False,
    clip_image: ImageTower | None = None,
    pretrained: bool = True,
) -> GanTrainResult:
    """Train on `rows` and write the averaged generator to the bundle folder `out`.

    embeddings: (N, D) float32 of unit length, the prompts' embeddings in the order of `rows`. work_dir: holds the
    decoded photos (memory-mapped), the checkpoint, and sheets/ with pictures of `sheet`'s words.
    should_stop: asked after each step; on True the checkpoint and the bundle are written and the result is returned.
    resume: continue the checkpoint in work_dir (with none there, start anew); all randomness lives in one
    generator that is part of it, so a run in two parts makes the same steps as one in one part.

    Raises UsageError when shapes disagree or the config is not the checkpoint's, ConfigError when no photo is usable,
    BundleError when the frozen features' weights are not installed.
    """
    shape = config.generator
    if embeddings.shape != (len(rows), shape.text_dim):
        raise UsageError(f"embeddings are {embeddings.shape}, and {(len(rows), shape.text_dim)} are needed")
    photos, unreadable, kept = load_photos(rows, shape.image_size, work_dir / "photos", config.workers)
    if len(kept) < config.batch_size:
        raise UsageError(f"{len(kept)} usable photos are fewer than one batch of {config.batch_size}")
    position = {row.sku: i for i, row in enumerate(rows)}
    texts = embeddings[[position[row.sku] for row in kept]]
    logger.info("training on %d photos (%d left out)", len(kept), len(unreadable))

    players = build_players(config, pretrained=pretrained)
    players.clip_image = clip_image
    run = Run(players, photos, texts, torch.Generator().manual_seed(config.seed))
    checkpoint = work_dir / CHECKPOINT
    if resume and checkpoint.exists():
        load_checkpoint(checkpoint, run)
        logger.info("resumed at step %d", run.step)
    else:
        run.calibrate()
    provenance = provenance or Provenance()

    def save() -> None:
        save_checkpoint(checkpoint, run)
        export_bundle(run.players.average, run.texts, out, config, provenance, run.images_seen, run.seconds)

    finished = _loop(run, sheet, work_dir / "sheets", save, should_stop)
    save()
    return GanTrainResult(out, checkpoint, run.step, run.images_seen, run.seconds, finished, run.losses)


@dataclass
class Run:
    """A training under way: what a checkpoint holds, and the data it walks over."""

    players: Players
    photos: Photos  # (N, S, S, 3), memory-mapped
    texts: Floats  # (N, D)
    rng: torch.Generator  # every random number of the training, on the CPU
    step: int = 0
    seconds: float = 0.0
    order: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))  # of this pass over the photos
    losses: dict[str, float] = field(default_factory=dict)

    @property
    def images_seen(self) -> int:
        return self.step * self.players.config.batch_size

    def calibrate(self) -> None:
        """Fit the discriminator and the feature scales to real photos, once, before the first step."""
        chosen = np.linspace(0, len(self.photos) - 1, min(CALIBRATION_PHOTOS, len(self.photos))).astype(np.int64)
        with torch.no_grad():
            parts = [
                self.players.features(self.load(chosen[i : i + CALIBRATION_BATCH]))
                for i in range(0, len(chosen), CALIBRATION_BATCH)
            ]
        features = [torch.cat(stage) for stage in zip(*parts, strict=True)]
        self.players.discriminator.calibrate(features)
        self.players.scales.calibrate(features)

    def next_batch(self) -> tuple[Tensor, Tensor]:
        """Return the next photos (B, 3, S, S) in [-1, 1] and their texts (B, D); each pass in a new order."""
        size = self.players.config.batch_size
        if len(self.order) < size:
            self.order = torch.randperm(len(self.photos), generator=self.rng).numpy()
        chosen, self.order = self.order[:size], self.order[size:]
        return self.load(chosen), torch.from_numpy(self.texts[chosen]).to(self.players.config.device)

    def load(self, chosen: npt.NDArray[np.int64]) -> Tensor:
        pixels = torch.from_numpy(self.photos[chosen]).to(self.players.config.device)
        images = pixels.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
        return images.contiguous(memory_format=torch.channels_last)

    def advance(self) -> dict[str, Tensor]:
        """Make one step of both players and of the average."""
        photos, text = self.next_batch()
        parts = train_step(self.players, photos, text, self.rng)
        self.step += 1
        update_average(self.players.average, self.players.generator, self.players.config, self.images_seen)
        return parts


def _loop(
    run: Run, sheet: Sheet | None, sheets: Path, save: Callable[[], None], should_stop: Callable[[], bool]
) -> bool:
    config = run.players.config
    started = tick = saved = time.monotonic()
    with tqdm(total=config.images, initial=run.images_seen, unit="img", desc="gan", mininterval=5) as bar:
        while run.images_seen < config.images:
            parts = run.advance()
            now = time.monotonic()
            run.seconds, tick = run.seconds + now - tick, now
            bar.update(config.batch_size)
            if run.step % 25 == 0:
                run.losses = {name: round(float(value), 4) for name, value in parts.items()}
                bar.set_postfix(run.losses, refresh=False)
            if sheet is not None and run.step % config.sheet_every == 0:
                write_sheet(sheets / f"{run.images_seen:08d}.png", run.players.average, sheet)
            if now - saved > config.checkpoint_minutes * 60:
                save()
                saved = time.monotonic()
            out_of_time = config.minutes is not None and now - started > config.minutes * 60
            if out_of_time or should_stop():
                break
    return run.images_seen >= config.images
