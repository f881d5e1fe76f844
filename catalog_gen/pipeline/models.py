"""The models of a run, loaded together and checked against each other."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from catalog_gen.clip.model import ClipModel, load_clip
from catalog_gen.config import Settings, UpscaleConfig
from catalog_gen.errors import ConfigError
from catalog_gen.gan.sampling import Drawer, load_drawer
from catalog_gen.quality import gate
from catalog_gen.upscale.upscaler import Upscaler, load_upscaler


@dataclass(frozen=True)
class Models:
    """CLIP, the generator, the similarity below which a picture is for review, and what makes pictures large."""

    clip: ClipModel
    drawer: Drawer
    threshold: float
    streams: int = 1  # batches that the models work on at once
    min_photos: int = 0  # of a category, that the generator must have seen
    upscaler: Upscaler | None = None

    @property
    def image_size(self) -> int:
        """The side of the delivered pictures in px."""
        drawn = self.drawer.image_size
        return self.upscaler.delivered(drawn) if self.upscaler else drawn

    @property
    def upscaled_by(self) -> str:
        """What a picture follows from beside the words and the generator: another upscaler makes another picture."""
        return f"{self.upscaler.hash}:{self.image_size}" if self.upscaler else ""

    def unlearnt(self, category: str) -> str:
        """Return why a picture of this category is for review whatever it looks like, "" when nothing speaks for that.

        A generator whose bundle states no categories is not asked.
        """
        seen = self.drawer.categories
        return "" if seen is None else gate.few_photos_reason(category, seen.of(category), self.min_photos)

    def ledger(self) -> dict[str, Any]:
        """Return what the run's ledger row says of the models."""
        return {
            "clip": {"name": self.clip.name, "hash": self.clip.hash},
            "gan": {
                "name": self.drawer.name,
                "hash": self.drawer.hash,
                **self.drawer.settings,
            },
            **({"upscale": self.upscaler.record()} if self.upscaler else {}),
            "threshold": self.threshold,
        }


def load_models(settings: Settings) -> Models:
    """Return the configured models, ready to run.

    Raises BundleError for a bundle that is missing, damaged, or trained for another CLIP; ConfigError when no
    threshold is known.
    """
    gan = settings.gan
    device = choose_device(gan.device)
    streams = one_thread_a_batch() if device == "cpu" else 1
    clip = load_clip(settings.clip.model, device, pretrained=settings.clip.pretrained or None)
    drawer = load_drawer(gan.model, clip.text, device, gan.precision, gan.batch or None)
    upscaler = configured_upscaler(settings.upscale)
    threshold = settings.gate.min_similarity
    if threshold is None:
        threshold = clip.threshold
    if threshold is None:
        raise ConfigError(
            f"the CLIP model {clip.name} brings no calibrated threshold", where="gate.min_similarity", hint="Set one."
        )
    return Models(clip, drawer, threshold, streams, settings.gate.min_photos, upscaler)


def configured_upscaler(config: UpscaleConfig) -> Upscaler | None:
    """Return the upscaler, ready to run; None when no bundle is named. Raises as `load_models`."""
    if not config.model:
        return None
    device = choose_device(config.device, "upscale.device")
    return load_upscaler(config.model, config.size, device, config.precision, config.batch or None)


def one_thread_a_batch() -> int:
    """Give every batch one core, and return how many batches the cores can work on at once.

    Stages that run side by side fill the cores without waiting for each other's threads: on an idle machine that is
    as fast as all cores on one batch after the other, on a busy one several times as fast. And a picture's bits don't
    depend on the number of cores.
    """
    import torch

    torch.set_num_threads(1)
    return cores()


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def choose_device(wanted: str, key: str = "gan.device") -> str:
    """Return `wanted`, or for `auto` the best device that is there: cuda, mps, cpu.

    Raises ConfigError when a device is asked for by name and is not there.
    """
    import torch

    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        return next(name for name, found in there.items() if found)
    if not there[wanted]:
        found = ", ".join(name for name, ok in there.items() if ok)
        raise ConfigError(f"device {wanted} is not there", where=key, hint=f"Here: {found}.")
    return wanted
