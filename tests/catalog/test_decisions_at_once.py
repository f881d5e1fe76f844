"""Several reviewers, and the jobs, on the same pictures at the same time: nothing lost, nothing doubled."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from catalog_fixtures import (
    JOB,
    add_pictures,
    generated,
    imported,
    insert_products,
    make_products,
    reject,
    rows_of,
    start,
)
from decision_fixtures import assert_places_hold_one, replayed, standing_pictures
from restyle_fixtures import JOB as WINTER
from restyle_fixtures import approved, begin, restyled, scope, source_of

from catalog_gen.catalog import queue, tables
from catalog_gen.catalog.audit import audit
from catalog_gen.catalog.database import Database, open_database
from catalog_gen.catalog.decisions import Decided, Decision, decide, undo
from catalog_gen.catalog.model import Outcome
from catalog_gen.catalog.restyling import find_sources
from catalog_gen.errors import TransientError

ROWS = 40
WORKER = Path(__file__).with_name("decision_worker.py")
ROOT = Path(__file__).parents[2]


def shop_with_pictures(url: str) -> Database:
    """Products with a picture each, and one restyled from it in every other."""
    database = open_database(url)
    products = make_products(ROWS)
    insert_products(database, products)
    for number, product in enumerate(products):
        source = uuid4().hex
        add_pictures(database, [product.sku], id=source, state="needs_review")
        if number % 2:
            changes = {"kind": "restyled", "style": "winter", "variant": "square", "source_asset_id": source}
            add_pictures(database, [product.sku], state="draft", **changes)
    return database


def at_once(*tasks: Callable[[], None]) -> None:
    """Run the tasks side by side; what one raises is raised here."""
    failures: list[BaseException] = []

    def guarded(task: Callable[[], None]) -> None:
        try:
            task()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(task,)) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def spawn(url: str, reviewer: str, seed: int, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(WORKER), url, reviewer, str(seed), str(count)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )


def test_processes_decide_and_undo_on_the_same_pictures(database_url: str) -> None:
    database = shop_with_pictures(database_url)
    before = standing_pictures(database)
    lasting = [spawn(database_url, name, seed, 60) for seed, name in enumerate(("ann", "bob"))]
    killed = spawn(database_url, "eve", 9, 100_000)
    assert killed.stdout is not None and killed.stdout.readline() == "deciding\n"
    time.sleep(0.5)
    killed.kill()
    killed.communicate()
    for worker, reviewer in zip(lasting, ("ann", "bob"), strict=True):
        out, errors = worker.communicate(timeout=120)
        assert worker.returncode == 0, errors
        results = json.loads(out.splitlines()[1])
        assert sum(results.values()) == 60
        rows = audit(database, reviewer=reviewer, limit=1_000)
        assert sum(row.action != "undo" for row in rows) == results["done"]
        assert sum(row.action == "undo" for row in rows) == results.get("undo done", 0)
    assert replayed(database, before) == standing_pictures(database)
    assert_places_hold_one(database)
    database.dispose()


def test_of_two_who_saw_the_same_one_decides(database_url: str) -> None:
    database = shop_with_pictures(database_url)
    pictures = [id for id, kind in rows_of(database, tables.asset, "id", "kind") if kind == "generated"]
    came: dict[str, list[Decided]] = {}

    def review(name: str, action: str, order: list[str]) -> None:
        own = open_database(database_url)
        decisions = [Decision(uuid4().hex, id, action, version=1, reason="no") for id in order]  # type: ignore[arg-type]
        came[name] = decide(own, decisions, reviewer=name, source="desk")
        own.dispose()

    at_once(lambda: review("ann", "approve", pictures), lambda: review("bob", "reject", pictures[::-1]))
    by_picture: dict[str, set[tuple[str, str]]] = {id: set() for id in pictures}
    for decided in came.values():
        for one in decided:
            by_picture[one.decision.asset_id].add((one.result, one.decision.action))
    for id, results in by_picture.items():
        assert sorted(result for result, _ in results) == ["changed", "done"]
        [winner] = [action for result, action in results if result == "done"]
        state = standing_pictures(database)[id].state
        assert state == {"approve": "approved", "reject": "rejected"}[winner]
    assert len(audit(database, limit=1_000)) == ROWS
    database.dispose()


def test_the_same_decision_sent_twice_at_once_is_recorded_once(database: Database) -> None:
    insert_products(database, make_products(ROWS))
    add_pictures(database, [product.sku for product in make_products(ROWS)], state="draft")
    pictures = [id for (id,) in rows_of(database, tables.asset, "id")]
    decisions = [Decision(uuid4().hex, id, "approve", version=1) for id in pictures]
    found: list[list[str]] = []

    def send() -> None:
        found.append([one.result for one in decide(database, decisions, reviewer="ann", source="desk")])

    at_once(send, send)
    assert [sorted(pair) for pair in zip(*found, strict=True)] == [["already", "done"]] * ROWS
    assert len(audit(database, limit=1_000)) == ROWS


def test_an_undo_and_the_job_fill_one_place_between_them(database: Database) -> None:
    """Rejections are undone while the job records new pictures of the same products."""
    products = make_products(ROWS)
    insert_products(database, products)
    add_pictures(database, [product.sku for product in products], state="draft")
    first = {sku: id for id, sku in rows_of(database, tables.asset, "id", "sku")}
    names = [Decision(uuid4().hex, id, "again") for id in first.values()]
    decide(database, names, reviewer="ann", source="desk")
    run_id = start(database)
    rows = queue.claim(database, imported(database), run_id, JOB, ROWS, 60)
    results: list[Decided] = []
    recorded: list[str] = []

    def take_back() -> None:
        for one in names:
            results.append(undo(database, reviewer="ann", source="desk", decision_id=one.id))

    def fill() -> None:
        for row in reversed(rows):
            recorded.extend(queue.record(database, run_id, JOB, [generated(row.product.sku, state="draft")]).recorded)

    at_once(take_back, fill)
    back = {one.asset.sku for one in results if one.result == "done" and one.asset is not None}
    assert back | set(recorded) == set(first) and not back & set(recorded)
    assert_places_hold_one(database)
    live = {sku: id for sku, id, live in rows_of(database, tables.asset, "sku", "id", "live") if live}
    assert len(live) == ROWS and {sku for sku, id in live.items() if first[sku] == id} == back
    assert rows_of(database, tables.wish, "sku") == [], "undone, or drawn"


def test_no_restyled_picture_outlives_a_source_that_is_rejected_meanwhile(database: Database) -> None:
    approved(database, ROWS)
    run_id, _ = begin(database, scope(square="s1"))
    source = imported(database)
    rows = queue.claim(database, source, run_id, WINTER, ROWS, 60)
    sources = find_sources(database, source, [row.product for row in rows], scope(square="s1"))

    def record() -> None:
        for sku, found in sources.items():
            pictures = restyled(sku, scope(square="s1").stale(found, {}), source_of(found))
            again(lambda: queue.record(database, run_id, WINTER, [Outcome(sku, "restyled", assets=pictures)]))  # noqa: B023

    def turn_down() -> None:
        for found in reversed(sources.values()):
            assert found.asset is not None
            reject(database, found.asset.id)

    at_once(record, turn_down)
    assert [live for (live,) in rows_of(database, tables.asset, "live")].count(True) == 0
    outcomes = [outcome for (outcome,) in rows_of(database, tables.run_item, "outcome")]
    assert set(outcomes) <= {"restyled", "elsewhere"} and len(outcomes) == ROWS


def again(function: Callable[[], object]) -> None:
    for _ in range(50):
        try:
            function()
            return
        except TransientError:
            time.sleep(0.02)
    function()
