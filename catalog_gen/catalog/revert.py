"""Taking a restyling run back: its pictures go, and what was live before them stands again.

The pictures of one place (sku, style, output) form a chain: each names in `retired_by` the run whose picture followed
it. Taking a run back takes its link out of the chain, whether it is the last one or not, so that runs can be reverted
in any order and any number of times.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import sqlalchemy as sa

from catalog_gen.catalog import tables
from catalog_gen.catalog.database import Database
from catalog_gen.catalog.model import DEAD_STATES, RunRecord
from catalog_gen.catalog.queue import recover
from catalog_gen.catalog.runs import get_run
from catalog_gen.catalog.statements import among, chunks, locked
from catalog_gen.errors import TemporaryFailure, UsageError

PAGE = 500
RESTYLE = "restyle:"  # what the jobs' names begin with; the template's name follows

asset = tables.asset
_Place = tuple[str, str, str]


@dataclass
class Reverted:
    """How many pictures of the run were retired, and how many earlier ones stand again."""

    run_id: str
    job: str
    retired: int = 0
    restored: int = 0

    def describe(self) -> str:
        """Return what a person wants to know, in a line."""
        return (
            f"run {self.run_id} ({self.job}): {self.retired} pictures retired, {self.restored} earlier ones stand again"
        )


_Page: TypeAlias = tuple[str | None, Reverted]
"""The last id that was looked at (None at the end), and what a page's transaction changed."""


def revert(
    database: Database, run_id: str, attempt: Callable[[Callable[[], _Page]], _Page] = lambda step: step()
) -> Reverted:
    """Retire the run's live pictures and bring back those that they replaced; harmless to repeat, at any time.

    `run_id` may be an unambiguous beginning. Where a later run's picture stands, it goes on standing, and reverting
    that run brings back what was there before both. A rejected picture is never brought back. attempt: what calls each
    transaction, and may call it again when it failed.
    Raises UsageError for a run that is unknown or restyled nothing, TemporaryFailure for one that is still at work.
    """
    run = get_run(database, run_id)
    if not run.job.startswith(RESTYLE):
        raise UsageError(f"the run {run.id} is a {run.job} run", hint="Only restyle runs can be reverted.")
    if run.state == "running":
        recover(database, run.job)  # a run whose process is gone is over
        run = get_run(database, run.id)
    if run.state == "running":
        raise TemporaryFailure(
            f"the run {run.id} is still at work", where=database.where, hint="Stop it, then revert it."
        )
    result = Reverted(run.id, run.job)
    last: str | None = ""
    while last is not None:
        last, page = attempt(partial(_revert_page, database, run, last))
        result.retired += page.retired
        result.restored += page.restored
    return result


def _revert_page(database: Database, run: RunRecord, last: str) -> _Page:
    """Take back the next pictures of the run by id, in one transaction."""
    result = Reverted(run.id, run.job)
    query = sa.select(asset).where(asset.c.run_id == run.id, asset.c.kind == "restyled", asset.c.id > last)
    with database.transaction() as connection:
        ours = connection.execute(query.order_by(asset.c.id).limit(PAGE)).mappings().all()
        if not ours:
            return None, result
        places = _places(connection, sorted({row["sku"] for row in ours}))
        for row in ours:
            _take_out(connection, run.id, row["id"], places[_place(row)], result)
    return str(ours[-1]["id"]), result


def _take_out(
    connection: sa.Connection, run_id: str, own: str, chain: Sequence[sa.RowMapping], result: Reverted
) -> None:
    """Take the run's picture `own` out of the chain of all pictures of its place."""
    picture = next(row for row in chain if row["id"] == own)
    before = next((row for row in chain if row["retired_by"] == run_id and row["run_id"] != run_id), None)
    others_live = any(row["live"] for row in chain if row["id"] != own)
    follower = picture["retired_by"] if picture["retired_by"] != run_id else None
    if picture["live"] or follower:
        _change(connection, picture, live=False, retired_by=run_id)
        result.retired += bool(picture["live"])
    if before is None:
        return
    if follower:
        _change(connection, before, live=before["live"], retired_by=follower)
    elif not others_live and before["state"] not in DEAD_STATES:
        _change(connection, before, live=True, retired_by=None)
        result.restored += 1


def _change(connection: sa.Connection, row: sa.RowMapping, *, live: bool, retired_by: str | None) -> None:
    version = row["version"] + (live != row["live"])
    values = {"live": live, "retired_by": retired_by, "version": version}
    connection.execute(sa.update(asset).where(asset.c.id == row["id"]).values(values))


def _places(connection: sa.Connection, skus: Sequence[str]) -> dict[_Place, list[sa.RowMapping]]:
    """Lock the restyled pictures of these products, and return them by their place."""
    found: dict[_Place, list[sa.RowMapping]] = {}
    columns = (asset.c.id, asset.c.sku, asset.c.style, asset.c.variant)
    more = (asset.c.run_id, asset.c.live, asset.c.state, asset.c.retired_by, asset.c.version)
    for some in chunks(skus):
        query = sa.select(*columns, *more).where(among(connection, asset.c.sku, some), asset.c.kind == "restyled")
        for row in connection.execute(locked(connection, query.order_by(asset.c.id), asset)).mappings():
            found.setdefault(_place(row), []).append(row)
    return found


def _place(row: sa.RowMapping) -> _Place:
    return row["sku"], row["style"], row["variant"]
