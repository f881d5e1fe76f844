"""Wishes: what people asked the next drawing of a product to be. One a product; gone when a picture is recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from catalog_gen.catalog import tables
from catalog_gen.catalog.database import Database
from catalog_gen.catalog.model import Wish
from catalog_gen.catalog.statements import among, chunks

wish = tables.wish


@dataclass(frozen=True)
class PendingWish(Wish):
    """A wish that waits, and where it comes from: `decision_id` is the decision that asked."""

    decision_id: str = ""
    requested_by: str = ""
    requested_at: datetime | None = None


def pending_wishes(database: Database, skus: Sequence[str] | None = None) -> dict[str, PendingWish]:
    """Return what waits, by sku: for these products, or for all."""
    with database.read() as connection:
        return read_wishes(connection, skus)


def read_wishes(connection: sa.Connection, skus: Sequence[str] | None = None) -> dict[str, PendingWish]:
    """Return `pending_wishes` inside a transaction."""
    found: dict[str, PendingWish] = {}
    for some in [None] if skus is None else chunks(skus):
        query = sa.select(wish)
        if some is not None:
            query = query.where(among(connection, wish.c.sku, some))
        for sku, *values in connection.execute(query):
            found[sku] = PendingWish(*values)
    return found


def put_wish(connection: sa.Connection, sku: str, values: Mapping[str, Any]) -> None:
    """Let `values` (the table's columns but the sku) be what is asked of the product, instead of what was."""
    drop_wishes(connection, [sku])
    connection.execute(sa.insert(wish), {"sku": sku, **values})


def drop_wishes(connection: sa.Connection, skus: Sequence[str]) -> None:
    """Forget what was asked of these products: it was done, or taken back."""
    for some in chunks(skus):
        connection.execute(sa.delete(wish).where(among(connection, wish.c.sku, some)))
