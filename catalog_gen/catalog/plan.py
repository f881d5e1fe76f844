"""Freezing a run's scope: which rows of the catalogue this run will work, decided before the first is touched."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import sqlalchemy as sa

from catalog_gen.catalog import tables
from catalog_gen.catalog.database import Database
from catalog_gen.catalog.model import Looked, Plan, PlanRequest, Product, ScopeRequest
from catalog_gen.catalog.source import CatalogSource
from catalog_gen.catalog.statements import among, chunks, insert_new, locked, update_each
from catalog_gen.catalog.text import clean_reason
from catalog_gen.errors import RowError

UNUSABLE_SHOWN = 100

work, run_item, asset = tables.work, tables.run_item, tables.asset


def plan(database: Database, source: CatalogSource, request: PlanRequest, *, dry_run: bool = False) -> Plan:
    """Queue every row of `request` that lacks a picture, as this run's items; return the counts.

    A row is planned when it has no image of its own, no live generated asset, and has not failed `max_attempts` times
    with this input (another input starts anew). Each page is one short transaction, and planning again adds nothing,
    so it can be killed and repeated. `dry_run` only counts. Raises UsageError for an unknown `where` field.
    """
    return plan_scope(database, source, request, LackingPicture(request), Plan(), dry_run=dry_run)


class Wanted(Protocol):
    """Which rows of the catalogue a job wants to work."""

    with_image: bool | None
    """Whether rows with an image of their own are looked at, rows without one, or (None) both."""

    def look(self, database: Database, page: Sequence[Product]) -> Looked:
        """Look at a page, outside any transaction: this is the slow part."""

    def finished(self, connection: sa.Connection, looked: Looked) -> set[str]:
        """Return which of `looked.hashes` need nothing, as seen from inside the transaction that plans the page."""


class LackingPicture:
    """Rows without an image of their own and without a live generated asset."""

    with_image: bool | None = False

    def __init__(self, request: PlanRequest) -> None:
        self._request = request

    def look(self, database: Database, page: Sequence[Product]) -> Looked:
        with database.read() as connection:
            pictured = _with_live_asset(connection, [product.sku for product in page])
        hashes, reasons = _hashes(self._request, (product for product in page if product.sku not in pictured))
        return Looked(pictured, hashes, reasons)

    def finished(self, connection: sa.Connection, looked: Looked) -> set[str]:
        return _with_live_asset(connection, sorted(looked.hashes))


def plan_scope(
    database: Database, source: CatalogSource, request: ScopeRequest, wanted: Wanted, result: Plan, *, dry_run: bool
) -> Plan:
    """Queue the rows of `request` that are `wanted`, as this run's items; count them in `result` and return it."""
    result.unusable_rows = source.unusable_rows()
    met: set[str] = set()
    for page in source.pages(request.where, request.skus, request.page_rows, with_image=wanted.with_image):
        if request.skus:
            met.update(product.sku for product in page)
        if _plan_page(database, request, wanted, page, result, dry_run=dry_run):
            break
    unmet = [sku for sku in dict.fromkeys(request.skus) if sku not in met]
    for some in chunks(unmet):
        found = source.fetch(some)
        result.has_image += sum(product.image is not None for product in found.values())
        result.unknown_skus += [sku for sku in some if sku not in found]
    return result


@dataclass
class _Page:
    """What planning one page writes."""

    items: list[dict[str, Any]] = field(default_factory=list)
    new: list[dict[str, Any]] = field(default_factory=list)
    queued_again: list[dict[str, Any]] = field(default_factory=list)


def _plan_page(
    database: Database, request: ScopeRequest, wanted: Wanted, page: Sequence[Product], result: Plan, *, dry_run: bool
) -> bool:
    """Plan one page; return whether the limit is reached."""
    looked = wanted.look(database, page)
    with database.read() if dry_run else database.transaction() as connection:
        known = _work_rows(connection, request.job, sorted(looked.hashes), lock=not dry_run)
        # Again, as another worker may have recorded some meanwhile; and after the lock, as on PostgreSQL each statement
        # sees what was committed before it: a row seen as done must have its picture seen too.
        looked.finished.update(wanted.finished(connection, looked))
        now = database.now(connection)
        writes = _Page()
        full = _decide(request, page, _Facts(looked, known, now), result, writes)
        if not dry_run:
            _write(connection, request.job, writes)
    return full


@dataclass(frozen=True)
class _Facts:
    looked: Looked
    known: dict[str, sa.RowMapping]
    now: datetime


def _decide(request: ScopeRequest, page: Sequence[Product], facts: _Facts, result: Plan, writes: _Page) -> bool:
    looked = facts.looked
    for product in page:
        sku = product.sku
        if request.limit is not None and result.planned >= request.limit:
            return True
        if sku in looked.finished:
            result.has_asset += 1
        elif sku in looked.reasons:
            result.skipped += 1
            if len(result.unusable) < UNUSABLE_SHOWN:
                result.unusable.append((sku, looked.reasons[sku]))
            writes.items.append(_item(request.run_id, sku, "skipped", looked.reasons[sku]))
        elif sku not in looked.hashes:
            result.no_source += 1
        else:
            row, input_hash = facts.known.get(sku), looked.hashes[sku]
            same_input = row is not None and row["input_hash"] == input_hash
            if row is not None and row["state"] == "failed" and same_input and row["attempts"] >= request.max_attempts:
                result.exhausted += 1
                continue
            result.planned += 1
            result.pictures += looked.pictures.get(sku, 1)
            if len(result.shown) < request.show:
                result.shown.append(sku)
            writes.items.append(_item(request.run_id, sku, None, ""))
            if row is None:
                writes.new.append(_new_work(request.job, sku, input_hash, facts.now))
            elif row["state"] in ("failed", "done") or (row["state"] == "queued" and not same_input):
                anew = row["state"] == "done" or not same_input
                writes.queued_again.append(
                    {
                        "sku": sku,
                        "state": "queued",
                        "input_hash": input_hash,
                        "attempts": 0 if anew else row["attempts"],
                        "deaths": 0 if anew else row["deaths"],
                        "updated_at": facts.now,
                    }
                )
    return request.limit is not None and result.planned >= request.limit


def _write(connection: sa.Connection, job: str, writes: _Page) -> None:
    """Write a page in sku order: all workers use one order, so that two that meet wait instead of deadlocking."""
    for rows in (writes.new, writes.items, writes.queued_again):
        rows.sort(key=lambda row: str(row["sku"]))
    insert_new(connection, work, writes.new)
    insert_new(connection, run_item, writes.items)
    update_each(connection, work, {"job": job}, "sku", writes.queued_again)


def _hashes(request: PlanRequest, products: Iterable[Product]) -> tuple[dict[str, str], dict[str, str]]:
    hashes: dict[str, str] = {}
    reasons: dict[str, str] = {}
    for product in products:
        try:
            hashes[product.sku] = request.input_hash(product)
        except RowError as error:
            reasons[product.sku] = clean_reason(str(error))
    return hashes, reasons


def _with_live_asset(connection: sa.Connection, skus: Sequence[str]) -> set[str]:
    found: set[str] = set()
    for some in chunks(skus):
        query = sa.select(asset.c.sku).where(
            among(connection, asset.c.sku, some), asset.c.kind == "generated", asset.c.live
        )
        found.update(connection.execute(query).scalars())
    return found


def _work_rows(connection: sa.Connection, job: str, skus: Sequence[str], *, lock: bool) -> dict[str, sa.RowMapping]:
    found: dict[str, sa.RowMapping] = {}
    for some in chunks(skus):
        query = sa.select(work).where(work.c.job == job, among(connection, work.c.sku, some)).order_by(work.c.sku)
        rows = connection.execute(locked(connection, query, work) if lock else query).mappings()
        found.update((row["sku"], row) for row in rows)
    return found


def _item(run_id: str, sku: str, outcome: str | None, reason: str) -> dict[str, Any]:
    return {"run_id": run_id, "sku": sku, "outcome": outcome, "reason": reason, "asset_id": None}


def _new_work(job: str, sku: str, input_hash: str, now: datetime) -> dict[str, Any]:
    return {
        "job": job,
        "sku": sku,
        "input_hash": input_hash,
        "state": "queued",
        "run_id": None,
        "lease_until": None,
        "attempts": 0,
        "deaths": 0,
        "reason": "",
        "updated_at": now,
    }
