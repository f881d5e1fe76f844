"""What the tests of restyling share: approved pictures, a scope, and pictures restyled from them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from catalog_fixtures import ALIVE, add_pictures, imported, insert_products, make_products, picture

from catalog_gen.catalog import queue, runs, tables
from catalog_gen.catalog.database import Database
from catalog_gen.catalog.locks import acquire_lock
from catalog_gen.catalog.model import NewAsset, Outcome, PictureSource, RestylePlan, ScopeRequest
from catalog_gen.catalog.restyled import read_made_outputs
from catalog_gen.catalog.restyling import RestyleScope, find_sources, plan_restyling

JOB = "restyle:winter"


def scope(include_photos: bool = False, **outputs: str) -> RestyleScope:
    """A scope of the outputs `square` and `wide`, or of those given as name=hash."""
    return RestyleScope(
        "winter", outputs or {"square": "s1", "wide": "w1"}, include_photos, lambda image, sha256: sha256 or image
    )


def approved(database: Database, count: int, **changes: Any) -> None:
    """Products 0 to `count`, each with an approved picture."""
    insert_products(database, make_products(count))
    add_pictures(database, [f"sku-{index:05d}" for index in range(count)], **changes)


def begin(database: Database, wanted: RestyleScope, **request: Any) -> tuple[str, RestylePlan]:
    """Start a run that lives until `die`, and plan it; return its id and plan."""
    run_id = runs.new_run_id()
    lock = acquire_lock(database, f"run:{run_id}")
    assert lock is not None
    ALIVE[run_id] = lock
    runs.start_run(database, run_id=run_id, job=JOB, config={}, models={}, version="0")
    values = {"run_id": run_id, "job": JOB} | request
    return run_id, plan_restyling(database, imported(database), ScopeRequest(**values), wanted)


def work(database: Database, run_id: str, wanted: RestyleScope) -> list[Outcome]:
    """Claim all that the run may, and record a picture for every stale output."""
    source = imported(database)
    claimed = queue.claim(database, source, run_id, JOB, 1_000, 60)
    sources = find_sources(database, source, [row.product for row in claimed], wanted)
    made = read_made_outputs(database, wanted.style, sorted(sources))
    outcomes = [
        Outcome(sku, "restyled", assets=restyled(sku, wanted.stale(found, made.get(sku, {})), source_of(found)))
        for sku, found in sources.items()
    ]
    assert queue.record(database, run_id, JOB, outcomes).lost == []
    return outcomes


def source_of(found: PictureSource) -> str | None:
    return found.asset.id if found.asset else None


def restyled(sku: str, outputs: dict[str, str], source_id: str | None = None) -> tuple[NewAsset, ...]:
    kind: dict[str, Any] = {"kind": "restyled", "style": "winter", "source_asset_id": source_id}
    return tuple(picture(sku, variant=name, input_hash=made_from, **kind) for name, made_from in outputs.items())


def close(database: Database, run_id: str) -> None:
    """End the run in good order."""
    runs.finish_run(
        database, run_id, state="finished", counts={}, timings={}, images_per_second=None, exit_code=0, message=""
    )
    ALIVE.pop(run_id).release()


def run_once(database: Database, wanted: RestyleScope, **request: Any) -> str:
    """A whole run: begin, work, close; return its id."""
    run_id, _ = begin(database, wanted, **request)
    work(database, run_id, wanted)
    close(database, run_id)
    return run_id


def standing(database: Database) -> dict[tuple[str, str], str]:
    """Return the run of the live restyled picture, by sku and output."""
    asset = tables.asset
    query = sa.select(asset.c.sku, asset.c.variant, asset.c.run_id).where(asset.c.kind == "restyled", asset.c.live)
    with database.read() as connection:
        rows = connection.execute(query).all()
    found = {(sku, variant): run_id for sku, variant, run_id in rows}
    assert len(found) == len(rows)
    return found
