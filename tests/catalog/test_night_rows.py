"""What a report reads of a run, on both databases."""

from __future__ import annotations

import pytest

from catalog.catalog_fixtures import generated, imported, insert_products, make_products, picture, start
from catalog_gen.catalog import night
from catalog_gen.catalog.database import Database
from catalog_gen.catalog.model import Outcome, Product
from catalog_gen.catalog.queue import claim
from catalog_gen.catalog.record import record
from catalog_gen.catalog.runs import finish_run, get_run, start_run

JOB = "fill-missing"


def drawn(database: Database, count: int) -> str:
    """A run over `count` products of which every third fails; return its id."""
    insert_products(database, make_products(count, category="Shoes"))
    run_id = start(database)
    claim(database, imported(database), run_id, JOB, count, 60)
    outcomes = []
    for number in range(count):
        sku = f"sku-{number:05d}"
        if number % 3 == 2:
            outcomes.append(Outcome(sku, "failed", f"storing: try {number}"))
        else:
            outcomes.append(generated(sku, scores={"similarity": number / 100}, phash=f"{number:016x}"))
    assert len(record(database, run_id, JOB, outcomes).recorded) == count
    return run_id


def finished(database: Database, run_id: str, state: str = "finished", exit_code: int = 0, **counts: int) -> None:
    finish_run(
        database,
        run_id,
        state=state,
        counts=counts,
        timings={},
        images_per_second=None,
        exit_code=exit_code,
        message="",
    )


def test_rows_come_in_pages_each_once_with_its_words_and_pictures(database: Database) -> None:
    run_id = drawn(database, 10)
    pages = list(night.night_rows(database, imported(database), run_id, page_rows=4))
    assert [len(page) for page in pages] == [4, 4, 2]
    rows = [row for page in pages for row in page]
    assert [row.item.sku for row in rows] == [f"sku-{number:05d}" for number in range(10)]
    assert [len(row.assets) for row in rows] == [1, 1, 0, 1, 1, 0, 1, 1, 0, 1]
    assert rows[2].item.reason == "storing: try 2" and rows[2].item.outcome == "failed"
    assert rows[0].product == Product("sku-00000", "Title 0", "Shoes") and rows[0].assets[0].run_id == run_id


def test_a_row_s_pictures_of_other_runs_are_not_of_this_one(database: Database) -> None:
    run_id = drawn(database, 1)
    start_run(database, run_id="20990101T000000.000-other", job=JOB, config={}, models={}, version="0")
    other = [*night.night_rows(database, imported(database), "20990101T000000.000-other")]
    assert other == []
    (page,) = night.night_rows(database, imported(database), run_id)
    assert len(page[0].assets) == 1


def test_a_sample_is_fair_and_the_same_every_time(database: Database) -> None:
    run_id = drawn(database, 30)
    assert night.count_pictures(database, run_id) == 20
    whole = night.sampled_pictures(database, run_id, 100)
    assert [asset.sha256 for asset in whole] == sorted(asset.sha256 for asset in whole) and len(whole) == 20
    assert night.sampled_pictures(database, run_id, 7) == whole[:7]
    assert {(id, phash) for id, _, phash in night.hashes_of(database, run_id, 5)} == {
        (asset.id, asset.phash) for asset in whole[:5]
    }


def test_scores_and_reasons_of_a_night(database: Database) -> None:
    run_id = drawn(database, 6)  # pictures 0, 1, 3 and 4
    assert night.mean_scores(database, [run_id, "none"], "similarity") == {run_id: pytest.approx(0.02)}
    assert night.mean_scores(database, [run_id], "delta_e") == {}
    values = sorted(scores["similarity"] for scores in night.scores_of(database, run_id, page_rows=3))
    assert values == [0.0, 0.01, 0.03, 0.04]
    assert sorted(night.count_reasons(database, run_id)) == [
        ("failed", "storing: try 2", 1),
        ("failed", "storing: try 5", 1),
    ]


def test_pictures_by_id_and_those_that_stand(database: Database) -> None:
    drawn(database, 4)
    live = night.live_generated(database, ["sku-00000", "sku-00002", "sku-00003"])
    assert sorted(live) == ["sku-00000", "sku-00003"]
    ids = [asset.id for asset in live.values()]
    assert sorted(night.assets_by_id(database, [*ids, *ids, "unknown"])) == sorted(ids)


def test_the_run_to_tell_of_is_the_latest_that_did_something(database: Database) -> None:
    assert night.latest_worth_telling(database) is None
    for number, (counts, state, code) in enumerate(
        [({"claimed": 0}, "finished", 0), ({"claimed": 5}, "finished", 0), ({"claimed": 0}, "finished", 0)]
    ):
        run_id = f"2026010{number + 1}T000000.000-a"
        start_run(database, run_id=run_id, job=JOB, config={}, models={}, version="0")
        finished(database, run_id, state, code, **counts)
        told = night.latest_worth_telling(database)
        assert told and told.id == ("20260101T000000.000-a" if number == 0 else "20260102T000000.000-a")
    start_run(database, run_id="20260104T000000.000-a", job="restyle:winter", config={}, models={}, version="0")
    finished(database, "20260104T000000.000-a", "failed", 69)
    told = night.latest_worth_telling(database)
    assert told and told.id == "20260104T000000.000-a"  # one that failed at its start is what must be read of


def test_nights_before_are_of_the_same_job_the_last_ones_oldest_first(database: Database) -> None:
    for day in range(1, 8):
        job = "restyle:winter" if day == 4 else JOB
        start_run(database, run_id=f"2026010{day}T000000.000-a", job=job, config={}, models={}, version="0")
    before = night.runs_before(database, get_run(database, "20260107"), 3)
    assert [run.id[:8] for run in before] == ["20260103", "20260105", "20260106"]
    assert night.runs_before(database, get_run(database, "20260101"), 3) == []


def test_a_row_may_have_several_pictures(database: Database) -> None:
    insert_products(database, make_products(1))
    run_id = start(database)
    claim(database, imported(database), run_id, JOB, 1, 60)
    looks = [picture("sku-00000", kind="restyled", style="winter", variant=name) for name in ("square", "wide")]
    record(database, run_id, JOB, [Outcome("sku-00000", "restyled", assets=tuple(looks))])
    (page,) = night.night_rows(database, imported(database), run_id)
    assert sorted(asset.variant for asset in page[0].assets) == ["square", "wide"]
