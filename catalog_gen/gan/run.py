"""A training under way: what a checkpoint holds, and the data it walks over."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from catalog_gen.errors import UsageError
from catalog_gen.gan.config import GanTrainConfig
from catalog_gen.gan.distributed import world
from catalog_gen.gan.players import Players, calibrate, update_average
from catalog_gen.gan.step import train_step
from catalog_gen.training_data import TrainRow

CALIBRATION_PHOTOS = 256
CALIBRATION_BATCH = 64

Photos = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


@dataclass
class Run:
    """The players, the data in the order of this pass, the random state, and the counters."""

    players: Players
    photos: Photos  # (N, S, S, 3), memory-mapped
    texts: Floats  # (N, D)
    rng: torch.Generator  # every random number of the training, on the CPU
    data_key: str = ""  # names the photos' rows, in this order, and their words
    step: int = 0
    seconds: float = 0.0
    order: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))  # what is left of this pass
    guard_state: dict[str, Any] = field(default_factory=dict)  # what the alarms remember

    @property
    def config(self) -> GanTrainConfig:
        return self.players.config

    @property
    def images_seen(self) -> int:
        return self.step * self.config.batch_size

    def calibrate(self) -> None:
        """Fit the scales of the frozen features to real photos, once, before the first step."""
        chosen = np.linspace(0, len(self.photos) - 1, min(CALIBRATION_PHOTOS, len(self.photos))).astype(np.int64)
        starts = range(0, len(chosen), CALIBRATION_BATCH)
        calibrate(self.players, [self.load(chosen[start : start + CALIBRATION_BATCH]) for start in starts])

    def next_batch(self) -> tuple[Tensor, Tensor]:
        """Return this process's share of the next photos and the whole batch's texts; each pass in a new order.

        photos (B / processes, 3, S, S) in [-1, 1], texts (B, D) on the CPU. What is left of a pass when it is less than
        a batch is made up from the next one.
        """
        size = self.config.batch_size
        while len(self.order) < size:
            self.order = np.concatenate([self.order, torch.randperm(len(self.photos), generator=self.rng).numpy()])
        chosen, self.order = self.order[:size], self.order[size:]
        rank, processes = world()
        share = size // processes
        return self.load(chosen[rank * share : (rank + 1) * share]), torch.from_numpy(self.texts[chosen])

    def load(self, chosen: npt.NDArray[np.int64]) -> Tensor:
        pixels = torch.from_numpy(self.photos[chosen]).to(self.config.device)
        images = pixels.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
        return images.contiguous(memory_format=torch.channels_last)

    def advance(self) -> dict[str, Tensor]:
        """Make one step of both players and of the average; return its losses and the rate it was made at."""
        photos, text = self.next_batch()
        rate = self.players.set_rates(self.images_seen)
        due = self.step % self.config.losses.penalty_every == 0
        if self.config.discriminator.dropout:
            # Dropout draws from torch's global state: a function of the step, so that a resumed run draws the same, and
            # of the process, so that shares of a batch are not dropped alike.
            rank, processes = world()
            with torch.random.fork_rng():
                torch.manual_seed(self.config.seed * 1_000_003 + self.step * processes + rank)
                said = train_step(self.players, photos, text, self.rng, penalise=due)
        else:
            said = train_step(self.players, photos, text, self.rng, penalise=due)
        self.step += 1
        update_average(self.players.average, self.players.generator, self.config, self.images_seen)
        return said | {"lr": torch.tensor(rate)}


def data_key(rows: Sequence[TrainRow], words_of: str) -> str:
    """Return a hash of what is learnt from: the rows in their order, their words, and what embeds them.

    words_of: the hash of the CLIP that the text tower comes from.
    """
    digest = hashlib.sha256(words_of.encode())
    for row in rows:
        digest.update(f"\n{row.sku}\t{row.prompt}".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def check_shares(config: GanTrainConfig) -> None:
    """Raise UsageError when a batch cannot be split evenly among processes and parts."""
    _, processes = world()
    parts = processes * config.optimiser.accumulate
    halved = 2 if config.losses.chooses else 1  # every second photo of a part is matched
    if config.batch_size % (halved * parts):
        raise UsageError(
            f"a batch of {config.batch_size} cannot be shared by {processes} processes in "
            f"{config.optimiser.accumulate} parts each" + (", halves of which are matched" if halved > 1 else ""),
            hint=f"Choose a multiple of {halved * parts}.",
        )
