"""Statements over many rows, spelled for the database at hand, and lists cut to a length that a statement can take.

PostgreSQL gets one array for each column instead of one parameter for each value: psycopg reads every placeholder in
Python, and the server plans every row of a long VALUES; `unnest` spares both.
SQLite runs in this process, where one prepared statement for many rows is the fast way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

Item = TypeVar("Item")

CHUNK = 1_000  # values in one IN (...): far below SQLite's limit of 32,766 parameters


def chunks(items: Sequence[Item], size: int = CHUNK) -> Iterator[Sequence[Item]]:
    """Yield `items` in order, `size` at a time."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def among(connection: sa.Connection, column: sa.Column[Any], values: Sequence[Any]) -> sa.ColumnElement[bool]:
    """Return the condition that `column` is one of `values`."""
    if connection.dialect.name == "postgresql":
        return column == sa.any_(_array(column, values))
    return column.in_(values)


def insert_new(connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert `rows` (all with the same keys), leaving out those whose primary key or other unique key is taken."""
    if not rows:
        return
    if connection.dialect.name == "postgresql":
        names = list(rows[0])
        given = _unnested(table, names, rows)
        new = postgresql.insert(table).from_select(names, sa.select(*given.c)).on_conflict_do_nothing()
        connection.execute(new)
    else:
        connection.execute(sqlite.insert(table).on_conflict_do_nothing(), list(rows))


def update_each(
    connection: sa.Connection, table: sa.Table, fixed: Mapping[str, Any], key: str, rows: Sequence[Mapping[str, Any]]
) -> None:
    """Set each row's values where the columns of `fixed` have those values and the column `key` has the row's."""
    if not rows:
        return
    names = [name for name in rows[0] if name != key]
    change = sa.update(table).where(*(table.c[name] == value for name, value in fixed.items()))
    if connection.dialect.name == "postgresql":
        given = _unnested(table, [key, *names], rows)
        change = change.where(table.c[key] == given.c[key]).values({name: given.c[name] for name in names})
        connection.execute(change)
    else:
        # SQLAlchemy keeps the columns' own names for itself.
        change = change.where(table.c[key] == sa.bindparam(f"of_{key}"))
        change = change.values({name: sa.bindparam(f"of_{name}") for name in names})
        connection.execute(change, [{f"of_{name}": value for name, value in row.items()} for row in rows])


def locked(connection: sa.Connection, query: sa.Select[Any], table: sa.Table, *, skip: bool = False) -> sa.Select[Any]:
    """Return `query` locking its rows of `table` until the transaction ends; `skip` leaves out those locked by others.

    On SQLite a write transaction is alone already.
    """
    if connection.dialect.name == "postgresql":
        return query.with_for_update(of=table, skip_locked=skip)
    return query


def _unnested(table: sa.Table, names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> sa.TableValuedAlias:
    arrays = [_array(table.c[name], [row[name] for row in rows]) for name in names]
    columns = [sa.column(name, table.c[name].type) for name in names]
    return sa.func.unnest(*arrays).table_valued(*columns, name="given").render_derived()


def _array(column: sa.Column[Any], values: Sequence[Any]) -> sa.BindParameter[Any]:
    # A type with a collation cannot be cast to; the column's own applies anyway.
    kind: Any = sa.Text() if isinstance(column.type, sa.Text) else column.type
    return sa.bindparam(None, list(values), type_=postgresql.ARRAY(kind))
