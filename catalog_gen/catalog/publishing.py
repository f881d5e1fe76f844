"""Pictures that leave for a channel: which of them may, and which have."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa

from catalog_gen.catalog import tables
from catalog_gen.catalog.asset_rows import asset_of
from catalog_gen.catalog.database import Database
from catalog_gen.catalog.model import APPROVED_STATES, Asset
from catalog_gen.catalog.statements import among, chunks, insert_new, locked

asset, publication = tables.asset, tables.publication
_APPROVED = (asset.c.live, asset.c.state.in_(sorted(APPROVED_STATES)))


@dataclass
class Published:
    """What came of publishing: pictures that are published now and were not before, and the ids of changed ones."""

    published: int = 0
    changed: list[str] = field(default_factory=list)


def exportable(database: Database, skus: Sequence[str], styles: Sequence[str] = ()) -> dict[str, list[Asset]]:
    """Return the live pictures of these products that a person approved, by sku.

    In the order of kind, style, output and id. styles: of restyled pictures, only these; empty: all.
    """
    found: defaultdict[str, list[Asset]] = defaultdict(list)
    order = (asset.c.kind, asset.c.style, asset.c.variant, asset.c.id)
    for some in chunks(skus):
        with database.read() as connection:
            query = sa.select(asset).where(among(connection, asset.c.sku, some), *_APPROVED).order_by(*order)
            if styles:
                query = query.where(sa.or_(asset.c.kind != "restyled", asset.c.style.in_(styles)))
            for row in connection.execute(query).mappings():
                found[row["sku"]].append(asset_of(row))
    return dict(found)


def approved_styles(database: Database) -> list[str]:
    """Return the styles of which there are approved live pictures, sorted."""
    query = sa.select(asset.c.style).where(asset.c.kind == "restyled", *_APPROVED).distinct()
    with database.read() as connection:
        return sorted(connection.execute(query).scalars())


def publish(database: Database, pictures: Sequence[tuple[str, int]], channel: str) -> Published:
    """Mark pictures, given as (id, version as exported), published in a channel; in one transaction.

    An approved picture becomes published. One that is published already stays so, in one channel more. A picture that
    is not live, or not approved, or of another version than was exported, is left as it is and told as changed; but a
    version that publishing itself made counts as the one before it. Doing it again changes nothing.
    """
    seen = dict(pictures)
    result = Published()
    with database.transaction() as connection:
        for some in chunks(sorted(seen)):
            query = sa.select(asset.c.id, asset.c.state, asset.c.live, asset.c.version).where(
                among(connection, asset.c.id, some)
            )
            rows = connection.execute(locked(connection, query.order_by(asset.c.id), asset)).mappings().all()
            same = [row for row in rows if row["live"] and _is_as_exported(row, seen[row["id"]])]
            fresh = [row["id"] for row in same if row["state"] == "approved"]
            if fresh:
                change = sa.update(asset).where(among(connection, asset.c.id, fresh))
                connection.execute(change.values(state="published", version=asset.c.version + 1))
            now = database.now(connection)
            insert_new(
                connection,
                publication,
                [{"asset_id": row["id"], "channel": channel, "published_at": now} for row in same],
            )
            result.published += len(fresh)
            left = set(some) - {row["id"] for row in same}
            result.changed += sorted(left)
    return result


def channels_of(database: Database, asset_ids: Sequence[str]) -> dict[str, list[str]]:
    """Return the channels that each of these pictures was published in, by its id; earliest first."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for some in chunks(asset_ids):
        with database.read() as connection:
            query = sa.select(publication.c.asset_id, publication.c.channel).where(
                among(connection, publication.c.asset_id, some)
            )
            for asset_id, channel in connection.execute(
                query.order_by(publication.c.published_at, publication.c.channel)
            ):
                found[asset_id].append(channel)
    return dict(found)


def _is_as_exported(row: sa.RowMapping, version: int) -> bool:
    if row["state"] == "approved":
        return bool(row["version"] == version)
    return row["state"] == "published" and row["version"] in (version, version + 1)
