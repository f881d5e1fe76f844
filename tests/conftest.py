"""Fixtures shared by the tests. A test that asks for `database` runs on SQLite and on PostgreSQL."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import psycopg
import pytest

from catalog_gen.catalog.database import Database, open_database
from postgres_server import PostgresServer, emptied, find_binaries

_numbers = count()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A running server, with a database `catalog` that has the job's tables."""
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    server = PostgresServer(binaries)
    try:
        server.start()
        catalog = open_database(create_database(server, "catalog"))
        catalog.upgrade()
        catalog.dispose()
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("template") / "catalog.sqlite3"
    database = open_database(f"sqlite:///{file}")
    database.upgrade()
    database.dispose()
    return file


def create_database(server: PostgresServer, name: str) -> str:
    """Create a database without any tables; return its URL."""
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
    return server.url(name)


@pytest.fixture
def bare_postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """The URL of a new PostgreSQL database without any tables."""
    name = f"bare_{next(_numbers)}"
    yield create_database(postgres, name)
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database with the job's tables, on each kind of server in turn."""
    if request.param == "sqlite":
        file = tmp_path / "catalog.sqlite3"
        shutil.copy(request.getfixturevalue("sqlite_template"), file)
        return f"sqlite:///{file}"
    server: PostgresServer = request.getfixturevalue("postgres")
    return emptied(server)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """An empty database with the job's tables, open."""
    opened = open_database(database_url)
    yield opened
    opened.dispose()
