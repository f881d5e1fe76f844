"""Trying again after a transient failure, a bounded number of times, with growing pauses."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from catalog_gen.errors import TemporaryFailure, TransientError

log = logging.getLogger(__name__)
Result = TypeVar("Result")

MAX_PAUSE_SECONDS = 30.0


@dataclass(frozen=True)
class Retry:
    """Calls a function until it does not raise TransientError, at most `retries` times more.

    Pauses double from `seconds` up to `MAX_PAUSE_SECONDS`, each drawn between half and the whole of it, so that many
    workers do not return to a sick server at once ("full jitter" halved: AWS Architecture Blog, Exponential Backoff).
    """

    retries: int
    seconds: float
    sleep: Callable[[float], object] = time.sleep

    def __call__(self, what: str, function: Callable[[], Result]) -> Result:
        """Return `function()`; raise TemporaryFailure naming `what` and the last reason when the tries run out."""
        for tried in range(self.retries + 1):
            try:
                return function()
            except TransientError as error:
                if tried == self.retries:
                    raise TemporaryFailure(
                        f"{what} still fails after {tried + 1} tries: {error}",
                        hint="Run the same command again when it is back; nothing recorded is lost.",
                    ) from error
                pause = min(MAX_PAUSE_SECONDS, self.seconds * 2**tried) * random.uniform(0.5, 1.0)
                log.warning("%s: %s; trying again in %.1f s (%d of %d)", what, error, pause, tried + 1, self.retries)
                self.sleep(pause)
        raise AssertionError("unreachable: the loop returns or raises")
