"""From a trained generator to a bundle: norms measured anew, weights in half precision, and a card."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from pydantic import BaseModel

from catalog_gen.bundles import CARD, Bundle, load_bundle, replace_card, save_bundle
from catalog_gen.clip.text_identity import UNKNOWN, TextIdentity
from catalog_gen.gan.categories import KEY as CATEGORIES
from catalog_gen.gan.config import GanTrainConfig
from catalog_gen.gan.generator import Generator
from catalog_gen.gan.movement import MOVED, NOTES, how_it_moved, tried, with_section
from catalog_gen.gan.norms import ModulatedNorm
from catalog_gen.training.history import Line
from catalog_gen.training_data import HeldOut

if TYPE_CHECKING:
    from catalog_gen.gan.run import Run

NORM_BATCHES = 16
NORM_BATCH = 64


@dataclass(frozen=True)
class Provenance:
    """What a bundle's card says that the trainer cannot know."""

    name: str = "gan"
    clip: TextIdentity = UNKNOWN  # whose embeddings it was trained on
    data: str = "the shop's own photos"
    photos: int = 0
    held_out: int = 0  # products that training never saw
    rule: HeldOut | None = None  # which they are, by their skus
    categories: Mapping[str, int] = field(default_factory=dict)  # photos by category; empty: the rows have none
    origin: str = ""  # the bundle that it started from; empty: from nothing
    notes: Sequence[str] = ()  # what was tried, and what it did: one line of markdown each


def export_bundle(
    average: Generator,
    run: Run,
    out: Path,
    provenance: Provenance,
    measured: Mapping[str, float],
    history: Sequence[Line] = (),
) -> Bundle:
    """Write the averaged generator to the bundle folder `out` (float16) and return the bundle.

    history: of the training so far, as `read_history` returns it; the card shows it.
    """
    config = run.config
    generator = settle_norms(copy.deepcopy(average), run.texts, config.seed)
    rule = {} if provenance.rule is None else {"held_out_rule": asdict(provenance.rule)}
    categories = {CATEGORIES: dict(provenance.categories)} if provenance.categories else {}
    return save_bundle(
        out,
        kind="gan",
        name=provenance.name,
        config={
            "generator": config.generator.model_dump(mode="json"),
            "clip_hash": provenance.clip.clip_hash,
            "text_hash": provenance.clip.text_hash,
            "training": config.model_dump(mode="json", exclude={"generator"}),
            "held_out": provenance.held_out,
            "images_seen": run.images_seen,
            "measured": {name: round(value, 6) for name, value in measured.items()},
            **rule,
            **categories,
        },
        weights=generator.state_dict(),
        card=_with_news(card(run, provenance, measured), history, provenance.notes, run.images_seen),
    )


def update_card(out: Path, history: Sequence[Line], notes: Sequence[str]) -> None:
    """Tell in the card of the bundle at `out` what was measured after it was made, and the notes where there are any.

    The model and its hash stay. Raises BundleError when there is no whole bundle.
    """
    bundle = load_bundle(str(out), "gan")
    old = (out / CARD).read_text("utf-8")
    new = _with_news(old, history, notes, int(bundle.config["images_seen"]))
    if new != old:
        replace_card(bundle, new)


def _with_news(text: str, history: Sequence[Line], notes: Sequence[str], bundle_at: int) -> str:
    moved = with_section(text, MOVED, how_it_moved(history, bundle_at))
    return with_section(moved, NOTES, tried(notes))


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


def card(run: Run, provenance: Provenance, measured: Mapping[str, float]) -> str:
    """Return the bundle's CARD.md."""
    config = run.config
    shape = config.generator
    figures = ", ".join(f"{name} {value:.4g}" for name, value in measured.items())
    said = f"While training, on held-out products: {figures}" if figures else "Not evaluated yet."
    origin = f"\n- Started from the bundle {provenance.origin}." if provenance.origin else ""
    return f"""# {provenance.name}

A text-conditioned GAN: the CLIP embedding of a product's words and a seed in, a picture of
{shape.image_size}x{shape.image_size} px on white out.

## Data
{provenance.data}; {provenance.photos or "all its"} photos were used, {_FITS[config.fit]}.
Held-out products were never shown.{_kinds(provenance.categories)}

## Recipe
{recipe(config)}{origin}
- {run.images_seen:,} images seen in {run.seconds / 3600:.1f} hours on `{config.device}`
  ({os.cpu_count()} CPU cores in the machine).

## Measured
- {said}

## Limits
Every picture is invented: a draft for internal use, never the main image of a live listing. Small text, logos, faces,
hands and rare kinds of product come out wrong. What it draws is what its photos were: studio shots on white.

## Make your own
`catalog-gen train gan` trains one on the shop's own photos.
"""


def _kinds(categories: Mapping[str, int]) -> str:
    if not categories:
        return ""
    fewest, most = min(categories.values()), max(categories.values())
    return f" They are of {len(categories)} categories, {fewest:,} to {most:,} photos each: see `bundle.json`."


_FITS = {"letterbox": "letterboxed on white", "crop": "cropped to their middle square"}
_JUDGES = {
    "projected": "small heads on frozen EfficientNet-Lite0 features (ImageNet), and one on the pixels",
    "conv": "convolutions and pooling on the pixels, one logit a picture",
}
_NORMS = {"batch": "batch", "adaptive": "instance"}


def recipe(config: GanTrainConfig) -> str:
    """Return how the config trains, as lines of markdown."""
    shape, weights, optimiser, augment = config.generator, config.losses, config.optimiser, config.augment
    beside = _weighed(weights, ("layout", "perceptual", "laplacian", "clip", "mismatched_g"))
    if weights.chooses:
        beside += f"; the comparisons are of every second photo with the nearest of {weights.best_of} pictures"
    penalties = _weighed(weights, ("wgan_gp", "r1", "r2", "ma_gp"))
    shown = _weighed(augment, ("translate", "flip", "rotate", "scale", "cutout", "colour"))
    lines = [
        f"Generator: convolutional, text-modulated {_NORMS[shape.norm]} normalisation, {shape.activation}, bilinear "
        f"upsampling, channels {list(shape.channels)}.",
        f"Discriminator: {_JUDGES[config.discriminator.kind]}; {weights.adversarial} loss; photos with another "
        f"product's words have {weights.mismatched:g} of the fakes' weight.",
        f"Beside the adversarial loss: {beside or 'nothing'}. Gradient penalties: {penalties or 'none'}.",
        f"Augmentation of both sides: {shown or 'none'}{', of adaptive strength' if augment.adaptive else ''}.",
        f"{optimiser.name}, learning rates {optimiser.g_lr:g} and {optimiser.d_lr:g}, batch {config.batch_size}, "
        f"seed {config.seed}, {config.precision}.",
    ]
    return "\n".join(f"- {line}" for line in lines)


def _weighed(section: BaseModel, names: tuple[str, ...]) -> str:
    return ", ".join(f"{name} {float(getattr(section, name)):g}" for name in names if getattr(section, name))
