"""What the stages of every job share: stopping in a hurry, storing a batch durably, recording what came of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from catalog_gen.catalog import queue as claims
from catalog_gen.catalog.database import Database
from catalog_gen.catalog.model import Outcome
from catalog_gen.config import Settings
from catalog_gen.errors import TemporaryFailure, TransientError
from catalog_gen.pipeline.retry import Retry
from catalog_gen.pipeline.signals import StopRequest
from catalog_gen.pipeline.work import Row
from catalog_gen.storage import Storage, Stored

AnyRow = TypeVar("AnyRow", bound=Row)


@dataclass
class JobStages:
    """A run's database, storage and stop request, and what is done with them whatever the job."""

    run_id: str
    job: str
    settings: Settings
    database: Database
    storage: Storage
    retry: Retry
    stop: StopRequest
    on_recorded: Callable[[Counter[str], list[str]], None]

    def still_wanted(self, batch: Sequence[AnyRow]) -> list[AnyRow]:
        """Return the rows still under way; when the run must stop in a hurry, they go back instead."""
        rows = [work for work in batch if not work.outcome]
        if not self.stop.in_a_hurry():
            return rows
        for work in rows:
            work.give_back()
        return []

    def put_all(self, pictures: Sequence[tuple[Row, bytes, str]]) -> list[Stored | None]:
        """Store (row, file, suffix), durably, and return their places; None where one did not go in: its row failed."""
        try:
            return list(
                self.retry(
                    "storing pictures", lambda: self.storage.put_many([(data, suffix) for _, data, suffix in pictures])
                )
            )
        except TemporaryFailure as failure:
            return self._put_singly(pictures, failure)

    def _put_singly(self, pictures: Sequence[tuple[Row, bytes, str]], failure: TemporaryFailure) -> list[Stored | None]:
        """When the storage works but some pictures do not go in, only their rows fail."""
        try:
            self.storage.probe()
        except TransientError:
            raise failure from None
        places: list[Stored | None] = []
        for work, data, suffix in pictures:
            try:
                places.append(self.storage.put(data, suffix))
            except TransientError as error:
                work.fail(f"storing: {error}")
                places.append(None)
        return places

    def settle(self, batch: Sequence[Row], outcomes: Sequence[Outcome]) -> set[str]:
        """Record `outcomes`, give back the batch's released rows, count each row of the batch once.

        Returns the skus that were lost: another worker holds or has finished them.
        """
        tally: Counter[str] = Counter()
        lost: set[str] = set()
        if outcomes:
            result = self.retry(
                "recording pictures", lambda: claims.record(self.database, self.run_id, self.job, outcomes)
            )
            lost = set(result.lost)
            tally.update("lost" if outcome.sku in lost else outcome.outcome for outcome in outcomes)
        released = [work.sku for work in batch if work.outcome == "released"]
        if released:
            self.retry("giving rows back", lambda: claims.release(self.database, self.run_id, self.job, released))
            tally["released"] += len(released)
        self.on_recorded(tally, [work.sku for work in batch])
        return lost
