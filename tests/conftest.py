"""Fixtures shared by the tests: databases above all. A test that asks for `database` runs on SQLite and on PostgreSQL."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from catalog_gen.catalog.database import Database, open_database
from postgres_server import PostgresServer, find_binaries

_numbers = count()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A running server, with a database `template_catalog` that has the job's tables."""
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    server = PostgresServer(binaries)
    try:
        server.start()
        create_database(server, "template_catalog", template="template0")
        template = open_database(server.url("template_catalog"))
        template.upgrade()
        template.dispose()
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


def create_database(server: PostgresServer, name: str, template: str = "template_catalog") -> str:
    """Create a database on the server from a template; return its URL."""
    import psycopg

    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    return server.url(name)


def drop_database(server: PostgresServer, name: str) -> None:
    import psycopg

    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a fresh database with the job's tables, on each kind of server in turn."""
    if request.param == "sqlite":
        file = tmp_path / "catalog.sqlite3"
        shutil.copy(request.getfixturevalue("sqlite_template"), file)
        yield f"sqlite:///{file}"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    name = f"test_{next(_numbers)}"
    yield create_database(server, name)
    drop_database(server, name)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A fresh database with the job's tables, open."""
    opened = open_database(database_url)
    yield opened
    opened.dispose()
