"""The audit replayed: what the decisions alone say that every picture must be now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from catalog_fixtures import rows_of

from catalog_gen.catalog import tables
from catalog_gen.catalog.audit import audit
from catalog_gen.catalog.database import Database


class Standing(NamedTuple):
    """What decisions change of a picture."""

    state: str
    live: bool
    version: int


def standing_pictures(database: Database) -> dict[str, Standing]:
    rows = rows_of(database, tables.asset, "id", "state", "live", "version")
    return {id: Standing(state, live, version) for id, state, live, version in rows}


def replayed(database: Database, before: Mapping[str, Standing]) -> dict[str, Standing]:
    """Return what the pictures of `before` are after every recorded decision, going by the record alone."""
    found = dict(before)
    rows = audit(database, limit=100_000)
    by_id = {row.id: row for row in rows}
    for row in sorted(rows, key=lambda row: (row.decided_at, row.to_version)):
        assert found[row.asset_id].version == row.from_version and found[row.asset_id].state == row.from_state
        found[row.asset_id] = Standing(row.to_state, row.to_state != "rejected", row.to_version)
        for one in row.details.get("with", []):
            if row.action == "undo":
                assert row.undoes is not None
                [was] = [old for old in by_id[row.undoes].details["with"] if old["id"] == one["id"]]
                found[one["id"]] = Standing(was["state"], True, one["version"])
            else:
                found[one["id"]] = Standing("rejected", False, one["version"])
    return found


def assert_places_hold_one(database: Database) -> None:
    rows = rows_of(database, tables.asset, "sku", "kind", "style", "variant", "live")
    places = [place for *place, live in rows if live]
    assert len(places) == len({tuple(place) for place in places})
