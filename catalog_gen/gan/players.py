"""The two players of a training, their optimisers, and the averaged generator."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from catalog_gen.gan.augment import AdaptiveStrength
from catalog_gen.gan.config import GanTrainConfig
from catalog_gen.gan.discriminator import build_discriminator
from catalog_gen.gan.features import FeatureScales, FrozenFeatures
from catalog_gen.gan.generator import Generator
from catalog_gen.gan.judge import Discriminator
from catalog_gen.gan.optim import build_optimiser, lr_share, set_lr

ImageTower = Callable[[Tensor], Tensor]  # pictures (B, 3, S, S) in [-1, 1] -> CLIP embeddings (B, D), differentiable
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass
class Players:
    """All that a step reads and changes.

    `features` is None where neither the discriminator nor a loss looks through them. `lr_factor` falls when a training
    is taken back to its best checkpoint. `clip_image` is there when CLIP guidance has a weight.
    """

    config: GanTrainConfig
    generator: Generator
    discriminator: Discriminator
    features: FrozenFeatures | None
    scales: FeatureScales
    clip_image: ImageTower | None = None
    lr_factor: float = 1.0
    average: Generator = field(init=False)
    g_optimiser: torch.optim.Optimizer = field(init=False)
    d_optimiser: torch.optim.Optimizer = field(init=False)
    strength: AdaptiveStrength = field(init=False)
    scaler: torch.amp.GradScaler = field(init=False)

    def __post_init__(self) -> None:
        config = self.config
        self.average = copy.deepcopy(self.generator).eval().requires_grad_(False)
        self.strength = AdaptiveStrength(config.augment)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=config.precision == "fp16")
        self.new_optimisers()

    @property
    def device(self) -> torch.device:
        return torch.device(self.config.device)

    def new_optimisers(self) -> None:
        """Start both optimisers without any memory."""
        optimiser = self.config.optimiser
        self.g_optimiser = build_optimiser(optimiser, self.generator.parameters(), optimiser.g_lr)
        self.d_optimiser = build_optimiser(optimiser, self.discriminator.parameters(), optimiser.d_lr)

    def set_rates(self, images_seen: int) -> float:
        """Give both optimisers their rate after `images_seen` images; return the generator's."""
        optimiser = self.config.optimiser
        share = self.lr_factor * lr_share(optimiser, images_seen, self.config.images)
        set_lr(self.g_optimiser, share * optimiser.g_lr)
        set_lr(self.d_optimiser, share * optimiser.d_lr)
        return share * optimiser.g_lr

    def see(self, images: Tensor) -> list[Tensor]:
        """Return the frozen features of `images` (B, 3, S, S) in [-1, 1]; none where nobody needs them."""
        return self.features(images) if self.features is not None else []

    def autocast(self) -> torch.autocast:
        precision = self.config.precision
        return torch.autocast(self.device.type, DTYPES[precision], enabled=precision != "fp32")

    def state_dict(self) -> dict[str, Any]:
        """Return everything that the next step depends on, as tensors and plain values."""
        return {name: part.state_dict() for name, part in self._stateful().items()} | {"lr_factor": self.lr_factor}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for name, part in self._stateful().items():
            part.load_state_dict(state[name])
        self.lr_factor = float(state["lr_factor"])

    def _stateful(self) -> dict[str, Any]:
        return {
            "generator": self.generator,
            "discriminator": self.discriminator,
            "scales": self.scales,
            "average": self.average,
            "g_optimiser": self.g_optimiser,
            "d_optimiser": self.d_optimiser,
            "strength": self.strength,
            "scaler": self.scaler,
        }


def build_players(
    config: GanTrainConfig, *, pretrained: bool = True, initial: Mapping[str, Tensor] | None = None
) -> Players:
    """Return fresh players on the config's device; the same seed gives the same weights.

    initial: a trained generator's tensors to start from (fine-tuning); they must fit the config's generator.
    """
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        shape = config.generator
        generator = Generator(shape)
        if initial is not None:
            generator.load_state_dict(dict(initial))
        discriminator = build_discriminator(config.discriminator, image_size=shape.image_size, text_dim=shape.text_dim)
        features = None
        if discriminator.needs_features or config.losses.perceptual:
            # Half precision as bf16 only: fp16 overflows in the frozen network.
            dtype = torch.bfloat16 if config.precision == "bf16" else torch.float32
            features = FrozenFeatures(pretrained=pretrained, dtype=dtype).to(config.device)
    for module in (generator, discriminator):
        module.to(config.device).to(memory_format=torch.channels_last)
    generator.checkpointing = config.checkpointing
    scales = FeatureScales().to(config.device)
    return Players(config, generator.train(), discriminator.train(), features, scales)


@torch.no_grad()
def calibrate(players: Players, batches: Sequence[Tensor]) -> None:
    """Fit the scales of features to real photos, once, before the first step. Each batch (B, 3, S, S) in [-1, 1]."""
    if players.features is None:
        return
    parts = [players.features(batch) for batch in batches]
    features = [torch.cat(stage) for stage in zip(*parts, strict=True)]
    players.discriminator.calibrate(features)
    players.scales.calibrate(features)


@torch.no_grad()
def update_average(average: nn.Module, live: nn.Module, config: GanTrainConfig, images_seen: int) -> None:
    """Move the averaged generator, buffers included, towards the live one (Karras et al., arXiv 1710.10196).

    The half-life is `ema_images`, and shorter while few images were seen, so that the first weights are soon forgotten.
    """
    half_life = min(config.ema_images, config.ema_rampup * images_seen)
    weight = 1 - 0.5 ** (config.batch_size / max(half_life, 1e-8))
    targets = [*average.parameters(), *average.buffers()]
    sources = [*live.parameters(), *live.buffers()]
    torch._foreach_lerp_([t.data for t in targets], [s.data for s in sources], weight)
