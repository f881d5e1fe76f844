"""One start of a phase of a CLIP's training: steps, measurements, alarms and checkpoints, from the last checkpoint on.

Read `Trainer.go`: it is the training. `Trainer.finish` brings the weights of the epoch back that measured best.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
from torch import Tensor
from tqdm import tqdm

from catalog_gen.clip.alarms import BEST_BY, ClipAlarms
from catalog_gen.clip.config import ClipTrainConfig
from catalog_gen.clip.data import batches
from catalog_gen.clip.evaluate import HeldOutEmbeddings, evaluate
from catalog_gen.clip.interrupt import stop_on_interrupt
from catalog_gen.clip.retrieval_sheet import findings, write_retrieval_sheet
from catalog_gen.errors import ConfigError
from catalog_gen.training.alarm import Alarm
from catalog_gen.training.checkpoint import read_state, write_state
from catalog_gen.training.watch import Watch, Watched
from catalog_gen.training_data import TrainRow, pick_varied

logger = logging.getLogger(__name__)

CHECKPOINT, BEST = JOINT_FILES = ("clip-checkpoint.pt", "clip-best.pt")
STAGES_CHECKPOINT, STAGES_BEST = STAGES_FILES = ("clip-stages-checkpoint.pt", "clip-stages-best.pt")
CHECKPOINTS = (CHECKPOINT, STAGES_CHECKPOINT)
SHEET_PROMPTS = 12
CURVES = [f"{shown}_{name}" for shown in ("photo", "score") for name in ("r1", "r10", "median_rank", "mrr")]

Ending = Literal["finished", "stopped", "alarm"]


class Learning(Protocol):
    """What a trainer trains: a model with its optimiser and its lessons."""

    rate_factor: float
    batch_size: int
    epochs: int
    steps_per_epoch: int
    total_steps: int

    def step(self, step: int, chosen: npt.NDArray[np.int64]) -> dict[str, float]: ...
    def embed_held_out(
        self, rows: Sequence[TrainRow], views: Sequence[npt.NDArray[np.float16]]
    ) -> HeldOutEmbeddings: ...
    def new_optimizer(self) -> None: ...
    def weights(self) -> dict[str, Tensor]: ...
    def load_weights(self, weights: Mapping[str, Tensor]) -> None: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...


Taught = TypeVar("Taught", bound=Learning)


@dataclass(frozen=True)
class Phase:
    """A phase's files (its checkpoint and its best weights), and the photos and epochs before it.

    key: what makes two starts one training. goes_on: it starts from what has learnt already, and may be the best.
    """

    files: tuple[str, str]
    key: str
    images: int = 0
    epochs: int = 0
    goes_on: bool = False

    @property
    def name(self) -> str:
        return "CLIP, last stages" if self.goes_on else "CLIP"


@dataclass(frozen=True)
class Exam:
    """The held-out products, in one order: rows, and what the learner sees of their photos, four views of (N, ...).

    photo: the square (S, S, 3) of the product at a position.
    """

    rows: Sequence[TrainRow]
    views: Sequence[npt.NDArray[np.float16]]
    photo: Callable[[int], npt.NDArray[np.uint8]]


@dataclass
class Trainer(Generic[Taught]):
    """The learner, what it is measured on, where its checkpoints go, and how far it has come."""

    learner: Taught
    rows: Sequence[TrainRow]
    exam: Exam
    work_dir: Path
    config: ClipTrainConfig
    phase: Phase
    step: int = 0
    seconds: float = 0.0  # spent on steps and measurements, over all the starts
    rollbacks: int = 0
    alarm: str = ""
    best: dict[str, float] = field(default_factory=dict)
    best_step: int = 0
    alarms: ClipAlarms = field(init=False)
    watch: Watch = field(init=False)

    def __post_init__(self) -> None:
        self.alarms = ClipAlarms(self.config.watch)

    @property
    def images_seen(self) -> int:
        return self.phase.images + self.step * self.learner.batch_size

    @property
    def best_file(self) -> Path:
        return self.work_dir / self.phase.files[1]

    @property
    def measures(self) -> bool:
        return bool(self.exam.rows) and self.config.watch.measure_every > 0

    def go(self, should_stop: Callable[[], bool]) -> Ending:
        """Train from the checkpoint, where there is one, to the end, a stop, or an alarm that ends it."""
        goes_on = self._restore() or self.phase.images > 0
        learner, config = self.learner, self.config
        if self.step == learner.total_steps:
            return "finished"
        about = Watched(config.name, config.model_dump(mode="json"), best_by=BEST_BY, wandb=config.watch.wandb)
        resume_at = self.images_seen if goes_on else None
        since = time.monotonic() - self.seconds
        with (
            stop_on_interrupt() as interrupted,
            Watch(self.work_dir, about, resume_at=resume_at) as self.watch,
            tqdm(total=learner.total_steps, initial=self.step, desc=self.phase.name) as bar,
        ):
            if self.phase.goes_on and self.measures and not self.best:
                self._measure()
            while self.step < learner.total_steps and not (interrupted.is_set() or should_stop()):
                epoch, within = divmod(self.step, learner.steps_per_epoch)
                if within == 0 or self.step == bar.initial:
                    order = list(batches(len(self.rows), learner.batch_size, config.seed, epoch))
                said = learner.step(self.step, order[within])
                self.step += 1
                self.seconds = time.monotonic() - since
                bar.set_postfix(loss=f"{said['clip']:.3f}", epoch=epoch + 1, refresh=False)
                bar.update()
                if self._log_due() and not self._heed(self._log(said)):
                    return "alarm"
                if self._measure_due() and not self._heed(self._measure()):
                    return "alarm"
                if self.step % config.checkpoint_every == 0:
                    self._save()
        self._save()
        return "finished" if self.step == learner.total_steps else "stopped"

    def finish(self) -> tuple[dict[str, float], HeldOutEmbeddings | None]:
        """Bring the best epoch's weights back; return its held-out figures and embeddings, nothing where none is."""
        if self.best:
            self.learner.load_weights(read_state(self.best_file)["trained"])
        return self.examine()

    def examine(self) -> tuple[dict[str, float], HeldOutEmbeddings | None]:
        """Return held-out products' figures and embeddings as the learner is now; nothing where none is held out."""
        exam = self.exam
        if not exam.rows:
            return {}, None
        held = self.learner.embed_held_out(exam.rows, exam.views)
        return evaluate(held, exam.rows), held

    def _log_due(self) -> bool:
        every = self.config.watch.log_every
        return self.step == 1 or self.step % every == 0 or self.step == self.learner.total_steps

    def _log(self, said: Mapping[str, float]) -> Alarm | None:
        self.watch.losses(self.images_seen, said)
        return self.alarms.check_loss(self.images_seen, said["clip"])

    def _measure_due(self) -> bool:
        every = self.config.watch.measure_every * self.learner.steps_per_epoch
        return self.measures and (self.step % every == 0 or self.step == self.learner.total_steps)

    def _measure(self) -> Alarm | None:
        """Measure on the held-out products; the best so far is kept to become the bundle, or to go back to."""
        figures, held = self.examine()
        if held is None:
            return None
        self.watch.measured(self.images_seen, {name: figures[name] for name in CURVES})
        self._sheet(held)
        logger.info(
            "%s of %s epochs: %s", self._epoch(self.step), self.phase.epochs + self.learner.epochs, json.dumps(figures)
        )
        alarm = self.alarms.check_measure(self.images_seen, figures)
        if alarm is None and self.alarms.improved(figures):
            self.best, self.best_step = figures, self.step
            # The checkpoint last: what it says is the best must be there, wherever a kill falls.
            write_state(self.best_file, {"trained": self.learner.weights()})
            self._save()
        return alarm

    @property
    def best_epoch(self) -> float | None:
        """The epoch that measured best; None where nothing was measured, and the last one is kept."""
        return self._epoch(self.best_step) if self.best else None

    def _epoch(self, step: int) -> float:
        return round(self.phase.epochs + step / self.learner.steps_per_epoch, 2)

    def _sheet(self, held: HeldOutEmbeddings) -> None:
        path = self.work_dir / "sheets" / f"{self.images_seen:08d}.png"
        shown = findings(held, pick_varied(self.exam.rows, SHEET_PROMPTS))
        write_retrieval_sheet(path, shown, self.exam.rows, self.exam.photo)
        self.watch.sheet(self.images_seen, path)

    def _heed(self, alarm: Alarm | None) -> bool:
        """Do what the settings say about an alarm; return whether the training goes on."""
        if alarm is None:
            return True
        settings = self.config.watch
        ended = self.step == self.learner.total_steps  # going back would come too late
        can_go_back = bool(self.best) and self.rollbacks < settings.max_rollbacks and not ended
        answers = {
            "log": "stopped" if alarm.final else "logged",
            "rollback": "rolled back" if can_go_back else "stopped",
            "stop": "stopped",
        }
        answer = answers[settings.on_alarm]
        self.alarm = alarm.message
        logger.warning("%s", alarm.message)
        self.watch.note(alarm.images_seen, f"{alarm.kind}, {answer}: {alarm.message}")
        if answer == "rolled back":
            self._roll_back()
        return answer != "stopped"

    def _roll_back(self) -> None:
        """Take the best epoch's weights back, with half the rates; the steps made since count as made."""
        self.learner.load_weights(read_state(self.best_file)["trained"])
        self.learner.new_optimizer()
        self.learner.rate_factor /= 2
        self.rollbacks += 1

    def _save(self) -> None:
        state: dict[str, Any] = {
            "key": self._key(),
            "step": self.step,
            "seconds": self.seconds,
            "learner": self.learner.state_dict(),
            "rollbacks": self.rollbacks,
            "best": dict(self.best),
            "best_step": self.best_step,
            "alarms": self.alarms.state_dict(),
        }
        write_state(self.work_dir / self.phase.files[0], state)

    def _restore(self) -> bool:
        """Take over the checkpoint; return whether there is one."""
        file = self.work_dir / self.phase.files[0]
        if not file.exists():
            self.best_file.unlink(missing_ok=True)
            return False
        state = read_state(file)
        if state["key"] != self._key():
            raise ConfigError(
                "this checkpoint belongs to a training with other rows or settings",
                where=str(file),
                hint="Use another work folder, or delete the file to start anew.",
            )
        self.learner.load_state_dict(state["learner"])
        self.step, self.seconds, self.rollbacks = state["step"], state["seconds"], state["rollbacks"]
        self.best, self.best_step = state["best"], state["best_step"]
        self.alarms.load_state_dict(state["alarms"])
        return True

    def _key(self) -> str:
        """Return a hash of what makes two starts one training."""
        return hashlib.sha256(self.phase.key.encode()).hexdigest()
