"""Planning, claiming and recording: every row ends with one outcome and at most one live picture."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
import sqlalchemy as sa
from catalog_fixtures import (
    JOB,
    die,
    generated,
    imported,
    input_hash,
    insert_products,
    make_products,
    picture,
    plan_run,
    reject,
    rows_of,
    start,
)

from catalog_gen.catalog import assets, queue, runs, tables
from catalog_gen.catalog.database import Database
from catalog_gen.catalog.model import Outcome, Product
from catalog_gen.errors import InternalError, RowError, TransientError


def claim(database: Database, run_id: str, limit: int = 100, lease: float = 60.0) -> list[str]:
    return [c.product.sku for c in queue.claim(database, imported(database), run_id, JOB, limit, lease)]


def test_plan_takes_the_rows_without_a_picture_only(database: Database) -> None:
    insert_products(database, [*make_products(5), Product("own", "has its own", image="file:///own.jpg")])
    first = start(database, skus=("sku-00001",))
    claim(database, first)
    queue.record(database, first, JOB, [generated("sku-00001")])
    run_id = runs.new_run_id()
    found = plan_run(database, run_id)
    assert (found.planned, found.has_asset, found.skipped, found.exhausted) == (4, 1, 0, 0)
    assert queue.counts(database, run_id) == {None: 4}
    assert queue.remaining(database, run_id, JOB) == 4
    again = plan_run(database, run_id)
    assert again.counts == found.counts
    assert queue.counts(database, run_id) == {None: 4}


def test_dry_run_counts_and_writes_nothing(database: Database) -> None:
    insert_products(database, make_products(5))
    assert plan_run(database, "dry", dry_run=True).planned == 5
    assert rows_of(database, tables.work, "sku") == rows_of(database, tables.run_item, "sku") == []


def test_plan_limit_holds_across_pages(database: Database) -> None:
    insert_products(database, make_products(20))
    run_id = start(database, limit=7, page_rows=3)
    assert claim(database, run_id) == [f"sku-{index:05d}" for index in range(7)]


def test_plan_reports_skus_that_cannot_be_worked(database: Database) -> None:
    insert_products(database, [*make_products(2), Product("own", "x", image="u"), Product("wordless", "")])

    def words(product: Product) -> str:
        if not product.title:
            raise RowError("no words to draw from")
        return input_hash(product)

    run_id = runs.new_run_id()
    found = plan_run(database, run_id, skus=("sku-00000", "own", "nowhere", "wordless"), input_hash=words)
    assert (found.planned, found.has_image, found.unknown_skus) == (1, 1, ["nowhere"])
    assert found.unusable == [("wordless", "no words to draw from")]
    assert queue.counts(database, run_id) == {None: 1, "skipped": 1}


def test_failures_are_bounded_until_the_input_changes(database: Database) -> None:
    insert_products(database, make_products(1))
    for night in range(3):
        run_id = start(database, max_attempts=3)
        assert claim(database, run_id) == ["sku-00000"], f"night {night}"
        queue.record(database, run_id, JOB, [Outcome("sku-00000", "failed", "storage said no")])
    assert plan_run(database, "night-4", max_attempts=3).exhausted == 1
    assert plan_run(database, "patient", max_attempts=4, dry_run=True).planned == 1
    with database.transaction() as connection:
        connection.execute(sa.update(tables.product).values(title="new words"))
    assert plan_run(database, "night-5", max_attempts=3).planned == 1
    assert rows_of(database, tables.work, "attempts", "state") == [(0, "queued")]


def test_a_failure_beyond_retry_is_exhausted_at_once(database: Database) -> None:
    insert_products(database, make_products(1))
    run_id = start(database)
    claim(database, run_id)
    queue.record(database, run_id, JOB, [Outcome("sku-00000", "failed", "no words", retry=False)])
    assert plan_run(database, "next", max_attempts=1000).exhausted == 1


def test_rejected_picture_is_planned_again_with_the_next_attempt(database: Database) -> None:
    insert_products(database, make_products(1))
    run_id = start(database)
    claim(database, run_id)
    queue.record(database, run_id, JOB, [Outcome("sku-00000", "failed", "no")])
    run_id = start(database)
    claim(database, run_id)
    outcome = generated("sku-00000")
    queue.record(database, run_id, JOB, [outcome])
    assert outcome.asset is not None
    reject(database, outcome.asset.id, "wrong colour")
    run_id = start(database)
    [claimed] = queue.claim(database, imported(database), run_id, JOB, 10, 60)
    assert claimed.attempt == 1
    assert rows_of(database, tables.work, "attempts") == [(0,)]
    assert claimed.input_hash == input_hash(claimed.product)


def test_claims_are_disjoint_and_in_order(database: Database) -> None:
    insert_products(database, make_products(10))
    first, second = start(database), start(database)
    assert claim(database, first, 4) == [f"sku-{index:05d}" for index in range(4)]
    assert claim(database, second, 4) == [f"sku-{index:05d}" for index in range(4, 8)]
    assert queue.held(database, first, JOB) == [f"sku-{index:05d}" for index in range(4)]
    assert claim(database, first) == ["sku-00008", "sku-00009"]
    assert claim(database, second) == []


def test_a_run_claims_its_own_scope_only(database: Database) -> None:
    insert_products(database, make_products(6))
    start(database)
    narrow = start(database, skus=("sku-00004",))
    assert claim(database, narrow) == ["sku-00004"]


def test_record_writes_work_item_asset_and_hashes_together(database: Database) -> None:
    insert_products(database, make_products(3))
    run_id = start(database)
    claim(database, run_id)
    scores = {"similarity": float("nan")}
    hostile = picture("sku-00000", phash="00ff00ff00ff00ff", prompt="a\0b\ud800", scores=scores)
    outcomes = [
        Outcome("sku-00000", "generated", asset=hostile),
        Outcome("sku-00001", "needs_review", "dim", asset=picture("sku-00001", state="needs_review", reason="dim")),
        Outcome("sku-00002", "failed", "disk\nsaid\0 no " + "x" * 5000),
    ]
    assert queue.record(database, run_id, JOB, outcomes).recorded == ["sku-00000", "sku-00001", "sku-00002"]
    assert rows_of(database, tables.work, "sku", "state", "run_id", "attempts") == [
        ("sku-00000", "done", None, 0),
        ("sku-00001", "done", None, 0),
        ("sku-00002", "failed", None, 1),
    ]
    assert queue.counts(database, run_id) == {"generated": 1, "needs_review": 1, "failed": 1}
    stored = assets.live_asset(database, "sku-00000")
    assert stored is not None
    assert (stored.prompt, stored.seed, stored.scores, stored.run_id) == (
        "ab?",
        2**63 - 1,
        {"similarity": None},
        run_id,
    )
    assert stored.created_at is not None and stored.created_at.utcoffset() is not None
    assert len(rows_of(database, tables.phash, "bucket")) == 5
    [(reason,)] = [row for row in rows_of(database, tables.run_item, "reason") if row[0].startswith("disk")]
    assert reason.startswith("disk said no x") and len(reason) == 1000


def test_recording_again_after_a_lost_answer_changes_nothing(database: Database) -> None:
    insert_products(database, make_products(2))
    run_id = start(database)
    claim(database, run_id)
    outcomes = [generated("sku-00000", phash="0123456789abcdef"), Outcome("sku-00001", "failed", "no")]
    first = queue.record(database, run_id, JOB, outcomes)
    before = rows_of(database, tables.work, "sku", "state", "attempts")
    assert queue.record(database, run_id, JOB, outcomes) == first
    assert rows_of(database, tables.work, "sku", "state", "attempts") == before
    assert len(rows_of(database, tables.asset, "id")) == 1


def test_a_lease_that_was_taken_over_loses(database: Database) -> None:
    insert_products(database, make_products(1))
    slow, quick = start(database), start(database)
    assert claim(database, slow, lease=0.05) == ["sku-00000"]
    time.sleep(0.1)
    assert claim(database, quick) == ["sku-00000"]
    assert rows_of(database, tables.work, "deaths") == [(1,)]
    assert queue.record(database, slow, JOB, [generated("sku-00000")]).lost == ["sku-00000"]
    assert rows_of(database, tables.asset, "id") == []
    assert queue.record(database, quick, JOB, [generated("sku-00000")]).recorded == ["sku-00000"]
    assert queue.record(database, slow, JOB, [generated("sku-00000")]).lost == ["sku-00000"]
    assert queue.close_scope(database, slow, JOB) == 1
    assert queue.counts(database, slow) == {"elsewhere": 1}


def test_a_lease_that_ran_out_but_was_not_taken_still_counts(database: Database) -> None:
    insert_products(database, make_products(1))
    run_id = start(database)
    claim(database, run_id, lease=0.01)
    time.sleep(0.05)
    assert queue.record(database, run_id, JOB, [generated("sku-00000")]).recorded == ["sku-00000"]


def test_a_product_that_got_a_picture_meanwhile_is_not_doubled(database: Database) -> None:
    insert_products(database, make_products(2))
    run_id = start(database)
    claim(database, run_id)
    with database.transaction() as connection:  # as another job would
        other = picture("sku-00000")
        values = {name: getattr(other, name) for name in other.__dataclass_fields__}
        now = database.now(connection)
        connection.execute(sa.insert(tables.asset), values | {"live": True, "run_id": "other", "created_at": now})
    result = queue.record(database, run_id, JOB, [generated("sku-00000"), generated("sku-00001")])
    assert (result.recorded, result.lost) == (["sku-00001"], ["sku-00000"])
    assert queue.counts(database, run_id) == {"elsewhere": 1, "generated": 1}
    assert len(rows_of(database, tables.asset, "sku")) == 2


def test_renew_keeps_a_lease_and_release_gives_it_back(database: Database) -> None:
    insert_products(database, make_products(3))
    run_id, other = start(database), start(database)
    claim(database, run_id, lease=0.05)
    assert queue.renew(database, run_id, JOB, 60) == 3
    time.sleep(0.1)
    assert claim(database, other) == []
    assert queue.release(database, run_id, JOB, ["sku-00001", "sku-00002", "not-mine"]) == 2
    assert claim(database, other, 1) == ["sku-00001"]
    assert queue.release(database, other, JOB, ["sku-00000"]) == 0
    assert queue.release(database, run_id, JOB) == 1
    assert rows_of(database, tables.work, "sku", "deaths") == [(f"sku-0000{index}", 0) for index in range(3)]


def test_recover_takes_from_dead_runs_only_and_puts_their_rows_last(database: Database) -> None:
    insert_products(database, make_products(4))
    dead, alive = start(database), start(database)
    assert claim(database, dead, 2) == ["sku-00000", "sku-00001"]
    assert claim(database, alive, 1) == ["sku-00002"]
    assert queue.recover(database, JOB) == 0
    die(dead)
    assert queue.recover(database, JOB, asking=dead) == 0
    assert queue.recover(database, JOB) == 2
    assert queue.recover(database, JOB) == 0
    assert (runs.get_run(database, dead).state, runs.get_run(database, alive).state) == ("died", "running")
    assert queue.record(database, dead, JOB, [generated("sku-00000")]).lost == ["sku-00000"]
    assert claim(database, alive) == ["sku-00003", "sku-00000", "sku-00001"]


def test_the_last_rows_of_a_worker_that_died_are_taken_before_their_lease_ends(database: Database) -> None:
    insert_products(database, make_products(3))
    alive, dying = start(database), start(database)
    assert claim(database, dying, 2) == ["sku-00000", "sku-00001"]
    assert claim(database, alive) == ["sku-00002"]
    assert claim(database, alive) == []
    die(dying)
    assert claim(database, alive) == ["sku-00000", "sku-00001"]
    assert runs.get_run(database, dying).state == "died"


def test_a_row_that_left_the_catalogue_is_skipped(database: Database) -> None:
    insert_products(database, make_products(3))
    run_id = start(database)
    with database.transaction() as connection:
        connection.execute(sa.delete(tables.product).where(tables.product.c.sku != "sku-00002"))
    assert claim(database, run_id, 2) == ["sku-00002"]
    assert claim(database, run_id, 2) == []
    assert queue.counts(database, run_id) == {None: 1, "skipped": 2}


def test_claims_go_back_when_the_catalogue_cannot_be_read(database: Database) -> None:
    insert_products(database, make_products(3))
    run_id = start(database)
    source = imported(database)
    real_fetch = source.fetch

    class Sick:
        """The real source, whose server is away for one call."""

        calls = 0

        def __getattr__(self, name: str) -> object:
            return getattr(source, name)

        def fetch(self, skus: list[str]) -> dict[str, Product]:
            self.calls += 1
            if self.calls == 1:
                raise TransientError("the server is away")
            return real_fetch(skus)

    sick = Sick()
    with pytest.raises(TransientError):
        queue.claim(database, sick, run_id, JOB, 10, 60)  # type: ignore[arg-type]
    assert len(queue.claim(database, sick, run_id, JOB, 10, 60)) == 3  # type: ignore[arg-type]


def test_record_refuses_what_would_be_a_bug(database: Database) -> None:
    good = generated("a")
    with pytest.raises(InternalError, match="twice"):
        queue.record(database, "run", JOB, [good, good])
    with pytest.raises(InternalError, match="needs a live asset"):
        queue.record(database, "run", JOB, [replace(good, asset=None)])
    with pytest.raises(InternalError, match="cannot have a live asset"):
        queue.record(database, "run", JOB, [replace(good, outcome="failed")])
