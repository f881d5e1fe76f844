"""Telling a run's end through real servers: who is told what and when, and that it never hurts the run."""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from catalog.catalog_fixtures import insert_products, make_products
from catalog_gen.catalog.database import open_database
from catalog_gen.config import Settings
from catalog_gen.errors import TemporaryFailure, Unavailable, UsageError
from catalog_gen.pipeline.summary import RestyleSummary
from catalog_gen.pipeline.telling import Telling
from notify.servers import HANG, MailServer, WebServer
from notify.tellings import changed, metrics, summary


def test_a_good_night_is_told_everywhere(
    settings: Settings, web: WebServer, push: WebServer, mail: MailServer, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    database = open_database(url)
    insert_products(database, make_products(7))
    database.dispose()
    with caplog.at_level(logging.INFO, "catalog_gen"), Telling(settings, "fill-missing") as telling:
        telling.heard("fill-missing", summary())
    payload = json.loads(web.received[0].body)
    assert (payload["run"], payload["exit_code"], payload["counts"]["generated"]) == ("run-1", 0, 4)
    assert payload["rows_lacking_picture"] == 7 and payload["link"] == "https://desk.example/run-1"
    assert mail.mails[0]["Subject"] == "[catalog-gen] fill-missing: 5 pictures stored, 1 of them for review"
    assert push.received[0].path == "/metrics/job/catalog-gen/task/fill-missing"
    found = metrics(settings)
    assert found["last_run_exit_code"] == 0 and found["rows_lacking_picture"] == 7
    assert found["last_success_timestamp_seconds"] == found["last_run_timestamp_seconds"] > 1.7e9
    assert (len(web.received), len(push.received), len(mail.mails)) == (1, 1, 1)
    assert [record.levelname for record in caplog.records] == ["INFO"] * 4
    assert "T0KEN" not in caplog.text


def test_an_error_before_the_run_is_told_with_its_line(settings: Settings, web: WebServer, mail: MailServer) -> None:
    with pytest.raises(TemporaryFailure), Telling(settings, "fill-missing"):
        raise TemporaryFailure("another fill-missing run holds the lock", where="db", hint="Wait.")
    payload = json.loads(web.received[0].body)
    assert (payload["state"], payload["exit_code"], payload["run"]) == ("not started", 75, None)
    assert payload["message"] == "db: another fill-missing run holds the lock. Wait."
    assert payload["rows_lacking_picture"] is None
    assert "fill-missing could not start: db: another" in mail.mails[0]["Subject"]
    found = metrics(settings)
    assert found["last_run_exit_code"] == 75 and found["runs_total 75"] == 1
    assert "last_success_timestamp_seconds" not in found


def test_an_error_that_ends_a_run_is_told_with_what_the_run_did(settings: Settings, web: WebServer) -> None:
    with pytest.raises(Unavailable), Telling(settings, "restyle", "wint/er") as telling:
        counts = {"claimed": 2, "restyled": 1, "needs_review": 0, "failed": 0, "skipped": 0, "released": 1, "lost": 0}
        ended = RestyleSummary("run-2", "failed", 69, counts | {"pictures": 3}, {}, {}, 1.0, 1.0, "full")
        telling.heard("restyle:winter", ended)
        raise Unavailable("the store is full", where="s3://b")
    payload = json.loads(web.received[0].body)
    assert (payload["job"], payload["style"], payload["run"], payload["exit_code"]) == (
        "restyle",
        "winter",
        "run-2",
        69,
    )
    assert payload["message"] == "s3://b: the store is full" and payload["counts"]["restyled"] == 1
    assert payload["rows_lacking_picture"] is None, "restyling fills no row"
    assert metrics(settings, "restyle_winter")["last_run_rows restyled winter"] == 1


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (ValueError("odd\nthing"), 70, "internal error: ValueError: odd thing"),
    ],
)
def test_any_error_is_told(settings: Settings, web: WebServer, error: BaseException, code: int, line: str) -> None:
    with pytest.raises(type(error)), Telling(settings, "fill-missing"):
        raise error
    payload = json.loads(web.received[0].body)
    assert (payload["exit_code"], payload["message"]) == (code, line)


@pytest.mark.parametrize(("exit_code", "told"), [(0, False), (4, False), (3, True), (69, True), (70, True)])
def test_on_trouble_only_messages_wait_for_trouble(
    settings: Settings, web: WebServer, push: WebServer, mail: MailServer, exit_code: int, told: bool
) -> None:
    with Telling(changed(settings, on="trouble"), "fill-missing") as telling:
        telling.heard("fill-missing", summary(exit_code))
    assert (len(web.received), len(mail.mails)) == (told, told)
    assert len(push.received) == 1, "metrics are written every night"
    found = metrics(settings)
    assert found["last_run_exit_code"] == exit_code
    assert found["last_run_unsent_messages webhook"] == found["last_run_unsent_messages e-mail"] == 0


def test_nothing_is_told_of_what_is_no_run(settings: Settings, web: WebServer, mail: MailServer) -> None:
    with Telling(settings, "fill-missing"):
        pass  # a dry run
    with Telling(settings, "fill-missing", silent=True) as telling:
        telling.heard("fill-missing", summary())
    with pytest.raises(UsageError), Telling(settings, "fill-missing", silent=True):
        raise UsageError("no")
    assert not web.received and not mail.mails and not list(Path(settings.metrics.textfile).iterdir())


def test_what_cannot_be_told_is_one_line_each_and_counted(
    settings: Settings, web: WebServer, push: WebServer, mail: MailServer, caplog: pytest.LogCaptureFixture
) -> None:
    web.answers, mail.answers, push.answers = [404, 404], ["554 no"] * 2, [400, 400]
    quiet = changed(settings, retries=0)
    for _ in range(2):
        caplog.clear()
        with caplog.at_level(logging.WARNING, "catalog_gen"), Telling(quiet, "fill-missing") as telling:
            telling.heard("fill-missing", summary())
    assert sorted(record.getMessage() for record in caplog.records) == [
        f"not told by e-mail (127.0.0.1:{mail.port}): answers 554 no",
        f"not told by pushgateway ({push.url}): answers 400 Bad Request: as asked",
        f"not told by webhook ({web.url}): answers 404 Not Found: as asked",
    ]
    found = metrics(settings)
    assert found["unsent_messages_total webhook"] == found["unsent_messages_total e-mail"] == 2
    assert found["unsent_messages_total pushgateway"] == 2 and found["last_run_unsent_messages webhook"] == 1
    assert 'unsent_messages{channel="webhook",task="fill-missing"} 1' in push.received[0].body.decode()
    assert found["last_run_exit_code"] == 0 and "last_success_timestamp_seconds" in found


def test_a_folder_that_is_gone_is_a_line_as_well(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    Path(settings.metrics.textfile).rmdir()
    with Telling(settings, "fill-missing") as telling:
        telling.heard("fill-missing", summary())
    assert "not told by textfile" in caplog.text and "No such file or directory" in caplog.text


def test_tries_are_repeated_and_say_the_same(settings: Settings, web: WebServer, mail: MailServer) -> None:
    web.answers, mail.answers = [503, 429], ["451 later", "451 later"]
    with Telling(settings, "fill-missing") as telling:
        telling.heard("fill-missing", summary())
    assert len(web.received) == 3 and len({got.body for got in web.received}) == 1
    assert len({got.headers["X-Catalog-Gen-Delivery"] for got in web.received}) == 1
    assert len(mail.mails) == 1
    assert metrics(settings)["last_run_unsent_messages webhook"] == 0


def test_tries_end(settings: Settings, web: WebServer, caplog: pytest.LogCaptureFixture) -> None:
    web.answers = [503] * 9
    with Telling(settings, "fill-missing") as telling:
        telling.heard("fill-missing", summary())
    assert len(web.received) == 3
    last = [record.getMessage() for record in caplog.records if "not told" in record.getMessage()]
    assert last == [f"not told by webhook ({web.url}): answers 503 Service Unavailable: as asked"]


def test_a_receiver_that_hangs_is_given_up_and_the_others_are_told(
    settings: Settings, web: WebServer, mail: MailServer, caplog: pytest.LogCaptureFixture
) -> None:
    web.answers = [HANG]
    with Telling(changed(settings, give_up_seconds=0.5, timeout_seconds=60), "fill-missing") as telling:
        telling.heard("fill-missing", summary())
    assert f"not told by webhook ({web.url}): given up after 0.5 s" in caplog.text
    assert len(mail.mails) == 1
    assert metrics(settings)["last_run_unsent_messages webhook"] == 1


def test_a_signal_ends_the_telling_and_not_the_program(
    settings: Settings, web: WebServer, caplog: pytest.LogCaptureFixture
) -> None:
    """SIGTERM comes while the webhook hangs: the metrics are written, and the job's exit code can still be given."""
    web.answers = [HANG]
    stopped = threading.Event()

    def once_it_hangs() -> None:
        while not web.received and not stopped.is_set():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    killer = threading.Thread(target=once_it_hangs)
    try:
        with Telling(changed(settings, timeout_seconds=60), "fill-missing") as telling:
            telling.heard("fill-missing", summary())
            killer.start()
    finally:
        stopped.set()
        killer.join()
    assert "cut short by signal SIGTERM" in caplog.text
    assert metrics(settings)["last_run_unsent_messages webhook"] == 1
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_without_the_database_the_rest_is_told(
    settings: Settings, web: WebServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gone = settings.model_copy(
        update={"database": settings.database.model_copy(update={"url": f"sqlite:///{tmp_path}/gone/x.sqlite3"})}
    )
    with Telling(gone, "fill-missing") as telling:
        telling.heard("fill-missing", summary())
    assert json.loads(web.received[0].body)["rows_lacking_picture"] is None
    assert "told without the rows that lack a picture: " in caplog.text
    assert "rows_lacking_picture" not in metrics(settings)
