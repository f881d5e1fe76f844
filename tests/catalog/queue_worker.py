"""A worker process for the tests: claims and records until nothing is left.

Run as: queue_worker.py URL LEASE_SECONDS PAUSE_SECONDS. Says "planned" once it has planned.
"""

from __future__ import annotations

import random
import sys
import time

from catalog_fixtures import JOB, generated, imported, plan_run

from catalog_gen.catalog import queue, runs
from catalog_gen.catalog.database import open_database
from catalog_gen.catalog.locks import acquire_lock
from catalog_gen.catalog.model import Outcome
from catalog_gen.errors import TransientError


def main(url: str, lease: float, pause: float) -> None:
    database = open_database(url)
    source = imported(database)
    run_id = runs.new_run_id()
    with acquire_lock(database, f"run:{run_id}"):  # type: ignore[union-attr]
        runs.start_run(database, run_id=run_id, job=JOB, config={}, models={}, version="0")
        again(lambda: queue.recover(database, JOB))
        again(lambda: plan_run(database, run_id, page_rows=50))
        sys.stdout.write("planned\n")
        sys.stdout.flush()
        while again(lambda: queue.remaining(database, run_id, JOB)):
            rows = again(lambda: queue.claim(database, source, run_id, JOB, 16, lease))
            time.sleep(pause if rows else 0.05)
            outcomes = [
                generated(row.product.sku, attempt=row.attempt)
                if random.random() < 0.9
                else Outcome(row.product.sku, "failed", "bad luck")
                for row in rows
            ]
            again(lambda: queue.record(database, run_id, JOB, outcomes))  # noqa: B023
        again(lambda: queue.close_scope(database, run_id, JOB))
        runs.finish_run(
            database,
            run_id,
            state="finished",
            counts={str(name): count for name, count in queue.counts(database, run_id).items()},
            timings={},
            images_per_second=None,
            exit_code=0,
            message="",
        )


def again(function):  # type: ignore[no-untyped-def]
    for _ in range(50):
        try:
            return function()
        except TransientError:
            time.sleep(0.05)
    return function()


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]))
