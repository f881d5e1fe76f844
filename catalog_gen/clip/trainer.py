"""One start of a CLIP's training: steps, measurements, alarms and checkpoints, from the last checkpoint on.

Read `Trainer.go`: it is the training. `Trainer.best_weights` are those of the epoch that measured best.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from catalog_gen.clip.alarms import BEST_BY, ClipAlarms
from catalog_gen.clip.config import ClipTrainConfig
from catalog_gen.clip.data import batches, data_key
from catalog_gen.clip.evaluate import HeldOutEmbeddings, embed_held_out, evaluate
from catalog_gen.clip.interrupt import stop_on_interrupt
from catalog_gen.clip.learner import Learner
from catalog_gen.clip.retrieval_sheet import findings, write_retrieval_sheet
from catalog_gen.errors import ConfigError
from catalog_gen.training.alarm import Alarm
from catalog_gen.training.checkpoint import read_state, write_state
from catalog_gen.training.watch import Watch, Watched
from catalog_gen.training_data import TrainRow, pick_varied

logger = logging.getLogger(__name__)

CHECKPOINT = "clip-checkpoint.pt"
BEST = "clip-best.pt"
SHEET_PROMPTS = 12
CURVES = [f"{shown}_{name}" for shown in ("photo", "score") for name in ("r1", "r10", "median_rank", "mrr")]

Ending = Literal["finished", "stopped", "alarm"]


@dataclass(frozen=True)
class Exam:
    """The held-out products, in one order: rows, and their photos' features (4, N, C).

    photo: the square (S, S, 3) of the product at a position.
    """

    rows: Sequence[TrainRow]
    features: npt.NDArray[np.float16]
    photo: Callable[[int], npt.NDArray[np.uint8]]


@dataclass
class Trainer:
    """The learner, what it is measured on, where its checkpoints go, and how far it has come."""

    learner: Learner
    rows: Sequence[TrainRow]
    exam: Exam
    work_dir: Path
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
    def config(self) -> ClipTrainConfig:
        return self.learner.config

    @property
    def images_seen(self) -> int:
        return self.step * self.config.batch_size

    @property
    def measures(self) -> bool:
        return bool(self.exam.rows) and self.config.watch.measure_every > 0

    def go(self, should_stop: Callable[[], bool]) -> Ending:
        """Train from the checkpoint, where there is one, to the end, a stop, or an alarm that ends it."""
        self._restore()
        learner, config = self.learner, self.config
        about = Watched(config.name, config.model_dump(mode="json"), best_by=BEST_BY, wandb=config.watch.wandb)
        resume_at = self.images_seen or None
        since = time.monotonic() - self.seconds
        with (
            stop_on_interrupt() as interrupted,
            Watch(self.work_dir, about, resume_at=resume_at) as self.watch,
            tqdm(total=learner.total_steps, initial=self.step, desc="CLIP") as bar,
        ):
            while self.step < learner.total_steps and not (interrupted.is_set() or should_stop()):
                epoch, within = divmod(self.step, learner.steps_per_epoch)
                if within == 0 or self.step == bar.initial:
                    order = list(batches(len(self.rows), config.batch_size, config.seed, epoch))
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
        """Bring the best epoch's weights back, and give the image head its last lessons, where they do it good.

        Returns the held-out figures and embeddings of the result; nothing where no product is held out.
        """
        if self.best:
            self.learner.load_weights(read_state(self.work_dir / BEST)["trained"])
        before = self._examine()
        learnt = self.learner.weights()
        self.learner.polish()
        after = self._examine()
        if before is not None and after is not None and not after[0][BEST_BY] >= before[0][BEST_BY]:
            logger.info("the head's last lessons did it no good: %s stays %.4g", BEST_BY, before[0][BEST_BY])
            self.learner.load_weights(learnt)
            after = before
        self.learner.fold_standardisation()
        return after if after is not None else ({}, None)

    def _examine(self) -> tuple[dict[str, float], HeldOutEmbeddings] | None:
        """Return the held-out products' figures and embeddings as the learner is now; None where none is held out."""
        exam, learner = self.exam, self.learner
        if not exam.rows:
            return None
        held = embed_held_out(
            partial(learner.image_head, folded=False), learner.embed_prompts, exam.features, exam.rows
        )
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
        found = self._examine()
        if found is None:
            return None
        figures, held = found
        self.watch.measured(self.images_seen, {name: figures[name] for name in CURVES})
        self._sheet(held)
        logger.info("%s of %s epochs: %s", self._epoch(self.step), self.config.epochs, json.dumps(figures))
        alarm = self.alarms.check_measure(self.images_seen, figures)
        if alarm is None and self.alarms.improved(figures):
            self.best, self.best_step = figures, self.step
            # The checkpoint last: what it says is the best must be there, wherever a kill falls.
            write_state(self.work_dir / BEST, {"trained": self.learner.weights()})
            self._save()
        return alarm

    @property
    def best_epoch(self) -> float | None:
        """The epoch that measured best; None where nothing was measured, and the last one is kept."""
        return self._epoch(self.best_step) if self.best else None

    def _epoch(self, step: int) -> float:
        return round(step / self.learner.steps_per_epoch, 2)

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
        self.learner.load_weights(read_state(self.work_dir / BEST)["trained"])
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
        write_state(self.work_dir / CHECKPOINT, state)

    def _restore(self) -> None:
        file = self.work_dir / CHECKPOINT
        if not file.exists():
            (self.work_dir / BEST).unlink(missing_ok=True)
            return
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

    def _key(self) -> str:
        """Return a hash of what makes two starts one training: the rows, and the settings that steps depend on."""
        content = self.config.model_dump_json(exclude={"watch", "checkpoint_every"}) + data_key(self.rows)
        return hashlib.sha256(content.encode()).hexdigest()
