"""`catalog-gen train style`: a network for some templates' styles (`fast`), or for any style image (`arbitrary`)."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from catalog_gen.bundles import Bundle, load_bundle, shipped_bundles
from catalog_gen.catalog.database import Database
from catalog_gen.catalog.model import Where
from catalog_gen.config import Settings
from catalog_gen.errors import EXIT_OK, EXIT_PARTIAL, UsageError
from catalog_gen.pipeline.signals import TRAINING, StopRequest, stop_on_signals
from catalog_gen.pipeline.styles import own_templates
from catalog_gen.pipeline.training_source import make_work_dir, training_rows
from catalog_gen.style import arbitrary
from catalog_gen.style.features import FeatureNetwork, load_features
from catalog_gen.style.style_data import ContentSource, StylePool, planes, to_bytes
from catalog_gen.style.style_training import ArbitraryTask, FastTask, StyleTrainConfig, StyleTrainer, Task
from catalog_gen.style.template import Template, load_template, shipped_templates
from catalog_gen.training.history import METRICS, read_history
from catalog_gen.training.stepped import run_in
from catalog_gen.training_data import load_photos, split

log = logging.getLogger(__name__)

LAST = 50  # reports whose mean the card gives


@dataclass(frozen=True)
class StyleRequest:
    """What `train style` was asked for: templates whose styles to learn, or none of them and `arbitrary`.

    start_from: an arbitrary bundle that the network and the codes of `fast` start from; None is the shipped one, where
    there is one, and "" is nothing. given: fields of StyleTrainConfig that a person set.
    """

    out: Path
    work_dir: Path
    styles: tuple[str, ...] = ()
    arbitrary: bool = False
    where: Where = ()
    start_from: str | None = None
    photos: int = 1500  # at most this many to learn from
    held_out: int = 1000
    given: Mapping[str, Any] = field(default_factory=dict)


def train_style_on_rows(settings: Settings, database: Database, request: StyleRequest) -> tuple[str, int]:
    """Train a style network on rows with photos; return what came of it in a line or two, and the exit code.

    Stopped by a signal it writes its checkpoint, and the same command goes on from there. Raises UsageError when
    neither or both of templates and `arbitrary` are asked for, or when a checkpoint is of another training;
    TemplateError for a template that cannot be used, BundleError for a bundle, Unavailable without matplotlib.
    """
    if bool(request.styles) == request.arbitrary:
        raise UsageError("give the templates to learn, or ask for any style", hint="--style NAME, or --arbitrary.")
    if request.arbitrary and request.start_from:
        raise UsageError("only a training for templates starts from a bundle", where="--from")
    config = StyleTrainConfig(**{name: value for name, value in request.given.items() if value is not None})
    make_work_dir(request.work_dir)
    photos, skus = _photos(settings, database, request, config)
    features = load_features("lite0")
    own = own_templates(settings)
    templates = [load_template(spec, own) for spec in request.styles or shipped_templates()]
    styles, scenes = _style_images(templates), _scenes(templates)
    stop = StopRequest()
    with stop_on_signals(stop, wording=TRAINING):
        task, config, start = _task(request, config, features, styles, photos)
        key = data_key(skus, styles, start)
        trainer = StyleTrainer(task, config, features, ContentSource(photos, config.seed, scenes=scenes), key)
        finished = run_in(trainer, request.work_dir, stop.asked)
    if not finished:
        seen = f"stopped after {trainer.images:,} images"
        return f"{seen}; the same command goes on from {request.work_dir}", EXIT_PARTIAL
    card = _card(request, trainer, list(styles), len(photos))
    bundle = task.save(request.out, trainer.average, card)
    told = f"{request.out}: {trainer.images:,} images in {trainer.seconds / 60:.1f} minutes; bundle {bundle.hash[:12]}"
    return f"{told}\n  sheets and curves: {request.work_dir}", EXIT_OK


def data_key(skus: list[str], styles: Mapping[str, Tensor], start: Bundle | None) -> str:
    """Return a hash of what is learnt from: the products, the style images, and the bundle that it starts from."""
    digest = hashlib.sha256("\n".join([*skus, start.hash if start else ""]).encode())
    for name, image in styles.items():
        digest.update(name.encode() + to_bytes(image.numpy()).tobytes())
    return digest.hexdigest()


def _photos(
    settings: Settings, database: Database, request: StyleRequest, config: StyleTrainConfig
) -> tuple[npt.NDArray[np.uint8], list[str]]:
    """Return photos (N, S, S, 3) of products that are not held out, spread over the catalogue, and their skus."""
    train, _ = split(training_rows(settings, database, request.where), request.held_out, config.seed)
    step = max(1, -(-len(train) // request.photos))
    photos, _, kept = load_photos(train[::step], config.size, request.work_dir)
    return photos, [row.sku for row in kept]


def _style_images(templates: Sequence[Template]) -> dict[str, Tensor]:
    """Return each template's style images, by the template's name and, where it has several, their number."""
    images: dict[str, Tensor] = {}
    for template in templates:
        found = template.look("cpu").images
        for number, image in enumerate(found, 1):
            images[template.name if len(found) == 1 else f"{template.name}-{number}"] = image.float()
    return images


def _scenes(templates: Sequence[Template]) -> list[Tensor]:
    """Return the templates' backgrounds (3, h, w) in [0, 1], of those that have a picture."""
    backgrounds = [(template, template.config.background) for template in templates]
    pictures = [template.background_image(ground) for template, ground in backgrounds if ground.kind == "image"]
    return [planes(np.asarray(picture)[None])[0] for picture in pictures]


def _task(
    request: StyleRequest,
    config: StyleTrainConfig,
    features: FeatureNetwork,
    styles: dict[str, Tensor],
    photos: npt.NDArray[np.uint8],
) -> tuple[Task, StyleTrainConfig, Bundle | None]:
    torch.manual_seed(config.seed)
    if request.arbitrary:
        images = list(styles.values())
        pool = StylePool(config.style_size, config.textures, photos, images, config.seed)
        shown = [*images, *pool.draw(-100, 3)]
        return ArbitraryTask(config, features, pool, shown), config, None
    start = _start(request.start_from)
    if start is None:
        return FastTask(config, features, styles), config, None
    begun = arbitrary.codes_of(start, features, list(styles.values()))
    return FastTask(config, features, styles, begun), replace(config, network=begun[0].config), start


def _start(spec: str | None) -> Bundle | None:
    if spec is None:
        spec = arbitrary.SHIPPED if arbitrary.SHIPPED in shipped_bundles("style") else ""
    return load_bundle(spec, "style") if spec else None


def _card(request: StyleRequest, trainer: StyleTrainer, styles: list[str], photos: int) -> str:
    reports = [line for line in read_history(request.work_dir / METRICS) if line["kind"] == "loss"][-LAST:]
    names = [name for name in reports[0] if name not in ("images", "kind")]
    losses = ", ".join(f"{name} {np.mean([line[name] for line in reports]):.4f}" for name in names)
    config = trainer.config
    engine = "arbitrary" if request.arbitrary else "fast"
    learnt = "any style image" if request.arbitrary else f"the styles {', '.join(styles)}"
    made = f"{config.textures} made-up textures, cuts of photos and of the templates' style images"
    return f"""# {request.out.name}

A feed-forward style network for {learnt}: one pass a picture, for the engine `{engine}`.

## Data
{photos} photos of products, cut out roughly and put on made-up grounds and cuts of the templates' scenes,
{config.size} px. Styles: {made if request.arbitrary else "the templates' style images"}.

## Recipe
- Inverted bottlenecks at an eighth of the size, conditional instance norms, bilinear upsampling, noise;
  {sum(p.numel() for p in trainer.average.parameters()):,} parameters.
- Gram matrices of SWAG-smoothed EfficientNet-Lite0 features and the features' moments; features and layout of the
  recoloured content; total variation. {config.weights}.
- Adam, learning rate {config.learning_rate}, batch {config.batch}, seed {config.seed}; the weights are the average of
  the late ones.
- {trainer.images:,} images in {trainer.seconds / 60:.0f} minutes on a CPU.

## Measured
Losses at the end of training: {losses}.

## Limits
It draws at 720 px or half of the picture's size, so strokes keep their proportion to it, and the product at half of
that.
A flat scene takes its texture from noise.
"""
