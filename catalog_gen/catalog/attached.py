"""The shop's own table: found, its columns checked, and then only read."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from catalog_gen.catalog.database import Database, open_shop_database, parse_url
from catalog_gen.catalog.fields import Fields, SkuKind, as_is, nearest
from catalog_gen.config import CatalogConfig
from catalog_gen.errors import ConfigError


def open_shop(config: CatalogConfig, database: Database) -> tuple[Database, Fields]:
    """Return the database that holds the shop's table (the job's own if `url` is empty) and the table's columns.

    Raises ConfigError, with the nearest name, for a table or column that is not there.
    """
    same = not config.url or parse_url(config.url) == database.url
    shop = database if same else open_shop_database(config.url, writable=config.writeback)
    try:
        with shop.read() as connection:
            table = _reflect(connection, config)
        return shop, _fields(table, config, connection.dialect.name)
    except BaseException:
        if shop is not database:
            shop.dispose()
        raise


def _reflect(connection: sa.Connection, config: CatalogConfig) -> sa.Table:
    schema = config.db_schema or None
    inspector = sa.inspect(connection)
    if schema is not None and schema not in inspector.get_schema_names():
        raise ConfigError(
            f"there is no schema {schema!r} in the shop's database",
            where="catalog.schema",
            hint=nearest(schema, inspector.get_schema_names()),
        )
    try:
        return sa.Table(config.table, sa.MetaData(), schema=schema, autoload_with=connection, resolve_fks=False)
    except sa.exc.NoSuchTableError as error:
        names = inspector.get_table_names(schema) + inspector.get_view_names(schema)
        raise ConfigError(
            f"there is no table {config.table!r} in the shop's database",
            where="catalog.table",
            hint=nearest(config.table, [name for name in names if not name.startswith("cg_")]),
        ) from error


def _fields(table: sa.Table, config: CatalogConfig, dialect: str) -> Fields:
    columns = config.columns
    sku = _column(table, "sku", columns.sku)
    title = _column(table, "title", columns.title)
    category = _column(table, "category", columns.category) if columns.category else None
    image = _column(table, "image", columns.image) if columns.image else None
    if columns.attributes:
        attributes = tuple(_column(table, "attributes", name) for name in columns.attributes)
    else:
        taken = {column.name for column in (sku, title, category, image) if column is not None}
        attributes = tuple(column for column in table.columns if column.name not in taken and _is_text(column))
    return Fields(
        table=table,
        sku=as_is(sku),
        title=as_is(title),
        category=None if category is None else as_is(category),
        image=image,
        attributes=attributes,
        sku_kind=_sku_kind(sku, dialect),
    )


def _sku_kind(sku: sa.Column[Any], dialect: str) -> SkuKind:
    if dialect == "sqlite":
        # SQLite's types are advice: unless the column turns everything to text, it may hold numbers among the words.
        return "text" if _is_text(sku) else "untyped"
    if isinstance(sku.type, sa.Integer):
        return "integer"
    if isinstance(sku.type, sa.Uuid):
        return "uuid"
    if isinstance(sku.type, sa.CHAR):
        return "padded"
    return "text" if _is_text(sku) and not isinstance(sku.type, sa.Enum) else "other"


def _is_text(column: sa.Column[Any]) -> bool:
    """Whether a column holds text, as far as its declared type says."""
    kind = column.type
    if isinstance(kind, postgresql.DOMAIN):
        kind = kind.data_type
    return isinstance(kind, sa.String | sa.Enum | postgresql.CITEXT)


def _column(table: sa.Table, field: str, name: str) -> sa.Column[Any]:
    if name in table.columns:
        column: sa.Column[Any] = table.columns[name]
        return column
    raise ConfigError(
        f"the table {table.name} has no column {name!r}",
        where=f"catalog.columns.{field}",
        hint=nearest(name, [column.name for column in table.columns]),
    )
