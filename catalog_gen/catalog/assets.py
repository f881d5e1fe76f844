"""Stored pictures: looking them up, counting them, sampling them for a sheet; `decisions` moves them on."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa

from catalog_gen.catalog import tables
from catalog_gen.catalog.asset_rows import asset_of
from catalog_gen.catalog.database import Database
from catalog_gen.catalog.duplicates import near_duplicates
from catalog_gen.catalog.model import ASSET_STATES, Asset, SampledAsset
from catalog_gen.catalog.source import CatalogSource
from catalog_gen.errors import UsageError

__all__ = [
    "assets_of",
    "get_asset",
    "live_asset",
    "live_assets",
    "near_duplicates",
    "sample_assets",
    "status_counts",
]

PAGE = 2_000

table = tables.asset


def get_asset(database: Database, asset_id: str) -> Asset:
    """Return one asset. Raises UsageError if there is none with this id."""
    with database.read() as connection:
        row = connection.execute(sa.select(table).where(table.c.id == asset_id)).mappings().one_or_none()
    if row is None:
        raise UsageError(f"there is no asset {asset_id!r}", where=database.where)
    return asset_of(row)


def live_asset(database: Database, sku: str, kind: str = "generated") -> Asset | None:
    """Return the picture that stands for the product now, if any; the latest where several styles do."""
    query = (
        sa.select(table)
        .where(table.c.sku == sku, table.c.kind == kind, table.c.live)
        .order_by(table.c.created_at.desc(), table.c.id)
        .limit(1)
    )
    with database.read() as connection:
        row = connection.execute(query).mappings().one_or_none()
    return None if row is None else asset_of(row)


def live_assets(database: Database, sku: str, kind: str, style: str = "") -> list[Asset]:
    """Return the pictures of this kind and style that stand for the product now, by output."""
    where = (table.c.sku == sku, table.c.kind == kind, table.c.style == style, table.c.live)
    with database.read() as connection:
        rows = connection.execute(sa.select(table).where(*where).order_by(table.c.variant)).mappings()
        return [asset_of(row) for row in rows]


def assets_of(database: Database, sku: str) -> list[Asset]:
    """Return every picture ever recorded for the product, oldest first."""
    query = sa.select(table).where(table.c.sku == sku).order_by(table.c.created_at, table.c.id)
    with database.read() as connection:
        return [asset_of(row) for row in connection.execute(query).mappings()]


def status_counts(database: Database, source: CatalogSource, job: str = "fill-missing") -> dict[str, int]:
    """Return what `catalog-gen status` shows: products, those with a picture, and where the others are.

    `lack_picture` counts the rows without an image of their own and without a live asset; `queued`, `claimed` and
    `failed` are the job's work; every asset state counts live assets, and `rejected` all that were rejected.
    """
    products = source.count(lacking_image=False)
    imageless = source.count()
    pictures = sa.select(table.c.state, sa.func.count()).where(table.c.kind == "generated").group_by(table.c.state)
    states = sa.select(tables.work.c.state, sa.func.count()).where(tables.work.c.job == job)
    with database.read() as connection:
        by_state = {row[0]: row[1] for row in connection.execute(pictures)}
        work = {row[0]: row[1] for row in connection.execute(states.group_by(tables.work.c.state))}
    lack = sum(_without_asset(database, page) for page in _sku_pages(source)) if by_state else imageless
    return {
        "products": products,
        "have_image": products - imageless,
        "have_asset": imageless - lack,
        "lack_picture": lack,
        **{state: work.get(state, 0) for state in ("queued", "claimed", "failed")},
        **{f"asset_{state}": by_state.get(state, 0) for state in ASSET_STATES},
    }


def _sku_pages(source: CatalogSource) -> Iterator[list[str]]:
    for page in source.pages(page_size=PAGE):
        yield [product.sku for product in page]


def _without_asset(database: Database, skus: list[str]) -> int:
    query = sa.select(sa.func.count(table.c.sku.distinct())).where(
        table.c.sku.in_(skus), table.c.kind == "generated", table.c.live
    )
    with database.read() as connection:
        return len(skus) - int(connection.execute(query).scalar_one())


def sample_assets(database: Database, source: CatalogSource, run_id: str, limit: int) -> Iterator[SampledAsset]:
    """Yield a fair sample of a run's pictures for its contact sheet, by category and then best similarity first.

    Fair, and the same at every call: the pictures with the smallest content hashes, which have nothing to do with
    what they show. Holds `limit` rows in memory, not their pictures.
    """
    query = sa.select(table).where(table.c.run_id == run_id).order_by(table.c.sha256, table.c.id).limit(limit)
    with database.read() as connection:
        sample = [asset_of(row) for row in connection.execute(query).mappings()]
    products = source.fetch([asset.sku for asset in sample])
    sampled = [SampledAsset(asset, products.get(asset.sku)) for asset in sample]
    yield from sorted(sampled, key=lambda item: (item.category, -_similarity(item.asset), item.asset.sku))


def _similarity(asset: Asset) -> float:
    value = asset.scores.get("similarity")
    return float(value) if isinstance(value, int | float) else -1.0
