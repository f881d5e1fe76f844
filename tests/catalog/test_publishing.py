"""Pictures marked published: what was exported, and nothing that changed since."""

from __future__ import annotations

import sqlalchemy as sa
from catalog_fixtures import picture, rows_of

from catalog_gen.catalog import tables
from catalog_gen.catalog.database import Database
from catalog_gen.catalog.decisions import Decision, decide
from catalog_gen.catalog.publishing import approved_styles, channels_of, exportable, publish


def add(database: Database, id: str, state: str = "approved", *, live: bool = True, **changes: str) -> None:
    asset = picture(changes.pop("sku", id), id=id, **{"state": state, "kind": "restyled", "variant": id} | changes)
    row = {name: getattr(asset, name) for name in asset.__dataclass_fields__}
    with database.transaction() as connection:
        more = {"live": live, "run_id": "r", "created_at": database.now(connection)}
        connection.execute(sa.insert(tables.asset), row | more)


def states(database: Database) -> dict[str, tuple[str, int]]:
    return {row[0]: (row[1], row[2]) for row in rows_of(database, tables.asset, "id", "state", "version")}


def test_what_was_exported_is_published_once(database: Database) -> None:
    add(database, "a")
    add(database, "b")
    first = publish(database, [("a", 1)], "google")
    again = publish(database, [("a", 1)], "google")
    assert (first.published, first.changed, again.published, again.changed) == (1, [], 0, [])
    assert states(database) == {"a": ("published", 2), "b": ("approved", 1)}
    assert publish(database, [("a", 2), ("b", 1)], "shopify").published == 1
    assert channels_of(database, ["a", "b"]) == {"a": ["google", "shopify"], "b": ["shopify"]}


def test_what_changed_since_is_left_and_told(database: Database) -> None:
    for id in ("rejected", "decided twice", "unapproved", "replaced"):
        add(database, id, "needs_review" if id == "unapproved" else "approved", live=id != "replaced")
    decide(database, [Decision("d1", "rejected", "reject", reason="dark")], reviewer="ops", source="command")
    with database.transaction() as connection:
        change = sa.update(tables.asset).where(tables.asset.c.id == "decided twice")
        connection.execute(change.values(version=3))
    before = states(database)
    seen = [(id, 1) for id in [*before, "unknown"]]
    result = publish(database, seen, "google")
    assert (result.published, sorted(result.changed)) == (0, sorted([*before, "unknown"]))
    assert states(database) == before
    assert rows_of(database, tables.publication, "asset_id") == []


def test_only_live_approved_pictures_may_leave(database: Database) -> None:
    for id, state in [("1", "approved"), ("2", "published"), ("3", "draft"), ("4", "needs_review"), ("5", "failed")]:
        add(database, id, state, live=state != "failed", sku="s", style="winter")
    add(database, "6", live=False, sku="s", style="summer")
    add(database, "7", sku="t", style="summer")
    add(database, "8", sku="t", kind="generated", variant="")
    assert {sku: [asset.id for asset in found] for sku, found in exportable(database, ["s", "t", "u"]).items()} == {
        "s": ["1", "2"],
        "t": ["8", "7"],
    }
    of_winter = exportable(database, ["s", "t"], ["winter"])
    assert sorted(asset.id for found in of_winter.values() for asset in found) == ["1", "2", "8"]
    assert approved_styles(database) == ["summer", "winter"]
