"""What the report of a run asks of the database: its rows page by page, a fair sample of its pictures, nights before.

Nothing here holds more than a page or the sample: a run may have a million rows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from catalog_gen.catalog import tables
from catalog_gen.catalog.asset_rows import asset_of, read_assets
from catalog_gen.catalog.database import Database
from catalog_gen.catalog.model import Asset, Product, RunItem, RunRecord
from catalog_gen.catalog.runs import list_items, run_record
from catalog_gen.catalog.source import CatalogSource
from catalog_gen.catalog.statements import among, chunks

asset, run, run_item = tables.asset, tables.run, tables.run_item

PAGE = 1_000


@dataclass(frozen=True)
class NightRow:
    """A row of a run: what came of it, its product (None when it has left the catalogue), and its pictures."""

    item: RunItem
    product: Product | None
    assets: tuple[Asset, ...]


def night_rows(
    database: Database, source: CatalogSource, run_id: str, page_rows: int = PAGE
) -> Iterator[list[NightRow]]:
    """Yield a run's whole scope in sku order, page by page, each row with its words and the pictures of this run."""
    page: list[RunItem] = []
    for item in list_items(database, run_id, page_rows):
        page.append(item)
        if len(page) == page_rows:
            yield _with_pictures(database, source, run_id, page)
            page = []
    if page:
        yield _with_pictures(database, source, run_id, page)


def sampled_pictures(database: Database, run_id: str, limit: int) -> list[Asset]:
    """Return a fair sample of a run's pictures, the same at every call.

    Fair: those with the smallest content hashes, which have nothing to do with what the pictures show.
    """
    query = sa.select(asset).where(asset.c.run_id == run_id).order_by(asset.c.sha256, asset.c.id).limit(limit)
    with database.read() as connection:
        return [asset_of(row) for row in connection.execute(query).mappings()]


def count_pictures(database: Database, run_id: str) -> int:
    """Return how many pictures the run recorded."""
    query = sa.select(sa.func.count()).select_from(asset).where(asset.c.run_id == run_id)
    with database.read() as connection:
        return int(connection.execute(query).scalar_one())


def hashes_of(database: Database, run_id: str, limit: int) -> list[tuple[str, str, str]]:
    """Return (asset id, sku, perceptual hash as 16 hex digits) of a run's hashed pictures, a fair sample of `limit`."""
    query = (
        sa.select(asset.c.id, asset.c.sku, asset.c.phash)
        .where(asset.c.run_id == run_id, asset.c.phash != "")
        .order_by(asset.c.sha256, asset.c.id)
        .limit(limit)
    )
    with database.read() as connection:
        return [(row[0], row[1], row[2]) for row in connection.execute(query)]


def assets_by_id(database: Database, ids: Sequence[str]) -> dict[str, Asset]:
    """Return the assets with these ids, by id; unknown ones are absent."""
    with database.read() as connection:
        return read_assets(connection, list(dict.fromkeys(ids)))


def live_generated(database: Database, skus: Sequence[str]) -> dict[str, Asset]:
    """Return the generated pictures that stand for these products now, by sku."""
    found: dict[str, Asset] = {}
    for some in chunks(list(dict.fromkeys(skus))):
        with database.read() as connection:
            query = sa.select(asset).where(
                among(connection, asset.c.sku, some), asset.c.kind == "generated", asset.c.live
            )
            found.update((row["sku"], asset_of(row)) for row in connection.execute(query).mappings())
    return found


def latest_worth_telling(database: Database) -> RunRecord | None:
    """Return the latest run that claimed a row or went wrong; without one, the latest; None when there is none.

    A run that found nothing to do is not what a person wants to read about while another one did.
    """
    with database.read() as connection:
        latest: RunRecord | None = None
        for row in connection.execute(sa.select(run).order_by(run.c.id.desc()).limit(200)).mappings():
            record = run_record(row)
            latest = latest or record
            if record.counts.get("claimed") or record.state != "finished" or record.exit_code:
                return record
    return latest


def runs_before(database: Database, record: RunRecord, limit: int) -> list[RunRecord]:
    """Return the runs of the same job that began before, oldest first, the last `limit` of them."""
    query = sa.select(run).where(run.c.job == record.job, run.c.id < record.id).order_by(run.c.id.desc()).limit(limit)
    with database.read() as connection:
        return [run_record(row) for row in connection.execute(query).mappings()][::-1]


def mean_scores(database: Database, run_ids: Sequence[str], score: str) -> dict[str, float]:
    """Return the mean of a score over each run's pictures, by run; runs without such pictures are absent."""
    value = asset.c.scores[score].as_float()
    with database.read() as connection:
        query = (
            sa.select(asset.c.run_id, sa.func.avg(value))
            .where(among(connection, asset.c.run_id, list(run_ids)))
            .group_by(asset.c.run_id)
        )
        return {row[0]: float(row[1]) for row in connection.execute(query) if row[1] is not None}


def scores_of(database: Database, run_id: str, page_rows: int = 10_000) -> Iterator[dict[str, Any]]:
    """Yield the scores of every picture of a run."""
    columns = sa.select(asset.c.id, asset.c.scores).where(asset.c.run_id == run_id).order_by(asset.c.id)
    last = ""
    while True:
        with database.read() as connection:
            rows = connection.execute(columns.where(asset.c.id > last).limit(page_rows)).all()
        for _, scores in rows:
            yield scores
        if len(rows) < page_rows:
            return
        last = rows[-1][0]


def count_reasons(database: Database, run_id: str) -> list[tuple[str, str, int]]:
    """Return (outcome, reason, rows) for the rows of a run that have a reason."""
    query = (
        sa.select(run_item.c.outcome, run_item.c.reason, sa.func.count())
        .where(run_item.c.run_id == run_id, run_item.c.reason != "", run_item.c.outcome.is_not(None))
        .group_by(run_item.c.outcome, run_item.c.reason)
    )
    with database.read() as connection:
        return [(row[0], row[1], int(row[2])) for row in connection.execute(query)]


def _with_pictures(database: Database, source: CatalogSource, run_id: str, items: Sequence[RunItem]) -> list[NightRow]:
    skus = [item.sku for item in items]
    products = source.fetch(skus)
    pictures: defaultdict[str, list[Asset]] = defaultdict(list)
    with database.read() as connection:
        # By sku alone: an index on the run would be walked whole for every page of it.
        query = sa.select(asset).where(among(connection, asset.c.sku, skus)).order_by(asset.c.created_at, asset.c.id)
        for row in connection.execute(query).mappings():
            if row["run_id"] == run_id:
                pictures[row["sku"]].append(asset_of(row))
    return [NightRow(item, products.get(item.sku), tuple(pictures[item.sku])) for item in items]
