"""From a trained generator to a bundle: norms measured anew, weights in half precision, and a card."""

from __future__ import annotations

import copy
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from catalog_gen.bundles import Bundle, save_bundle
from catalog_gen.gan.config import GanTrainConfig
from catalog_gen.gan.generator import Generator
from catalog_gen.gan.norms import ModulatedNorm

NORM_BATCHES = 16
NORM_BATCH = 64


@dataclass(frozen=True)
class Provenance:
    """What a bundle's card says that the trainer cannot know."""

    name: str = "gan"
    clip_hash: str = ""  # of the CLIP bundle whose embeddings it was trained on
    data: str = "the shop's own photos"
    photos: int = 0
    notes: list[str] = field(default_factory=list)  # what was tried, how it was evaluated: one line of markdown each


def export_bundle(
    average: Generator,
    texts: npt.NDArray[np.float32],
    out: Path,
    config: GanTrainConfig,
    provenance: Provenance,
    images_seen: int,
    seconds: float,
) -> Bundle:
    """Write the averaged generator to the bundle folder `out` (float16) and return the bundle."""
    generator = settle_norms(copy.deepcopy(average), texts, config.seed)
    return save_bundle(
        out,
        kind="gan",
        name=provenance.name,
        config={
            "generator": config.generator.model_dump(mode="json"),
            "clip_hash": provenance.clip_hash,
            "training": config.model_dump(mode="json", exclude={"generator"}),
            "images_seen": images_seen,
        },
        weights=generator.state_dict(),
        card=card(config, provenance, images_seen, seconds),
    )


@torch.no_grad()
def settle_norms(generator: Generator, texts: npt.NDArray[np.float32], seed: int) -> Generator:
    """Measure the running statistics of `generator` anew over pictures of `texts` (N, D); returns it in eval mode.

    The averaged weights never drew a picture in training, so statistics averaged along the way are not quite theirs
    ("standing statistics", arXiv 1809.11096). One process can do it while others train. Norms without running
    statistics need none.
    """
    norms = [m for m in generator.modules() if isinstance(m, ModulatedNorm)]
    if not norms:
        return generator.eval()
    device = next(generator.parameters()).device
    rng = torch.Generator().manual_seed(seed)
    generator.train()
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.synchronised = False
    for batch in range(NORM_BATCHES):
        chosen = torch.randint(0, len(texts), (NORM_BATCH,), generator=rng).numpy()
        z = torch.randn(NORM_BATCH, generator.config.z_dim, generator=rng).to(device)
        for norm in norms:
            norm.momentum = 1 / (batch + 1)  # a plain mean over the batches
        generator(z, torch.from_numpy(texts[chosen]).to(device))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum, norm.synchronised = momentum, True
    return generator.eval()


def card(config: GanTrainConfig, provenance: Provenance, images_seen: int, seconds: float) -> str:
    """Return the bundle's CARD.md."""
    shape = config.generator
    notes = "".join(f"- {note}\n" for note in provenance.notes or ["Not evaluated yet."])
    hours = seconds / 3600
    return f"""# {provenance.name}

A text-conditioned GAN: the CLIP embedding of a product's words and a seed in, a picture of
{shape.image_size}x{shape.image_size} px on white out.

## Data
{provenance.data}; {provenance.photos or "all its"} photos were used, letterboxed on white.
Held-out products were never shown.

## Recipe
- Generator: convolutional, text-modulated batch normalisation, bilinear upsampling, channels {list(shape.channels)}.
- Discriminator: small heads on frozen EfficientNet-Lite0 features (ImageNet), and one on the pixels; hinge loss; a real
  photo with another product's words counts as fake; shifts and flips on both sides.
- Beside the adversarial loss: squared error of 4, 8 and 16 px averages (weight {config.losses.layout:g})
  and of frozen features (weight {config.losses.perceptual:g}).
- Adam(0, 0.99), learning rates {config.optimiser.g_lr:g} and {config.optimiser.d_lr:g}, batch {config.batch_size},
  seed {config.seed}.
- {images_seen:,} images seen in {hours:.1f} hours on `{config.device}` ({os.cpu_count()} CPU cores in the machine).

## Measured
{notes}
## Limits
Every picture is invented: a draft for internal use, never the main image of a live listing. Small text, logos, faces,
hands and rare kinds of product come out wrong. What it draws is what its photos were: studio shots on white.

## Make your own
`catalog-gen train gan` trains one on the shop's own photos.
"""
