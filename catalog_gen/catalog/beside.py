"""Pictures to lay beside others: a product's earlier ones, or another product's that looks alike; a page at a time."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from catalog_gen.catalog import tables
from catalog_gen.catalog.asset_rows import asset_of, read_assets
from catalog_gen.catalog.database import Database
from catalog_gen.catalog.model import Asset
from catalog_gen.catalog.statements import among, chunks

asset = tables.asset


def assets_by_id(database: Database, ids: Sequence[str]) -> dict[str, Asset]:
    """Return the pictures with these ids, by id; unknown ids are absent."""
    with database.read() as connection:
        return read_assets(connection, ids)


def generated_of(database: Database, skus: Sequence[str]) -> dict[str, list[Asset]]:
    """Return every generated picture of these products, by sku, the newest first."""
    found: dict[str, list[Asset]] = {}
    with database.read() as connection:
        for some in chunks(skus):
            query = sa.select(asset).where(asset.c.kind == "generated", among(connection, asset.c.sku, some))
            for row in connection.execute(query.order_by(asset.c.created_at.desc(), asset.c.id)).mappings():
                found.setdefault(row["sku"], []).append(asset_of(row))
    return found
