"""Nights as cron starts them, told by webhook and textfile: good ones, bad ones, and ones that never began."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from catalog_gen import cli
from catalog_gen.catalog import runs
from catalog_gen.catalog.locks import acquire_lock
from catalog_gen.errors import Unavailable
from catalog_gen.pipeline import fill_missing as filling
from catalog_gen.pipeline import restyle as restyling
from catalog_gen.storage import open_storage
from integration.restyle_shop import RestyleShop, make_parts, settings_for
from integration.shop import Shop
from integration.test_processes import finished, wait_for_pictures
from notify.servers import WebServer, mail_server, web_server
from tests.storage_fixtures import FaultyStorage

JOB = "fill-missing"

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def web() -> Iterator[WebServer]:
    with web_server() as server:
        yield server


@pytest.fixture
def told(web: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WebServer:
    """Every command started in the test tells `web`, and a textfile in `metrics/`."""
    (tmp_path / "metrics").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CATALOG_GEN_NOTIFY__WEBHOOK__URL", web.url)
    monkeypatch.setenv("CATALOG_GEN_METRICS__TEXTFILE", str(tmp_path / "metrics"))
    return web


def payloads(web: WebServer) -> list[dict[str, Any]]:
    return [json.loads(got.body) for got in web.received]


def metric(name: str, file: str = "fill-missing", **labels: str) -> float:
    """Return a sample of the textfile; fails when there is none."""
    text = Path(f"metrics/catalog_gen_{file}.prom").read_text(encoding="utf-8")
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    [found] = [
        sample.value
        for sample in samples
        if sample.name == f"catalog_gen_{name}" and labels.items() <= sample.labels.items()
    ]
    return float(found)


def flags(shop: Shop) -> list[str]:
    """Return what the command needs to work this shop in the test's own process."""
    chosen = {
        "database": {"url": shop.settings.database.url},
        "storage": {"url": shop.settings.storage.url},
        "gan": {"model": shop.settings.gan.model, "candidates": 2, "ladder": 0},
        "job": {"page_rows": 16, "retries": 0, "store_threads": 1},
    }
    lines = [line for name, keys in chosen.items() for line in (f"[{name}]", *_lines(keys))]
    Path("shop.toml").write_text("\n".join(lines), encoding="utf-8")
    return ["--config", "shop.toml"]


def _lines(keys: dict[str, Any]) -> list[str]:
    return [f"{key} = {json.dumps(value)}" for key, value in keys.items()]


def test_a_good_night(shop: Shop, told: WebServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["fill-missing", *flags(shop)]) == 0
    out, err = capsys.readouterr()
    [payload] = payloads(told)
    database = shop.database()
    [run] = runs.list_runs(database)
    database.dispose()
    assert (payload["run"], payload["state"], payload["exit_code"], payload["job"]) == (run.id, "finished", 0, JOB)
    assert payload["counts"] == {name: n for name, n in run.counts.items() if not name.startswith("plan_")}
    assert payload["planned"]["planned"] == 60 and payload["rows_lacking_picture"] == 0
    assert payload["stage_seconds"] == run.timings
    assert metric("last_run_rows", outcome="generated") + metric("last_run_rows", outcome="needs_review") == 60
    assert metric("last_success_timestamp_seconds") == metric("last_run_timestamp_seconds")
    assert metric("rows_lacking_picture") == 0 and "told by webhook" in err and "pictures stored: 60" in out


def test_receivers_that_fail_change_nothing(
    shop: Shop, told: WebServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told.answers = [500] * 9
    monkeypatch.setenv("CATALOG_GEN_JOB__RETRY_SECONDS", "0.01")
    monkeypatch.setenv("CATALOG_GEN_METRICS__PUSHGATEWAY", "http://127.0.0.1:1")
    assert cli.run(["fill-missing", *flags(shop)]) == 0
    out, err = capsys.readouterr()
    assert "pictures stored: 60" in out
    assert err.count("not told by") == 2 and len(told.received) == 3
    assert metric("last_run_unsent_messages", channel="webhook") == 1
    assert metric("last_run_unsent_messages", channel="pushgateway") == 1
    shop.check_promises(60)


def test_a_night_stopped_by_a_signal(shop: Shop, told: WebServer) -> None:
    shop.add(2000, start=60)
    process = shop.start("fill-missing")
    wait_for_pictures(shop, 20, process)
    process.send_signal(signal.SIGTERM)
    code, _, err = finished(process)
    assert code == 4, err
    [payload] = payloads(told)
    assert (payload["state"], payload["exit_code"], payload["trouble"]) == ("partial", 4, False)
    assert payload["message"].startswith("stopped by signal SIGTERM, ")
    assert payload["rows_lacking_picture"] == 2060 - len(shop.live()) > 0
    assert metric("last_run_exit_code") == 4
    with pytest.raises(ValueError, match="not enough values"):
        metric("last_success_timestamp_seconds")


def test_a_night_in_which_the_store_fails(shop: Shop, told: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = FaultyStorage(open_storage(shop.settings.storage.url))
    monkeypatch.setattr(filling, "open_storage", lambda url, options: storage)
    arguments = ["fill-missing", *flags(shop), "--limit", "3"]
    storage.fail_next(1 + 3)  # the batch, then each of its pictures
    assert cli.run(arguments) == 3
    storage.fail_next(1, Unavailable("the store is full", where="s3://b"))
    assert cli.run(arguments) == 69
    some, none = payloads(told)
    assert (some["exit_code"], some["message"], some["counts"]["failed"]) == (3, "3 rows failed", 3)
    [reason] = some["failed_because"]
    assert reason["rows"] == 3 and "asked to fail" in reason["reason"]
    assert (none["state"], none["exit_code"], none["message"]) == ("failed", 69, "s3://b: the store is full")
    assert none["counts"]["claimed"] == none["counts"]["released"] == 3 and none["run"]
    assert metric("runs_total", exit_code="3") == metric("runs_total", exit_code="69") == 1


def test_a_night_that_never_begins(shop: Shop, told: WebServer, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["fill-missing", *flags(shop)]
    database = shop.database()
    lock = acquire_lock(database, f"job:{JOB}")
    assert lock is not None
    assert cli.run(arguments) == 75
    lock.release()
    database.dispose()
    assert cli.run([*arguments, "--database", f"sqlite:///{Path.cwd()}/nowhere/shop.sqlite3"]) == 69
    assert cli.run([*arguments, "--deadline", "25:00"]) == 64
    errors = [
        line.removeprefix("catalog-gen: ") for line in capsys.readouterr().err.splitlines() if "catalog-gen:" in line
    ]
    assert [(told["exit_code"], told["message"]) for told in payloads(told)] == list(
        zip((75, 69, 64), errors, strict=True)
    )
    assert {told["state"] for told in payloads(told)} == {"not started"}
    assert metric("last_run_exit_code") == 64 and metric("last_run_rows", outcome="failed") == 0


def test_trying_things_out_tells_nobody(shop: Shop, told: WebServer) -> None:
    assert cli.run(["fill-missing", *flags(shop), "--dry-run"]) == 0
    assert cli.run(["fill-missing", *flags(shop), "--limit", "1", "--no-tell"]) == 0
    assert cli.run(["fill-missing", *flags(shop), "--deadline", "25:00", "--no-tell"]) == 64
    assert not told.received and not list(Path("metrics").iterdir())


def test_restyling_is_told_with_its_style(
    database_url: str, tmp_path: Path, told: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = RestyleShop(settings_for(database_url, tmp_path / "pictures"), tmp_path)
    shop.add_approved(3)
    arguments = ["restyle", "--style", "winter", "--database", database_url, "--storage", str(tmp_path / "pictures")]
    with monkeypatch.context() as patch:
        patch.setattr(restyling, "load_parts", lambda settings, style, outputs, n: make_parts(shop.knobs, outputs, n))
        assert cli.run(arguments) == 0
    assert cli.run([*arguments, "--style", "wintr"]) == 78
    made, refused = payloads(told)
    assert (made["job"], made["style"]) == ("restyle", "winter")
    assert (made["counts"]["restyled"], made["counts"]["pictures"]) == (3, 6)
    assert metric("last_run_rows", "restyle_winter", task="restyle", style="winter", outcome="restyled") == 3
    assert (refused["style"], refused["state"], refused["exit_code"]) == ("wintr", "not started", 78)


def test_the_report_goes_with_the_mail_while_it_is_small(
    shop: Shop, told: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mail_server() as server:
        keys = {"HOST": "127.0.0.1", "PORT": str(server.port), "SECURITY": "none", "ATTACH_REPORT": "true"}
        for key, value in (keys | {"SENDER": "job@shop.example", "TO": '["ops@shop.example"]'}).items():
            monkeypatch.setenv(f"CATALOG_GEN_NOTIFY__EMAIL__{key}", value)
        assert cli.run(["fill-missing", *flags(shop), "--limit", "3"]) == 0
        run_id = payloads(told)[0]["run"]
        monkeypatch.setenv("CATALOG_GEN_NOTIFY__EMAIL__ATTACH_MB", "0.0001")
        assert cli.run(["notify", *flags(shop), "--run", run_id]) == 0
    small, large = server.mails
    [report] = small.iter_attachments()
    assert report.get_filename() == f"catalog-gen-{run_id}.html"
    assert all(sku.encode() in report.get_payload(decode=True) for sku in shop.live())
    assert not list(large.iter_attachments())
    [text, _] = large.iter_parts()
    assert re.search(r"The report is too large to attach \(\d+\.\d MB\)\.", text.get_content())


def test_notify_sends_a_test_and_a_run_again(
    shop: Shop, told: WebServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli.run(["fill-missing", *flags(shop), "--limit", "2"]) == 0
    run_id = payloads(told)[0]["run"]
    before = Path("metrics/catalog_gen_fill-missing.prom").read_bytes()
    capsys.readouterr()
    assert cli.run(["notify", *flags(shop), "--run", run_id[:-2]]) == 0
    assert capsys.readouterr().out == f"webhook ({told.url}): sent\n"
    assert cli.run(["notify", *flags(shop), "--test"]) == 0
    assert [payload["event"] for payload in payloads(told)] == ["run", "run", "test"]
    assert payloads(told)[1]["run"] == run_id
    assert Path("metrics/catalog_gen_fill-missing.prom").read_bytes() == before
    told.answers = [404, 404]
    monkeypatch.setenv("CATALOG_GEN_METRICS__TEXTFILE", "nowhere")
    capsys.readouterr()
    assert cli.run(["notify", *flags(shop), "--test"]) == 69
    assert capsys.readouterr().err.splitlines() == [
        f"catalog-gen: webhook ({told.url}): answers 404 Not Found: as asked",
        "catalog-gen: textfile (nowhere): cannot be written (No such file or directory). "
        "It must be there, and the job's user must be allowed to write to it.",
    ]
    assert cli.run(["notify", *flags(shop), "--run", run_id]) == 69


def test_notify_is_told_what_to_do(shop: Shop, told: WebServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["notify", *flags(shop)]) == 64
    assert cli.run(["notify", *flags(shop), "--test", "--run", "x"]) == 64
    assert cli.run(["notify", *flags(shop), "--run", "x"]) == 64
    assert "there is no run 'x'" in capsys.readouterr().err
    os.environ.pop("CATALOG_GEN_NOTIFY__WEBHOOK__URL")
    assert cli.run(["notify", *flags(shop), "--run", "x"]) == 64
    os.environ.pop("CATALOG_GEN_METRICS__TEXTFILE")
    assert cli.run(["notify", *flags(shop), "--test"]) == 78
    assert not told.received
