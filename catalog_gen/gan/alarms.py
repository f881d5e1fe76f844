"""What goes wrong in a GAN's training and can be seen in its figures: divergence, mode collapse, memorisation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from catalog_gen.gan.config import WatchConfig
from catalog_gen.training.alarm import Alarm

BEST_BY = "kid"  # the measure that the best checkpoint is chosen by; lower is better
SPREAD = ("variety", "coverage")  # what falls when the generator draws the same few pictures for everything
MEMORISED = "memorised"
PATIENCE = 3  # checks in a row that a finite loss must be out of bounds: one bad batch is not a divergence
MEASURES_BEFORE = 2  # measures before a fall can be told: the very first pictures are noise, and noise is varied


def check_weights(images_seen: int, weights: Mapping[str, Tensor]) -> Alarm | None:
    """Return a divergence, a final one, when one of `weights` is no number or too large for a bundle's half precision.

    What an average has taken in never leaves it: 0.999 times NaN is NaN.
    """
    for name, tensor in weights.items():
        if bool(torch.isfinite(tensor.half()).all()):
            continue
        finite = bool(torch.isfinite(tensor).all())
        what = "is beyond half precision" if finite else "holds what is no finite number"
        message = f"divergence at {images_seen:,} images: {name} {what}, and no bundle can be made of it"
        advice = "go back to the best checkpoint, and lower the learning rates or add a gradient penalty"
        return Alarm("divergence", images_seen, f"{message}; {advice}", final=True)
    return None


class Alarms:
    """Reads losses and measures as they come; its whole memory is in `state_dict`, so a resumed training remembers."""

    def __init__(self, config: WatchConfig) -> None:
        self.config = config
        self.best: float | None = None  # lowest BEST_BY so far
        self._spikes = 0  # checks in a row with a loss out of bounds
        self._measures = dict.fromkeys(SPREAD, 0)  # finite measures so far
        self._highest: dict[str, float] = {}

    def check_losses(self, images_seen: int, values: Mapping[str, float]) -> Alarm | None:
        """Return a divergence: any loss that is not finite, or one beyond the bound in three checks in a row."""
        broken = {name: value for name, value in values.items() if not math.isfinite(value)}
        large = {name: value for name, value in values.items() if abs(value) > self.config.diverged}
        self._spikes = self._spikes + 1 if large and not broken else 0
        if broken:
            return self._diverged(images_seen, broken, "is not a number that can be learned from")
        if self._spikes < PATIENCE:
            return None
        return self._diverged(images_seen, large, f"is beyond {self.config.diverged:g} in {PATIENCE} checks in a row")

    def check_measure(self, images_seen: int, values: Mapping[str, float]) -> Alarm | None:
        """Return a collapse (variety or coverage far below its own best) or memorisation; a NaN is no measure."""
        collapse = [self._fallen(images_seen, name, values[name]) for name in SPREAD if _finite(values, name)]
        found = next((alarm for alarm in collapse if alarm is not None), None)
        if found is not None or not _finite(values, MEMORISED) or values[MEMORISED] <= self.config.memorised:
            return found
        return Alarm(
            "memorisation",
            images_seen,
            f"memorisation at {images_seen:,} images: {values[MEMORISED]:.0%} of the pictures are nearer to a training "
            f"photo than unseen photos are (limit {self.config.memorised:.0%}); "
            "take an earlier checkpoint, add photos, or augment more",
        )

    def keeps(self, values: Mapping[str, float]) -> bool:
        """Return whether the bundle gets the weights measured: the best so far, or any where the last ones are wanted.

        The best value is remembered either way. A NaN is never kept, and a tie is no better.
        """
        if not _finite(values, BEST_BY):
            return False
        better = self.best is None or values[BEST_BY] < self.best
        if better:
            self.best = float(values[BEST_BY])
        return better or self.config.keep == "last"

    def forgive(self) -> None:
        """Count losses out of bounds anew: those so far were other weights'."""
        self._spikes = 0

    def state_dict(self) -> dict[str, Any]:
        """Return everything remembered as plain numbers and dicts, for a checkpoint."""
        return {
            "best": self.best,
            "spikes": self._spikes,
            "measures": dict(self._measures),
            "highest": dict(self._highest),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Remember what `state_dict` returned."""
        self.best = state["best"]
        self._spikes = state["spikes"]
        self._measures = dict(state["measures"])
        self._highest = dict(state["highest"])

    def _fallen(self, images_seen: int, name: str, value: float) -> Alarm | None:
        earlier, best = self._measures[name], self._highest.get(name, value)
        self._measures[name] += 1
        self._highest[name] = max(best, float(value))
        if earlier < MEASURES_BEFORE or value >= self.config.collapse * best:
            return None
        return Alarm(
            "collapse",
            images_seen,
            f"mode collapse at {images_seen:,} images: {name} fell to {value:.3g}, below {self.config.collapse:.0%} "
            f"of its best {best:.3g}; go back to the best checkpoint, and augment more or lower the learning rates",
        )

    def _diverged(self, images_seen: int, losses: Mapping[str, float], why: str) -> Alarm:
        figures = ", ".join(f"{name} = {value:.4g}" for name, value in losses.items())
        return Alarm(
            "divergence",
            images_seen,
            f"divergence at {images_seen:,} images: {figures} {why}; "
            "go back to the best checkpoint, and lower the learning rates or add a gradient penalty",
        )


def _finite(values: Mapping[str, float], name: str) -> bool:
    return name in values and math.isfinite(values[name])
