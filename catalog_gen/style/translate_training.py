"""Training a translation: two sides of pictures in, a bundle out; stoppable and resumable at any step.

Read `TranslateRun.advance`, then `train_translate`: they are the training.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from catalog_gen.errors import UsageError
from catalog_gen.style.edges import agreement, edges
from catalog_gen.style.translate import export_bundle
from catalog_gen.style.translate_config import Config, CycleganConfig
from catalog_gen.style.translate_data import Indices, Side, TranslateData, jitter
from catalog_gen.style.translate_losses import rate_share
from catalog_gen.style.translate_players import Players, as_source, build_players

CHECKPOINT = "checkpoint.pt"
# What may change between two parts of one training without making it another one.
BOUNDS = {"images", "minutes", "checkpoint_minutes", "log_every", "sheet_every", "device", "apply"}
SHEET_PICTURES = 12
MEASURED = 100  # held-out pictures

Ending = Literal["finished", "stopped", "alarm"]


class Observer(Protocol):
    """Who watches a training; images are those seen so far."""

    def losses(self, images: int, values: Mapping[str, float]) -> str:
        """Record losses; return why the training must end, or nothing."""

    def measured(self, images: int, values: Mapping[str, float]) -> None:
        """Record figures on held-out pictures."""

    def sheet(self, images: int, pictures: npt.NDArray[np.uint8], columns: int) -> None:
        """Show pictures (N, S, S, 3), `columns` a line."""

    def should_stop(self) -> bool:
        """Return whether to stop in good order; asked after each step."""


@dataclass
class Order:
    """A side's pictures in the order of this pass; each pass has a new one."""

    left: Indices = field(default_factory=lambda: np.empty(0, np.int64))

    def take(self, chosen_from: Indices, count: int, rng: torch.Generator) -> Indices:
        while len(self.left) < count:
            shuffled = torch.randperm(len(chosen_from), generator=rng).numpy()
            self.left = np.concatenate([self.left, chosen_from[shuffled]])
        taken, self.left = self.left[:count], self.left[count:]
        return taken


class TranslateRun:
    """A training under way: what a checkpoint holds, and the data it walks over.

    Raises UsageError when there are too few pictures to learn from, or when a checkpoint in `work_dir` is another
    training's: of other pictures, or with other settings than how long to train and how to watch.
    """

    def __init__(self, data: TranslateData, config: Config, work_dir: Path) -> None:
        for side in (data.source, data.target):
            if side is not None and not len(side.train):
                raise UsageError("no picture is left to learn from", hint="Give more, or hold out fewer.")
        self.data, self.config, self.checkpoint = data, config, work_dir / CHECKPOINT
        self.rng = torch.Generator().manual_seed(config.seed)  # every random number, dropout's apart
        self.players: Players = build_players(config, self.rng)
        self.orders = (Order(), Order())
        self.step, self.seconds = 0, 0.0
        self.figures: dict[str, float] = {}
        if self.checkpoint.exists():
            self._restore()

    @property
    def images_seen(self) -> int:
        return self.step * self.config.batch

    def advance(self) -> dict[str, Tensor]:
        """Make one step; return its losses and its rate."""
        rate = self.config.lr * rate_share(self.images_seen, self.config.images, self.config.constant)
        self.players.set_rate(rate)
        source, target = self.next_batch()
        with torch.random.fork_rng(devices=[]):
            # Dropout draws from torch's global state: a function of the step, so that a resumed training draws alike.
            torch.manual_seed(self.config.seed * 1_000_003 + self.step)
            said = self.players.step(source, target)
        self.step += 1
        return said | {"lr": torch.tensor(rate)}

    def next_batch(self) -> tuple[Tensor, Tensor]:
        """Return the next pictures of both sides, (B, 3, S, S) in [-1, 1], moved and mirrored; pairs alike."""
        config, data = self.config, self.data
        shift = config.size // config.shift if config.shift else 0
        chosen = self.orders[1].take(data.target.train, config.batch, self.rng)
        target = data.target.load(chosen, config.device)
        if data.source is None:
            (target,) = jitter([target], self.rng, shift, config.flip)
            return as_source(target * 2 - 1), _laid_out(target)
        if data.paired:
            both = jitter([data.source.load(chosen, config.device), target], self.rng, shift, config.flip)
            return _laid_out(both[0]), _laid_out(both[1])
        other = self.orders[0].take(data.source.train, config.batch, self.rng)
        (source,) = jitter([data.source.load(other, config.device)], self.rng, shift, config.flip)
        (target,) = jitter([target], self.rng, shift, config.flip)
        return _laid_out(source), _laid_out(target)

    def shown(self, count: int) -> tuple[Tensor, Tensor]:
        """Return up to `count` held-out pictures of both sides, as they are; where none is held out, some others."""
        data, device = self.data, self.config.device
        target = data.target.load(_evenly(data.target, count), device) * 2 - 1
        if data.source is None:
            return as_source(target), target
        return data.source.load(_evenly(data.source, count), device) * 2 - 1, target

    def measure(self) -> dict[str, float]:
        """Return figures on held-out pictures; of outlines, also how well the drawn pictures' edges keep to them."""
        source, target = self.shown(MEASURED)
        figures: dict[str, float] = {}
        for at in range(0, len(source), self.config.batch):
            here = slice(at, at + self.config.batch)
            for name, value in self.players.measure(source[here], target[here]).items():
                figures[name] = figures.get(name, 0.0) + value * len(source[here]) / len(source)
        if self.data.source is None:
            drawn = self._draw(source)
            figures["edges_held_out"] = agreement(edges((drawn + 1) / 2), edges((target + 1) / 2))
        self.figures = figures
        return figures

    def sheet(self) -> npt.NDArray[np.uint8]:
        """Return held-out pictures, below each its translation, and below that, of pairs, what was wanted.

        Lines of SHEET_PICTURES, or fewer where there are not so many: (N, S, S, 3) uint8.
        """
        source, target = self.shown(SHEET_PICTURES)
        source = self.players.draws_from(source, target)
        lines = [source, self._draw(source)]
        if self.data.paired:
            lines.append(target)
        pictures = ((torch.cat(lines) + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
        return np.asarray(pictures.permute(0, 2, 3, 1).cpu().numpy())

    def save(self, out: Path) -> None:
        """Write the bundle, then the checkpoint, each by a temporary name."""
        export_bundle(out, self.players.generator(), self.config, self._card_figures())
        state = {
            "config": self.config.model_dump(mode="json"),
            "data": self.data.key,
            "players": self.players.state_dict(),
            "rng": self.rng.get_state(),
            "orders": [torch.from_numpy(order.left) for order in self.orders],
            "step": self.step,
            "seconds": self.seconds,
            "figures": self.figures,
        }
        self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(dir=self.checkpoint.parent, prefix=f".{CHECKPOINT}-")
        try:
            with os.fdopen(handle, "wb") as file:
                torch.save(state, file)
                file.flush()
                os.fsync(file.fileno())
            Path(part).replace(self.checkpoint)
        finally:
            Path(part).unlink(missing_ok=True)

    def _draw(self, source: Tensor) -> Tensor:
        batch = self.config.batch
        return torch.cat([self.players.draw(source[at : at + batch]) for at in range(0, len(source), batch)])

    def _restore(self) -> None:
        where = str(self.checkpoint)
        state = _read_checkpoint(self.checkpoint, self.config.device)
        ours = self.config.model_dump(mode="json")
        free = BOUNDS | ({"direction"} if isinstance(self.config, CycleganConfig) else set())
        differing = sorted(key for key in ours if key not in free and state["config"].get(key) != ours[key])
        if differing:
            raise UsageError(
                f"the checkpoint was made with another {', '.join(differing)}",
                where=where,
                hint="Use the same settings, or start anew in another folder.",
            )
        if state["data"] != self.data.key:
            hint = "Start anew in another folder."
            raise UsageError("the checkpoint was made on other pictures", where=where, hint=hint)
        self.players.load_state_dict(state["players"])
        self.rng.set_state(state["rng"].cpu())
        for order, left in zip(self.orders, state["orders"], strict=True):
            order.left = left.cpu().numpy()
        self.step, self.seconds, self.figures = state["step"], state["seconds"], state["figures"]

    def _card_figures(self) -> dict[str, Any]:
        counts = {"sources": 0 if self.data.source is None else len(self.data.source.train)}
        counts |= {"targets": len(self.data.target.train), "images_seen": self.images_seen}
        return {**counts, "minutes": self.seconds / 60, "measured": self.figures}


@dataclass(frozen=True)
class TranslateResult:
    """What came of a training. `ending` is "stopped" when a signal or the time bound ended it before `images`.

    bundle: None when an alarm came before anything was saved.
    """

    bundle: Path | None
    images_seen: int
    seconds: float  # of all starts together
    ending: Ending
    alarm: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)


def train_translate(run: TranslateRun, out: Path, observer: Observer) -> TranslateResult:
    """Make step after step until `images`, a stop, the time bound or an alarm, and write the bundle to `out`.

    After an alarm, what was saved before stays. Checkpoints are written on the way, at the end, and when stopped, so
    the same call on a new run goes on where this one ended, to the same result.
    """
    ending, alarm = _go(run, out, observer)
    if ending != "alarm":
        _show(run, observer)
        run.save(out)
    bundle = out if run.checkpoint.exists() else None
    return TranslateResult(bundle, run.images_seen, run.seconds, ending, alarm, run.figures)


def _go(run: TranslateRun, out: Path, observer: Observer) -> tuple[Ending, str]:
    config = run.config
    started = tick = saved = time.monotonic()
    bar = tqdm(total=config.images, initial=run.images_seen, unit="img", desc=config.engine, mininterval=5)
    with bar:
        while run.images_seen < config.images:
            said = run.advance()
            now = time.monotonic()
            run.seconds, tick = run.seconds + now - tick, now
            bar.update(config.batch)
            finished = run.images_seen >= config.images
            save_due = now - saved > config.checkpoint_minutes * 60
            stopping = observer.should_stop() or (config.minutes is not None and now - started > config.minutes * 60)
            if run.step % config.log_every == 0 or finished or save_due or stopping:  # what is saved has been looked at
                values = {name: round(float(value), 6) for name, value in said.items()}
                if alarm := observer.losses(run.images_seen, values):
                    return "alarm", alarm
                bar.set_postfix(values, refresh=False)
            if finished or stopping:
                return ("finished" if finished else "stopped"), ""
            if run.images_seen // config.sheet_every != (run.images_seen - config.batch) // config.sheet_every:
                _show(run, observer)
            if save_due:
                run.save(out)
                saved = time.monotonic()
    return "finished", ""


def baselines(run: TranslateRun) -> dict[str, float]:
    """Return the L1, of pictures in [0, 1], that held-out pairs' own sources have, and the mean target learnt from."""
    if not run.data.paired:
        return {}
    source, target = run.shown(MEASURED)
    some = run.data.target.train[:: max(1, len(run.data.target.train) // 500)]
    mean = run.data.target.load(some, run.config.device).mean(0, keepdim=True) * 2 - 1
    return {
        "l1_source": float(F.l1_loss(source, target)) / 2,
        "l1_mean": float(F.l1_loss(mean.expand_as(target), target)) / 2,
    }


def _show(run: TranslateRun, observer: Observer) -> None:
    observer.measured(run.images_seen, run.measure())
    source, target = run.shown(SHEET_PICTURES)
    observer.sheet(run.images_seen, run.sheet(), len(run.players.draws_from(source, target)))


def _evenly(side: Side, count: int) -> Indices:
    chosen = side.held_out if len(side.held_out) else side.train
    return chosen[np.linspace(0, len(chosen) - 1, min(count, len(chosen))).astype(np.int64)]


def _laid_out(images: Tensor) -> Tensor:
    """Return images of [0, 1] in [-1, 1], in the memory order that convolutions are fastest in."""
    return (images * 2 - 1).contiguous(memory_format=torch.channels_last)


def _read_checkpoint(path: Path, device: str) -> dict[str, Any]:
    hint = "Start anew in another folder."
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # pickle, zip and torch each raise their own for a damaged file
        what = f"the checkpoint cannot be read ({type(error).__name__})"
        raise UsageError(what, where=str(path), hint=hint) from error
    if not isinstance(state, dict) or "players" not in state or "orders" not in state:
        raise UsageError("this is no checkpoint of a translation", where=str(path), hint=hint)
    return state
