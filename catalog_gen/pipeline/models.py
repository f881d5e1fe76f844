"""The two models of a run, loaded together and checked against each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from catalog_gen.clip.model import ClipModel, load_clip
from catalog_gen.config import Settings
from catalog_gen.errors import ConfigError
from catalog_gen.gan.sampling import Drawer, load_drawer


@dataclass(frozen=True)
class Models:
    """CLIP, the generator, and the similarity below which a picture is for review."""

    clip: ClipModel
    drawer: Drawer
    threshold: float

    def ledger(self) -> dict[str, Any]:
        """Return what the run's ledger row says of the models."""
        return {
            "clip": {"name": self.clip.name, "hash": self.clip.hash},
            "gan": {
                "name": self.drawer.name,
                "hash": self.drawer.hash,
                **self.drawer.settings,
            },
            "threshold": self.threshold,
        }


def load_models(settings: Settings) -> Models:
    """Return the configured models, ready to run.

    Raises BundleError for a bundle that is missing, damaged, or trained for another CLIP; ConfigError when no
    threshold is known.
    """
    gan = settings.gan
    device = choose_device(gan.device)
    clip = load_clip(settings.clip.model, device, pretrained=settings.clip.pretrained or None)
    drawer = load_drawer(gan.model, clip.hash, device, gan.precision, gan.batch or None)
    threshold = settings.gate.min_similarity
    if threshold is None:
        threshold = clip.threshold
    if threshold is None:
        raise ConfigError(
            f"the CLIP model {clip.name} brings no calibrated threshold", where="gate.min_similarity", hint="Set one."
        )
    return Models(clip, drawer, threshold)


def choose_device(wanted: str) -> str:
    """Return `wanted`, or for `auto` the best device that is there: cuda, mps, cpu.

    Raises ConfigError when a device is asked for by name and is not there.
    """
    import torch

    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        return next(name for name, found in there.items() if found)
    if not there[wanted]:
        found = ", ".join(name for name, ok in there.items() if ok)
        raise ConfigError(f"device {wanted} is not there", where="gan.device", hint=f"Here: {found}.")
    return wanted
