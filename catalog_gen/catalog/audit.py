"""The record of decisions: who decided what about which picture, when, from where, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from catalog_gen.catalog import tables
from catalog_gen.catalog.database import Database
from catalog_gen.catalog.text import clean

decision = tables.decision


@dataclass(frozen=True)
class AuditRow:
    """A decision as it was recorded. An undo is one too: `undoes` names what it undid, whose `undone_by` names it.

    details: what undoing needs. `reason` and `reason_kind`: the picture's before. `with`: the restyled pictures that
    went with it, as they were before, each with its `id` and its `version` since. `wish`: what was asked of the next
    drawing, and `wish_before`: what had been asked before.
    """

    id: str
    asset_id: str
    sku: str
    action: str
    reason: str
    from_state: str
    to_state: str
    from_version: int
    to_version: int
    reviewer: str
    source: str
    decided_at: datetime
    undone_by: str | None = None
    undoes: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


def audit(
    database: Database,
    *,
    sku: str | None = None,
    asset_id: str | None = None,
    reviewer: str | None = None,
    before: tuple[datetime, str] | None = None,
    limit: int = 100,
) -> list[AuditRow]:
    """Return decisions, newest first: of a product, of a picture, of a reviewer, or of all.

    before: the (decided_at, id) of the last row of the page before.
    """
    query = sa.select(decision).order_by(decision.c.decided_at.desc(), decision.c.id.desc()).limit(limit)
    for column, wanted in ((decision.c.sku, sku), (decision.c.asset_id, asset_id), (decision.c.reviewer, reviewer)):
        if wanted is not None:
            query = query.where(column == clean(wanted))
    if before is not None:
        place = sa.tuple_(decision.c.decided_at, decision.c.id)
        query = query.where(place < sa.tuple_(sa.literal(before[0], tables.UtcTime()), sa.literal(clean(before[1]))))
    with database.read() as connection:
        return [AuditRow(**row) for row in connection.execute(query).mappings()]


def read_decision(connection: sa.Connection, decision_id: str) -> AuditRow | None:
    """Return one recorded decision, if there is one with this id."""
    row = connection.execute(sa.select(decision).where(decision.c.id == decision_id)).mappings().one_or_none()
    return None if row is None else AuditRow(**row)


def last_of_asset(connection: sa.Connection, asset_id: str) -> AuditRow | None:
    """Return the latest row about the picture, undos included."""
    return _latest(connection, decision.c.asset_id == asset_id)


def last_standing(connection: sa.Connection, reviewer: str) -> AuditRow | None:
    """Return the reviewer's latest decision that is not undone."""
    return _latest(
        connection, decision.c.reviewer == reviewer, decision.c.action != "undo", decision.c.undone_by.is_(None)
    )


def _latest(connection: sa.Connection, *where: sa.ColumnElement[bool]) -> AuditRow | None:
    query = sa.select(decision).where(*where).order_by(decision.c.decided_at.desc(), decision.c.id.desc()).limit(1)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else AuditRow(**row)


def add_row(connection: sa.Connection, row: AuditRow) -> None:
    """Record a decision. Raises IntegrityError when its id is taken."""
    connection.execute(sa.insert(decision), asdict(row))


def mark_undone(connection: sa.Connection, decision_id: str, by: str) -> None:
    """Note which undo took the decision back."""
    connection.execute(sa.update(decision).where(decision.c.id == decision_id).values(undone_by=by))
