"""Statements whose spelling depends on the database, and lists cut to a length that a statement can take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

Item = TypeVar("Item")

CHUNK = 1_000  # values in one IN (...): far below SQLite's 32,766 and PostgreSQL's 65,535 parameters


def chunks(items: Sequence[Item], size: int = CHUNK) -> Iterator[Sequence[Item]]:
    """Yield `items` in order, `size` at a time."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def insert_new(connection: sa.Connection, table: sa.Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert `rows`, leaving out those whose primary key, or other unique key, is taken."""
    if not rows:
        return
    if connection.dialect.name == "postgresql":
        # RETURNING lets SQLAlchemy send a thousand rows in one statement, where psycopg sends a thousand statements.
        new = postgresql.insert(table).on_conflict_do_nothing().returning(next(iter(table.primary_key)))
        connection.execute(new, list(rows)).close()
    else:
        connection.execute(sqlite.insert(table).on_conflict_do_nothing(), list(rows))


def locked(connection: sa.Connection, query: sa.Select[Any], table: sa.Table, *, skip: bool = False) -> sa.Select[Any]:
    """Return `query` locking its rows of `table` until the transaction ends; `skip` leaves out those locked by others.

    On SQLite a write transaction is alone already.
    """
    if connection.dialect.name == "postgresql":
        return query.with_for_update(of=table, skip_locked=skip)
    return query
