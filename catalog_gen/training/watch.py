"""Watching a training: every figure goes to metrics.jsonl, TensorBoard, a picture of curves, and W&B when asked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from PIL import Image

from catalog_gen.training.curves import draw_curves
from catalog_gen.training.extras import needs
from catalog_gen.training.history import METRICS, History, Kind
from catalog_gen.training.wandb_run import WandbRun

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

CURVES = "curves.png"
TENSORBOARD = "tensorboard"
FLUSH_SECONDS = 20  # what a crash may cost TensorBoard; metrics.jsonl loses nothing


@dataclass(frozen=True)
class Watched:
    """What is watched: the training's name, for titles, and its resolved settings, JSON-ready.

    best_by: the measure that the best checkpoint is chosen by. wandb: a project of Weights & Biases, or empty.
    """

    name: str
    settings: Mapping[str, Any]
    best_by: str
    wandb: str = ""


def check_packages(wandb: str = "") -> None:
    """Raise Unavailable when a package that a Watch needs is missing: before a training's preparations, not after."""
    with needs("matplotlib"):
        import matplotlib  # noqa: F401
    with needs("tensorboard"):
        from torch.utils.tensorboard import SummaryWriter  # noqa: F401
    if wandb:
        with needs("wandb", "wandb"):
            import wandb as _  # noqa: F401


class Watch:
    """What a training in `folder` shows of itself while it runs. Steps are counted in images seen.

    resume_at: images seen by the checkpoint that the training goes on from; what was written beyond it is taken back,
    so that no curve goes backwards. None starts anew.

    Raises Unavailable when tensorboard, matplotlib or (asked for) wandb is not installed, UsageError when
    metrics.jsonl is no such file.
    """

    def __init__(self, folder: Path, about: Watched, *, resume_at: int | None) -> None:
        check_packages(about.wandb)
        self.folder, self.about = folder, about
        folder.mkdir(parents=True, exist_ok=True)
        if resume_at is None:
            for stale in (folder / TENSORBOARD).glob("events.out.tfevents.*"):
                stale.unlink()
        self._tensorboard = self._open_tensorboard(resume_at)
        self._tensorboard.add_text("settings", f"```json\n{json.dumps(about.settings, indent=2)}\n```", resume_at or 0)
        self._history = History(folder / METRICS, resume_at)
        self._wandb: WandbRun | None = None
        if about.wandb:
            resume = resume_at is not None
            self._wandb = WandbRun(folder, about.wandb, name=about.name, settings=about.settings, resume=resume)

    def losses(self, images_seen: int, values: Mapping[str, float]) -> None:
        """Record the losses of a step, and what belongs to it; names ending in `lr` are drawn as learning rates."""
        self._record(images_seen, "loss", values)

    def measured(self, images_seen: int, values: Mapping[str, float]) -> None:
        """Record measures of the model as it is now, and draw the curves anew."""
        self._record(images_seen, "measure", values)
        self.draw()

    def sheet(self, images_seen: int, path: Path) -> None:
        """Show the sheet of pictures that was written to the file `path`."""
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
        self._tensorboard.add_image("sheet", pixels, images_seen, dataformats="HWC")
        if self._wandb is not None:
            self._wandb.sheet(images_seen, path)

    def note(self, images_seen: int, text: str) -> None:
        """Record an event in words, such as an alarm; the curves mark it."""
        self._history.append(images_seen, "note", {"text": text})
        self._tensorboard.add_text("note", text, images_seen)
        if self._wandb is not None:
            self._wandb.log(images_seen, {"note": text})

    def draw(self) -> None:
        """Draw curves.png from everything recorded."""
        draw_curves(self.folder / METRICS, self.folder / CURVES, self.about.name, self.about.best_by)

    def close(self) -> None:
        """Draw the curves and close every file; calls after the first do nothing."""
        if self._history.closed:
            return
        self._history.close()
        self._tensorboard.close()
        if self._wandb is not None:
            self._wandb.close()
        self.draw()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _open_tensorboard(self, resume_at: int | None) -> SummaryWriter:
        from torch.utils.tensorboard import SummaryWriter

        purge = None if resume_at is None else resume_at + 1  # TensorBoard drops this step and those after it
        folder = str(self.folder / TENSORBOARD)
        return SummaryWriter(folder, purge_step=purge, flush_secs=FLUSH_SECONDS)

    def _record(self, images_seen: int, kind: Kind, values: Mapping[str, float]) -> None:
        self._history.append(images_seen, kind, values)
        named = {f"{kind}/{name}": value for name, value in values.items()}
        for name, value in named.items():
            self._tensorboard.add_scalar(name, value, images_seen)
        if self._wandb is not None:
            self._wandb.log(images_seen, named)
