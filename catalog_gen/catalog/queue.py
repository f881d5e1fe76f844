"""The queue of rows to work: claimed a page at a time under a lease, given back, or counted.

A work row is `queued`, `claimed` by one run until its lease ends, `done`, or `failed`. Every change is one short
transaction; between them a worker may be killed at any moment, and nothing but its lease remains. What a claim leads
to is written by `record`, which checks first that the claim still stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from catalog_gen.catalog import tables
from catalog_gen.catalog.database import Database
from catalog_gen.catalog.locks import acquire_lock
from catalog_gen.catalog.model import Claimed, Outcome, Plan, PlanRequest, RecordResult
from catalog_gen.catalog.plan import plan
from catalog_gen.catalog.record import record
from catalog_gen.catalog.source import CatalogSource
from catalog_gen.catalog.statements import among, chunks, locked
from catalog_gen.errors import CatalogGenError

__all__ = [
    "Claimed",
    "Outcome",
    "Plan",
    "PlanRequest",
    "RecordResult",
    "claim",
    "close_scope",
    "counts",
    "held",
    "plan",
    "record",
    "recover",
    "release",
    "remaining",
    "renew",
]

work, run, run_item, asset = tables.work, tables.run, tables.run_item, tables.asset


def claim(
    database: Database, source: CatalogSource, run_id: str, job: str, limit: int, lease_seconds: float
) -> list[Claimed]:
    """Take up to `limit` rows of the run's scope for `lease_seconds`; return them by (deaths, sku).

    Rows at whose side workers died before come last, so that one row that kills its worker cannot stop the others.
    A row is taken when it is queued, or when its lease has run out. A sku that has left the catalogue since planning
    is recorded as skipped and not returned. When nothing is left to take, rows of runs that died meanwhile are
    recovered first; an empty list therefore means that all that is left is held by live workers.
    """
    while True:
        with database.transaction() as connection:
            now = database.now(connection)
            taken = _take(connection, run_id, job, limit, now)
            lease: dict[str, Any] = {
                "state": "claimed",
                "run_id": run_id,
                "lease_until": now + timedelta(seconds=lease_seconds),
                "updated_at": now,
            }
            _mark_claimed(connection, job, taken, lease)
            skus = [row["sku"] for row in taken]
            earlier = _earlier_assets(connection, skus)
        if not taken:
            if recover(database, job, asking=run_id):
                continue
            return []
        try:
            products = source.fetch(skus)
        except CatalogGenError:
            release(database, run_id, job, skus)
            raise
        gone = [Outcome(sku, "skipped", "the row has left the catalogue") for sku in skus if sku not in products]
        if gone:
            record(database, run_id, job, gone)
        claimed = [
            Claimed(products[row["sku"]], earlier.get(row["sku"], 0), row["input_hash"])
            for row in taken
            if row["sku"] in products
        ]
        if claimed:
            return claimed


def _take(connection: sa.Connection, run_id: str, job: str, limit: int, now: datetime) -> list[sa.RowMapping]:
    """Lock and return the next rows: those queued, then those whose lease has run out."""
    query = (
        sa.select(work.c.sku, work.c.input_hash, work.c.state)
        .join(run_item, sa.and_(run_item.c.run_id == run_id, run_item.c.sku == work.c.sku))
        .where(work.c.job == job, run_item.c.outcome.is_(None))
        .order_by(work.c.deaths, work.c.sku)
    )
    queued = locked(connection, query.where(work.c.state == "queued").limit(limit), work, skip=True)
    taken = list(connection.execute(queued).mappings())
    if len(taken) < limit:
        expired = query.where(work.c.state == "claimed", work.c.lease_until < now).limit(limit - len(taken))
        taken += connection.execute(locked(connection, expired, work, skip=True)).mappings()
    return taken


def _mark_claimed(connection: sa.Connection, job: str, taken: Sequence[sa.RowMapping], lease: dict[str, Any]) -> None:
    for state, deaths in (("queued", 0), ("claimed", 1)):  # a lease that ran out counts as its worker's death
        for some in chunks([row["sku"] for row in taken if row["state"] == state]):
            change = sa.update(work).where(work.c.job == job, among(connection, work.c.sku, some))
            connection.execute(change.values(lease | {"deaths": work.c.deaths + deaths}))


def _earlier_assets(connection: sa.Connection, skus: Sequence[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for some in chunks(skus):
        query = (
            sa.select(asset.c.sku, sa.func.count())
            .where(among(connection, asset.c.sku, some), asset.c.kind == "generated")
            .group_by(asset.c.sku)
        )
        found.update((row[0], row[1]) for row in connection.execute(query))
    return found


def held(database: Database, run_id: str, job: str) -> list[str]:
    """Return the skus that the run holds now, in order.

    After a claim whose answer was lost with the connection, the rows in here that the run knows nothing of are those
    to `release`.
    """
    query = sa.select(work.c.sku).where(*_claimed_by(run_id, job)).order_by(work.c.sku)
    with database.read() as connection:
        return list(connection.execute(query).scalars())


def renew(database: Database, run_id: str, job: str, lease_seconds: float) -> int:
    """Let every lease of the run end `lease_seconds` from now; return how many there are."""
    with database.transaction() as connection:
        until = database.now(connection) + timedelta(seconds=lease_seconds)
        return _change_claims(connection, run_id, job, {"lease_until": until})


def release(database: Database, run_id: str, job: str, skus: Sequence[str] | None = None) -> int:
    """Give claimed rows back to the queue (`skus`, or all that the run holds); return how many were given back."""
    given_back: dict[str, Any] = {"state": "queued", "run_id": None, "lease_until": None}
    with database.transaction() as connection:
        if skus is None:
            return _change_claims(connection, run_id, job, given_back)
        return sum(_change_claims(connection, run_id, job, given_back, some) for some in chunks(sorted(skus)))


def recover(database: Database, job: str, *, asking: str | None = None) -> int:
    """Queue again what runs held whose process is gone, and mark these runs as died; return how many rows.

    A run is gone when its lock `run:<id>` is free: the lock ends with its process, so nothing waits for a lease.
    Each row's `deaths` grows by one. The run that is `asking` is alive, even if a restarted server forgot its lock.
    """
    with database.read() as connection:
        query = sa.select(run.c.id).where(run.c.job == job, run.c.state == "running").order_by(run.c.id)
        running = list(connection.execute(query).scalars())
    recovered = 0
    for run_id in running:
        if run_id == asking:
            continue
        lock = acquire_lock(database, f"run:{run_id}")
        if lock is None:
            continue
        with lock, database.transaction() as connection:
            now = database.now(connection)
            died = connection.execute(
                sa.update(run)
                .where(run.c.id == run_id, run.c.state == "running")
                .values(state="died", finished_at=now, message="the process ended without closing the run")
            )
            if died.rowcount == 1:
                values = {"state": "queued", "run_id": None, "lease_until": None, "deaths": work.c.deaths + 1}
                recovered += _change_claims(connection, run_id, job, values)
    return recovered


def remaining(database: Database, run_id: str, job: str) -> int:
    """Return how many rows of the run's scope still wait for an outcome: queued, or claimed by any run."""
    query = (
        sa.select(sa.func.count())
        .select_from(work)
        .join(run_item, sa.and_(run_item.c.run_id == run_id, run_item.c.sku == work.c.sku))
        .where(work.c.job == job, work.c.state.in_(("queued", "claimed")), run_item.c.outcome.is_(None))
    )
    with database.read() as connection:
        return int(connection.execute(query).scalar_one())


def close_scope(database: Database, run_id: str, job: str) -> int:
    """Give every item of the run that another worker finished the outcome `elsewhere`; return how many."""
    finished = sa.select(work.c.sku).where(
        work.c.job == job, work.c.state.in_(("done", "failed")), work.c.sku == run_item.c.sku
    )
    with database.transaction() as connection:
        changed = connection.execute(
            sa.update(run_item)
            .where(run_item.c.run_id == run_id, run_item.c.outcome.is_(None), finished.exists())
            .values(outcome="elsewhere", reason="another worker finished it")
        )
        return int(changed.rowcount)


def counts(database: Database, run_id: str) -> dict[str | None, int]:
    """Return how many items of the run have each outcome; None counts those without one yet."""
    query = (
        sa.select(run_item.c.outcome, sa.func.count()).where(run_item.c.run_id == run_id).group_by(run_item.c.outcome)
    )
    with database.read() as connection:
        return {row[0]: row[1] for row in connection.execute(query)}


def _claimed_by(run_id: str, job: str) -> tuple[sa.ColumnElement[bool], ...]:
    return work.c.job == job, work.c.state == "claimed", work.c.run_id == run_id


def _change_claims(
    connection: sa.Connection, run_id: str, job: str, values: dict[str, Any], skus: Sequence[str] | None = None
) -> int:
    """Set `values` on rows that the run holds (all, or those among `skus`); return how many.

    They are locked in sku order first, as `record` does: the two run in different threads, and must not deadlock.
    """
    mine = [*_claimed_by(run_id, job), *([among(connection, work.c.sku, skus)] if skus is not None else [])]
    query = locked(connection, sa.select(work.c.sku).where(*mine).order_by(work.c.sku), work)
    changed = 0
    for some in chunks(list(connection.execute(query).scalars())):
        changes = sa.update(work).where(work.c.job == job, among(connection, work.c.sku, some)).values(values)
        changed += connection.execute(changes).rowcount
    return changed
