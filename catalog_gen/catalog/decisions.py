"""Decisions on pictures: approve, reject, again; each recorded with who and when, and each can be undone.

A decision names the version of the picture that its reviewer saw. It changes that version or nothing: of two reviewers
the second is told what the first did. Its id is made by whoever decides, so that sending it again does nothing.
Order of locks: the picture, then the restyled ones that go with it, then the wish; whoever records pictures keeps it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, get_args

import sqlalchemy as sa

from catalog_gen.catalog import tables
from catalog_gen.catalog.asset_rows import asset_of, move, read_asset
from catalog_gen.catalog.audit import AuditRow, add_row, audit, last_of_asset, last_standing, read_decision
from catalog_gen.catalog.database import Database
from catalog_gen.catalog.decision_model import MAX_KEY, MAX_REVIEWER, Action, By, Decided, Decision, Result, is_key
from catalog_gen.catalog.model import APPROVED_STATES, NO_WISH, AssetState, Wish
from catalog_gen.catalog.prompts import cap, clean_text
from catalog_gen.catalog.statements import locked
from catalog_gen.catalog.text import clean_reason
from catalog_gen.catalog.undoing import take_back
from catalog_gen.catalog.wishes import PendingWish, put_wish, read_wishes
from catalog_gen.errors import TransientError

__all__ = ["Action", "AuditRow", "Decided", "Decision", "Result", "Wish", "audit", "decide", "last_decision", "undo"]

MAX_CANDIDATES = 64  # as gan.candidates
_MEETINGS = 5  # times that two decisions on one place may meet before the caller is asked to come again

Value = TypeVar("Value")


def decide(database: Database, decisions: Sequence[Decision], *, reviewer: str, source: str) -> list[Decided]:
    """Carry out the decisions in this order, each in a short transaction of its own; return what came of each.

    approve: the picture may be used; a published one stays published. reject: it does not stand for its product any
    more, nor do the pictures restyled from it; needs a reason. again: reject, and draw anew, as the wish says.
    Raises UsageError for a reviewer without a name, TransientError and Unavailable as `Database.transaction` does;
    decisions before the one that raised are recorded, and sending all of them again is harmless.
    """
    by = By.of(reviewer, source)

    def one(decision: Decision) -> Decided:
        return settled(database, lambda connection: _decide(database, connection, decision, by))

    return [one(decision) for decision in decisions]


def undo(database: Database, *, reviewer: str, source: str, decision_id: str | None = None) -> Decided:
    """Take back a decision: the one named, or this reviewer's last that is not undone.

    Brings back the picture's state, the restyled pictures that went with it, and the wish that there was. `changed`
    when the picture has changed since; `already` when it was undone before. Whoever may send twice names the decision:
    without a name, the second time undoes the one before it. Raises as `decide` does.
    """
    by = By.of(reviewer, source)
    return settled(database, lambda connection: take_back(database, connection, decision_id, by))


def last_decision(database: Database, reviewer: str) -> AuditRow | None:
    """Return this reviewer's last decision that is not undone, for `undo` to name; None where there is none."""
    with database.read() as connection:
        return last_standing(connection, clean_reason(reviewer)[:MAX_REVIEWER])


def settled(database: Database, step: Callable[[sa.Connection], Value]) -> Value:
    """Return what `step` does in a transaction; tried again when another took the place that it wanted to fill.

    Its second look sees what the other did. Raises TransientError when that goes on.
    """
    for _ in range(_MEETINGS):
        try:
            with database.transaction() as connection:
                return step(connection)
        except sa.exc.IntegrityError as error:
            met = error
    raise TransientError("decisions on one picture keep meeting", where=database.where) from met


def _decide(database: Database, connection: sa.Connection, decision: Decision, by: By) -> Decided:
    if not is_key(decision.id):
        return Decided(decision, "refused", f"{decision.id[:MAX_KEY]!r} cannot be the id of a decision")
    row = read_asset(connection, decision.asset_id, lock=True) if is_key(decision.asset_id) else None
    known = read_decision(connection, decision.id)
    if known is not None:
        return _seen_before(decision, known, row)
    if row is None:
        return Decided(decision, "unknown", f"there is no picture {decision.asset_id[:MAX_KEY]!r}")
    refusal = _refusal(decision, row)
    if refusal:
        return Decided(decision, "refused", f"{row['sku']}: {refusal}", asset_of(row))
    if row["reason_kind"] == "source" and decision.action != "approve":
        return Decided(decision, "already", f"{row['sku']}: rejected already, with its source", asset_of(row))
    change = _change(connection, decision, row)
    if change:
        return Decided(decision, "changed", f"{row['sku']}: {change}", asset_of(row))
    if decision.action == "approve" and row["state"] in APPROVED_STATES:
        return Decided(decision, "already", f"{row['sku']}: {row['state']} already", asset_of(row))
    told = _carry_out(database, connection, decision, row, by)
    now = read_asset(connection, decision.asset_id)
    assert now is not None, "it was locked a moment ago"
    return Decided(decision, "done", f"{row['sku']}: {told}", asset_of(now))


def _seen_before(decision: Decision, known: AuditRow, row: sa.RowMapping | None) -> Decided:
    asset = None if row is None else asset_of(row)
    if (known.asset_id, known.action) != (decision.asset_id, decision.action):
        told = f"{known.sku}: the id {decision.id} is that of another decision ({known.action})"
        return Decided(decision, "refused", told, asset)
    since = ", and undone since" if known.undone_by else ""
    return Decided(decision, "already", f"{known.sku}: recorded before{since}", asset)


def _refusal(decision: Decision, row: sa.RowMapping) -> str:
    """Return why the decision cannot be carried out whatever state the picture is in, or ""."""
    wish = decision.wish
    if decision.action not in get_args(Action):
        return f"{decision.action!r} is no decision; there are {', '.join(get_args(Action))}"
    if decision.action == "reject" and not clean_reason(decision.reason):
        return "a rejection needs a reason"
    if wish == NO_WISH:
        return ""
    if decision.action != "again":
        return f"words and candidates belong to 'again', not to {decision.action!r}"
    if row["kind"] != "generated":
        return "a restyled picture is drawn from its source: there are no words or candidates to ask for"
    if wish.candidates is not None and not 1 <= wish.candidates <= MAX_CANDIDATES:
        return f"{wish.candidates} candidates cannot be drawn, 1 to {MAX_CANDIDATES} can"
    if wish.words and not any(character.isalpha() for character in clean_text(wish.words)):
        return "the new words have no letter in them"
    return ""


def _change(connection: sa.Connection, decision: Decision, row: sa.RowMapping) -> str:
    """Return how the picture is no longer what was decided on, or ""."""
    if decision.sha256 and decision.sha256.lower() != row["sha256"]:
        return "the picture's file is another one (its hash differs)"
    moved = decision.version is not None and decision.version != row["version"]
    if row["live"] and not moved:
        return ""
    last = last_of_asset(connection, row["id"])
    who = f" by {last.reviewer}" if last is not None and last.to_version == row["version"] else ""
    now = row["state"] if row["live"] or row["state"] in ("rejected", "failed") else "replaced by another picture"
    return f"changed since it was looked at: it is {now} now{who}" if moved else f"it is {now}{who}"


def _carry_out(database: Database, connection: sa.Connection, decision: Decision, row: sa.RowMapping, by: By) -> str:
    reason = clean_reason(decision.reason)
    details: dict[str, Any] = {"reason": row["reason"], "reason_kind": row["reason_kind"]}
    to_state: AssetState = "approved" if decision.action == "approve" else "rejected"
    now = database.now(connection)
    if decision.action == "approve":
        # Why the job doubted it stays with the picture: the decision's own words are in its row.
        kept = {"reason": row["reason"], "reason_kind": row["reason_kind"]}
        version, told = move(connection, row, to_state, live=True, **kept), "approved"
    else:
        shown = reason or "asked for again"
        version = move(connection, row, to_state, live=False, reason=shown, reason_kind="person")
        gone = _reject_restyled(connection, row)
        details |= {"with": gone} if gone else {}
        told = f"rejected ({shown})" if decision.action == "reject" else "to be made again"
        told += f", and {len(gone)} restyled from it" if gone else ""
    if decision.action == "again" and row["kind"] == "generated":
        details |= _leave_wish(connection, decision, row["sku"], {"requested_by": by.reviewer, "requested_at": now})
    recorded = AuditRow(
        id=decision.id,
        asset_id=row["id"],
        sku=row["sku"],
        action=decision.action,
        reason=reason,
        from_state=row["state"],
        to_state=to_state,
        from_version=row["version"],
        to_version=version,
        reviewer=by.reviewer,
        source=by.source,
        decided_at=now,
        details=details,
    )
    add_row(connection, recorded)
    return told


def _reject_restyled(connection: sa.Connection, row: sa.RowMapping) -> list[dict[str, Any]]:
    """Reject what stands and was restyled from the picture; return each as it was, with its version now."""
    asset = tables.asset
    query = sa.select(asset).where(asset.c.sku == row["sku"], asset.c.source_asset_id == row["id"], asset.c.live)
    rows = connection.execute(locked(connection, query.order_by(asset.c.id), asset)).mappings().all()
    return [
        {
            **{name: restyled[name] for name in ("id", "state", "reason", "reason_kind")},
            "version": move(
                connection, restyled, "rejected", live=False, reason="its source was rejected", reason_kind="source"
            ),
        }
        for restyled in rows
    ]


def _leave_wish(connection: sa.Connection, decision: Decision, sku: str, asked: dict[str, Any]) -> dict[str, Any]:
    words = cap(clean_text(decision.wish.words))
    before = read_wishes(connection, [sku]).get(sku)
    wanted = {"words": words, "candidates": decision.wish.candidates}
    put_wish(connection, sku, {**wanted, "decision_id": decision.id, **asked})
    earlier = {} if before is None else {"wish_before": _wish_json(before)}
    return {"wish": wanted, **earlier}


def _wish_json(wish: PendingWish) -> dict[str, Any]:
    assert wish.requested_at is not None, "the table has it for every wish"
    return vars(wish) | {"requested_at": wish.requested_at.isoformat()}
