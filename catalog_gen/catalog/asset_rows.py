"""Rows of stored pictures: read, locked, and moved from one state to another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import sqlalchemy as sa

from catalog_gen.catalog import tables
from catalog_gen.catalog.duplicates import buckets
from catalog_gen.catalog.model import Asset, AssetState, ReasonKind
from catalog_gen.catalog.statements import among, chunks, insert_new, locked

asset, phash = tables.asset, tables.phash
_NAMES = [field.name for field in fields(Asset)]


def asset_of(row: sa.RowMapping) -> Asset:
    """Return a whole row of the table as an asset."""
    return Asset(**{name: row[name] for name in _NAMES})


def read_asset(connection: sa.Connection, asset_id: str, *, lock: bool = False) -> sa.RowMapping | None:
    """Return one row, if there is one; `lock` keeps others from changing it until the transaction ends."""
    query = sa.select(asset).where(asset.c.id == asset_id)
    return connection.execute(locked(connection, query, asset) if lock else query).mappings().one_or_none()


def read_assets(connection: sa.Connection, ids: Sequence[str]) -> dict[str, Asset]:
    """Return the assets with these ids, by id; unknown ids are absent."""
    found: dict[str, Asset] = {}
    for some in chunks(ids):
        rows = connection.execute(sa.select(asset).where(among(connection, asset.c.id, some))).mappings()
        found.update((row["id"], asset_of(row)) for row in rows)
    return found


def move(
    connection: sa.Connection,
    row: sa.RowMapping,
    state: AssetState,
    *,
    live: bool,
    reason: str,
    reason_kind: ReasonKind,
) -> int:
    """Give the locked `row` another state; return its new version.

    A picture that stands again waits for no revert any more, and one that does not stand is no near-duplicate of
    anything. Raises IntegrityError when it is to stand where another picture stands.
    """
    version = int(row["version"]) + 1
    values: dict[str, object] = {"state": state, "live": live, "version": version}
    values |= {"reason": reason, "reason_kind": reason_kind}
    if live:
        values["retired_by"] = None
    connection.execute(sa.update(asset).where(asset.c.id == row["id"]).values(values))
    if row["kind"] == "generated" and row["live"] and not live:
        connection.execute(sa.delete(phash).where(phash.c.asset_id == row["id"]))
    elif row["kind"] == "generated" and live:
        insert_new(connection, phash, [{"bucket": bucket, "asset_id": row["id"]} for bucket in buckets(row["phash"])])
    return version
