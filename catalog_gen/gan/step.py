"""One training step of both players, and the averaged generator."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from catalog_gen.gan import losses
from catalog_gen.gan.augment import draw_geometry, jitter_text
from catalog_gen.gan.config import GanTrainConfig
from catalog_gen.gan.discriminator import Discriminator, build_discriminator, freeze
from catalog_gen.gan.features import FeatureScales, FrozenFeatures
from catalog_gen.gan.generator import Generator

ImageTower = Callable[[Tensor], Tensor]  # pictures (B, 3, S, S) in [-1, 1] -> CLIP embeddings (B, D), differentiable
FIRST_MATCHED = 2  # stages of strides 8 to 32: what a thing is, not where its edges are


@dataclass
class Players:
    """All that a step reads and changes. `clip_image` is used when the config gives guidance a weight."""

    config: GanTrainConfig
    generator: Generator
    discriminator: Discriminator
    features: FrozenFeatures
    scales: FeatureScales
    average: Generator = field(init=False)
    g_optimiser: torch.optim.Adam = field(init=False)
    d_optimiser: torch.optim.Adam = field(init=False)
    clip_image: ImageTower | None = None

    def __post_init__(self) -> None:
        self.average = copy.deepcopy(self.generator).eval().requires_grad_(False)
        drawn = self.generator.parameters()
        self.g_optimiser = torch.optim.Adam(
            drawn, self.config.optimiser.g_lr, betas=self.config.optimiser.betas, fused=True
        )
        trainable = [p for p in self.discriminator.parameters() if p.requires_grad]
        self.d_optimiser = torch.optim.Adam(
            trainable, self.config.optimiser.d_lr, betas=self.config.optimiser.betas, fused=True
        )


def build_players(config: GanTrainConfig, *, pretrained: bool = True) -> Players:
    """Return freshly initialised players on the config's device; the same seed gives the same weights."""
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        shape = config.generator
        generator = Generator(shape)
        discriminator = build_discriminator(config.discriminator, image_size=shape.image_size, text_dim=shape.text_dim)
        features = FrozenFeatures(
            pretrained=pretrained, dtype=torch.bfloat16 if config.precision == "bf16" else torch.float32
        )
    for module in (generator, discriminator):
        module.to(config.device).to(memory_format=torch.channels_last)
    scales = FeatureScales().to(config.device)
    return Players(config, generator.train(), discriminator.train(), features.to(config.device), scales)


def train_step(players: Players, photos: Tensor, text: Tensor, rng: torch.Generator) -> dict[str, Tensor]:
    """Change both players once and return the step's losses, detached scalars.

    photos (B, 3, S, S) in [-1, 1]; text (B, D), the unit-length embeddings of those photos' own prompts; `rng` on the
    CPU gives every random number of the step. The drawn pictures and their features are computed once: the
    discriminator learns from them detached, then the generator learns through them from the new discriminator.
    """
    config, d = players.config, players.discriminator
    batch, device = len(photos), photos.device
    z = torch.randn(batch, config.generator.z_dim, generator=rng).to(device)
    text = jitter_text(text, config.text_noise, rng)
    geometry = draw_geometry(batch, photos.shape[-1], config.augment.translate, config.augment.flip, rng)
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bf16")

    with autocast:
        fake = players.generator(z, text)
        fake_seen, real_seen = geometry.apply(fake), geometry.apply(photos)
        fake_features = players.features(fake_seen)
        with torch.no_grad():
            real_features = players.features(real_seen)
            real = d.look(real_seen, real_features)
        drawn = d.look(fake_seen, fake_features)

        freeze(d, False)
        right, wrong = d(real, [text, text.roll(1, 0)])
        (judged,) = d(drawn.detach(), [text])
        d_loss = losses.hinge_d(right, judged, wrong)
    players.d_optimiser.zero_grad(set_to_none=True)
    torch.autograd.backward(d_loss)
    players.d_optimiser.step()

    freeze(d, True)
    with autocast:
        (judged,) = d(drawn, [text])
        parts = {"adversarial": losses.hinge_g(judged)}
        if config.losses.layout:
            parts["layout"] = config.losses.layout * losses.layout(fake, photos)
        if config.losses.perceptual:
            standardise = players.scales.standardise
            pair = standardise(fake_features, FIRST_MATCHED), standardise(real_features, FIRST_MATCHED)
            parts["perceptual"] = config.losses.perceptual * losses.feature_match(*pair)
        if config.losses.clip and players.clip_image is not None:
            parts["clip"] = config.losses.clip * losses.clip_alignment(players.clip_image(fake), text)
    players.g_optimiser.zero_grad(set_to_none=True)
    torch.autograd.backward(torch.stack(list(parts.values())).sum())
    players.g_optimiser.step()
    freeze(d, False)
    return {"d": d_loss.detach(), **{name: value.detach() for name, value in parts.items()}}


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
