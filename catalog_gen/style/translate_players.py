"""Generators and discriminators with their optimisers, and one step of each kind of translation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from catalog_gen.style.edges import outline
from catalog_gen.style.translate_config import Config, CycleganConfig, Pix2pixConfig
from catalog_gen.style.translate_losses import discriminator_loss, generator_loss, l1
from catalog_gen.style.translate_networks import (
    PatchDiscriminator,
    ResnetGenerator,
    UNet,
    initialise,
    patch_layers,
)

Losses = dict[str, Tensor]


class ImagePool:
    """Earlier pictures that a discriminator is shown again (Shrivastava et al. 2017, arXiv 1612.07828).

    While there is room, a picture is kept and shown; then, half the time, an earlier one is shown in its place, and
    the new one kept. Room for none shows every picture as it comes.
    """

    def __init__(self, room: int, rng: torch.Generator) -> None:
        self.room, self.rng = room, rng
        self.kept: list[Tensor] = []

    def exchange(self, pictures: Tensor) -> Tensor:
        """Return what to show for pictures (B, 3, H, W): as many, some of them earlier ones; without gradients."""
        shown = []
        for picture in pictures.detach():
            if len(self.kept) < self.room:
                self.kept.append(picture.clone())
            elif self.room and float(torch.rand((), generator=self.rng)) < 0.5:
                at = int(torch.randint(self.room, (), generator=self.rng))
                picture, self.kept[at] = self.kept[at], picture.clone()
            shown.append(picture)
        return torch.stack(shown)


class Players(ABC):
    """Networks and optimisers by name; `rng` is the training's only source of chance, on the CPU."""

    generators: dict[str, nn.Module]
    judges: dict[str, nn.Module]

    def __init__(self, config: Config, rng: torch.Generator) -> None:
        self.base, self.rng = config, rng
        self.pools: dict[str, ImagePool] = {}
        self.device = torch.device(config.device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)  # spectral norm draws its first vectors from torch's global state
            self._build()
        for module in self.networks().values():
            initialise(module, rng)
            module.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimisers = {
            "generators": self._adam(self.generators.values()),
            "judges": self._adam(self.judges.values()),
        }

    @abstractmethod
    def _build(self) -> None:
        """Make the networks and the pools."""

    @abstractmethod
    def step(self, source: Tensor, target: Tensor) -> Losses:
        """Learn from source and target (B, 3, S, S) in [-1, 1]; return the losses, without gradients."""

    @abstractmethod
    def measure(self, source: Tensor, target: Tensor) -> dict[str, float]:
        """Return figures on pictures that were held out; differences are of pictures in [0, 1].

        Where the sides are not paired, the source alone is looked at.
        """

    def networks(self) -> dict[str, nn.Module]:
        return self.generators | self.judges

    def autocast(self) -> torch.autocast:
        wanted = {"auto": self.device.type == "cuda", "bf16": True, "fp32": False}[self.base.precision]
        return torch.autocast(self.device.type, torch.bfloat16, enabled=wanted)

    def set_rate(self, lr: float) -> None:
        for optimiser in self.optimisers.values():
            for group in optimiser.param_groups:
                group["lr"] = lr

    def generator(self) -> nn.Module:
        """Return the network of the bundle's direction."""
        return self.generators.get(self.base.direction) or next(iter(self.generators.values()))

    def draws_from(self, source: Tensor, target: Tensor) -> Tensor:
        """Return the side that `generator` translates."""
        return target if self.generator() is self.generators.get("b-to-a") else source

    @torch.no_grad()
    def draw(self, source: Tensor) -> Tensor:
        """Return `generator`'s translation of pictures (B, 3, S, S) in [-1, 1], without dropout."""
        network = self.generator().eval()
        drawn: Tensor = network(source)
        network.train()
        return drawn

    def state_dict(self) -> dict[str, Any]:
        return {
            "networks": {name: module.state_dict() for name, module in self.networks().items()},
            "optimisers": {name: optimiser.state_dict() for name, optimiser in self.optimisers.items()},
            "pools": {name: list(pool.kept) for name, pool in self.pools.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for name, module in self.networks().items():
            module.load_state_dict(state["networks"][name])
        for name, optimiser in self.optimisers.items():
            optimiser.load_state_dict(state["optimisers"][name])
        for name, pool in self.pools.items():
            pool.kept = list(state["pools"][name])

    def _adam(self, modules: Iterable[nn.Module]) -> torch.optim.Optimizer:
        parameters = chain.from_iterable(module.parameters() for module in modules)
        return torch.optim.Adam(parameters, self.base.lr, self.base.betas, fused=True)

    def _judge(self, channels: int) -> PatchDiscriminator:
        layers = self.base.judge_layers or patch_layers(self.base.size)
        return PatchDiscriminator(channels, self.base.judge_width, layers, self.base.judge_norm)

    def _learn(self, which: str, loss: Tensor) -> None:
        optimiser = self.optimisers[which]
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    def _judges_learn(self, wanted: bool) -> None:
        for judge in self.judges.values():
            judge.requires_grad_(wanted)


class Pix2pix(Players):
    """One generator, and a discriminator that sees source and picture together (arXiv 1611.07004)."""

    def __init__(self, config: Pix2pixConfig, rng: torch.Generator) -> None:
        self.config = config
        super().__init__(config, rng)

    def _build(self) -> None:
        self.generators = {"generator": UNet(self.config.size, self.config.width, self.config.dropout)}
        self.judges = {"judge": self._judge(6)}

    def step(self, source: Tensor, target: Tensor) -> Losses:
        config, judge = self.config, self.judges["judge"]
        with self.autocast():
            fake = self.generators["generator"](source)
            self._judges_learn(True)
            seen_real = judge(torch.cat([source, target], dim=1))
            seen_fake = judge(torch.cat([source, fake.detach().float()], dim=1))
            told = discriminator_loss(seen_real, seen_fake, config.adversarial)
        self._learn("judges", told)
        with self.autocast():
            self._judges_learn(False)
            fooled = generator_loss(judge(torch.cat([source, fake.float()], dim=1)), config.adversarial)
            near = l1(fake, target)
        self._learn("generators", fooled + config.l1 * near)
        return {"d": told.detach(), "g": fooled.detach(), "l1": near.detach()}

    def measure(self, source: Tensor, target: Tensor) -> dict[str, float]:
        return {"l1_held_out": float(l1(self.draw(source), target)) / 2}


class Cyclegan(Players):
    """Two generators and two discriminators, bound by the way there and back (arXiv 1703.10593)."""

    def __init__(self, config: CycleganConfig, rng: torch.Generator) -> None:
        self.config = config
        super().__init__(config, rng)

    def _build(self) -> None:
        config = self.config
        self.generators = {name: ResnetGenerator(config.width, config.blocks) for name in ("a-to-b", "b-to-a")}
        self.judges = {"judge-a": self._judge(3), "judge-b": self._judge(3)}
        self.pools = {name: ImagePool(config.pool, self.rng) for name in ("a", "b")}

    def step(self, source: Tensor, target: Tensor) -> Losses:
        config = self.config
        there, back = self.generators["a-to-b"], self.generators["b-to-a"]
        with self.autocast():
            self._judges_learn(False)
            fake_b, fake_a = there(source), back(target)
            fooled = generator_loss(self.judges["judge-b"](fake_b), config.adversarial)
            fooled = fooled + generator_loss(self.judges["judge-a"](fake_a), config.adversarial)
            cycle = l1(back(fake_b), source) + l1(there(fake_a), target)
            loss = fooled + config.cycle * cycle
            said = {"g": fooled, "cycle": cycle}
            if config.identity:
                said["identity"] = l1(there(target), target) + l1(back(source), source)
                loss = loss + config.identity * said["identity"]
        self._learn("generators", loss)
        with self.autocast():
            self._judges_learn(True)
            told = self._told("a", source, fake_a) + self._told("b", target, fake_b)
        self._learn("judges", told)
        return {"d": told.detach()} | {name: value.detach() for name, value in said.items()}

    def measure(self, source: Tensor, target: Tensor) -> dict[str, float]:
        with torch.no_grad():
            there = self.generators["a-to-b"](source)
            back = self.generators["b-to-a"](there)
        return {"cycle_held_out": float(l1(back, source)) / 2, "changed_held_out": float(l1(there, source)) / 2}

    def _told(self, side: str, real: Tensor, fake: Tensor) -> Tensor:
        judge, shown = self.judges[f"judge-{side}"], self.pools[side].exchange(fake.float())
        return discriminator_loss(judge(real), judge(shown), self.config.adversarial)


def build_players(config: Config, rng: torch.Generator) -> Players:
    """Return the networks and optimisers that `config` describes, their weights drawn from `rng`."""
    if isinstance(config, Pix2pixConfig):
        return Pix2pix(config, rng)
    return Cyclegan(config, rng)


def as_source(target: Tensor) -> Tensor:
    """Return the outlines of pictures (B, 3, H, W) in [-1, 1], in [-1, 1]."""
    return outline((target + 1) / 2) * 2 - 1
