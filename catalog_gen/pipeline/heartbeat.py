"""Keeping a run's claims alive while its models work."""

from __future__ import annotations

import logging
import threading

from catalog_gen.catalog import queue as claims
from catalog_gen.catalog import runs
from catalog_gen.catalog.database import Database
from catalog_gen.catalog.locks import Lock
from catalog_gen.errors import CatalogGenError

log = logging.getLogger(__name__)

MAX_SECONDS_BETWEEN = 60.0


class Heartbeat:
    """Keeps the run's lock and renews its leases well before they end, from a thread of its own, while the block lasts.

    A beat that fails is logged and tried again at the next one: leases outlast two missed beats, and recording checks
    them anyway.
    """

    def __init__(self, database: Database, run_id: str, job: str, lease_seconds: float, lock: Lock) -> None:
        self._database, self._run_id, self._job, self._lease = database, run_id, job, lease_seconds
        self._lock = lock
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._ended.wait(min(self._lease / 3, MAX_SECONDS_BETWEEN)):
            try:
                if not self._lock.still_held():  # takes it again after a restart of the server
                    log.warning("the run's lock is lost: another worker may take its rows back")
                claims.renew(self._database, self._run_id, self._job, self._lease)
                runs.heartbeat(self._database, self._run_id)
            except CatalogGenError as error:
                log.warning("the run's leases could not be renewed: %s", error)
