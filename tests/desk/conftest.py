"""A shop on SQLite and on PostgreSQL (`shop`), or on SQLite alone where the database makes no difference (`small`)."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from desk_fixtures import Shop, shop_settings
from desk_fixtures import desk as opened_desk
from starlette.testclient import TestClient

from catalog_gen.catalog.database import Database, open_database


@pytest.fixture
def shop(database: Database, database_url: str, tmp_path: Path) -> Shop:
    return Shop(database, shop_settings(database_url, tmp_path))


@pytest.fixture
def small(sqlite_template: Path, tmp_path: Path) -> Iterator[Shop]:
    file = tmp_path / "small.sqlite3"
    shutil.copy(sqlite_template, file)
    database = open_database(f"sqlite:///{file}")
    yield Shop(database, shop_settings(f"sqlite:///{file}", tmp_path))
    database.dispose()


@pytest.fixture
def asker(small: Shop) -> Iterator[TestClient]:
    """Ann at a desk that only this machine reaches."""
    with opened_desk(small) as client:
        yield client
