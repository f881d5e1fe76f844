"""Locks that end with their holder, on both databases."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from catalog_gen.catalog.database import Database, open_database
from catalog_gen.catalog.locks import acquire_lock
from catalog_gen.errors import TransientError, Unavailable
from postgres_server import PostgresServer, find_binaries

HOLDER = (
    "import sys, time\n"
    "from catalog_gen.catalog.database import open_database\n"
    "from catalog_gen.catalog.locks import acquire_lock\n"
    "lock = acquire_lock(open_database(sys.argv[1]), sys.argv[2])\n"
    "print(lock is not None, flush=True)\n"
    "time.sleep(60)\n"
)


def hold(url: str, name: str) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLDER, url, name], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "True\n"
    return process


def test_one_holder_a_name(database: Database) -> None:
    first = acquire_lock(database, "job:fill-missing")
    assert first is not None and first.still_held()
    assert acquire_lock(database, "job:fill-missing") is None
    other = acquire_lock(database, "job:fill-missing/../x")
    assert other is not None
    with first:
        pass
    first.release()
    assert not first.still_held()
    with acquire_lock(database, "job:fill-missing") as again:  # type: ignore[union-attr]
        assert again.still_held()
    other.release()


def test_a_killed_holder_holds_nothing(database_url: str) -> None:
    database = open_database(database_url)
    process = hold(database_url, "run:1")
    try:
        assert acquire_lock(database, "run:1") is None
    finally:
        process.kill()
        process.wait()
    deadline = time.monotonic() + 10  # the server notices a closed socket, not a closed process
    while (lock := acquire_lock(database, "run:1")) is None:
        assert time.monotonic() < deadline, "the lock outlived its process"
        time.sleep(0.02)
    lock.release()
    database.dispose()


def test_only_one_of_many_wins_while_holders_come_and_go(database: Database) -> None:
    import threading

    inside: list[int] = []
    most: list[int] = []

    def contend() -> None:
        for _ in range(15):
            lock = acquire_lock(database, "contended")
            if lock is not None:
                inside.append(1)
                most.append(len(inside))
                time.sleep(0.001)
                inside.pop()
                lock.release()

    threads = [threading.Thread(target=contend) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most and max(most) == 1


def test_a_lock_folder_that_cannot_be_made_is_one_clear_line(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("locks")
    database = open_database(f"sqlite:///{folder}/c.sqlite3")
    (folder / "c.sqlite3.locks").write_text("in the way")
    with pytest.raises(Unavailable, match="the lock file cannot be used"):
        acquire_lock(database, "job:x")
    database.dispose()


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    server = PostgresServer(binaries)
    try:
        server.start()
        yield server
    finally:
        server.remove()


def test_a_lock_is_taken_again_after_a_restart(own_server: PostgresServer) -> None:
    database = open_database(own_server.url())
    first, second = acquire_lock(database, "run:1"), acquire_lock(database, "run:2")
    assert first is not None and second is not None
    own_server.stop()
    with pytest.raises(TransientError):
        first.still_held()
    own_server.start()
    thief = hold(own_server.url(), "run:2")
    try:
        assert first.still_held()
        assert not second.still_held()
        assert acquire_lock(database, "run:1") is None
    finally:
        thief.kill()
        thief.wait()
    first.release()
    second.release()
    database.dispose()
