"""What the catalogue's tests share: products to put in, and pictures to record."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import sqlalchemy as sa

from catalog_gen.catalog import runs, tables
from catalog_gen.catalog.database import Database
from catalog_gen.catalog.decisions import Decided, Decision, decide
from catalog_gen.catalog.locks import Lock, acquire_lock
from catalog_gen.catalog.model import Asset, NewAsset, Outcome, Plan, PlanRequest, Product
from catalog_gen.catalog.queue import plan
from catalog_gen.catalog.source import CatalogSource, open_source
from catalog_gen.config import Settings

JOB = "fill-missing"
ALIVE: dict[str, Lock] = {}


def insert_products(database: Database, products: Iterable[Product]) -> None:
    now = datetime.now(UTC)
    rows = [
        {
            "sku": product.sku,
            "title": product.title,
            "category": product.category,
            "attributes": product.attributes,
            "image": product.image,
            "row_hash": "",
            "created_at": now,
            "updated_at": now,
        }
        for product in products
    ]
    with database.transaction() as connection:
        connection.execute(sa.insert(tables.product), rows)


def make_products(number: int, **changes: Any) -> list[Product]:
    return [Product(**{"sku": f"sku-{index:05d}", "title": f"Title {index}"} | changes) for index in range(number)]


def imported(database: Database) -> CatalogSource:
    return open_source(Settings(), database)


def input_hash(product: Product) -> str:
    return hashlib.sha256(product.title.encode()).hexdigest()


def start(database: Database, **request: Any) -> str:
    """Start a run that lives until `die`, and plan it over the imported rows; return its id."""
    run_id = runs.new_run_id()
    lock = acquire_lock(database, f"run:{run_id}")
    assert lock is not None
    ALIVE[run_id] = lock
    runs.start_run(database, run_id=run_id, job=JOB, config={}, models={}, version="0")
    plan_run(database, run_id, **request)
    return run_id


def die(run_id: str) -> None:
    """Let go of the run's lock, as the operating system does for a process that was killed."""
    ALIVE.pop(run_id).release()


def plan_run(database: Database, run_id: str, *, dry_run: bool = False, **request: Any) -> Plan:
    values = {"run_id": run_id, "job": JOB, "input_hash": input_hash} | request
    return plan(database, imported(database), PlanRequest(**values), dry_run=dry_run)


def picture(sku: str, **changes: Any) -> NewAsset:
    values: dict[str, Any] = {
        "id": uuid4().hex,
        "sku": sku,
        "uri": f"file:///pictures/{sku}.webp",
        "sha256": hashlib.sha256(sku.encode("utf-8", "replace")).hexdigest(),
        "bytes": 1000,
        "width": 64,
        "height": 64,
        "format": "webp",
        "prompt": "a red shoe",
        "prompt_hash": "p",
        "seed": 2**63 - 1,
        "attempt": 0,
        "candidates": 4,
        "clip_hash": "c",
        "gan_hash": "g",
        "scores": {"similarity": 0.25},
    }
    return NewAsset(**values | changes)


def generated(sku: str, **changes: Any) -> Outcome:
    return Outcome(sku, "generated", asset=picture(sku, **changes))


def add_pictures(database: Database, skus: Sequence[str], **changes: Any) -> None:
    with database.transaction() as connection:
        now = database.now(connection)
        for sku in skus:
            asset = picture(sku, **{"state": "approved"} | changes)
            row = {name: getattr(asset, name) for name in asset.__dataclass_fields__}
            connection.execute(sa.insert(tables.asset), row | {"live": True, "run_id": "before", "created_at": now})


def decided(database: Database, asset_id: str, action: Any, *, by: str = "ann", **more: Any) -> Decided:
    """Decide on a picture, as it is now unless told otherwise."""
    more = {"reason": "no"} | more if action == "reject" else more
    [result] = decide(database, [Decision(uuid4().hex, asset_id, action, **more)], reviewer=by, source="desk")
    return result


def reject(database: Database, asset_id: str, reason: str = "no") -> Asset:
    """Reject a picture that stands, and return it."""
    result = decided(database, asset_id, "reject", reason=reason)
    assert result.result == "done" and result.asset is not None, result.told
    return result.asset


def rows_of(database: Database, table: sa.Table, *columns: str) -> list[tuple[Any, ...]]:
    """The table's rows as tuples, ordered."""
    with database.read() as connection:
        query = sa.select(*(table.c[name] for name in columns))
        return sorted((tuple(row) for row in connection.execute(query)), key=repr)
