"""Training the networks of `fast` and `arbitrary`.

A step's pictures and styles follow from (seed, step) and the learning rate is constant after its warmup, so a training
may stop at any time and go on along the same curve; the weights that are kept are the average of the late ones.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from catalog_gen.bundles import Bundle
from catalog_gen.style.arbitrary import StylePredictor, at_style_size, save_arbitrary, style_statistics
from catalog_gen.style.fast import LearntStyle, LearntStyles, fingerprint, image_tones, save_fast
from catalog_gen.style.features import FeatureNetwork, moments
from catalog_gen.style.network import NetworkConfig, TransferNetwork
from catalog_gen.style.recolour import Tones, recolour, tones_of
from catalog_gen.style.style_data import Content, ContentSource, StylePool, choose_styles
from catalog_gen.style.style_losses import LossWeights, Targets, style_losses, targets_of, total
from catalog_gen.training.stepped import BOUNDS, Stateful, SteppedTrainer

WARMUP = 100  # steps
PREDICTOR_RATE = 0.1  # of the network's learning rate: thousands of inputs move a code at once, and it ran away
AVERAGE = 0.995  # of the kept weights, a step

_M = TypeVar("_M", bound=nn.Module)


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


class StyleTrainer(SteppedTrainer):
    """A task, its data and its optimiser. `average` are the weights to keep."""

    kind = "style"

    def __init__(
        self, task: Task, config: StyleTrainConfig, features: FeatureNetwork, content: ContentSource, data: str = ""
    ) -> None:
        super().__init__(config, config.key(data))
        self.task, self.config, self.features, self.content = task, config, features, content
        self.modules = task.modules.to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.modules).requires_grad_(False)
        self.optimiser = torch.optim.Adam(self._groups(), config.learning_rate, betas=(0.9, 0.99))

    def _groups(self) -> list[dict[str, Any]]:
        rate = self.config.learning_rate
        rates = {"predictor": rate * PREDICTOR_RATE}
        return [
            {"params": list(module.parameters()), "rate": rates.get(name, rate)}
            for name, module in self.modules.items()
        ]

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

    def states(self) -> dict[str, Stateful]:
        return {"modules": self.modules, "average": self.average, "optimiser": self.optimiser}


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
