"""Taking a decision back: what it changed is as it was, unless something else has changed it since."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast
from uuid import uuid4

import sqlalchemy as sa

from catalog_gen.catalog import tables
from catalog_gen.catalog.asset_rows import asset_of, move, read_asset
from catalog_gen.catalog.audit import AuditRow, add_row, last_of_asset, last_standing, mark_undone, read_decision
from catalog_gen.catalog.database import Database
from catalog_gen.catalog.decision_model import MAX_KEY, Action, By, Decided, Decision, is_key
from catalog_gen.catalog.model import DEAD_STATES, AssetState
from catalog_gen.catalog.wishes import drop_wishes, put_wish


def take_back(database: Database, connection: sa.Connection, decision_id: str | None, by: By) -> Decided:
    """Undo the decision in this transaction; see `decisions.undo`."""
    found = last_standing(connection, by.reviewer) if decision_id is None else _named(connection, decision_id)
    if found is None:
        name = (decision_id or "")[:MAX_KEY]
        nothing = "there is nothing to undo" if decision_id is None else f"there is no decision {name!r}"
        return Decided(Decision(name, "", "approve"), "unknown", nothing)
    row = read_asset(connection, found.asset_id, lock=True)
    assert row is not None, "assets are never deleted"
    target = read_decision(connection, found.id)  # again, under the lock
    assert target is not None, "decisions are never deleted"
    decision = Decision(target.id, target.asset_id, cast(Action, target.action), target.from_version, target.reason)
    if target.action == "undo":
        return Decided(decision, "refused", f"{target.sku}: an undo cannot be undone; decide anew", asset_of(row))
    if target.undone_by:
        return Decided(decision, "already", f"{target.sku}: undone before", asset_of(row))
    change = _change(connection, target, row)
    if change:
        return Decided(decision, "changed", f"{target.sku}: {change}", asset_of(row))
    restored = _restore(connection, target, row)
    undone = _row(database, connection, target, row, by, restored)
    add_row(connection, undone)
    mark_undone(connection, target.id, undone.id)
    now = read_asset(connection, target.asset_id)
    assert now is not None, "it was locked a moment ago"
    told = f"{target.sku}: {target.from_state} again{_told_of_restyled(target, restored)}"
    return Decided(decision, "done", told, asset_of(now))


def _named(connection: sa.Connection, decision_id: str) -> AuditRow | None:
    return read_decision(connection, decision_id) if is_key(decision_id) else None


def _change(connection: sa.Connection, target: AuditRow, row: sa.RowMapping) -> str:
    """Return what stands in the way of the picture's being as it was, or ""."""
    if row["version"] != target.to_version:
        last = last_of_asset(connection, row["id"])
        who = f" by {last.reviewer}" if last is not None and last.to_version == row["version"] else ""
        return f"changed since that decision: it is {row['state']} now{who}"
    if target.to_state in DEAD_STATES and _place_taken(connection, row):
        return "another picture stands for it by now"
    return ""


def _place_taken(connection: sa.Connection, row: sa.RowMapping) -> bool:
    asset = tables.asset
    place = [asset.c[name] == row[name] for name in ("sku", "kind", "style", "variant")]
    return connection.execute(sa.select(asset.c.id).where(*place, asset.c.live)).first() is not None


def _restore(connection: sa.Connection, target: AuditRow, row: sa.RowMapping) -> list[dict[str, Any]]:
    """Bring back the picture, those that went with it, and the wish; return the restyled ones that stand again."""
    before = target.details
    kept = {"reason": before["reason"], "reason_kind": before["reason_kind"]}
    move(connection, row, cast(AssetState, target.from_state), live=True, **kept)
    went = sorted(before.get("with", []), key=lambda one: str(one["id"]))
    restored = [restyled for one in went for restyled in _restore_restyled(connection, one)]
    if "wish" in before:
        _restore_wish(connection, target)
    return restored


def _restore_restyled(connection: sa.Connection, was: dict[str, Any]) -> list[dict[str, Any]]:
    """Bring one back and return it, or nothing where it has changed since."""
    row = read_asset(connection, was["id"], lock=True)
    if row is None or row["version"] != was["version"] or _place_taken(connection, row):
        return []
    kept = {"reason": was["reason"], "reason_kind": was["reason_kind"]}
    return [{"id": row["id"], "version": move(connection, row, was["state"], live=True, **kept)}]


def _told_of_restyled(target: AuditRow, restored: list[dict[str, Any]]) -> str:
    went = len(target.details.get("with", []))
    if not went:
        return ""
    lost = went - len(restored)
    return f", with {len(restored)} restyled from it" + (f"; {lost} changed since and stay as they are" if lost else "")


def _restore_wish(connection: sa.Connection, target: AuditRow) -> None:
    earlier = target.details.get("wish_before")
    if earlier is None:
        drop_wishes(connection, [target.sku])
    else:
        asked_at = datetime.fromisoformat(earlier["requested_at"])
        put_wish(connection, target.sku, {**earlier, "requested_at": asked_at})


def _row(
    database: Database,
    connection: sa.Connection,
    target: AuditRow,
    row: sa.RowMapping,
    by: By,
    restored: list[dict[str, Any]],
) -> AuditRow:
    return AuditRow(
        id=uuid4().hex,
        asset_id=target.asset_id,
        sku=target.sku,
        action="undo",
        reason="",
        from_state=target.to_state,
        to_state=target.from_state,
        from_version=row["version"],
        to_version=row["version"] + 1,
        reviewer=by.reviewer,
        source=by.source,
        decided_at=database.now(connection),
        undoes=target.id,
        details={"with": restored} if restored else {},
    )
