"""Recording what came of claimed rows: the one place where a row gets its outcome and its picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from catalog_gen.catalog import tables
from catalog_gen.catalog.database import Database
from catalog_gen.catalog.duplicates import buckets
from catalog_gen.catalog.model import APPROVED_STATES, DEAD_STATES, NewAsset, Outcome, RecordResult
from catalog_gen.catalog.statements import among, chunks, insert_new, locked, update_each
from catalog_gen.catalog.text import clean, clean_json, clean_reason
from catalog_gen.catalog.wishes import drop_wishes
from catalog_gen.errors import InternalError, TransientError

MAX_CATEGORY = 100  # characters: PostgreSQL's indexes take no long rows
BEATEN = "the product got a picture meanwhile"
SOURCELESS = "its source was rejected meanwhile"
NEVER_AGAIN = 1_000_000  # attempts of a row that another night cannot help: above any `max_attempts`

work, run_item, asset, phash = tables.work, tables.run_item, tables.asset, tables.phash


def record(database: Database, run_id: str, job: str, outcomes: Sequence[Outcome]) -> RecordResult:
    """Write `outcomes` in one transaction: all or nothing; return which skus counted and which were lost.

    A row counts if the run still holds its claim; a lease that ran out but was not taken by another still counts. It
    is lost if another worker took it, or if its product got a live asset meanwhile, or if what it was made from was
    rejected meanwhile (then it is done `elsewhere`).
    A restyled picture takes the place of the live one of its style and variant, which is `retired_by` this run.
    Recording the same outcomes again, after a commit whose answer was lost, gives the same result and adds nothing.
    """
    by_sku = _checked(outcomes)
    if not by_sku:
        return RecordResult([], [])
    with database.transaction() as connection:
        now = database.now(connection)
        mine = _still_mine(connection, run_id, job, sorted(by_sku))
        before = _recorded_before(connection, run_id, [by_sku[sku] for sku in by_sku if sku not in mine])
        orphaned = _sourceless(connection, [by_sku[sku] for sku in sorted(mine)])
        for sku in orphaned:
            del mine[sku]
        pictures = [picture for sku in sorted(mine) for picture in by_sku[sku].pictures]
        _retire_replaced(connection, run_id, [picture for picture in pictures if picture.kind == "restyled"])
        inserted = _insert_assets(connection, run_id, now, pictures)
        kept: list[Outcome] = []
        beaten: list[Outcome] = []
        for sku in sorted(mine):
            there = all(picture.id in inserted for picture in by_sku[sku].pictures)
            (kept if there else beaten).append(by_sku[sku])
        _settle(connection, run_id, job, kept, mine, now)
        _settle_elsewhere(connection, run_id, job, [outcome.sku for outcome in beaten], BEATEN, now)
        _settle_elsewhere(connection, run_id, job, orphaned, SOURCELESS, now)
        drop_wishes(connection, [outcome.sku for outcome in kept if _is_new_drawing(outcome)])
    counted = {outcome.sku for outcome in kept} | before
    return RecordResult(
        recorded=[sku for sku in by_sku if sku in counted], lost=[sku for sku in by_sku if sku not in counted]
    )


def _checked(outcomes: Sequence[Outcome]) -> dict[str, Outcome]:
    by_sku = {outcome.sku: outcome for outcome in outcomes}
    if len(by_sku) != len(outcomes):
        raise InternalError("a batch records the same sku twice")
    for outcome in outcomes:
        pictures = outcome.pictures
        alive = [picture for picture in pictures if picture.state not in DEAD_STATES]
        if outcome.outcome in ("generated", "restyled", "needs_review"):
            if not pictures or alive != [*pictures] or any(picture.sku != outcome.sku for picture in pictures):
                raise InternalError(f"the outcome {outcome.outcome} needs a live asset of its row", where=outcome.sku)
        elif alive:
            raise InternalError(f"the outcome {outcome.outcome} cannot have a live asset", where=outcome.sku)
    return by_sku


def _still_mine(connection: sa.Connection, run_id: str, job: str, skus: Sequence[str]) -> dict[str, int]:
    """Lock the rows, and return the failed attempts so far of those that the run still holds."""
    mine: dict[str, int] = {}
    for some in chunks(skus):
        query = sa.select(work.c.sku, work.c.state, work.c.run_id, work.c.attempts).where(
            work.c.job == job, among(connection, work.c.sku, some)
        )
        for sku, state, holder, attempts in connection.execute(locked(connection, query.order_by(work.c.sku), work)):
            if state == "claimed" and holder == run_id:
                mine[sku] = attempts
    return mine


def _recorded_before(connection: sa.Connection, run_id: str, outcomes: Sequence[Outcome]) -> set[str]:
    """Return the skus whose very outcome this run has recorded already."""
    found: set[str] = set()
    for some in chunks(outcomes):
        wanted = {outcome.sku: (outcome.outcome, _first_id(outcome)) for outcome in some}
        query = sa.select(run_item.c.sku, run_item.c.outcome, run_item.c.asset_id).where(
            run_item.c.run_id == run_id, among(connection, run_item.c.sku, list(wanted))
        )
        found.update(sku for sku, *what in connection.execute(query) if tuple(what) == wanted[sku])
    return found


def _is_new_drawing(outcome: Outcome) -> bool:
    return any(picture.kind == "generated" for picture in outcome.pictures)


def _first_id(outcome: Outcome) -> str | None:
    return next((picture.id for picture in outcome.pictures), None)


def _sourceless(connection: sa.Connection, outcomes: Sequence[Outcome]) -> list[str]:
    """Return the skus whose pictures were made from an asset that does not stand, or is not approved, any more.

    The sources stay as they are until the transaction ends, so that whoever rejects one sees what was made from it.
    """
    pictures = [picture for outcome in outcomes for picture in outcome.pictures]
    wanted = {picture.source_asset_id: picture.sku for picture in pictures if picture.source_asset_id}
    good: set[str] = set()
    for some in chunks(sorted(wanted)):
        query = sa.select(asset.c.id, asset.c.live, asset.c.state).where(among(connection, asset.c.id, some))
        rows = connection.execute(locked(connection, query.order_by(asset.c.id), asset))
        good.update(id for id, live, state in rows if live and state in APPROVED_STATES)
    return sorted({sku for id, sku in wanted.items() if id not in good})


def _retire_replaced(connection: sa.Connection, run_id: str, pictures: Sequence[NewAsset]) -> None:
    """Take the live pictures whose places the new ones take out of the way, remembering which run did it."""
    places = {(picture.sku, picture.style, picture.variant) for picture in pictures}
    live = [asset.c.kind == "restyled", asset.c.live]
    for some in chunks(sorted({sku for sku, _, _ in places})):
        query = sa.select(asset.c.id, asset.c.sku, asset.c.style, asset.c.variant).where(
            among(connection, asset.c.sku, some), *live
        )
        rows = connection.execute(locked(connection, query.order_by(asset.c.id), asset)).all()
        replaced = [id for id, *place in rows if tuple(place) in places]
        for ids in chunks(replaced):
            change = sa.update(asset).where(among(connection, asset.c.id, ids))
            connection.execute(change.values(live=False, retired_by=run_id, version=asset.c.version + 1))


def _insert_assets(connection: sa.Connection, run_id: str, now: datetime, pictures: Sequence[NewAsset]) -> set[str]:
    """Insert the assets whose place is free (the unique index decides) and their hashes; return their ids."""
    insert_new(connection, asset, [_row(picture, run_id, now) for picture in pictures])
    inserted: set[str] = set()
    for some in chunks([picture.id for picture in pictures]):
        inserted.update(connection.execute(sa.select(asset.c.id).where(among(connection, asset.c.id, some))).scalars())
    if any(picture.kind == "restyled" and picture.id not in inserted for picture in pictures):
        # A revert or a decision brought another picture back between the retiring and this: retire that one too.
        raise TransientError("the live pictures changed while new ones were recorded")
    hashes = [
        {"bucket": bucket, "asset_id": picture.id}
        for picture in pictures
        if picture.id in inserted and picture.kind == "generated" and picture.state not in DEAD_STATES
        for bucket in buckets(picture.phash)
    ]
    insert_new(connection, phash, hashes)
    return inserted


_COPIED = [column.name for column in fields(NewAsset)]
_TEXTS = frozenset(name for name in _COPIED if isinstance(asset.c[name].type, sa.Text))


def _row(picture: NewAsset, run_id: str, now: datetime) -> dict[str, Any]:
    row: dict[str, Any] = {name: getattr(picture, name) for name in _COPIED}
    for name in _TEXTS:
        row[name] = clean(row[name]) if row[name] is not None else None
    row["scores"], row["settings"] = clean_json(picture.scores), clean_json(picture.settings)
    row["reason"] = clean_reason(picture.reason)
    row["category"] = row["category"][:MAX_CATEGORY]
    return row | {"live": picture.state not in DEAD_STATES, "run_id": run_id, "created_at": now}


def _settle(
    connection: sa.Connection, run_id: str, job: str, kept: Sequence[Outcome], mine: Mapping[str, int], now: datetime
) -> None:
    """Close the work rows and items of outcomes that count; `mine` has each row's attempts so far."""
    free: dict[str, Any] = {"run_id": None, "lease_until": None, "updated_at": now}
    for some in chunks([outcome.sku for outcome in kept if outcome.outcome != "failed"]):
        done = sa.update(work).where(work.c.job == job, among(connection, work.c.sku, some))
        connection.execute(done.values(free | {"state": "done", "reason": ""}))
    failed = [
        free
        | {
            "sku": outcome.sku,
            "state": "failed",
            "attempts": mine[outcome.sku] + 1 if outcome.retry else NEVER_AGAIN,
            "reason": clean_reason(outcome.reason),
        }
        for outcome in kept
        if outcome.outcome == "failed"
    ]
    update_each(connection, work, {"job": job}, "sku", failed)
    items = [
        {
            "sku": outcome.sku,
            "outcome": outcome.outcome,
            "reason": clean_reason(outcome.reason),
            "asset_id": _first_id(outcome),
        }
        for outcome in kept
    ]
    update_each(connection, run_item, {"run_id": run_id}, "sku", items)


def _settle_elsewhere(
    connection: sa.Connection, run_id: str, job: str, skus: Sequence[str], reason: str, now: datetime
) -> None:
    """Rows whose pictures nobody needs any more: done, and not by this run."""
    for some in chunks(skus):
        connection.execute(
            sa.update(work)
            .where(work.c.job == job, among(connection, work.c.sku, some))
            .values(state="done", run_id=None, lease_until=None, reason=reason, updated_at=now)
        )
        connection.execute(
            sa.update(run_item)
            .where(run_item.c.run_id == run_id, among(connection, run_item.c.sku, some))
            .values(outcome="elsewhere", reason=reason)
        )
