"""The queue against a model of it in plain Python, through any order of claims, records, releases and deaths."""

from __future__ import annotations

import shutil
from collections import Counter
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from catalog_fixtures import JOB, generated, imported, insert_products, make_products, plan_run, reject, rows_of
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from catalog_gen.catalog import queue, runs, tables
from catalog_gen.catalog.database import open_database
from catalog_gen.catalog.locks import Lock, acquire_lock
from catalog_gen.catalog.model import Outcome
from postgres_server import PostgresServer, emptied

ROWS = 4
MAX_ATTEMPTS = 2
WORKERS = st.integers(0, 1)


class QueueModel:
    """Two workers on four rows. What the model knows of a row: its holder, its failures, its live picture."""

    def __init__(self, url: str) -> None:
        self.database = open_database(url)
        insert_products(self.database, make_products(ROWS))
        self.source = imported(self.database)
        self.runs: dict[int, tuple[str, Lock]] = {}
        self.scopes: dict[str, set[str]] = {}
        self.outcomes: dict[tuple[str, str], str] = {}
        self.holder: dict[str, str] = {}
        self.queued: set[str] = set()
        self.failures: Counter[str] = Counter()
        self.live: dict[str, str] = {}
        self.drawn: Counter[str] = Counter()
        for worker in range(2):
            self._start(worker, None)

    def close(self) -> None:
        for _, lock in self.runs.values():
            lock.release()
        self.database.dispose()

    def step(self, action: str, worker: int, number: int) -> None:
        """Take one step of a walk; `number`, 0 to 31, is read as the action likes, bit by bit or as a limit."""
        bits = [bool(number >> bit & 1) for bit in range(5)]
        match action:
            case "claim":
                self.claim(worker, 1 + number % ROWS)
            case "record":
                self.record(worker, bits[:ROWS], twice=bits[4])
            case "release":
                self.release(worker)
            case "die":
                self.die_and_start_again(worker, 1 + number % ROWS if bits[4] else None)
            case "reject":
                self.reject(number)
        self.agrees()

    def _start(self, worker: int, limit: int | None) -> None:
        run_id = runs.new_run_id()
        lock = acquire_lock(self.database, f"run:{run_id}")
        assert lock is not None
        runs.start_run(self.database, run_id=run_id, job=JOB, config={}, models={}, version="0")
        self.runs[worker] = (run_id, lock)
        found = plan_run(self.database, run_id, limit=limit, max_attempts=MAX_ATTEMPTS, page_rows=3)
        wanted = [p.sku for p in make_products(ROWS) if p.sku not in self.live]
        wanted = [
            sku for sku in wanted if sku in self.holder or sku in self.queued or self.failures[sku] < MAX_ATTEMPTS
        ][:limit]
        assert found.planned == len(wanted)
        self.scopes[run_id] = set(wanted)
        self.queued |= {sku for sku in wanted if sku not in self.holder}

    def claim(self, worker: int, limit: int) -> None:
        run_id = self.runs[worker][0]
        claimed = queue.claim(self.database, self.source, run_id, JOB, limit, 600)
        free = {sku for sku in self.scopes[run_id] & self.queued if (run_id, sku) not in self.outcomes}
        assert len(claimed) == min(limit, len(free))
        for row in claimed:
            assert row.product.sku in free
            assert row.attempt == self.drawn[row.product.sku]
            self.queued.discard(row.product.sku)
            self.holder[row.product.sku] = run_id

    def record(self, worker: int, choices: list[bool], *, twice: bool) -> None:
        """Record every row of the scope, held or not: those that are not must be lost."""
        run_id = self.runs[worker][0]
        outcomes = [
            generated(sku) if good else Outcome(sku, "failed", "no")
            for sku, good in zip(sorted(self.scopes[run_id]), choices, strict=False)
        ]
        held = {sku for sku, holder in self.holder.items() if holder == run_id}
        # A failure that this run recorded before looks like this one recorded again: both are answered "recorded".
        repeats = {
            outcome.sku
            for outcome in outcomes
            if outcome.asset is None and self.outcomes.get((run_id, outcome.sku)) == "failed"
        }
        result = queue.record(self.database, run_id, JOB, outcomes)
        assert set(result.recorded) - repeats == held & {outcome.sku for outcome in outcomes} - repeats
        if twice:
            assert queue.record(self.database, run_id, JOB, outcomes) == result
        for outcome in outcomes:
            if outcome.sku in held:
                del self.holder[outcome.sku]
                self.outcomes[run_id, outcome.sku] = outcome.outcome
                if outcome.asset is None:
                    self.failures[outcome.sku] += 1
                else:
                    self.failures[outcome.sku] = 0
                    self.live[outcome.sku] = outcome.asset.id
                    self.drawn[outcome.sku] += 1

    def release(self, worker: int) -> None:
        run_id = self.runs[worker][0]
        assert queue.release(self.database, run_id, JOB) == len(self._give_back(run_id))

    def die_and_start_again(self, worker: int, limit: int | None) -> None:
        run_id, lock = self.runs.pop(worker)
        lock.release()  # as the operating system does
        assert queue.recover(self.database, JOB) == len(self._give_back(run_id))
        self._start(worker, limit)

    def reject(self, number: int) -> None:
        if self.live:
            sku = sorted(self.live)[number % len(self.live)]
            reject(self.database, self.live.pop(sku))

    def _give_back(self, run_id: str) -> set[str]:
        mine = {sku for sku, holder in self.holder.items() if holder == run_id}
        for sku in mine:
            del self.holder[sku]
        self.queued |= mine
        return mine

    def agrees(self) -> None:
        live = [
            (sku, asset_id)
            for sku, asset_id, is_live in rows_of(self.database, tables.asset, "sku", "id", "live")
            if is_live
        ]
        assert len(live) == len(dict(live)) and dict(live) == self.live
        work = rows_of(self.database, tables.work, "sku", "state", "run_id")
        assert {sku: run_id for sku, state, run_id in work if state == "claimed"} == self.holder
        assert {sku for sku, state, _ in work if state == "queued"} == self.queued
        for run_id, scope in self.scopes.items():
            expected = Counter(self.outcomes.get((run_id, sku)) for sku in scope)
            assert queue.counts(self.database, run_id) == expected


# Often what moves rows on, seldom what undoes it: a walk of 30 steps then goes through several nights of each row.
ACTIONS = ["claim"] * 4 + ["record"] * 4 + ["die"] * 3 + ["reject"] * 2 + ["release"]
STEPS = st.tuples(st.sampled_from(ACTIONS), WORKERS, st.integers(0, 31))


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_the_queue_behaves_as_its_model(kind: str, request: pytest.FixtureRequest) -> None:
    numbers = count()

    # Not shrunk: a failing walk is printed whole, and shrinking on a real database takes minutes.
    @settings(max_examples=12, deadline=None, derandomize=True, database=None, phases=[Phase.generate])
    @given(st.lists(STEPS, min_size=30, max_size=30))
    def walk(steps: list[tuple[str, int, int]]) -> None:
        model = QueueModel(fresh_url(next(numbers)))
        try:
            for step in steps:
                model.step(*step)
        finally:
            model.close()

    with TemporaryDirectory() as folder:
        if kind == "sqlite":
            template: Path = request.getfixturevalue("sqlite_template")

            def fresh_url(number: int) -> str:
                file = Path(folder) / f"{number}.sqlite3"
                shutil.copy(template, file)
                return f"sqlite:///{file}"
        else:
            server: PostgresServer = request.getfixturevalue("postgres")

            def fresh_url(number: int) -> str:
                return emptied(server)

        walk()
