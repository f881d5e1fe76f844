"""The ledger: one row a run, written before the first row is touched and closed when the run ends."""

from __future__ import annotations

import getpass
import os
import secrets
import socket
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from catalog_gen.catalog.database import Database
from catalog_gen.catalog.model import RunItem, RunRecord, RunState
from catalog_gen.catalog.tables import run as table
from catalog_gen.catalog.tables import run_item
from catalog_gen.catalog.text import clean, clean_json
from catalog_gen.errors import UsageError


def new_run_id() -> str:
    """Return an id that sorts by its time: `20260131T020000.123-9f3a1c`."""
    now = datetime.now(UTC)
    return f"{now:%Y%m%dT%H%M%S}.{now.microsecond // 1000:03d}-{secrets.token_hex(3)}"


def start_run(
    database: Database,
    *,
    run_id: str,
    job: str,
    config: Mapping[str, Any],
    models: Mapping[str, Any],
    version: str,
) -> str:
    """Insert the run's ledger row, in state `running`, and return its id. Starting the same run twice is harmless.

    Take the lock `run:<id>` first: a running run whose lock is free counts as died (`queue.recover`).
    """
    with database.transaction() as connection:
        now = database.now(connection)
        values = {
            "id": run_id,
            "job": job,
            "state": "running",
            "started_at": now,
            "heartbeat_at": now,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "user": user_name(),
            "version": version,
            "config": clean_json(config),
            "models": clean_json(models),
            "counts": {},
            "timings": {},
            "message": "",
        }
        known = connection.execute(sa.select(table.c.id).where(table.c.id == run_id)).scalar()
        if known is None:
            connection.execute(sa.insert(table), values)
    return run_id


def finish_run(
    database: Database,
    run_id: str,
    *,
    state: str,
    counts: Mapping[str, int],
    timings: Mapping[str, Any],
    images_per_second: float | None,
    exit_code: int,
    message: str,
) -> None:
    """Close the run's ledger row; `timings` are in seconds. Raises UsageError for a run that was never started."""
    with database.transaction() as connection:
        now = database.now(connection)
        changed = connection.execute(
            sa.update(table)
            .where(table.c.id == run_id)
            .values(
                state=state,
                finished_at=now,
                heartbeat_at=now,
                counts=clean_json(counts),
                timings=clean_json(timings),
                images_per_second=images_per_second,
                exit_code=exit_code,
                message=clean(message),
            )
        )
        if changed.rowcount != 1:
            raise UsageError(f"there is no run {run_id}", where=database.where)


def heartbeat(database: Database, run_id: str) -> None:
    """Note that the run is alive now."""
    with database.transaction() as connection:
        connection.execute(sa.update(table).where(table.c.id == run_id).values(heartbeat_at=database.now(connection)))


def list_runs(database: Database, limit: int = 20) -> list[RunRecord]:
    """Return the latest runs, newest first."""
    with database.read() as connection:
        rows = connection.execute(sa.select(table).order_by(table.c.id.desc()).limit(limit)).mappings()
        return [_record(row) for row in rows]


def get_run(database: Database, run_id: str) -> RunRecord:
    """Return one run; an unambiguous beginning of its id is enough. Raises UsageError if none or several match."""
    with database.read() as connection:
        query = sa.select(table).where(table.c.id.startswith(run_id, autoescape=True)).limit(2)
        found = [_record(row) for row in connection.execute(query).mappings()]
    exact = [record for record in found if record.id == run_id]
    if len(exact or found) == 1:
        return (exact or found)[0]
    problem = f"several runs begin with {run_id!r}" if found else f"there is no run {run_id!r}"
    raise UsageError(problem, where=database.where, hint="`catalog-gen runs` lists them.")


def list_items(database: Database, run_id: str, page_rows: int = 1_000) -> Iterator[RunItem]:
    """Yield the run's frozen scope in sku order: every row that it was planned to work, and what came of it.

    Holds one page in memory.
    """
    columns = sa.select(run_item.c.sku, run_item.c.outcome, run_item.c.reason).where(run_item.c.run_id == run_id)
    query = columns.order_by(run_item.c.sku).limit(page_rows)
    last: str | None = None
    while True:
        step = query if last is None else query.where(run_item.c.sku > last)
        with database.read() as connection:
            rows = connection.execute(step).all()
        for row in rows:
            yield RunItem(*row)
        if len(rows) < page_rows:
            return
        last = rows[-1][0]


def _record(row: sa.RowMapping) -> RunRecord:
    state: RunState = row["state"]
    return RunRecord(**{**row, "state": state})


def user_name() -> str:
    """Return the operating system's name for whoever runs this process, or their number."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return str(os.getuid())
