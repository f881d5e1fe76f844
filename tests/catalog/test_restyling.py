"""Which rows are restyled, from what, and what recording them changes."""

from __future__ import annotations

import hashlib

import pytest
import sqlalchemy as sa
from catalog_fixtures import decided, die, imported, insert_products, make_products, reject, rows_of
from restyle_fixtures import (
    JOB,
    add_pictures,
    approved,
    begin,
    close,
    restyled,
    run_once,
    scope,
    source_of,
    standing,
    work,
)

from catalog_gen.catalog import assets, queue, runs, tables
from catalog_gen.catalog.database import Database
from catalog_gen.catalog.decisions import undo
from catalog_gen.catalog.model import Asset, NewAsset, Outcome, Product
from catalog_gen.catalog.restyled import read_made_outputs
from catalog_gen.catalog.restyling import RestyleScope, find_sources, input_hash
from catalog_gen.errors import InternalError, TransientError


def test_an_output_follows_from_its_source_and_its_template() -> None:
    expected = hashlib.sha256(b"source\x1foutput").hexdigest()
    assert input_hash("source", "output") == expected
    assert input_hash("source", "other") != expected != input_hash("sourc", "eoutput")


def test_only_approved_live_pictures_are_sources(database: Database) -> None:
    insert_products(database, make_products(6))
    for index, state in enumerate(("approved", "published", "draft", "needs_review")):
        add_pictures(database, [f"sku-{index:05d}"], state=state)
    add_pictures(database, ["sku-00004"], state="approved")
    [retired] = assets.assets_of(database, "sku-00004")
    reject(database, retired.id)
    _, plan = begin(database, scope(), show=10)
    assert plan.shown == ["sku-00000", "sku-00001"]
    assert plan.counts["planned"] == 2 and plan.counts["pictures"] == 4 and plan.counts["no_source"] == 4


def test_photos_and_pictures_come_in_one_order(database: Database) -> None:
    products = [Product(f"sku-{index}", "t", image=f"photo-{index}.jpg" if index % 2 else None) for index in range(6)]
    insert_products(database, products)
    add_pictures(database, ["sku-0", "sku-1", "sku-4"])
    without = begin(database, scope(), show=10)[1]
    assert without.shown == ["sku-0", "sku-1", "sku-4"]
    plan = begin(database, scope(include_photos=True), show=10, page_rows=2)[1]
    assert plan.shown == ["sku-0", "sku-1", "sku-3", "sku-4", "sku-5"] and plan.no_source == 1
    limited = begin(database, scope(include_photos=True), show=10, limit=2)[1]
    assert limited.shown == ["sku-0", "sku-1"] and limited.planned == 2


def test_the_photo_comes_first_unless_it_is_our_own_picture_written_back(database: Database) -> None:
    insert_products(database, [Product("photo", "t", image="a.jpg"), Product("ours", "t", image="file:///ours.webp")])
    add_pictures(database, ["photo"])
    add_pictures(database, ["ours"], uri="file:///ours.webp", sha256="f00d")
    with database.transaction() as connection:
        known = sa.update(tables.product).where(tables.product.c.sku == "photo")
        connection.execute(known.values(image_sha256="cafe"))
    source = imported(database)
    products = list(source.fetch(["photo", "ours"]).values())
    found = find_sources(database, source, products, scope(include_photos=True))
    assert (found["photo"].asset, found["photo"].uri, found["photo"].key) == (None, "a.jpg", "cafe")
    assert found["ours"].asset is not None and found["ours"].key == "f00d"


def test_the_same_again_is_nothing_and_a_changed_output_redoes_only_that(database: Database) -> None:
    approved(database, 3)
    first = run_once(database, scope())
    assert set(standing(database).values()) == {first} and len(standing(database)) == 6
    run_id, again = begin(database, scope())
    assert (again.planned, again.has_asset, again.pictures) == (0, 3, 0)
    close(database, run_id)
    changed = scope(square="s2", wide="w1")
    second, plan = begin(database, changed)
    assert (plan.planned, plan.pictures) == (3, 3)
    work(database, second, changed)
    assert {variant: run for (_, variant), run in standing(database).items()} == {"square": second, "wide": first}
    retired = sa.select(tables.asset.c.variant, tables.asset.c.live, tables.asset.c.retired_by)
    with database.read() as connection:
        gone = connection.execute(retired.where(tables.asset.c.retired_by.is_not(None))).all()
    assert [tuple(row) for row in gone] == [("square", False, second)] * 3


def test_a_changed_source_is_stale_in_every_output(database: Database) -> None:
    approved(database, 2)
    run_once(database, scope())
    with database.transaction() as connection:
        where = (tables.asset.c.sku == "sku-00001", tables.asset.c.kind == "generated")
        connection.execute(sa.update(tables.asset).where(*where).values(sha256="other"))
    _, plan = begin(database, scope(), show=5)
    assert (plan.shown, plan.pictures) == (["sku-00001"], 2)


def test_some_outputs_now_and_the_others_later(database: Database) -> None:
    approved(database, 2)
    run_once(database, scope(square="s1"))
    _, plan = begin(database, scope())
    assert (plan.planned, plan.pictures) == (2, 2)


def test_recording_twice_changes_nothing(database: Database) -> None:
    approved(database, 2)
    run_id, _ = begin(database, scope())
    outcomes = work(database, run_id, scope())
    before = rows_of(database, tables.asset, "id", "live", "retired_by")
    again = queue.record(database, run_id, JOB, outcomes)
    assert (sorted(again.recorded), again.lost) == (["sku-00000", "sku-00001"], [])
    assert rows_of(database, tables.asset, "id", "live", "retired_by") == before


def test_a_row_that_another_worker_took_leaves_nothing_behind(database: Database) -> None:
    approved(database, 1)
    slow, _ = begin(database, scope())
    [row] = queue.claim(database, imported(database), slow, JOB, 5, 60)
    outputs = scope().stale(find_sources(database, imported(database), [row.product], scope())["sku-00000"], {})
    late = Outcome("sku-00000", "restyled", assets=restyled("sku-00000", outputs))
    die(slow)
    fast = run_once(database, scope())
    assert queue.record(database, slow, JOB, [late]).lost == ["sku-00000"]
    assert set(standing(database).values()) == {fast} and len(standing(database)) == 2


def test_a_row_that_always_fails_rests_until_its_input_changes(database: Database) -> None:
    approved(database, 1)
    run_id, _ = begin(database, scope())
    queue.claim(database, imported(database), run_id, JOB, 5, 60)
    reason = "square: colour difference 9.1 above 3.0"
    queue.record(database, run_id, JOB, [Outcome("sku-00000", "failed", reason, retry=False)])
    close(database, run_id)
    assert [item.reason for item in runs.list_items(database, run_id)] == [reason]
    assert begin(database, scope())[1].exhausted == 1
    assert begin(database, scope(square="s2", wide="w1"))[1].planned == 1


def test_the_frozen_scope_can_be_read(database: Database) -> None:
    approved(database, 5)
    run_id, _ = begin(database, scope(), limit=3)
    work(database, run_id, scope())
    items = list(runs.list_items(database, run_id, page_rows=2))
    assert [(item.sku, item.outcome) for item in items] == [(f"sku-{index:05d}", "restyled") for index in range(3)]


@pytest.mark.parametrize("state", ["rejected", "failed"])
def test_a_restyled_row_needs_every_picture_alive(database: Database, state: str) -> None:
    approved(database, 1)
    run_id, _ = begin(database, scope())
    good, dead = restyled("sku-00000", {"square": "a"}), restyled("sku-00000", {"wide": "b"})
    pictures: tuple[NewAsset, ...] = (*good, *(NewAsset(**vars(one) | {"state": state}) for one in dead))
    with pytest.raises(InternalError, match="needs a live asset"):
        queue.record(database, run_id, JOB, [Outcome("sku-00000", "restyled", assets=pictures)])


def test_a_picture_that_came_back_in_between_makes_the_whole_batch_try_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if a revert had brought a picture back after the live ones were retired."""
    approved(database, 1)
    run_once(database, scope())
    changed = scope(square="s2", wide="w2")
    run_id, _ = begin(database, changed)
    before = rows_of(database, tables.asset, "id", "live", "retired_by")
    with monkeypatch.context() as patched:
        patched.setattr("catalog_gen.catalog.record._retire_replaced", lambda *_: None)
        with pytest.raises(TransientError, match="changed while new ones were recorded"):
            work(database, run_id, changed)
    assert rows_of(database, tables.asset, "id", "live", "retired_by") == before
    [sku] = queue.held(database, run_id, JOB)
    again = Outcome(sku, "restyled", assets=restyled(sku, {"square": "s2", "wide": "w2"}))
    assert queue.record(database, run_id, JOB, [again]).recorded == [sku]
    assert set(standing(database).values()) == {run_id}


def live_picture(database: Database, variant: str) -> Asset:
    """The picture of the first product that stands in the template, for one output."""
    return next(
        one for one in assets.live_assets(database, "sku-00000", "restyled", "winter") if one.variant == variant
    )


def planned(database: Database, wanted: RestyleScope) -> tuple[int, int]:
    """How many rows and pictures a run would make now."""
    plan = begin(database, wanted)[1]
    return plan.planned, plan.pictures


def test_a_rejected_output_is_not_made_again_from_the_same_input(database: Database) -> None:
    approved(database, 1)
    run_once(database, scope())
    reject(database, live_picture(database, "wide").id, "cropped")
    assert planned(database, scope()) == (0, 0)
    assert planned(database, scope(square="s1", wide="w2")) == (1, 1)  # another template is another picture
    undo(database, reviewer="ann", source="desk")
    assert planned(database, scope()) == (0, 0) and live_picture(database, "wide").live


def test_a_rejected_output_is_made_again_when_a_person_asks(database: Database) -> None:
    approved(database, 1)
    run_once(database, scope())
    wide = live_picture(database, "wide")
    assert decided(database, wide.id, "again").result == "done"
    assert planned(database, scope()) == (1, 1)
    undo(database, reviewer="ann", source="desk")
    assert planned(database, scope()) == (0, 0)
    decided(database, wide.id, "again")
    run_once(database, scope())
    second = live_picture(database, "wide")
    assert second.id != wide.id and planned(database, scope()) == (0, 0)
    reject(database, second.id)  # the earlier wish was fulfilled, and is no wish for a third
    assert planned(database, scope()) == (0, 0)
    made = read_made_outputs(database, "winter", ["sku-00000"])["sku-00000"]["wide"]
    assert made.rejected == {wide.input_hash: 2} and (made.live, made.refused) == (None, wide.input_hash)


def test_what_went_with_its_source_was_refused_by_nobody(database: Database) -> None:
    approved(database, 1)
    run_once(database, scope())
    source = assets.live_asset(database, "sku-00000")
    assert source is not None
    reject(database, source.id)
    made = read_made_outputs(database, "winter", ["sku-00000"])["sku-00000"]
    assert [(one.live, one.refused, dict(one.rejected)) for one in made.values()] == [(None, None, {})] * 2
    add_pictures(database, ["sku-00000"], sha256="new")
    assert planned(database, scope()) == (1, 2)


def test_a_picture_whose_source_was_rejected_meanwhile_is_not_recorded(database: Database) -> None:
    """The source is rejected after the run has read it, and before the pictures made from it are recorded."""
    approved(database, 2)
    run_id, _ = begin(database, scope())
    rows = queue.claim(database, imported(database), run_id, JOB, 5, 60)
    sources = find_sources(database, imported(database), [row.product for row in rows], scope())
    outcomes = [
        Outcome(sku, "restyled", assets=restyled(sku, scope().stale(found, {}), source_of(found)))
        for sku, found in sources.items()
    ]
    gone = sources["sku-00000"].asset
    assert gone is not None
    reject(database, gone.id)
    result = queue.record(database, run_id, JOB, outcomes)
    assert (result.recorded, result.lost) == (["sku-00001"], ["sku-00000"])
    assert queue.record(database, run_id, JOB, outcomes) == result
    assert {sku for sku, _ in standing(database)} == {"sku-00001"}
    assert rows_of(database, tables.run_item, "sku", "outcome", "reason") == [
        ("sku-00000", "elsewhere", "its source was rejected meanwhile"),
        ("sku-00001", "restyled", ""),
    ]
    undo(database, reviewer="ann", source="desk")
    assert planned(database, scope()) == (1, 2)
