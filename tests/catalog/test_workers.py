"""Several real worker processes on one queue, some of them killed: nothing lost, nothing doubled."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from catalog_fixtures import JOB, insert_products, make_products, plan_run, rows_of

from catalog_gen.catalog import queue, runs, tables
from catalog_gen.catalog.database import Database, open_database

ROWS = 300
WORKER = Path(__file__).with_name("queue_worker.py")
ROOT = Path(__file__).parents[2]


def spawn(url: str, *, lease: float = 60.0, pause: float = 0.0) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(WORKER), url, str(lease), str(pause)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )


def finish(*workers: subprocess.Popen[str]) -> None:
    for worker in workers:
        _, errors = worker.communicate(timeout=120)
        assert worker.returncode == 0, errors


def assert_each_row_once(database: Database) -> None:
    live = Counter(sku for sku, is_live in rows_of(database, tables.asset, "sku", "live") if is_live)
    work = {sku: (state, run_id) for sku, state, run_id in rows_of(database, tables.work, "sku", "state", "run_id")}
    assert len(work) == ROWS
    assert set(live.values()) <= {1}
    assert {sku for sku, (state, _) in work.items() if state == "done"} == set(live)
    assert all(state in ("done", "failed") and run_id is None for state, run_id in work.values())
    recorded = Counter(
        sku
        for sku, outcome in rows_of(database, tables.run_item, "sku", "outcome")
        if outcome in ("generated", "needs_review")
    )
    assert recorded == live
    assets = {asset_id for (asset_id,) in rows_of(database, tables.asset, "id")}
    named = {asset_id for (asset_id,) in rows_of(database, tables.run_item, "asset_id") if asset_id}
    assert named == assets


def test_two_processes_share_the_work(database_url: str) -> None:
    database = open_database(database_url)
    insert_products(database, make_products(ROWS))
    finish(spawn(database_url, pause=0.01), spawn(database_url, pause=0.01))
    assert_each_row_once(database)
    finished = runs.list_runs(database)
    assert [run.state for run in finished] == ["finished"] * 2
    for run in finished:
        assert sum(run.counts.values()) == sum(count for _, count in queue.counts(database, run.id).items())
        assert "None" not in run.counts
    assert sum(run.counts.get("generated", 0) + run.counts.get("failed", 0) for run in finished) >= ROWS
    database.dispose()


def test_workers_killed_at_random_moments_lose_nothing(database_url: str) -> None:
    database = open_database(database_url)
    insert_products(database, make_products(ROWS))
    moments = random.Random(7)
    for _ in range(3):
        # Two at once, one of them killed; the other outlives it and is killed a little later.
        workers = [spawn(database_url, pause=0.02) for _ in range(2)]
        for worker in workers:
            assert worker.stdout is not None and worker.stdout.readline() == "planned\n"
        for worker in workers:
            time.sleep(moments.uniform(0.0, 0.15))
            worker.kill()
        for worker in workers:
            worker.communicate()
    finish(spawn(database_url))
    assert_each_row_once(database)
    states = Counter(run.state for run in runs.list_runs(database))
    assert states["running"] == 0 and states["died"] >= 1 and states["finished"] >= 1
    assert plan_run(database, "next-night", max_attempts=1, dry_run=True).planned == 0
    database.dispose()


def test_a_worker_that_hangs_loses_its_rows_to_a_live_one(database_url: str) -> None:
    database = open_database(database_url)
    insert_products(database, make_products(ROWS))
    hung = spawn(database_url, lease=0.3, pause=30)
    assert hung.stdout is not None and hung.stdout.readline() == "planned\n"
    deadline = time.monotonic() + 30
    while not _claimed(database):
        assert time.monotonic() < deadline, "the worker never claimed"
        time.sleep(0.02)
    finish(spawn(database_url))
    hung.kill()
    hung.communicate()
    assert_each_row_once(database)
    assert queue.recover(database, JOB) == 0
    database.dispose()


def _claimed(database: Database) -> int:
    return sum(state == "claimed" for (state,) in rows_of(database, tables.work, "state"))
