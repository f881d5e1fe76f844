"""Training the networks of `fast` and `arbitrary`.

A step's pictures and styles follow from (seed, step) and the learning rate is constant after its warmup, so a training
may stop at any time and go on along the same curve; the weights that are kept are the average of the late ones.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from catalog_gen.bundles import Bundle
from catalog_gen.errors import UsageError
from catalog_gen.style.arbitrary import StylePredictor, at_style_size, save_arbitrary, style_statistics
from catalog_gen.style.fast import LearntStyle, LearntStyles, fingerprint, image_tones, save_fast
from catalog_gen.style.features import FeatureNetwork, moments
from catalog_gen.style.network import NetworkConfig, TransferNetwork
from catalog_gen.style.recolour import Tones, recolour, tones_of
from catalog_gen.style.style_data import Content, ContentSource, StylePool, choose_styles
from catalog_gen.style.style_losses import LossWeights, Targets, style_losses, targets_of, total

WARMUP = 100  # steps
PREDICTOR_RATE = 0.1  # of the network's learning rate: thousands of inputs move a code at once, and it ran away
AVERAGE = 0.995  # of the kept weights, a step
BOUNDS = ("images", "minutes", "checkpoint_minutes", "sheet_every")  # may change between two parts of one training

_M = TypeVar("_M", bound=nn.Module)
Report = Callable[[int, dict[str, float]], None]  # (images seen, losses): called every few steps
Draw = Callable[[int, Tensor], None]  # (images seen, sheet (3, H, W)): called now and then


@dataclass(frozen=True)
class StyleTrainConfig:
    """How a style network is trained; sizes in px, `images` are content pictures seen."""

    images: int = 40_000
    minutes: float = 0.0  # 0: no bound
    batch: int = 2
    size: int = 192
    style_size: int = 256  # of the squares that `arbitrary` learns styles from
    textures: int = 300  # made-up styles that `arbitrary` learns from
    learning_rate: float = 1e-3
    seed: int = 0
    checkpoint_minutes: float = 3.0
    sheet_every: int = 2000
    report_every: int = 10  # steps
    network: NetworkConfig = field(default_factory=NetworkConfig)
    weights: LossWeights = field(default_factory=LossWeights)

    def key(self, data: str) -> str:
        """Return what must be the same for a checkpoint to be gone on from."""
        kept = {name: value for name, value in asdict(self).items() if name not in BOUNDS}
        return json.dumps({"config": kept, "data": data}, sort_keys=True)


@dataclass(frozen=True)
class Lesson:
    """A batch's styles: codes (B, code_size) with gradients, tones, and what is aimed at."""

    code: Tensor
    tones: Tones
    targets: Targets


class Task(Protocol):
    """What is trained: `modules` with a `network` and what makes codes."""

    modules: nn.ModuleDict

    def lesson(self, modules: nn.ModuleDict, step: int, count: int) -> Lesson: ...
    def samples(self, modules: nn.ModuleDict) -> tuple[list[Tensor], list[Tensor], list[Tones]]: ...
    def save(self, folder: Path, modules: nn.ModuleDict, card: str) -> Bundle: ...


class FastTask:
    """A network and the codes of a few styles, shown as images (3, h, w) in [0, 1] by name."""

    def __init__(
        self,
        config: StyleTrainConfig,
        features: FeatureNetwork,
        styles: dict[str, Tensor],
        start: tuple[TransferNetwork, Tensor] | None = None,
    ) -> None:
        self.seed = config.seed
        self.images = list(styles.values())
        self.learnt = [LearntStyle(name, fingerprint(image)) for name, image in styles.items()]
        network = start[0] if start else TransferNetwork(config.network)
        table = LearntStyles(len(styles), network.code_size)
        table.set_tones(self.images)
        if start:
            table.code.data.copy_(start[1])
        self.modules = nn.ModuleDict({"network": network, "styles": table}).requires_grad_(True)
        with torch.no_grad():
            each = [targets_of(features, features(at_style_size(image)[None])) for image in self.images]
        grams = tuple(torch.cat(parts) for parts in zip(*[t.grams for t in each], strict=True))
        pairs = zip(*[t.moments for t in each], strict=True)
        self.targets = Targets(grams, tuple((_cat(p, 0), _cat(p, 1)) for p in pairs))

    def lesson(self, modules: nn.ModuleDict, step: int, count: int) -> Lesson:
        index = choose_styles(self.seed, step, count, len(self.images))
        table = _part(modules, "styles", LearntStyles)
        return Lesson(table.code[index], table.tones(index), self.targets.choose(index))

    def samples(self, modules: nn.ModuleDict) -> tuple[list[Tensor], list[Tensor], list[Tones]]:
        table = _part(modules, "styles", LearntStyles)
        index = [torch.tensor([i]) for i in range(len(self.images))]
        return self.images, [table.code[i] for i in index], [table.tones(i) for i in index]

    def save(self, folder: Path, modules: nn.ModuleDict, card: str) -> Bundle:
        network, styles = _part(modules, "network", TransferNetwork), _part(modules, "styles", LearntStyles)
        return save_fast(folder, network, styles, self.learnt, card)


class ArbitraryTask:
    """A network and a predictor of codes, that learn from a pool of styles; `shown` are styles to draw sheets with."""

    def __init__(
        self, config: StyleTrainConfig, features: FeatureNetwork, pool: StylePool, shown: Sequence[Tensor]
    ) -> None:
        self.features, self.pool, self.shown = features, pool, [at_style_size(image) for image in shown]
        network = TransferNetwork(config.network)
        with torch.no_grad():
            usual = torch.cat([style_statistics(features, pool.draw(-1 - i, 8)) for i in range(12)])
        predictor = StylePredictor(usual.shape[1], network.code_size)
        predictor.calibrate(usual)
        self.modules = nn.ModuleDict({"network": network, "predictor": predictor})

    def lesson(self, modules: nn.ModuleDict, step: int, count: int) -> Lesson:
        styles = self.pool.draw(step, count)
        with torch.no_grad():
            maps = self.features(styles)
            statistics = torch.cat([part.flatten(1) for found in maps for part in moments(found)], 1)
            targets = targets_of(self.features, maps)
        code = _part(modules, "predictor", StylePredictor)(statistics)
        return Lesson(code, tones_of(styles, torch.ones_like(styles[:, :1])), targets)

    def samples(self, modules: nn.ModuleDict) -> tuple[list[Tensor], list[Tensor], list[Tones]]:
        predictor = _part(modules, "predictor", StylePredictor)
        codes = [predictor(style_statistics(self.features, image[None])) for image in self.shown]
        return self.shown, codes, [image_tones(image) for image in self.shown]

    def save(self, folder: Path, modules: nn.ModuleDict, card: str) -> Bundle:
        network, predictor = _part(modules, "network", TransferNetwork), _part(modules, "predictor", StylePredictor)
        return save_arbitrary(folder, network, predictor, self.features, card)


class StyleTrainer:
    """A task, its data and its optimiser. `average` are the weights to keep; `seconds` are of all starts."""

    def __init__(
        self, task: Task, config: StyleTrainConfig, features: FeatureNetwork, content: ContentSource, data: str = ""
    ) -> None:
        self.task, self.config, self.features, self.content = task, config, features, content
        self.modules = task.modules.to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.modules).requires_grad_(False)
        self.optimiser = torch.optim.Adam(self._groups(), config.learning_rate, betas=(0.9, 0.99))
        self.key = config.key(data)
        self.step, self.seconds = 0, 0.0

    def _groups(self) -> list[dict[str, Any]]:
        rate = self.config.learning_rate
        rates = {"predictor": rate * PREDICTOR_RATE}
        return [
            {"params": list(module.parameters()), "rate": rates.get(name, rate)}
            for name, module in self.modules.items()
        ]

    @property
    def images(self) -> int:
        return self.step * self.config.batch

    def run(self, checkpoint: Path, report: Report, draw: Draw, should_stop: Callable[[], bool]) -> bool:
        """Train until a bound or a stop, writing checkpoints; return whether a bound was reached."""
        since, saved = time.monotonic() - self.seconds, time.monotonic()
        recent: list[dict[str, float]] = []
        with tqdm(total=self.config.images, initial=self.images, unit="image", desc="style") as bar:
            while not self._done() and not should_stop():
                recent.append(self.train_step())
                self.seconds = time.monotonic() - since
                bar.update(self.config.batch)
                if self.step % self.config.report_every == 0:
                    mean = {name: float(np.mean([line[name] for line in recent])) for name in recent[0]}
                    report(self.images, mean)
                    bar.set_postfix({"loss": f"{mean['total']:.3f}"}, refresh=False)
                    recent = []
                if self.images % self.config.sheet_every < self.config.batch:
                    draw(self.images, self.sheet())
                if time.monotonic() - saved > 60 * self.config.checkpoint_minutes:
                    self.save(checkpoint)
                    saved = time.monotonic()
        self.save(checkpoint)
        return self._done()

    def _done(self) -> bool:
        late = self.config.minutes > 0 and self.seconds >= 60 * self.config.minutes
        return late or self.images >= self.config.images

    def train_step(self) -> dict[str, float]:
        """Take one step; return the losses by name, and their `total`."""
        config = self.config
        for group in self.optimiser.param_groups:
            group["lr"] = group["rate"] * min(1.0, (self.step + 1) / WARMUP)
        lesson = self.task.lesson(self.modules, self.step, config.batch)
        scene, styled = style_pictures(
            self.modules, self.content.draw(self.step, config.batch), lesson.code, lesson.tones
        )
        losses = style_losses(self.features, styled, scene, lesson.targets)
        loss = total(losses, config.weights)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.modules.parameters(), 1.0)
        self.optimiser.step()
        self.step += 1
        with torch.no_grad():
            decay = min(AVERAGE, self.step / (self.step + 10))
            for kept, new in zip(self.average.parameters(), self.modules.parameters(), strict=True):
                kept.lerp_(new, 1 - decay)
        return {"total": float(loss.detach()), **{name: float(value.detach()) for name, value in losses.items()}}

    @torch.no_grad()
    def sheet(self, rows: int = 4) -> Tensor:
        """Return a sheet (3, H, W) in [0, 1]: the styles, then a few contents in each, drawn with the average."""
        content = self.content.draw(-1, rows)
        images, codes, tones = self.task.samples(self.average)
        size = self.config.size
        blank = torch.ones(3, size, size)
        head = torch.cat([blank, *[at_style_size(image, size)[:, :size, :size] for image in images]], 2)
        columns = [torch.cat(list(content.images), 1)]
        for code, tone in zip(codes, tones, strict=True):
            _, styled = style_pictures(self.average, content, code, tone)
            columns.append(torch.cat(list(styled.clamp(0, 1)), 1))
        return torch.cat([head, torch.cat(columns, 2)], 1)

    def save(self, file: Path) -> None:
        """Write the checkpoint by a temporary name."""
        file.parent.mkdir(parents=True, exist_ok=True)
        state = {
            "style_training": self.key,
            "step": self.step,
            "seconds": self.seconds,
            "modules": self.modules.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }
        part = file.with_name(f".{file.name}.part")
        torch.save(state, part)
        part.replace(file)

    def load(self, file: Path) -> None:
        """Go to where the checkpoint was written. Raises UsageError when it is of another training, or damaged."""
        hint = "Use the same settings and data, or start anew in another folder."
        try:
            state = torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # pickle, zip and torch each raise their own for a damaged file
            raise UsageError(f"cannot be read ({type(error).__name__})", where=str(file), hint=hint) from error
        if not isinstance(state, dict) or state.get("style_training") != self.key:
            raise UsageError("this checkpoint is of another training", where=str(file), hint=hint)
        self.modules.load_state_dict(state["modules"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.seconds = int(state["step"]), float(state["seconds"])


def style_pictures(modules: nn.ModuleDict, content: Content, code: Tensor, tones: Tones) -> tuple[Tensor, Tensor]:
    """Return the recoloured scenes and the styled pictures (B, 3, H, W), clamped with a gradient that passes."""
    images = content.images
    scene = recolour(images, tones_of(images, content.valid), tones).contiguous(memory_format=torch.channels_last)
    network = _part(modules, "network", TransferNetwork)
    change = network(scene, content.valid, code.expand(len(images), -1), tones)
    styled = scene + change
    return scene, styled + (styled.clamp(0, 1) - styled).detach()


def _part(modules: nn.ModuleDict, name: str, kind: type[_M]) -> _M:
    module = modules[name]
    assert isinstance(module, kind)
    return module


def _cat(pairs: Sequence[tuple[Tensor, Tensor]], which: int) -> Tensor:
    return torch.cat([pair[which] for pair in pairs])
