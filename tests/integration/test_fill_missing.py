"""The job in one process, on both databases: what it makes, what it leaves alone, what it survives."""

from __future__ import annotations

import threading
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from catalog_gen.catalog import runs, tables
from catalog_gen.catalog.assets import assets_of
from catalog_gen.catalog.database import Database
from catalog_gen.clip.model import load_clip
from catalog_gen.config import Settings
from catalog_gen.errors import EXIT_OK, EXIT_PARTIAL, EXIT_SOME_FAILED, TemporaryFailure, Unavailable
from catalog_gen.pipeline import fill_missing as job
from catalog_gen.pipeline.approval import Ask, decide_skus
from catalog_gen.pipeline.replay import replay
from catalog_gen.pipeline.signals import StopRequest
from catalog_gen.storage import open_storage
from integration.shop import Shop
from postgres_server import PostgresServer
from tests.storage_fixtures import FaultyStorage, s3_server


def changed(settings: Settings, section: str, **values: Any) -> Settings:
    return settings.model_copy(update={section: getattr(settings, section).model_copy(update=values)})


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> FaultyStorage:
    """The job's storage, with knobs."""
    storage = FaultyStorage(open_storage(settings.storage.url))
    monkeypatch.setattr(job, "open_storage", lambda url, options: storage)
    return storage


def test_every_row_gets_one_picture_and_the_second_run_does_nothing(shop: Shop) -> None:
    first = shop.fill()
    assert (first.state, first.exit_code) == ("finished", EXIT_OK)
    assert first.counts["claimed"] == 60
    assert first.counts["generated"] + first.counts["needs_review"] == 60
    assert first.images_per_second > 0
    shop.check_promises(60)
    assert len(shop.pictures()) == 60
    again = shop.fill()
    assert again.planned["planned"] == 0 and again.counts["claimed"] == 0 and again.exit_code == EXIT_OK


def test_a_picture_follows_from_its_row_and_not_from_its_batch(shop: Shop, tmp_path: Path) -> None:
    shop.settings = changed(shop.settings, "gan", ladder=2)
    shop.fill()
    before = {sku: asset.sha256 for sku, asset in shop.live().items()}
    database = shop.database()
    with database.transaction() as connection:
        for table in (tables.phash, tables.asset, tables.run_item, tables.work, tables.embedding):
            connection.execute(sa.delete(table))
    database.dispose()
    shop.settings = changed(changed(shop.settings, "job", page_rows=7), "storage", url=str(tmp_path / "elsewhere"))
    shop.fill(where=(("colour", "red"), ("colour", "pink")))
    shop.fill()
    assert {sku: asset.sha256 for sku, asset in shop.live().items()} == before


def test_the_ledger_knows_everything_before_and_after(shop: Shop) -> None:
    shop.settings = changed(shop.settings, "gan", ladder=1)
    summary = shop.fill(limit=20)
    database = shop.database()
    run = runs.get_run(database, summary.run_id)
    database.dispose()
    assert (run.state, run.exit_code, run.counts["claimed"], run.counts["plan_planned"]) == ("finished", 0, 20, 20)
    assert run.config["gan"]["candidates"] == 2 and run.config["request"]["limit"] == 20
    assert run.models["gan"]["hash"] and run.models["clip"]["hash"]
    assert set(run.timings) == {"claim", "embed", "draw", "choose", "climb", "encode", "store", "record"}
    assert all(run.timings[stage] > 0 for stage in ("embed", "draw", "choose", "climb", "encode", "store", "record"))


def test_only_what_is_asked_for_is_filled(shop: Shop) -> None:
    shop.fill(where=(("category", "watch"), ("colour", "red")))
    live = shop.live()
    assert live and all("red watch" in asset.prompt for asset in live.values())
    shop.fill(skus=("sku-00001", "sku-00002"))
    assert {"sku-00001", "sku-00002"} <= set(shop.live())
    unknown = shop.fill(skus=("sku-00003", "no-such-sku"))
    assert unknown.exit_code == EXIT_SOME_FAILED and unknown.planned["unknown_skus"] == 1
    assert "sku-00003" in shop.live()


def test_a_row_without_words_is_recorded_with_its_reason(shop: Shop) -> None:
    database = shop.database()
    with database.transaction() as connection:
        blank = {"title": "<b></b>", "category": "", "attributes": {}}
        connection.execute(sa.update(tables.product).where(tables.product.c.sku == "sku-00007").values(**blank))
    database.dispose()
    summary = shop.fill()
    assert summary.planned["skipped"] == 1 and summary.counts["claimed"] == 59
    items = shop.rows(sa.select(tables.run_item).where(tables.run_item.c.sku == "sku-00007"))
    assert [(item.outcome, "no words" in item.reason) for item in items] == [("skipped", True)]


def test_a_rejected_picture_is_drawn_anew_with_another_seed(shop: Shop) -> None:
    shop.fill(limit=5)
    database = shop.database()
    decide_skus(shop.settings, database, Ask(["sku-00000"], "reject", "melted"))
    shop.fill(limit=1, skus=("sku-00000",))
    first, second = assets_of(database, "sku-00000")
    database.dispose()
    assert (first.state, first.live, first.reason) == ("rejected", False, "melted")
    assert second.live and second.attempt == 1 and second.seed != first.seed and second.sha256 != first.sha256


def test_replay_draws_the_same_bytes_and_notices_a_changed_row(shop: Shop) -> None:
    shop.fill()
    database = shop.database()
    result = replay(shop.settings, database, "sku-00031")
    assert result.exit_code == EXIT_OK and result.sha256 == result.asset.sha256
    with database.transaction() as connection:
        connection.execute(sa.update(tables.asset).where(tables.asset.c.sku == "sku-00031").values(seed=1))
    other = replay(shop.settings, database, "sku-00031")
    database.dispose()
    assert other.exit_code == EXIT_SOME_FAILED and other.pixel_difference and "pixels differ" in other.describe()


def test_a_picture_of_the_clip_whose_words_these_are_can_be_replayed(shop: Shop) -> None:
    """A CLIP took over another's text tower: a generator draws the same for both, and a third one is refused."""
    before = load_clip(shop.settings.clip.model).text.text_of
    assert before, "the one that ships took its text tower over"
    shop.fill(limit=2)
    database = shop.database()
    drawn_with(database, "sku-00001", before)
    result = replay(shop.settings, database, "sku-00001")
    drawn_with(database, "sku-00000", "0" * 64)
    with pytest.raises(Unavailable, match="made with the CLIP 0000"):
        replay(shop.settings, database, "sku-00000")
    database.dispose()
    assert result.pixel_difference == 0 and result.sha256 != result.asset.sha256, "the file names the other CLIP"


def drawn_with(database: Database, sku: str, clip_hash: str) -> None:
    with database.transaction() as connection:
        connection.execute(sa.update(tables.asset).where(tables.asset.c.sku == sku).values(clip_hash=clip_hash))


def test_storage_hiccups_are_retried(shop: Shop, faulty: FaultyStorage) -> None:
    faulty.fail_next(3)
    assert shop.fill().exit_code == EXIT_OK
    assert not faulty.fail_puts, "the failures happened"
    shop.check_promises(60)


def test_rows_whose_picture_cannot_be_stored_fail_alone_and_are_tried_on_later_nights(
    shop: Shop, faulty: FaultyStorage
) -> None:
    shop.settings = changed(
        changed(shop.settings, "job", retries=1, page_rows=60, store_threads=1), "gan", candidates=1
    )
    faulty.fail_next(2 + 3)  # the batch twice, then its first three pictures
    first = shop.fill()
    assert first.exit_code == EXIT_SOME_FAILED and first.counts["failed"] == 3
    failed = shop.rows(sa.select(tables.work).where(tables.work.c.state == "failed"))
    assert {row.attempts for row in failed} == {1} and all("storing" in row.reason for row in failed)
    assert shop.fill().counts["claimed"] == 3
    shop.check_promises(60)


def test_a_row_that_always_fails_is_tried_a_bounded_number_of_times(shop: Shop, faulty: FaultyStorage) -> None:
    shop.settings = changed(shop.settings, "job", retries=0, max_attempts=2, page_rows=1, store_threads=1)
    for night in range(2):
        faulty.fail_next(2)
        summary = shop.fill(skus=("sku-00000",))
        assert summary.counts["failed"] == 1, night
    third = shop.fill(skus=("sku-00000",))
    assert third.planned["planned"] == 0 and third.planned["exhausted"] == 1


def test_a_full_disk_stops_the_run_and_nothing_is_lost(shop: Shop, faulty: FaultyStorage) -> None:
    faulty.before_put = lambda: (
        faulty.fail_next(1, Unavailable("no space left on device")) if faulty.puts > 20 else None
    )
    with pytest.raises(Unavailable, match="no space left"):
        shop.fill()
    database = shop.database()
    run = runs.list_runs(database, 1)[0]
    database.dispose()
    assert (run.state, run.exit_code) == ("failed", 69) and "no space left" in run.message
    shop.check_ledgers()
    faulty.before_put = lambda: None
    faulty.fail_puts = []
    shop.fill()
    shop.check_promises(60)


def test_a_deadline_stops_claiming_in_time(shop: Shop) -> None:
    past = datetime.now().astimezone() - timedelta(seconds=1)
    summary = shop.fill(deadline=past)
    assert (summary.state, summary.exit_code, summary.counts["claimed"]) == ("partial", EXIT_PARTIAL, 0)
    assert shop.fill().exit_code == EXIT_OK
    shop.check_promises(60)


def test_what_is_claimed_when_the_deadline_nears_is_finished(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([False, False, True])
    monkeypatch.setattr(job.FillRun, "_too_late", lambda self: next(answers))
    summary = shop.fill()
    assert (summary.state, summary.exit_code) == ("partial", EXIT_PARTIAL)
    assert summary.counts["claimed"] == 32 and summary.counts["released"] == 0
    shop.check_promises(32)


def test_a_stop_request_records_what_is_drawn_and_gives_the_rest_back(shop: Shop, settings: Settings) -> None:
    shop.add(400, start=60)
    stop = StopRequest()
    database = shop.database()
    finished = threading.Event()

    def stop_soon() -> None:
        count = sa.select(sa.func.count()).select_from(tables.asset)
        while not finished.wait(0.02):
            with database.read() as connection:
                if connection.execute(count).scalar_one() >= 16:
                    stop.ask("signal SIGTERM")
                    return

    watcher = threading.Thread(target=stop_soon)
    watcher.start()
    try:
        summary = job.fill_missing(settings, database, job.FillRequest(), stop=stop)
    finally:
        finished.set()
        watcher.join()
        database.dispose()
    assert (summary.state, summary.exit_code) == ("partial", EXIT_PARTIAL)
    assert 16 <= len(shop.live()) < 460
    shop.check_ledgers()
    shop.fill()
    shop.check_promises(460)


def test_two_runs_do_not_overlap_by_accident(shop: Shop, settings: Settings) -> None:
    from contextlib import ExitStack

    database = shop.database()
    with ExitStack() as held:
        job.hold_job_lock(held, database, job.JOB, allow_parallel=False)
        with pytest.raises(TemporaryFailure, match="another fill-missing run holds the lock"):
            shop.fill()
        assert shop.fill(allow_parallel=True, limit=3).counts["claimed"] == 3
    database.dispose()
    assert shop.fill(limit=3).counts["claimed"] == 3


def test_a_near_duplicate_of_another_product_needs_review(shop: Shop) -> None:
    shop.settings = changed(shop.settings, "gate", min_similarity=-1.0)
    shop.fill(limit=1)
    (asset,) = shop.live().values()
    database = shop.database()
    with database.transaction() as connection:  # the same picture stands for another product already
        other = {**asset._mapping, "id": "other", "sku": "another-shop-row"}
        connection.execute(sa.insert(tables.asset), other)
        hashes = connection.execute(sa.select(tables.phash).where(tables.phash.c.asset_id == asset.id)).mappings()
        connection.execute(sa.insert(tables.phash), [{**row, "asset_id": "other"} for row in hashes.all()])
        connection.execute(sa.delete(tables.phash).where(tables.phash.c.asset_id == asset.id))
        connection.execute(sa.delete(tables.asset).where(tables.asset.c.id == asset.id))
        connection.execute(sa.delete(tables.work))
    database.dispose()
    shop.fill(skus=(asset.sku,))
    again = shop.live()[asset.sku]
    assert again.state == "needs_review" and "another-shop-row" in again.reason


def test_s3_for_real_with_hiccups(shop: Shop) -> None:
    with s3_server() as server:
        url = f"{server.make_bucket('pictures')}/night"
        shop.settings = changed(shop.settings, "storage", url=url, options=server.options())
        server.fail_next(4)
        assert shop.fill(limit=24).exit_code == EXIT_OK
        shop.check_promises(24)
        assert all(asset.uri.startswith(url) for asset in shop.live().values())


def test_an_attached_table_is_read_and_written_back_only_on_approval(settings: Settings, shop: Shop) -> None:
    database = shop.database()
    create = (
        "CREATE TABLE shop_items (id integer primary key, name text, kind text, colour text, picture text)",
        "INSERT INTO shop_items VALUES (1, 'Red running shoe', 'shoe', 'red', NULL),"
        " (2, 'Old belt', 'belt', '', 'x.jpg'),"
        " (3, 'Steel watch', 'watch', NULL, ' ')",
    )
    with database.transaction() as connection:
        for statement in create:
            connection.execute(sa.text(statement))
    columns = {"sku": "id", "title": "name", "category": "kind", "image": "picture", "attributes": ("colour",)}
    catalog = {"table": "shop_items", "columns": columns, "writeback": True}
    shop.settings = Settings.model_validate({**settings.model_dump(by_alias=True), "catalog": catalog})
    summary = shop.fill()
    assert summary.planned["planned"] == 2 and set(shop.live()) == {"1", "3"}
    pictures = sa.text("SELECT id, picture FROM shop_items ORDER BY id")
    with database.read() as connection:
        assert list(connection.execute(pictures)) == [(1, None), (2, "x.jpg"), (3, " ")]
    decisions = decide_skus(shop.settings, database, Ask(["1", "2"], "approve"))
    assert decisions.written == ["1"] and decisions.missing == ["2"]
    with database.read() as connection:
        assert list(connection.execute(pictures)) == [(1, shop.live()["1"].uri), (2, "x.jpg"), (3, " ")]
    assert shop.fill().planned["planned"] == 0
    database.dispose()


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_a_database_that_restarts_is_waited_for(postgres: PostgresServer, shop: Shop) -> None:
    shop.add(300, start=60)
    shop.settings = changed(shop.settings, "job", retry_seconds=0.3)
    results: list[Any] = []
    runner = threading.Thread(target=lambda: results.append(shop.fill()))
    runner.start()
    while not shop.live():
        time.sleep(0.05)
    postgres.kill()
    time.sleep(0.5)
    postgres.start()
    runner.join(120)
    assert results and results[0].exit_code == EXIT_OK
    shop.check_promises(360)


def test_the_sum_of_outcomes_is_checked(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stage that loses a row is a bug that must not pass silently."""
    from catalog_gen.errors import InternalError
    from catalog_gen.pipeline.stages import FillStages

    original = FillStages.encode
    monkeypatch.setattr(FillStages, "encode", lambda self, batch: original(self, batch)[1:])
    with pytest.raises(InternalError, match="60 rows were claimed"):
        shop.fill()
