"""The database under the job: its schema, and what its failures are turned into."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from catalog_fixtures import insert_products, make_products, rows_of

from catalog_gen.catalog import database as module
from catalog_gen.catalog import schema, tables
from catalog_gen.catalog.database import Database, open_database
from catalog_gen.errors import CatalogGenError, ConfigError, TransientError, Unavailable
from postgres_server import PostgresServer, find_binaries


@pytest.fixture(params=["sqlite", "postgres"])
def bare_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/bare.sqlite3"
    url: str = request.getfixturevalue("bare_postgres_url")
    return url


def test_upgrade_by_several_processes_at_once(bare_url: str) -> None:
    program = (
        "import sys\n"
        "from catalog_gen.catalog.database import open_database\n"
        "import alembic.command, sqlalchemy.dialects.postgresql\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "database = open_database(sys.argv[1]); database.upgrade(); database.check_schema()\n"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    workers = [subprocess.Popen([sys.executable, "-c", program, bare_url], **pipes) for _ in range(4)]
    for worker in workers:
        assert worker.stdout is not None and worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    ended = [(worker.communicate(timeout=60)[1], worker.returncode) for worker in workers]
    assert ended == [("", 0)] * 4


def test_the_schema_is_checked_in_both_directions(bare_url: str) -> None:
    database = open_database(bare_url)
    with pytest.raises(ConfigError, match=r"has no catalog-gen tables yet\. Run: catalog-gen db upgrade"):
        database.check_schema()
    database.upgrade()
    database.upgrade()
    database.check_schema()
    with database.transaction() as connection:
        connection.execute(sa.text(f"UPDATE {schema.VERSION_TABLE} SET version_num = '9999'"))
    with pytest.raises(ConfigError, match=r"the schema is at 9999, .* newer than the program\. Upgrade the program"):
        database.check_schema()
    with pytest.raises(ConfigError, match="newer than the program"):
        database.upgrade()
    database.dispose()


def test_an_outdated_schema_names_both_versions(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "head", lambda: "0004")
    with pytest.raises(ConfigError, match=r"the schema is at 0003, this version needs 0004\. Run: catalog-gen db up"):
        database.check_schema()


def test_migrations_make_the_declared_tables(database: Database) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    def own(name: str | None, kind: str, _parents: object) -> bool:
        return kind != "table" or (name or "").startswith("cg_")

    with database.read() as connection:
        options = {"version_table": schema.VERSION_TABLE, "compare_type": True, "include_name": own}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, tables.metadata) == []
        declared = {
            (table.name, constraint.name)
            for table in tables.metadata.tables.values()
            for constraint in table.constraints
            if isinstance(constraint, sa.CheckConstraint)
        }
        inspector = sa.inspect(connection)
        found = {(table, check["name"]) for table, _ in declared for check in inspector.get_check_constraints(table)}
        assert found == declared


def test_a_killed_upgrade_leaves_nothing(bare_url: str) -> None:
    program = (
        "import os, sys\n"
        "from alembic import op\n"
        "from catalog_gen.catalog.database import open_database\n"
        "original = op.create_index\n"
        "def dies(name, *rest, **named):\n"
        "    if name == 'cg_asset_run': os.kill(os.getpid(), 9)\n"
        "    return original(name, *rest, **named)\n"
        "op.create_index = dies\n"
        "open_database(sys.argv[1]).upgrade()\n"
    )
    ended = subprocess.run([sys.executable, "-c", program, bare_url], timeout=60)
    assert ended.returncode == -9
    database = open_database(bare_url)
    with database.read() as connection:
        assert sa.inspect(connection).get_table_names() == []
    database.upgrade()
    database.check_schema()
    database.dispose()


def test_times_are_utc_and_compare_in_both_databases(database: Database) -> None:
    insert_products(database, make_products(1))
    with database.read() as connection:
        now = database.now(connection)
        created = tables.product.c.created_at
        assert (
            connection.execute(sa.select(created).where(created <= now)).scalar_one().utcoffset().total_seconds() == 0
        )
        assert connection.execute(sa.select(sa.func.count()).where(created > now)).scalar_one() == 0


def test_a_transaction_is_all_or_nothing(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.transaction() as connection:
        connection.execute(sa.insert(tables.phash), {"bucket": 1, "asset_id": "a"})
        raise ZeroDivisionError
    assert rows_of(database, tables.phash, "bucket") == []


def test_threads_read_and_write_at_once(database: Database) -> None:
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for step in range(10):
                with database.transaction() as connection:
                    connection.execute(sa.select(sa.func.count()).select_from(tables.phash)).scalar_one()
                    connection.execute(sa.insert(tables.phash), {"bucket": number * 100 + step, "asset_id": "a"})
                with database.read() as connection:
                    connection.execute(sa.select(tables.phash)).all()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(rows_of(database, tables.phash, "bucket")) == 60


@pytest.mark.parametrize(
    ("url", "kind", "words"),
    [
        ("not a url", ConfigError, "is not a database URL"),
        ("postgresql://me:secret@host:port/db", ConfigError, "is not a database URL"),
        ("mysql://me:secret@host/db", ConfigError, "mysql databases are not supported"),
        ("sqlite://", ConfigError, "in memory"),
        ("sqlite:///:memory:", ConfigError, "in memory"),
        ("sqlite:////nowhere/at/all.sqlite3", Unavailable, "the folder /nowhere/at does not exist"),
        ("postgresql://me:secret@127.0.0.1:1/db", Unavailable, "cannot be reached"),
    ],
)
def test_urls_that_cannot_be_used(url: str, kind: type[CatalogGenError], words: str) -> None:
    with pytest.raises(kind, match=words) as caught:
        open_database(url)
    assert "secret" not in str(caught.value) and "\n" not in str(caught.value)


def test_a_missing_driver_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(Unavailable, match=r"pip install 'catalog-gen\[postgres\]'"):
        open_database("postgresql://127.0.0.1/db")


def test_what_postgres_refuses_is_terminal(postgres: PostgresServer) -> None:
    with pytest.raises(Unavailable, match="the database does not exist"):
        open_database(postgres.url("nothing-here"))
    with pytest.raises(Unavailable, match="the login was refused"):
        open_database(postgres.url().replace("postgres@", "stranger:pw@"))


def test_a_locked_sqlite_file_is_transient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BUSY_SECONDS", 0.1)
    database = open_database(f"sqlite:///{tmp_path}/c.sqlite3")
    database.upgrade()
    other = sqlite3.connect(tmp_path / "c.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(TransientError, match="locked"), database.transaction():
        pytest.fail("the lock was not waited for")
    with database.read() as connection:  # WAL: a writer keeps no reader out
        connection.execute(sa.select(tables.product)).all()
    other.execute("COMMIT")
    with database.transaction() as connection:
        connection.execute(sa.select(1))
    other.close()
    database.dispose()


def test_a_full_disk_is_terminal(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path}/c.sqlite3")
    database.upgrade()
    with pytest.raises(Unavailable, match=r"full.*Free some disk space"), database.transaction() as connection:
        # SQLite's own limit gives the same error as a disk without room, wherever the test runs.
        connection.exec_driver_sql("PRAGMA max_page_count = 1")
        connection.execute(sa.insert(tables.embedding), [_vector(index) for index in range(500)])
    database.dispose()


def _vector(index: int) -> dict[str, object]:
    now = datetime.now(UTC)
    return {"model_hash": "m", "text_hash": str(index), "vector": b"x" * 4096, "created_at": now}


def test_a_read_only_file_is_terminal(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path}/c.sqlite3")
    database.upgrade()
    with pytest.raises(Unavailable, match=r"readonly.*can be written"), database.transaction() as connection:
        connection.exec_driver_sql("PRAGMA query_only = 1")  # as a file mode would, also for root
        connection.execute(sa.insert(tables.phash), {"bucket": 1, "asset_id": "a"})
    database.dispose()


def test_a_file_that_is_no_database_is_terminal(tmp_path: Path) -> None:
    file = tmp_path / "c.sqlite3"
    file.write_bytes(b"sku;title\n" * 500)
    with pytest.raises(Unavailable, match="file is not a database"):
        open_database(f"sqlite:///{file}")


def test_missing_tables_name_the_command(bare_url: str) -> None:
    database = open_database(bare_url)
    with pytest.raises(ConfigError, match=r"cg_product.*catalog-gen db upgrade"), database.read() as connection:
        connection.execute(sa.select(tables.product)).all()
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


def test_a_server_that_dies_and_comes_back_is_transient(own_server: PostgresServer) -> None:
    database = open_database(own_server.url())
    database.upgrade()
    with pytest.raises(TransientError), database.transaction() as connection:
        connection.execute(sa.insert(tables.phash), {"bucket": 1, "asset_id": "lost"})
        own_server.kill()
        connection.execute(sa.insert(tables.phash), {"bucket": 2, "asset_id": "lost"})
    with pytest.raises(TransientError), database.read() as connection:
        connection.execute(sa.select(1))
    own_server.start()
    database.ping()
    with pytest.raises(TransientError), database.transaction() as connection:
        connection.execute(sa.insert(tables.phash), {"bucket": 3, "asset_id": "lost"})
        own_server.stop()
        connection.execute(sa.select(1))
    own_server.start()
    assert rows_of(database, tables.phash, "bucket") == []
    database.dispose()


def test_deadlocks_and_lock_timeouts_are_transient(postgres: PostgresServer, bare_postgres_url: str) -> None:
    database = open_database(bare_postgres_url)
    database.upgrade()
    with database.transaction() as connection:
        connection.execute(sa.insert(tables.phash), [{"bucket": bucket, "asset_id": "a"} for bucket in (1, 2)])
    errors: list[CatalogGenError] = []
    barrier = threading.Barrier(2)

    def lock(first: int, second: int) -> None:
        try:
            with database.transaction() as connection:
                connection.execute(sa.delete(tables.phash).where(tables.phash.c.bucket == first))
                barrier.wait(10)
                connection.execute(sa.delete(tables.phash).where(tables.phash.c.bucket == second))
        except CatalogGenError as error:
            errors.append(error)

    threads = [threading.Thread(target=lock, args=pair) for pair in ((1, 2), (2, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [type(error) for error in errors] == [TransientError]
    assert "deadlock" in str(errors[0])
    with database.transaction() as holder:
        holder.execute(sa.text("LOCK TABLE cg_product IN ACCESS EXCLUSIVE MODE"))
        started = time.monotonic()
        with pytest.raises(TransientError, match="lock timeout"), database.transaction() as connection:
            connection.execute(sa.text("SET LOCAL lock_timeout = '100ms'"))
            connection.execute(sa.select(tables.product)).all()
        assert time.monotonic() - started < 10
    database.dispose()
