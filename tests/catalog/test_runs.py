"""The ledger of runs."""

from __future__ import annotations

import time

import numpy as np
import pytest

from catalog_gen.catalog import runs
from catalog_gen.catalog.database import Database
from catalog_gen.errors import UsageError


def start(database: Database) -> str:
    run_id = runs.new_run_id()
    config = {"a": {"b": [1, None]}, "bad": float("inf"), "text": "\0\ud800"}
    return runs.start_run(
        database, run_id=run_id, job="fill-missing", config=config, models={"gan": "hash"}, version="0.1"
    )


def test_a_run_from_start_to_finish(database: Database) -> None:
    run_id = start(database)
    started = runs.get_run(database, run_id)
    assert (started.state, started.finished_at, started.exit_code) == ("running", None, None)
    assert started.config == {"a": {"b": [1, None]}, "bad": None, "text": "?"}
    assert started.pid > 0 and started.host and started.user
    assert started.started_at.utcoffset() is not None
    time.sleep(0.01)
    runs.heartbeat(database, run_id)
    assert runs.get_run(database, run_id).heartbeat_at > started.heartbeat_at
    runs.finish_run(
        database,
        run_id,
        state="partial",
        counts={"generated": np.int64(3)},  # type: ignore[dict-item]
        timings={"draw": {"seconds": np.float32(0.5)}},
        images_per_second=12.5,
        exit_code=4,
        message="stopped by SIGTERM",
    )
    ended = runs.get_run(database, run_id)
    assert (ended.state, ended.exit_code, ended.message) == ("partial", 4, "stopped by SIGTERM")
    assert (ended.counts, ended.timings, ended.images_per_second) == (
        {"generated": 3},
        {"draw": {"seconds": 0.5}},
        12.5,
    )
    assert ended.finished_at is not None and ended.finished_at >= ended.started_at


def test_starting_again_after_a_lost_answer_changes_nothing(database: Database) -> None:
    run_id = start(database)
    before = runs.get_run(database, run_id)
    runs.start_run(database, run_id=run_id, job="other", config={}, models={}, version="0")
    assert runs.get_run(database, run_id) == before


def test_listing_and_looking_up(database: Database) -> None:
    ids = []
    for _ in range(3):
        ids.append(start(database))
        time.sleep(0.002)
    assert [run.id for run in runs.list_runs(database)] == ids[::-1]
    assert [run.id for run in runs.list_runs(database, 1)] == [ids[2]]
    assert runs.get_run(database, ids[1][:-1]).id == ids[1]
    with pytest.raises(UsageError, match="several runs begin with '20'"):
        runs.get_run(database, "20")
    with pytest.raises(UsageError, match=r"no run '%'.*catalog-gen runs"):
        runs.get_run(database, "%")
    with pytest.raises(UsageError, match="no run nowhere"):
        runs.finish_run(
            database,
            "nowhere",
            state="finished",
            counts={},
            timings={},
            images_per_second=None,
            exit_code=0,
            message="",
        )
