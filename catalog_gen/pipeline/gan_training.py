"""`catalog-gen train gan`: from rows with photos to a bundle; one training, or a search among many short ones."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from catalog_gen.bundles import Bundle, load_bundle, read_weights
from catalog_gen.catalog.database import Database
from catalog_gen.clip.model import ClipModel, load_clip
from catalog_gen.clip.trainer import CHECKPOINTS as CLIP_CHECKPOINTS
from catalog_gen.config import Settings
from catalog_gen.errors import EXIT_OK, EXIT_PARTIAL, BundleError, UsageError
from catalog_gen.gan.categories import count_categories, with_earlier
from catalog_gen.gan.config import GanTrainConfig, GeneratorConfig
from catalog_gen.gan.distributed import in_turn, processes, world
from catalog_gen.gan.export import Provenance
from catalog_gen.gan.few_photos import FEW_PHOTOS, few_photo_recipe
from catalog_gen.gan.generator import Generator
from catalog_gen.gan.growth import grown_config, grown_weights
from catalog_gen.gan.latents import latents
from catalog_gen.gan.settings import apply as with_settings
from catalog_gen.gan.sheet import Sheet, to_uint8
from catalog_gen.gan.train import GanTrainResult, Measure, TrainContext, train_gan
from catalog_gen.pipeline.data_report import DataReport
from catalog_gen.pipeline.gan_request import GanRequest, Lessons, Trained
from catalog_gen.pipeline.gan_search import search_settings, searched
from catalog_gen.pipeline.held_out import rule_before
from catalog_gen.pipeline.models import choose_device
from catalog_gen.pipeline.signals import TRAINING, Stopped, StopRequest, stop_on_signals
from catalog_gen.pipeline.training_data import DataChoices, DataPlan, TrainingData, prepare_data, unprepared
from catalog_gen.pipeline.training_source import keep_apart, training_rows
from catalog_gen.quality.evaluation import FEWEST_PICTURES
from catalog_gen.quality.lite1 import Lite1Features
from catalog_gen.quality.monitor import Monitor
from catalog_gen.training.extras import needs
from catalog_gen.training_data import load_photos, pick_varied

log = logging.getLogger(__name__)

SHEET_PICTURES = 64
DRAWN_AT_ONCE = 64


def train_gan_on_rows(settings: Settings, database: Database, request: GanRequest, data: DataChoices) -> Trained:
    """Train a generator for the configured CLIP on rows with photos, or search for settings to train it with.

    With `data.check_only`, nothing is trained and the report on the data is returned. In several processes (torchrun)
    the first one reports and writes.
    Raises UsageError when settings, data or checkpoints do not fit, BundleError when a bundle is not to be had or was
    made for another CLIP, Unavailable when an optional package is missing.
    """
    space = searched(request) if request.trials else {}
    keep_apart(request.work_dir, *CLIP_CHECKPOINTS)
    stop = StopRequest()
    with processes(choose_device(settings.gan.device)) as device, stop_on_signals(stop, wording=TRAINING):
        try:
            with stop.at_once():
                prepared = _prepare(settings, database, request, data, device, stop)
        except Stopped:
            return Trained(unprepared(request.out) if world()[0] == 0 else "", EXIT_PARTIAL)
        if isinstance(prepared, DataReport):
            return Trained(prepared.describe() if world()[0] == 0 else "")
        config, lessons = prepared
        if request.trials:
            if world()[1] > 1:
                raise UsageError("a search runs in one process", hint="Start it without a launcher.")
            return search_settings(request, space, config, lessons)
        result = train_gan(
            lessons.rows,
            lessons.embeddings,
            out=request.out,
            work_dir=request.work_dir,
            config=config,
            provenance=lessons.provenance,
            resume=True,
            context=lessons.context,
        )
        text = describe(result, request, len(lessons.rows)) if world()[0] == 0 else ""
    return Trained(text, EXIT_OK if result.finished else EXIT_PARTIAL)


def _prepare(
    settings: Settings, database: Database, request: GanRequest, data: DataChoices, device: str, stop: StopRequest
) -> tuple[GanTrainConfig, Lessons] | DataReport:
    """Return the config and what is learnt from; with `data.check_only`, the report on the data alone."""
    start = load_bundle(request.start_from, "gan") if request.start_from else None
    config = base_config(device, request.given, start, request.grow)
    with in_turn():
        rows = training_rows(settings, database, request.where)
        rule = rule_before(settings, database, start)
        found = prepare_data(rows, replace(_plan(request, config), rule=rule), data)
    if data.check_only:
        return found.report
    if not found.train:
        raise UsageError("no row is left to learn from: its bundle held them all out", where="--from")
    config = few_photo_recipe(config, len(found.train), request.given)
    clip = load_clip(settings.clip.model, device, pretrained=settings.clip.pretrained or None)
    config = _for_clip(config, clip, start)
    return config, _lessons(request, config, found, clip, start, stop)


def base_config(device: str, given: Mapping[str, Any], start: Bundle | None, grow: int = 0) -> GanTrainConfig:
    """Return the defaults with the settings that were given; a training from a bundle has the bundle's generator.

    grow: the size in px that this generator is grown to, 0 for its own. Raises UsageError for what does not fit.
    """
    config = GanTrainConfig(device=device)
    for key, where in (("generator.text_dim", "clip.model"), ("device", "gan.device")):
        if key in given:
            raise UsageError(f"{key} follows from {where}", where="--set", hint=f"Set {where} in the configuration.")
    if start is not None:
        of_shape = sorted(key for key in given if key.startswith("generator"))
        if of_shape:
            raise UsageError(f"{of_shape[0]} is the bundle's own", where=str(start.path), hint="Leave it out.")
        shape = type(config.generator).model_validate(start.config["generator"])
        shape = grown_config(shape, grow) if grow else shape
        config = config.model_copy(update={"generator": shape})
    elif grow:
        raise UsageError("there is no bundle whose generator it could grow", where="--grow", hint="Add --from BUNDLE.")
    return with_settings(config, given)


def describe(result: GanTrainResult, request: GanRequest, photos: int) -> str:
    """Return what came of a training in a line or two."""
    seen = f"{result.images_seen:,} images on {photos:,} photos in {result.seconds / 60:.1f} minutes"
    figures = ", ".join(f"{name} {value:.4g}" for name, value in result.measured.items())
    best = f"\n  the bundle, on held-out products: {figures}" if figures else ""
    if result.ending == "alarm":
        kept = best or "\n  no bundle was good enough to be kept" if result.bundle is None else best
        return f"{request.out}: {seen}; stopped by an alarm\n  {result.alarm}{kept}"
    if result.already:
        more = "nothing is left to do. For more, raise --images"
        return f"{request.out}: already finished, {seen}; {more}{best}"
    ended = "done" if result.finished else f"stopped; the same command goes on from {request.work_dir}"
    return f"{request.out}: {seen}, {ended}{best}"


def _plan(request: GanRequest, config: GanTrainConfig) -> DataPlan:
    return DataPlan(
        size=config.generator.image_size,
        cache_dir=request.work_dir / "photos",
        work_dir=request.work_dir,
        held_out=request.held_out,
        seed=config.seed,
        fit=config.fit,
        workers=config.workers,
        few_photos=FEW_PHOTOS,
    )


def _for_clip(config: GanTrainConfig, clip: ClipModel, start: Bundle | None) -> GanTrainConfig:
    if start is None:
        shape = config.generator.model_copy(update={"text_dim": clip.embed_dim})
        return config.model_copy(update={"generator": shape})
    if not clip.text.fits(start.config):
        raise BundleError(
            f"it was trained on another text tower than that of {clip.name} ({clip.hash[:12]})",
            where=str(start.path),
            hint="Name its CLIP in clip.model, or start without --from.",
        )
    return config


def _lessons(
    request: GanRequest,
    config: GanTrainConfig,
    found: TrainingData,
    clip: ClipModel,
    start: Bundle | None,
    stop: StopRequest,
) -> Lessons:
    def clip_image(images: torch.Tensor) -> torch.Tensor:
        return clip.encode_images((images + 1) / 2)

    embeddings = np.asarray(clip.embed_texts([row.prompt for row in found.train]))
    shown = found.held_out or found.train
    picked = [shown[index] for index in pick_varied(shown, SHEET_PICTURES)]
    context = TrainContext(
        sheet=Sheet(np.asarray(clip.embed_texts([row.prompt for row in picked]))),
        clip_image=clip_image if config.losses.clip else None,
        measure=monitor(config, found, clip, request.work_dir),
        initial=_initial(start, request.grow, embeddings),
        should_stop=stop.asked,
        photos=request.work_dir / "photos",
    )
    provenance = Provenance(
        name=request.out.name,
        clip=clip.text,
        photos=len(found.train),
        held_out=len(found.held_out),
        rule=found.rule,
        categories=with_earlier(count_categories(row.category for row in found.train), start),
        origin=_origin(start, request.grow),
        notes=request.notes,
    )
    return Lessons(found.train, embeddings, provenance, context)


def _initial(start: Bundle | None, grow: int, texts: npt.NDArray[np.float32]) -> dict[str, torch.Tensor] | None:
    """Return the tensors that a training begins with, None for random ones."""
    if start is None:
        return None
    weights = {name: tensor.float() for name, tensor in read_weights(start).items()}
    shape = GeneratorConfig.model_validate(start.config["generator"])
    return grown_weights(weights, shape, grow, texts) if grow else weights


def _origin(start: Bundle | None, grow: int) -> str:
    if start is None:
        return ""
    return f"{start.name}@{start.hash[:12]}" + (f", grown to {grow} px" if grow else "")


def monitor(config: GanTrainConfig, found: TrainingData, clip: ClipModel, work_dir: Path) -> Measure | None:
    """Return what measures a generator while it trains, on held-out products; None where nobody asks, or too few are.

    Only the first of several processes measures.
    """
    if not config.watch.measure_every or world()[0] > 0:
        return None
    with needs("torchmetrics"):  # now, and not after 20,000 images
        import torchmetrics  # noqa: F401
    if min(len(found.held_out), len(found.train)) < FEWEST_PICTURES:
        log.warning(
            "%d held-out and %d training products are too few to measure on: the last step is taken for the best",
            len(found.held_out),
            len(found.train),
        )
        return None
    size, cache = config.generator.image_size, work_dir / "photos"
    held, _, held_rows = load_photos(found.held_out, size, cache, config.workers, config.fit)
    train, _, _ = load_photos(found.train, size, cache, config.workers, config.fit)
    watcher = Monitor(
        np.asarray(held),
        np.asarray(clip.embed_texts([row.prompt for row in held_rows])),
        np.asarray(train),
        Lite1Features(config.device, "auto"),
        work_dir / "features",
        config.watch.measure_pictures,
    )
    return lambda generator: watcher.measure(drawing(generator))


def drawing(generator: Generator) -> Callable[[npt.NDArray[np.float32], npt.NDArray[np.int64]], npt.NDArray[np.uint8]]:
    """Return `generator` (in eval mode) as a function of texts (B, D) and seeds (B,) to pictures (B, 3, S, S) uint8."""
    device = next(generator.parameters()).device

    @torch.inference_mode()
    def draw(texts: npt.NDArray[np.float32], seeds: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        noise, words = torch.from_numpy(latents(seeds, generator.config.z_dim)), torch.from_numpy(texts)
        with torch.autocast(device.type, torch.bfloat16):
            parts = [
                to_uint8(
                    generator(noise[at : at + DRAWN_AT_ONCE].to(device), words[at : at + DRAWN_AT_ONCE].to(device))
                )
                for at in range(0, len(texts), DRAWN_AT_ONCE)
            ]
        return np.asarray(torch.cat(parts).cpu().numpy())

    return draw
