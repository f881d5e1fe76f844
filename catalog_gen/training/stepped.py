"""A training that goes step by step until a bound or a stop, and along the same curve after a break.

What a step does is its trainer's own; reports, sheets, checkpoints and their folder are the same for all of them.
"""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from catalog_gen.errors import UsageError
from catalog_gen.training.checkpoint import read_state, write_state
from catalog_gen.training.curves import draw_curves
from catalog_gen.training.history import METRICS, History

log = logging.getLogger(__name__)

CHECKPOINT, CURVES = "checkpoint.pt", "curves.png"
BOUNDS = ("images", "minutes", "checkpoint_minutes", "sheet_every")  # may change between two parts of one training

Report = Callable[[int, dict[str, float]], None]  # (images seen, losses): called every few steps
Draw = Callable[[int, Tensor], None]  # (images seen, sheet (3, H, W)): called now and then


class Bounded(Protocol):
    """The settings of a training that are about its course: images and batch, minutes (0: no bound), steps."""

    @property
    def images(self) -> int: ...
    @property
    def minutes(self) -> float: ...
    @property
    def batch(self) -> int: ...
    @property
    def checkpoint_minutes(self) -> float: ...
    @property
    def sheet_every(self) -> int: ...
    @property
    def report_every(self) -> int: ...


class Stateful(Protocol):
    """What a checkpoint keeps the state of: modules and optimisers."""

    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state_dict: Any) -> Any: ...


class SteppedTrainer(ABC):
    """A training under way. `key` must be the same for a checkpoint to be gone on from; `seconds` are of all starts."""

    kind: ClassVar[str]  # what is trained, in a word

    def __init__(self, bounds: Bounded, key: str) -> None:
        self.bounds, self.key = bounds, key
        self.step, self.seconds = 0, 0.0

    @abstractmethod
    def train_step(self) -> dict[str, float]:
        """Take one step and count it; return the losses by name, and their `total`."""

    @abstractmethod
    def sheet(self) -> Tensor:
        """Return a sheet (3, H, W) in [0, 1] of what the training has learnt."""

    @abstractmethod
    def states(self) -> Mapping[str, Stateful]:
        """Return what a checkpoint keeps, by name."""

    @property
    def images(self) -> int:
        return self.step * self.bounds.batch

    def run(self, checkpoint: Path, report: Report, draw: Draw, should_stop: Callable[[], bool]) -> bool:
        """Train until a bound or a stop, writing checkpoints; return whether a bound was reached."""
        bounds = self.bounds
        since, saved = time.monotonic() - self.seconds, time.monotonic()
        recent: list[dict[str, float]] = []
        with tqdm(total=bounds.images, initial=self.images, unit="image", desc=self.kind) as bar:
            while not self._done() and not should_stop():
                recent.append(self.train_step())
                self.seconds = time.monotonic() - since
                bar.update(bounds.batch)
                if self.step % bounds.report_every == 0:
                    mean = {name: float(np.mean([line[name] for line in recent])) for name in recent[0]}
                    report(self.images, mean)
                    bar.set_postfix({"loss": f"{mean['total']:.3f}"}, refresh=False)
                    recent = []
                if self.images % bounds.sheet_every < bounds.batch:
                    draw(self.images, self.sheet())
                if time.monotonic() - saved > 60 * bounds.checkpoint_minutes:
                    self.save(checkpoint)
                    saved = time.monotonic()
        self.save(checkpoint)
        return self._done()

    def _done(self) -> bool:
        late = self.bounds.minutes > 0 and self.seconds >= 60 * self.bounds.minutes
        return late or self.images >= self.bounds.images

    def save(self, file: Path) -> None:
        """Write the checkpoint by a temporary name."""
        kept = {name: part.state_dict() for name, part in self.states().items()}
        write_state(file, {f"{self.kind}_training": self.key, "step": self.step, "seconds": self.seconds, **kept})

    def load(self, file: Path) -> None:
        """Go to where the checkpoint was written. Raises UsageError when it is of another training, or damaged."""
        state = read_state(file)
        if not isinstance(state, dict) or state.get(f"{self.kind}_training") != self.key:
            raise UsageError(
                "this checkpoint is of another training",
                where=str(file),
                hint="Use the same settings and data, or start anew in another folder.",
            )
        for name, part in self.states().items():
            part.load_state_dict(state[name])
        self.step, self.seconds = int(state["step"]), float(state["seconds"])


def run_in(trainer: SteppedTrainer, work_dir: Path, should_stop: Callable[[], bool]) -> bool:
    """Train from the checkpoint in the work folder, where there is one; return whether a bound was reached.

    The folder holds checkpoint.pt, metrics.jsonl, curves.png and sheet-IMAGES.png.
    """
    checkpoint = work_dir / CHECKPOINT
    if checkpoint.exists():
        trainer.load(checkpoint)
        log.info("going on after %d images", trainer.images)
    history = History(work_dir / METRICS, trainer.images if trainer.step else None)

    def report(images: int, losses: dict[str, float]) -> None:
        history.append(images, "loss", losses)

    def draw(images: int, sheet: Tensor) -> None:
        _save_sheet(work_dir / f"sheet-{images:06d}.png", sheet)
        draw_curves(history.path, work_dir / CURVES, trainer.kind)

    try:
        finished = trainer.run(checkpoint, report, draw, should_stop)
    finally:
        history.close()
    draw(trainer.images, trainer.sheet())
    return finished


def _save_sheet(path: Path, sheet: Tensor) -> None:
    part = path.with_name(f".{path.name}.part")
    pixels = (sheet.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(part, format="PNG")
    part.replace(path)
