"""The batch engine: stages that overlap, joined by bounded queues.

A stage is a plain callable over a batch (a list of rows) that returns the batch to pass on, so that another engine can
run the same stages elsewhere. Each stage has its own threads; a full queue makes the stage before it wait, so memory
is bounded by the queues' depth and not by the catalogue. The stages' heavy parts (torch, image codecs, sockets) release
the GIL, which is why threads are enough.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Row = TypeVar("Row")
Batch = list[Row]

_POLL_SECONDS = 0.1  # how soon a waiting thread notices that the run was aborted


class _Aborted(Exception):
    """Another thread failed; this one leaves quietly."""


@dataclass(frozen=True)
class Stage(Generic[Row]):
    """One step over a batch. `run` may be called from `threads` threads at once."""

    name: str
    run: Callable[[Batch[Row]], Batch[Row]]
    threads: int = 1


@dataclass
class StageTime:
    """What a stage did: seconds inside `run` (summed over its threads), rows and batches that went in."""

    seconds: float = 0.0
    rows: int = 0
    batches: int = 0


@dataclass
class Pipeline(Generic[Row]):
    """Runs `source` through `stages`; `depth` batches may wait before each stage.

    An exception in the source or in any stage aborts the whole run: the other threads stop at their next batch, and
    `run` raises the first exception. Failures of single rows are the stages' business, never exceptions here.
    """

    source: Iterable[Batch[Row]]
    stages: Sequence[Stage[Row]]
    depth: int = 1
    times: dict[str, StageTime] = field(default_factory=dict)

    def run(self) -> dict[str, StageTime]:
        """Block until every batch went through every stage; return the time spent by stage name."""
        self._abort = threading.Event()
        self._error: BaseException | None = None
        self._lock = threading.Lock()
        self.times.clear()
        self.times.update({name: StageTime() for name in ("claim", *(stage.name for stage in self.stages))})
        # None is the end of the stream.
        queues: list[queue.Queue[Batch[Row] | None]] = [queue.Queue(self.depth) for _ in self.stages]
        threads = [threading.Thread(target=self._feed, args=(queues[0],), name="claim", daemon=True)]
        for index, stage in enumerate(self.stages):
            after = queues[index + 1] if index + 1 < len(queues) else None
            left = _Countdown(stage.threads)
            threads += [
                threading.Thread(
                    target=self._work, args=(stage, queues[index], after, left), name=stage.name, daemon=True
                )
                for _ in range(stage.threads)
            ]
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():  # a join with a timeout lets the main thread run signal handlers
                thread.join(_POLL_SECONDS)
        if self._error is not None:
            raise self._error
        return self.times

    def _feed(self, first: queue.Queue[Batch[Row] | None]) -> None:
        try:
            batches = iter(self.source)
            while not self._abort.is_set():
                started = time.perf_counter()
                batch = next(batches, None)
                self._count("claim", batch or [], started)
                if batch is None:
                    break
                if batch:
                    self._put(first, batch)
            self._put(first, None)
        except _Aborted:
            return
        except BaseException as error:
            self._fail(error)

    def _work(
        self,
        stage: Stage[Row],
        before: queue.Queue[Batch[Row] | None],
        after: queue.Queue[Batch[Row] | None] | None,
        left: _Countdown,
    ) -> None:
        try:
            while (batch := self._get(before)) is not None:
                started = time.perf_counter()
                done = stage.run(batch)
                self._count(stage.name, batch, started)
                if after is not None and done:
                    self._put(after, done)
            self._put(before, None)  # the end, for the other threads of this stage
            if left.reached_zero() and after is not None:
                self._put(after, None)
        except _Aborted:
            return
        except BaseException as error:
            self._fail(error)

    def _put(self, target: queue.Queue[Batch[Row] | None], batch: Batch[Row] | None) -> None:
        while not self._abort.is_set():
            try:
                return target.put(batch, timeout=_POLL_SECONDS)
            except queue.Full:
                continue
        raise _Aborted

    def _get(self, source: queue.Queue[Batch[Row] | None]) -> Batch[Row] | None:
        while not self._abort.is_set():
            try:
                return source.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                continue
        raise _Aborted

    def _count(self, name: str, batch: Batch[Row], started: float) -> None:
        with self._lock:
            spent = self.times[name]
            spent.seconds += time.perf_counter() - started
            spent.rows += len(batch)
            spent.batches += 1

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            if self._error is None:
                self._error = error
        self._abort.set()


class _Countdown:
    """Tells the last of a stage's threads that it is the last."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._lock = threading.Lock()

    def reached_zero(self) -> bool:
        with self._lock:
            self._count -= 1
            return self._count == 0
