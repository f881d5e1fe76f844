"""Metrics, read by Prometheus's own client library: the text, the file that is replaced whole, the Pushgateway."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from catalog_gen.errors import Unavailable
from catalog_gen.notify.metrics import counters, exposition, last_known, last_run, read_samples
from catalog_gen.notify.pushgateway import check_requests, push_request
from catalog_gen.notify.textfile import check_textfile, write_textfile
from catalog_gen.notify.web import send
from notify.conftest import NIGHT, make_news
from notify.servers import WebServer

Key = tuple[str, frozenset[tuple[str, str]]]
ENDED = NIGHT["ended_at"].timestamp()
OK: dict[str, Any] = {"exit_code": 0, "line": ""}
LOCKED: dict[str, Any] = {
    "state": "not started",
    "exit_code": 75,
    "run_id": "",
    "counts": {},
    "timings": {},
    "lacking": None,
    "images_per_second": 0.0,
}


def key(name: str, **labels: str) -> Key:
    return f"catalog_gen_{name}", frozenset(({"task": "fill-missing"} | labels).items())


def read(text: str) -> dict[Key, float]:
    """Return every sample as Prometheus's client reads it; fails when two have the same labels."""
    families = list(text_string_to_metric_families(text))
    samples = [sample for family in families for sample in family.samples]
    assert all(family.documentation and family.type in ("gauge", "counter") for family in families)
    found = {(sample.name, frozenset(sample.labels.items())): sample.value for sample in samples}
    assert len(found) == len(samples)
    return found


def test_every_number_of_the_night_is_there_once() -> None:
    assert read(exposition(last_run(make_news(), {"webhook": False, "e-mail": True}))) == {
        key("last_run_timestamp_seconds"): ENDED,
        key("last_run_exit_code"): 3,
        key("last_run_duration_seconds"): 4350,
        key("last_run_rows", outcome="generated"): 1180,
        key("last_run_rows", outcome="needs_review"): 70,
        key("last_run_rows", outcome="failed"): 3,
        key("last_run_rows", outcome="skipped"): 0,
        key("last_run_rows", outcome="lost"): 0,
        key("last_run_rows", outcome="released"): 0,
        key("last_run_stage_seconds", stage="claim"): 0.5,
        key("last_run_stage_seconds", stage="draw"): 61.25,
        key("last_run_images_per_second"): 55.2,
        key("last_run_unsent_messages", channel="webhook"): 0,
        key("last_run_unsent_messages", channel="e-mail"): 1,
    }


def test_restyling_has_the_label_style() -> None:
    counts = {"claimed": 60, "restyled": 52, "needs_review": 8, "failed": 0, "pictures": 180}
    found = read(exposition(last_run(make_news(task="restyle", style='win"ter\\\n', counts=counts, lacking=None), {})))
    labels = {"task": "restyle", "style": 'win"ter\\\n'}
    assert found[key("last_run_rows", outcome="restyled", **labels)] == 52
    assert all(dict(label)["style"] == labels["style"] for _, label in found)
    assert not [name for name, label in found if ("outcome", "generated") in label]


def test_a_run_that_did_not_start_leaves_no_number_of_the_night_before() -> None:
    found = read(exposition(last_run(make_news(**LOCKED), {})))
    assert found[key("last_run_exit_code")] == 75
    assert {value for (name, _), value in found.items() if name.endswith(("_rows", "_stage_seconds"))} == {0}
    asked = make_news(**LOCKED | {"task": "restyle", "style": "wintr"})
    assert all("style" not in dict(labels) for _, labels in read(exposition(last_run(asked, {}))))


def test_what_is_written_is_read_back() -> None:
    news = make_news(task="restyle", style='a\\n"b\\"\n,}x="y"')
    families = [*last_run(news, {"webhook": True}), *last_known(news, {}), *counters(news, {"webhook": True}, {})]
    text = exposition(families)
    ours = {(name, frozenset(labels)): value for (name, labels), value in read_samples(text).items()}
    assert ours == read(text)


def test_the_last_success_moves_on_success_only(tmp_path: Path) -> None:
    success = key("last_success_timestamp_seconds")

    def night(**changes: Any) -> dict[Key, float]:
        return read(write_textfile(tmp_path, make_news(**changes), {}).read_text(encoding="utf-8"))

    assert success not in night(exit_code=69), "none has succeeded yet"
    assert night(**OK)[success] == ENDED
    later = NIGHT["ended_at"].replace(month=3)
    for code in (3, 4, 69, 70, 75, 78):
        found = night(exit_code=code, ended_at=later)
        assert found[success] == ENDED
        assert found[key("last_run_timestamp_seconds")] == later.timestamp()
    assert night(**OK, ended_at=later)[success] == later.timestamp()


def test_what_is_lacking_stands_until_it_is_counted_again(tmp_path: Path) -> None:
    lacking = key("rows_lacking_picture")
    nights: list[tuple[dict[str, Any], float | None]] = [
        (LOCKED, None),
        ({"lacking": 30504}, 30504),
        (LOCKED, 30504),
        ({"lacking": 0}, 0),
        (LOCKED, 0),
    ]
    for changes, expected in nights:
        file = write_textfile(tmp_path, make_news(**changes), {})
        assert read(file.read_text(encoding="utf-8")).get(lacking) == expected


def test_runs_and_unsent_messages_are_counted_over_the_nights(tmp_path: Path) -> None:
    for code, unsent in ((0, False), (69, True), (0, True), (0, False)):
        messages = {"webhook": unsent, "e-mail": False}
        file = write_textfile(tmp_path, make_news(exit_code=code), messages)
    found = read(file.read_text(encoding="utf-8"))
    assert found[key("runs_total", exit_code="0")] == 3 and found[key("runs_total", exit_code="69")] == 1
    assert found[key("unsent_messages_total", channel="webhook")] == 2
    assert found[key("unsent_messages_total", channel="e-mail")] == 0
    assert found[key("last_run_unsent_messages", channel="webhook")] == 0


def test_each_task_has_a_file_and_only_files_of_the_collector_are_left(tmp_path: Path) -> None:
    write_textfile(tmp_path, make_news(), {})
    write_textfile(tmp_path, make_news(task="restyle", style="winter/../x y"), {})
    write_textfile(tmp_path, make_news(**LOCKED | {"task": "restyle", "style": "wintr"}), {})
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "catalog_gen_fill-missing.prom",
        "catalog_gen_restyle.prom",
        "catalog_gen_restyle_winter----x-y.prom",
    ]


def test_the_collector_may_read_the_file_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        file = write_textfile(tmp_path, make_news(), {})
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o644


def test_a_reader_sees_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    """The file is another one each time: an open reader keeps the whole old text."""
    file = write_textfile(tmp_path, make_news(), {})
    with file.open(encoding="utf-8") as reader:
        begun = reader.read(10)
        write_textfile(tmp_path, make_news(exit_code=0), {})
        old = begun + reader.read()
    assert read(old)[key("last_run_exit_code")] == 3
    assert read(file.read_text(encoding="utf-8"))[key("last_run_exit_code")] == 0


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"catalog_gen_runs_total{task= nonsense\n"])
def test_a_damaged_file_is_replaced(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "catalog_gen_fill-missing.prom"
    file.write_bytes(content)
    write_textfile(tmp_path, make_news(**OK), {})
    assert read(file.read_text(encoding="utf-8"))[key("runs_total", exit_code="0")] == 1


def test_workers_that_end_at_once_are_all_counted(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from notify.conftest import make_news;"
        "from catalog_gen.notify.textfile import write_textfile;"
        "[write_textfile(Path(sys.argv[1]), make_news(exit_code=0), {}) for _ in range(20)]"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    workers = [subprocess.Popen(command, env=environment) for _ in range(3)]
    assert [worker.wait() for worker in workers] == [0, 0, 0]
    [file] = tmp_path.iterdir()
    assert read(file.read_text(encoding="utf-8"))[key("runs_total", exit_code="0")] == 60


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    for attempt in (lambda: write_textfile(missing, make_news(), {}), lambda: check_textfile(missing)):
        with pytest.raises(Unavailable, match=r"missing: cannot be written \(No such file or directory\)"):
            attempt()
    assert not missing.exists()


def test_checking_the_folder_leaves_nothing(tmp_path: Path) -> None:
    check_textfile(tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_pushgateway_gets_a_group_a_task(web: WebServer) -> None:
    send(push_request(f"{web.url}/", make_news(**OK), {"webhook": False}), timeout=5)
    send(push_request(web.url, make_news(task="restyle", style="winter"), {}), timeout=5)
    send(push_request(web.url, make_news(task="restyle", style="a b/c"), {}), timeout=5)
    send(push_request(web.url, make_news(task="restyle", style="a b%"), {}), timeout=5)
    assert [got.path for got in web.received] == [
        "/metrics/job/catalog-gen/task/fill-missing",
        "/metrics/job/catalog-gen/task/restyle/style/winter",
        "/metrics/job/catalog-gen/task/restyle/style@base64/YSBiL2M",
        "/metrics/job/catalog-gen/task/restyle/style/a%20b%25",
    ]
    assert {got.method for got in web.received} == {"POST"}, "a PUT would wipe the time of the last success"
    assert web.received[0].headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    found = read(web.received[0].body.decode())
    assert found[key("last_success_timestamp_seconds")] == ENDED
    assert not [name for name, _ in found if name.endswith("_total")], "nothing there adds them up"


def test_a_failed_run_does_not_name_the_last_success(web: WebServer) -> None:
    send(push_request(web.url, make_news(exit_code=69), {}), timeout=5)
    assert key("last_success_timestamp_seconds") not in read(web.received[0].body.decode())


def test_checking_the_gateway_takes_back_what_it_put(web: WebServer) -> None:
    for request in check_requests(web.url):
        send(request, timeout=5)
    assert [(got.method, got.path) for got in web.received] == [
        ("PUT", "/metrics/job/catalog-gen/task/test"),
        ("DELETE", "/metrics/job/catalog-gen/task/test"),
    ]
    assert read_families(web.received[0].body.decode()) == ["catalog_gen_test"]


def read_families(text: str) -> list[str]:
    return [family.name for family in text_string_to_metric_families(text)]
