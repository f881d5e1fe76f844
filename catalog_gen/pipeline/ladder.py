"""The ladder: rows that CLIP is not satisfied with are drawn again, rung by rung, less freely and more often.

Each rung has less truncation noise (nearer to the words' own mean) and more candidates than the one before; the best
sound picture of everything drawn so far is kept. What it costs and what it saves is counted, for the run's ledger.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from catalog_gen.config import GanConfig
from catalog_gen.pipeline.candidates import draw_candidates, keep_best
from catalog_gen.pipeline.models import Models
from catalog_gen.pipeline.signals import StopRequest
from catalog_gen.pipeline.work import Work

COUNTS = ("ladder_rows", "ladder_pictures", "ladder_saved")


@dataclass(frozen=True)
class Rung:
    """How the rows that reach it are drawn: pictures a row, and their truncation."""

    candidates: int
    truncation: float


def rungs(config: GanConfig) -> list[Rung]:
    """Return the rungs above the first draw, lowest first."""
    return [
        # Rounded, so that a row says 0.49 and not 0.48999999999999994.
        Rung(
            config.candidates * config.ladder_candidates**step,
            round(config.truncation * config.ladder_truncation**step, 6),
        )
        for step in range(1, config.ladder + 1)
    ]


@dataclass
class Ladder:
    """The stage `climb`, between `choose` and `encode`; `counts` sums up what it did, by the names in `COUNTS`."""

    config: GanConfig
    models: Models
    stop: StopRequest
    counts: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def below(self) -> float:
        """The similarity that a row must reach to be left alone."""
        return self.models.threshold if self.config.ladder_below is None else self.config.ladder_below

    def climb(self, batch: list[Work]) -> list[Work]:
        """Draw the rows below the bar again, up to the last rung; a stop in a hurry keeps what is drawn."""
        rows = [work for work in batch if not work.outcome]
        below = [work for work in rows if not self._satisfied(work)]
        drawn = {work.sku: len(work.seeds) for work in below}
        for rung in rungs(self.config):
            self._draw_again([work for work in below if not self._satisfied(work)], rung)
        self._count([(work, len(work.seeds) - drawn[work.sku]) for work in below])
        for work in rows:
            work.embedding = None
        return batch

    def _satisfied(self, work: Work) -> bool:
        return not work.fault and work.similarity >= self.below  # a similarity that is not a number never is

    def _draw_again(self, rows: list[Work], rung: Rung) -> None:
        for some in self._groups(rows, rung.candidates):
            draw_candidates(self.models, some, rung.candidates, rung.truncation)
            keep_best(self.models, some)

    def _groups(self, rows: list[Work], candidates: int) -> Iterator[list[Work]]:
        """Yield the rows in parts that fill the device, until there are no more or the run must stop in a hurry."""
        size = max(1, self.models.drawer.chunk // candidates)
        for start in range(0, len(rows), size):
            if self.stop.in_a_hurry():
                return
            yield rows[start : start + size]

    def _count(self, climbed: list[tuple[Work, int]]) -> None:
        with self._lock:
            for work, pictures in climbed:
                self.counts["ladder_rows"] += pictures > 0
                self.counts["ladder_pictures"] += pictures
                self.counts["ladder_saved"] += pictures > 0 and self._satisfied(work)
