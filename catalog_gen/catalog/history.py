"""Everything that was ever recorded of a product, in the order of time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from catalog_gen.catalog import tables
from catalog_gen.catalog.assets import assets_of
from catalog_gen.catalog.audit import AuditRow, audit
from catalog_gen.catalog.database import Database
from catalog_gen.catalog.model import Asset, RunItem
from catalog_gen.catalog.text import clean

run, run_item = tables.run, tables.run_item
MOST_DECISIONS = 10_000


@dataclass(frozen=True)
class Event:
    """One thing that happened to a product: a run that had it in its scope, a picture, or a decision.

    `at`: when the run began, the picture was recorded, the decision was made. `job` is the run's.
    """

    at: datetime
    run_id: str = ""
    job: str = ""
    item: RunItem | None = None
    asset: Asset | None = None
    decision: AuditRow | None = None


def history(database: Database, sku: str) -> list[Event]:
    """Return all of it, oldest first; empty for a product that no run and nobody ever touched."""
    sku = clean(sku)
    events = _runs(database, sku)
    jobs = {event.run_id: event.job for event in events}
    for asset in assets_of(database, sku):
        assert asset.created_at is not None, "the table has it for every asset"
        events.append(Event(asset.created_at, asset.run_id, jobs.get(asset.run_id, ""), asset=asset))
    decisions = audit(database, sku=sku, limit=MOST_DECISIONS)
    events += [Event(row.decided_at, decision=row) for row in reversed(decisions)]
    return sorted(events, key=lambda event: event.at)


def _runs(database: Database, sku: str) -> list[Event]:
    # From the runs, of which there are hundreds, to their items: the items' key begins with the run.
    columns = (run.c.started_at, run.c.id, run.c.job, run_item.c.outcome, run_item.c.reason)
    query = sa.select(*columns).join(run_item, sa.and_(run_item.c.run_id == run.c.id, run_item.c.sku == sku))
    with database.read() as connection:
        return [
            Event(at, run_id, job, item=RunItem(sku, outcome, reason))
            for at, run_id, job, outcome, reason in connection.execute(query.order_by(run.c.started_at, run.c.id))
        ]
