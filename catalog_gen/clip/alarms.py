"""What goes wrong in a CLIP's training and can be seen in its figures: divergence, and forgetting what it knew."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from catalog_gen.clip.config import ClipWatchConfig
from catalog_gen.training.alarm import Alarm

BEST_BY = "photo_mrr"  # the measure that the best epoch is chosen by; higher is better
PATIENCE = 3  # checks in a row that a finite loss must be out of bounds: one bad batch is not a divergence
MEASURES_BEFORE = 2  # measures before a fall can be told


class ClipAlarms:
    """Reads losses and measures as they come; its whole memory is in `state_dict`, so a resumed training remembers."""

    def __init__(self, config: ClipWatchConfig) -> None:
        self.config = config
        self.best: float | None = None  # highest BEST_BY so far
        self._start: float | None = None  # the first loss
        self._spikes = 0  # checks in a row with a loss out of bounds
        self._measures = 0

    def check_loss(self, images_seen: int, loss: float) -> Alarm | None:
        """Return a divergence: a loss that is not finite, or one far above the first in three checks in a row.

        The first kind is final: its step has left weights that are no numbers.
        """
        if not math.isfinite(loss):
            return self._diverged(images_seen, f"the loss is {loss}, nothing that can be learned from", final=True)
        if self._start is None:
            self._start = loss
        bound = self.config.diverged * self._start
        self._spikes = self._spikes + 1 if loss > bound else 0
        if self._spikes < PATIENCE:
            return None
        self._spikes = 0  # after a rollback, three again
        why = f"beyond {self.config.diverged:g} times the first one, {self._start:.4g}, in {PATIENCE} checks in a row"
        return self._diverged(images_seen, f"the loss is {loss:.4g}, {why}")

    def check_measure(self, images_seen: int, figures: Mapping[str, float]) -> Alarm | None:
        """Return an alarm when retrieval fell far below its own best."""
        earlier, value = self._measures, figures[BEST_BY]
        self._measures += 1
        if earlier < MEASURES_BEFORE or self.best is None or value >= self.config.forgotten * self.best:
            return None
        return Alarm(
            "forgetting",
            images_seen,
            f"forgetting at {images_seen:,} images: {BEST_BY} fell to {value:.3g}, below "
            f"{self.config.forgotten:.0%} of its best {self.best:.3g}; lower the learning rates",
        )

    def improved(self, figures: Mapping[str, float]) -> bool:
        """Return whether these are the best measures so far, and remember them; never NaN, and of equals the later."""
        if not math.isfinite(figures[BEST_BY]) or (self.best is not None and figures[BEST_BY] < self.best):
            return False
        self.best = float(figures[BEST_BY])
        return True

    def state_dict(self) -> dict[str, Any]:
        """Return everything remembered as plain numbers, for a checkpoint."""
        return {"best": self.best, "start": self._start, "spikes": self._spikes, "measures": self._measures}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Remember what `state_dict` returned."""
        self.best, self._start = state["best"], state["start"]
        self._spikes, self._measures = state["spikes"], state["measures"]

    def _diverged(self, images_seen: int, what: str, *, final: bool = False) -> Alarm:
        advice = "lower the learning rates"
        return Alarm("divergence", images_seen, f"divergence at {images_seen:,} images: {what}; {advice}", final)
