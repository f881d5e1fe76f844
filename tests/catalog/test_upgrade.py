"""Upgrading a database that has pictures in it: what earlier versions did not record is filled in."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from catalog_fixtures import rows_of

from catalog_gen.catalog import assets, schema, tables
from catalog_gen.catalog.database import Database, open_database

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgres"])
def bare_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/bare.sqlite3"
    url: str = request.getfixturevalue("bare_postgres_url")
    return url


def move_to(database: Database, step: str, version: str) -> None:
    """Upgrade or downgrade the tables to a version."""
    from alembic import command

    config = schema._config()
    with database.transaction() as connection:
        config.attributes["connection"] = connection
        getattr(command, step)(config, version)


def insert(connection: sa.Connection, table: str, **values: Any) -> None:
    reflected = sa.Table(table, sa.MetaData(), autoload_with=connection)
    connection.execute(sa.insert(reflected), values)


def add_asset(connection: sa.Connection, id: str, **changes: Any) -> None:
    texts = ("style", "variant", "prompt", "prompt_hash", "clip_hash", "gan_hash", "phash", "colours", "reason")
    numbers = {"bytes": 1, "width": 1, "height": 1, "seed": 1, "attempt": 0, "candidates": 1}
    values = dict.fromkeys(texts, "") | numbers | {"kind": "generated", "state": "needs_review", "live": True}
    values |= {"id": id, "sku": id, "uri": "u", "sha256": "s", "format": "webp", "run_id": "run", "created_at": NOW}
    scores = json.loads(json.dumps(changes.pop("scores", {})))
    insert(connection, "cg_asset", **values | {"scores": scores, "settings": {}} | changes)


def test_reviewing_fills_in_what_can_be_told(bare_url: str) -> None:
    database = open_database(bare_url)
    move_to(database, "upgrade", "0002")
    with database.transaction() as connection:
        product = {"title": "t", "attributes": {}, "row_hash": "", "created_at": NOW, "updated_at": NOW}
        insert(connection, "cg_product", sku="good", category="shoes" * 50, **product)
        times = {"started_at": NOW, "heartbeat_at": NOW}
        run = {
            "job": "fill-missing",
            "state": "finished",
            "host": "",
            "pid": 1,
            "user": "",
            "version": "",
            "message": "",
        }
        models = {"models": {"threshold": 0.4}, "config": {}, "counts": {}, "timings": {}}
        insert(connection, "cg_run", id="run", **times, **run, **models)
        add_asset(connection, "good", state="draft", scores={"similarity": 0.7})
        add_asset(connection, "below", scores={"similarity": -0.3}, reason="similarity -0.300 below 0.400")
        add_asset(connection, "twin", scores={"similarity": 0.7}, reason="near-duplicate of good")
        both = "similarity -0.300 below 0.400; near-duplicate of good"
        add_asset(connection, "both", scores={"similarity": -0.3}, reason=both)
        add_asset(connection, "noise", scores={"similarity": 0.7}, reason="noise: no shapes")
        add_asset(connection, "unscored", scores={})
        add_asset(connection, "unjudged", scores={"similarity": 0.7}, run_id="gone")
        add_asset(connection, "person", scores={"similarity": 0.7}, state="rejected", reason="ugly", live=False)
        add_asset(connection, "cut", kind="restyled", reason="the cut-out is in doubt: its outline fades")
        add_asset(connection, "ground", kind="restyled", reason="cut out of a photo without a plain ground: look")
        add_asset(connection, "said", kind="restyled", reason="50% off: sale")
    database.upgrade()
    database.check_schema()
    found = {id: assets.get_asset(database, id) for (id,) in rows_of(database, tables.asset, "id")}
    told = {id: (one.reason_kind, pytest.approx(one.doubt)) for id, one in found.items()}
    assert told == {
        "good": ("", 0.25),  # half the way from the threshold to 1
        "below": ("similarity", 0.75),  # half the way down to -1
        "twin": ("duplicate", 0.625),
        "both": ("similarity", 0.875),
        "noise": ("fault", 1.0),
        "unscored": ("", 0.0),
        "unjudged": ("", 0.0),
        "person": ("person", 0.25),
        "cut": ("cut-out", 0.75),
        "ground": ("cut-out", 0.5),
        "said": ("other", 0.0),
    }
    assert {id: one.category for id, one in found.items() if one.category} == {"good": ("shoes" * 20)}
    assert {one.version for one in found.values()} == {1}
    move_to(database, "downgrade", "0002")
    with database.read() as connection:
        left = sa.inspect(connection).get_table_names()
        assert "cg_decision" not in left and "cg_asset" in left
    database.upgrade()
    assert assets.get_asset(database, "both").doubt == pytest.approx(0.875)
    database.dispose()
