"""Telling with the ledger: why rows failed, a ledger that cannot be closed, past runs again, and trying it out."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from catalog.catalog_fixtures import JOB, die, insert_products, make_products, start
from catalog_gen.catalog import runs
from catalog_gen.catalog.database import open_database
from catalog_gen.catalog.model import Claimed, Outcome, Plan
from catalog_gen.catalog.queue import claim, record
from catalog_gen.catalog.source import open_source
from catalog_gen.config import Settings
from catalog_gen.errors import ConfigError, UsageError
from catalog_gen.pipeline import fill_missing, news, restyle
from catalog_gen.pipeline.engine import Stage
from catalog_gen.pipeline.job import JobContext, JobRun, OnRecorded
from catalog_gen.pipeline.retry import Retry
from catalog_gen.pipeline.signals import StopRequest
from catalog_gen.pipeline.telling import Telling, channels_of, tell_again, try_out
from catalog_gen.pipeline.within import call_within
from notify.servers import MailServer, WebServer
from notify.tellings import LADDER, changed, configured, summary


def night_with_failures(url: str, count: int = 8) -> str:
    """A finished run of the ledger in which some rows failed."""
    database = open_database(url)
    insert_products(database, make_products(count))
    run_id = start(database)
    page = claim(database, open_source(Settings(), database), run_id, JOB, count, 60)
    outcomes = [
        Outcome(row.product.sku, "failed", "storing: timed out" if index % 4 else "no words")
        for index, row in enumerate(page)
    ]
    record(database, run_id, JOB, outcomes)
    counts = {"claimed": count, "generated": 0, "needs_review": 0, "failed": count, "plan_planned": count}
    runs.finish_run(
        database, run_id, state="finished", counts=counts, timings={"draw": 1.5}, images_per_second=2.0, exit_code=3,
        message=f"{count} rows failed",
    )  # fmt: skip
    die(run_id)
    database.dispose()
    return run_id


def test_why_rows_failed_is_told(settings: Settings, url: str, web: WebServer) -> None:
    run_id = night_with_failures(url)
    failed = {"claimed": 8, "generated": 0, "needs_review": 0, "failed": 8, "lost": 0, "released": 0} | LADDER
    with Telling(settings, "fill-missing") as telling:
        telling.heard("fill-missing", summary(3, run_id, counts=failed))
    payload = json.loads(web.received[0].body)
    assert payload["failed_because"] == [
        {"reason": "storing: timed out", "rows": 6},
        {"reason": "no words", "rows": 2},
    ]


def test_a_ledger_that_cannot_be_closed_is_told_with_what_was_done(
    settings: Settings, url: str, web: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job's own code closes the ledger: its ear hears the summary before that, and the error has the last word."""
    database = open_database(url)
    context = JobContext("run-3", JOB, settings, database, open_source(settings, database), Retry(0, 0), StopRequest())
    with pytest.raises(UsageError, match="there is no run run-3"), Telling(settings, JOB) as telling:
        context.on_end = telling.heard
        Nothing(context).execute()
    database.dispose()
    payload = json.loads(web.received[0].body)
    assert (payload["run"], payload["state"], payload["exit_code"]) == ("run-3", "failed", 64)
    assert payload["counts"]["claimed"] == 0 and "there is no run run-3" in payload["message"]


class Nothing(JobRun[object]):
    """A job with nothing to do, whose run is not in the ledger."""

    page_rows = 1

    def make_plan(self) -> Plan:
        return Plan()

    def make_work(self, row: Claimed) -> object:
        return row

    def make_stages(self, on_recorded: OnRecorded) -> list[Stage[object]]:
        return [Stage("record", lambda batch: batch)]

    def pictures_made(self) -> int:
        return 0


def test_a_run_is_told_again_from_the_ledger(
    settings: Settings, url: str, web: WebServer, push: WebServer, mail: MailServer
) -> None:
    run_id = night_with_failures(url)
    database = open_database(url)
    told = tell_again(changed(settings, on="trouble"), database, run_id)
    database.dispose()
    assert [(each.channel, each.problem) for each in told] == [("webhook", ""), ("e-mail", "")]
    payload = json.loads(web.received[0].body)
    assert (payload["run"], payload["exit_code"], payload["message"]) == (run_id, 3, "8 rows failed")
    assert payload["counts"] == {"claimed": 8, "generated": 0, "needs_review": 0, "failed": 8}
    assert payload["planned"] == {"planned": 8} and payload["stage_seconds"] == {"draw": 1.5}
    assert payload["failed_because"][0]["rows"] == 6 and payload["rows_lacking_picture"] is None
    assert not push.received and not list(Path(settings.metrics.textfile).iterdir())


def test_a_run_under_way_is_not_told_again(settings: Settings, url: str, web: WebServer) -> None:
    database = open_database(url)
    insert_products(database, make_products(1))
    run_id = start(database)
    with pytest.raises(UsageError, match="still under way"):
        tell_again(settings, database, run_id)
    die(run_id)
    with pytest.raises(UsageError, match="there is no run"):
        tell_again(settings, database, "nonsense")
    database.dispose()
    assert not web.received


def test_trying_out_reaches_everything_and_leaves_no_metric(
    settings: Settings, web: WebServer, push: WebServer, mail: MailServer
) -> None:
    assert [str(each) for each in try_out(settings)] == [
        f"webhook ({web.url}): sent",
        f"e-mail (127.0.0.1:{mail.port}): sent",
        f"pushgateway ({push.url}): sent",
        f"textfile ({settings.metrics.textfile}): sent",
    ]
    assert json.loads(web.received[0].body)["event"] == "test"
    assert "a test message" in mail.mails[0]["Subject"]
    assert [got.method for got in push.received] == ["PUT", "DELETE"] and not list(
        Path(settings.metrics.textfile).iterdir()
    )


def test_where_nothing_is_configured_nothing_can_be_tried(url: str) -> None:
    nothing = configured({"database.url": url})
    assert channels_of(nothing) == {}
    with pytest.raises(ConfigError, match="nothing is told anywhere"):
        try_out(nothing)
    with Telling(nothing, "fill-missing") as telling:
        assert telling.silent


def test_the_jobs_names_are_those_of_the_news() -> None:
    assert news.FILL == fill_missing.JOB
    assert news.task_of("restyle:winter") == (restyle.TASK, "winter")
    assert news.task_of("fill-missing") == ("fill-missing", "")


def test_calls_run_side_by_side() -> None:
    """Each waits for the other: one after the other they would not end."""
    barrier = threading.Barrier(2)
    calls = call_within(30, {"a": barrier.wait, "b": barrier.wait}, StopRequest())
    assert sorted(call.result for call in calls.values() if call.result is not None) == [0, 1]


def test_nothing_is_called_after_a_stop() -> None:
    stop, called = StopRequest(), list[int]()
    stop.ask("signal SIGTERM")
    calls = call_within(30, {"a": lambda: called.append(1)}, stop)
    assert str(calls["a"].problem) == "cut short by signal SIGTERM" and not called
