"""Training a generator: photos and their prompts' embeddings in, a bundle out; stoppable and resumable at any step.

Read `train_gan`, then `Trainer.go`: it is the training. The bundle is the averaged generator of the checkpoint that
measured best (`watch.keep`: or was measured last), where anything measures, and of the last step elsewhere.
"""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from catalog_gen.bundles import check_place
from catalog_gen.errors import UsageError
from catalog_gen.gan.alarms import BEST_BY, Alarms, check_weights
from catalog_gen.gan.checkpoint import BEST, CHECKPOINT, best_run, load_checkpoint, read_checkpoint, save_checkpoint
from catalog_gen.gan.config import GanTrainConfig
from catalog_gen.gan.context import Ending, GanTrainResult, Measure, TrainContext
from catalog_gen.gan.distributed import agree, in_turn, world
from catalog_gen.gan.export import Provenance, export_bundle, settle_norms, update_card
from catalog_gen.gan.players import build_players
from catalog_gen.gan.run import Floats, Run, check_shares, data_key
from catalog_gen.gan.sheet import Sheet, write_sheet
from catalog_gen.training.alarm import Alarm
from catalog_gen.training.history import METRICS, Line, read_history
from catalog_gen.training.watch import Watch, Watched
from catalog_gen.training_data import TrainRow, load_photos

logger = logging.getLogger(__name__)

__all__ = ["GanTrainResult", "Measure", "TrainContext", "Trainer", "check_shares", "data_key", "train_gan"]


def train_gan(
    rows: Sequence[TrainRow],
    embeddings: Floats,
    *,
    out: Path,
    work_dir: Path,
    config: GanTrainConfig,
    provenance: Provenance | None = None,
    resume: bool = False,
    context: TrainContext | None = None,
) -> GanTrainResult:
    """Train on `rows` and write the averaged generator to the bundle folder `out`.

    embeddings: (N, D) float32 of unit length, the prompts' embeddings in the order of `rows`. work_dir: holds the
    decoded photos (memory-mapped), the checkpoints, the curves, and sheets/ with pictures of the sheet's words.
    resume: continue the checkpoint in work_dir (with none there, start anew); all randomness lives in one generator
    that is part of it, so a run in two parts makes the same steps as one in one part. One that has finished stays.
    In several processes (torchrun), each takes its share of every batch, and the first one writes.

    Raises UsageError when shapes disagree or the config is not the checkpoint's, ConfigError when no photo is usable,
    BundleError when the frozen features' weights are not installed or `out` holds what is no bundle, Unavailable when
    the curves' packages are not installed.
    """
    context = context or TrainContext()
    check_place(out)
    shape = config.generator
    if embeddings.shape != (len(rows), shape.text_dim):
        raise UsageError(f"embeddings are {embeddings.shape}, and {(len(rows), shape.text_dim)} are needed")
    check_shares(config)
    with in_turn():
        cache = context.photos or work_dir / "photos"
        photos, unreadable, kept = load_photos(rows, shape.image_size, cache, config.workers, config.fit)
    if len(kept) < config.batch_size:
        raise UsageError(f"{len(kept)} usable photos are fewer than one batch of {config.batch_size}")
    position = {row.sku: i for i, row in enumerate(rows)}
    texts = embeddings[[position[row.sku] for row in kept]]
    logger.info("training on %d photos (%d left out)", len(kept), len(unreadable))

    players = build_players(config, pretrained=context.pretrained, initial=context.initial)
    players.clip_image = context.clip_image
    provenance = provenance or Provenance()
    key = data_key(kept, provenance.clip.origin)
    run = Run(players, photos, texts, torch.Generator().manual_seed(config.seed), key)
    checkpoint = work_dir / CHECKPOINT
    if resume and checkpoint.exists():
        load_checkpoint(checkpoint, run)
        logger.info("resumed at step %d", run.step)
    else:
        (work_dir / BEST).unlink(missing_ok=True)
        run.calibrate()
    trainer = Trainer(run, out, work_dir, provenance, context)
    if trainer.done:
        trainer.tell()
        return trainer.result("finished", already=True)
    with trainer.watched():
        ending = trainer.end(trainer.go())
    return trainer.result(ending)


@dataclass
class Trainer:
    """One start of a training: the run, where its results go, and what watches it."""

    run: Run
    out: Path
    work_dir: Path
    provenance: Provenance
    context: TrainContext
    leads: bool = field(default_factory=lambda: world()[0] == 0)
    watch: Watch | None = None
    alarms: Alarms = field(init=False)
    measures: bool = field(init=False)  # whether the first process does; the others must know
    rollbacks: int = 0
    hurried: bool = False  # stopped by a signal
    measured_at: int = -1  # images seen at the last measurement
    published: str = ""  # the folder that this training has written a bundle to
    alarm: str = ""
    losses: Mapping[str, float] = field(default_factory=dict)
    best: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.alarms = Alarms(self.config.watch)
        self.measures = bool(agree(int(self.context.measure is not None))) and self.config.watch.measure_every > 0
        if self.run.guard_state:
            self.alarms.load_state_dict(self.run.guard_state["alarms"])
            self.rollbacks = self.run.guard_state["rollbacks"]
            self.best = self.run.guard_state["best"]
            self.published = self.run.guard_state["published"]
            self.measured_at = self.run.guard_state.get("measured_at", -1)
            self._check_out()

    def _check_out(self) -> None:
        """The best bundle lies where an earlier start wrote it; this one may never write a better."""
        if self.best and Path(self.published) != self.out.absolute():
            raise UsageError(
                f"this training's best bundle goes to {self.published}",
                where=str(self.out),
                hint="Name that folder again, and copy it afterwards.",
            )

    @property
    def config(self) -> GanTrainConfig:
        return self.run.config

    @property
    def done(self) -> bool:
        """Whether nothing is left to do: all images were shown, and the last weights measured where anything measures.

        The bundle must be there as well.
        """
        shown = self.run.images_seen >= self.config.images
        measured = not self.measures or self.measured_at == self.run.images_seen
        return shown and measured and Path(self.published) == self.out.absolute() and self.out.exists()

    def watched(self) -> ExitStack:
        """Open the curves; what a crash recorded beyond the checkpoint is cut off them."""
        held = ExitStack()
        if self.leads:
            settings = self.config.model_dump(mode="json")
            about = Watched(self.provenance.name, settings, best_by=BEST_BY, wandb=self.config.watch.wandb)
            self.watch = held.enter_context(Watch(self.work_dir, about, resume_at=self.run.images_seen or None))
        return held

    def go(self) -> Ending:
        """Make step after step until `images`, a stop, the time bound, or an alarm that ends it."""
        run, config = self.run, self.config
        started = tick = saved = time.monotonic()
        if agree(int(self.context.should_stop())):
            self.hurried = True
            return "stopped"
        bar = tqdm(
            total=config.images, initial=run.images_seen, unit="img", desc="gan", mininterval=5, disable=not self.leads
        )
        with bar:
            while run.images_seen < config.images:
                said = run.advance()
                now = time.monotonic()
                run.seconds, tick = run.seconds + now - tick, now
                bar.update(config.batch_size)
                if run.step % config.watch.log_every == 0 and not self._heed(self._log(said)):
                    return "alarm"
                bar.set_postfix(self.losses, refresh=False)
                if self._measure_due() and not self._heed(self._measure()):
                    return "alarm"
                if self.leads and self.context.sheet is not None and run.step % config.sheet_every == 0:
                    self._sheet(self.context.sheet)
                if now - saved > config.checkpoint_minutes * 60:
                    self.save()
                    saved = time.monotonic()
                out_of_time = config.minutes is not None and now - started > config.minutes * 60
                told = agree(2 if self.context.should_stop() else int(out_of_time))
                if told:
                    self.hurried = told == 2
                    all_shown = run.images_seen >= config.images and not (self.hurried and self.measures)
                    return "finished" if all_shown else "stopped"
        return "finished"

    def end(self, ending: Ending) -> Ending:
        """Give the last weights their chance to be the best, and save; after an alarm, what was saved stays.

        All processes leave together: a launcher ends the others when one of them has left.
        """
        if ending != "alarm" and not self._heed(self._broken(), can_go_on=False):
            ending = "alarm"
        due = self.measures and self.measured_at != self.run.images_seen
        measured = ending != "alarm" and due and not self.hurried  # who sends a signal will not wait
        if measured and not self._heed(self._measure(), can_go_on=False):
            ending = "alarm"
        if ending != "alarm" and self.run.step:
            self.save()
        self.tell()
        agree(0)
        return ending

    def tell(self) -> None:
        """Bring the bundle's card up to date: what was measured after its weights, and notes that were given since."""
        if self.leads and self.published and self.out.exists():
            update_card(self.out, self._history(), self.provenance.notes)

    def save(self) -> None:
        """Write the checkpoint, and the bundle where nothing better than the last step is known.

        Weights that are no numbers are never saved: the training could not be resumed before they came to be.
        """
        if not self.leads or self._broken() is not None:
            return
        if not self.best:
            self._export(self.run, {})
        elif not self.out.exists():  # somebody took it away
            self._export(best_run(self.work_dir / BEST, self.run), self.best)
        self._remember()
        save_checkpoint(self.work_dir / CHECKPOINT, self.run)

    def _remember(self) -> None:
        self.run.guard_state = {
            "alarms": self.alarms.state_dict(),
            "rollbacks": self.rollbacks,
            "best": dict(self.best),
            "published": self.published,
            "measured_at": self.measured_at,
        }

    def result(self, ending: Ending, *, already: bool = False) -> GanTrainResult:
        return GanTrainResult(
            bundle=self.out if self.published else None,
            checkpoint=self.work_dir / CHECKPOINT,
            steps=self.run.step,
            images_seen=self.run.images_seen,
            seconds=self.run.seconds,
            ending=ending,
            alarm=self.alarm,
            already=already,
            losses=self.losses,
            measured=self.best,
        )

    def _log(self, said: Mapping[str, Tensor]) -> Alarm | None:
        self.losses = {name: float(f"{float(value):.6g}") for name, value in said.items()}
        if self.watch is not None:
            self.watch.losses(self.run.images_seen, self.losses)
        return self._broken() or self.alarms.check_losses(self.run.images_seen, self.losses)

    def _broken(self) -> Alarm | None:
        return check_weights(self.run.images_seen, self.run.players.average.state_dict())

    def _sheet(self, sheet: Sheet) -> None:
        path = self.work_dir / "sheets" / f"{self.run.images_seen:08d}.png"
        write_sheet(path, self.run.players.average, sheet)
        if self.watch is not None:
            self.watch.sheet(self.run.images_seen, path)

    def _measure_due(self) -> bool:
        every, seen, batch = self.config.watch.measure_every, self.run.images_seen, self.config.batch_size
        return self.measures and seen < self.config.images and seen // every != (seen - batch) // every

    def _measure(self) -> Alarm | None:
        """Measure the averaged generator; what is kept becomes the bundle and the checkpoint to go back to."""
        seen = self.measured_at = self.run.images_seen
        if not self.leads or self.context.measure is None:
            return None
        if (broken := self._broken()) is not None:
            return broken
        settled = settle_norms(copy.deepcopy(self.run.players.average), self.run.texts, self.config.seed)  # as exported
        figures = {name: float(value) for name, value in self.context.measure(settled).items()}
        if self.watch is not None:
            self.watch.measured(seen, figures)
        alarm = self.alarms.check_measure(seen, figures)
        if alarm is None and self.alarms.keeps(figures):
            self.best = figures
            # The checkpoint last: what it says is the best must be there, wherever a kill falls.
            save_checkpoint(self.work_dir / BEST, self.run)
            self._export(self.run, figures)
            self._remember()
            save_checkpoint(self.work_dir / CHECKPOINT, self.run)
        if self.context.report is not None:
            self.context.report(seen, figures)
        return alarm

    def _heed(self, alarm: Alarm | None, *, can_go_on: bool = True) -> bool:
        """Do what the settings say about an alarm; return whether the training goes on. All processes decide alike.

        can_go_on: False after the last step, when going back would come too late.
        """
        can_go_back = can_go_on and self.rollbacks < self.config.watch.max_rollbacks and (self.work_dir / BEST).exists()
        answers = {"log": 1, "rollback": 2 if can_go_back else 3, "stop": 3}
        answer = 0
        if alarm is not None:
            answer = 3 if alarm.final and self.config.watch.on_alarm == "log" else answers[self.config.watch.on_alarm]
        answer = agree(answer)
        if alarm is not None:
            self.alarm = alarm.message
            logger.warning("%s", alarm.message)
            if self.watch is not None:
                self.watch.note(alarm.images_seen, f"{alarm.kind}, {('', 'logged', 'rolled back', 'stopped')[answer]}")
        if answer == 2:
            self._roll_back()
        return answer != 3

    def _roll_back(self) -> None:
        """Take both players back to the bundle's checkpoint, with half the rates; images seen since stay counted."""
        players = self.run.players
        factor = players.lr_factor / 2
        players.load_state_dict(read_checkpoint(self.work_dir / BEST, self.config.device)["players"])
        players.new_optimisers()
        players.lr_factor = factor
        self.alarms.forgive()
        self.rollbacks += 1

    def _export(self, run: Run, measured: Mapping[str, float]) -> None:
        export_bundle(run.players.average, run, self.out, self.provenance, measured, self._history())
        self.published = str(self.out.absolute())

    def _history(self) -> list[Line]:
        return read_history(self.work_dir / METRICS)
