"""The job as cron starts it: processes that are killed, stopped, and started twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from catalog_gen.errors import EXIT_OK, EXIT_PARTIAL
from integration.shop import Shop


def finished(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=240)
    return process.returncode, out, err


def wait_for_pictures(shop: Shop, count: int, process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 120
    while len(shop.live()) < count:
        assert time.monotonic() < until and process.poll() is None, finished(process)
        time.sleep(0.05)


def test_kill_9_at_random_moments(shop: Shop, tiny_upscaler: Path) -> None:
    """A few kills in every test run; `integration/torture.py` does it as often as you like."""
    command = [sys.executable, "-m", "integration.torture", "--kills", "4", "--rows", "900", "--longest", "2"]
    command += ["--pictures", shop.settings.storage.url, "--gan", shop.settings.gan.model]
    command += ["--upscale", str(tiny_upscaler), "--size", "64", "--ladder", "1"]  # killed in every stage there is
    shop.clear()
    command += ["--database", shop.settings.database.url]
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root / "tests")}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "4 kills" in done.stdout
    shop.check_promises(900)


def test_two_workers_share_the_work_without_a_duplicate(shop: Shop) -> None:
    shop.add(1000, start=60)
    workers = [shop.start("fill-missing", "--allow-parallel") for _ in range(2)]
    ended = [finished(worker) for worker in workers]
    assert [code for code, _, _ in ended] == [EXIT_OK, EXIT_OK], ended
    shop.check_promises(1060)
    made = [json.loads(line)["counts"]["claimed"] for line in finished(shop.start("runs", "--json"))[1].splitlines()]
    assert sum(made) == 1060 and all(made), made


def test_the_first_sigterm_drains_and_the_next_run_goes_on(shop: Shop) -> None:
    shop.add(2000, start=60)
    process = shop.start("fill-missing", "--log-json")
    wait_for_pictures(shop, 20, process)
    process.send_signal(signal.SIGTERM)
    code, out, err = finished(process)
    assert code == EXIT_PARTIAL, (out, err)
    assert all(json.loads(line)["message"] for line in err.splitlines()), err
    done = len(shop.live())
    assert 20 <= done < 2060
    shop.check_promises(done)
    assert "partial" in finished(shop.start("runs"))[1]


def test_the_second_signal_stops_at_once_and_loses_nothing(shop: Shop) -> None:
    shop.add(2000, start=60)
    process = shop.start("fill-missing")
    wait_for_pictures(shop, 20, process)
    process.send_signal(signal.SIGINT)
    time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    code, _, err = finished(process)
    assert code in (128 + signal.SIGINT, EXIT_PARTIAL), err
    shop.live()
    assert finished(shop.start("fill-missing", "--limit", "100"))[0] == EXIT_OK


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_second_nightly_run_is_refused(shop: Shop) -> None:
    shop.add(2000, start=60)
    first = shop.start("fill-missing")
    wait_for_pictures(shop, 1, first)
    code, _, err = finished(shop.start("fill-missing"))
    assert code == 75 and "another fill-missing run holds the lock" in err and len(err.splitlines()) == 1
    first.kill()
    finished(first)
