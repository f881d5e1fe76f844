"""Decisions: what each does, what it leaves alone, and that it can be taken back."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from catalog_fixtures import decided, imported, insert_products, make_products, plan_run, reject, rows_of
from restyle_fixtures import add_pictures, approved, run_once, scope, standing

from catalog_gen.catalog import assets, tables
from catalog_gen.catalog.audit import audit
from catalog_gen.catalog.database import Database
from catalog_gen.catalog.decisions import Decision, Wish, decide, undo
from catalog_gen.catalog.model import Asset
from catalog_gen.catalog.wishes import PendingWish, pending_wishes
from catalog_gen.errors import UsageError

SKU = "sku-00000"


def drawn(database: Database, count: int = 1, **changes: Any) -> list[Asset]:
    """Products with a generated picture each, for review."""
    products = make_products(count)
    insert_products(database, products)
    add_pictures(database, [product.sku for product in products], **{"state": "needs_review"} | changes)
    return [found for product in products for found in assets.assets_of(database, product.sku)]


def back(database: Database, by: str = "ann", **more: Any) -> str:
    return undo(database, reviewer=by, source="desk", **more).result


@pytest.mark.parametrize("state", ["draft", "needs_review"])
def test_approving_keeps_the_picture_and_why_it_was_doubted(database: Database, state: str) -> None:
    [picture] = drawn(database, state=state, reason="similarity 0.1 below 0.2", reason_kind="similarity")
    result = decided(database, picture.id, "approve", version=1)
    assert (result.result, result.told) == ("done", f"{SKU}: approved")
    assert result.asset == assets.get_asset(database, picture.id)
    assert result.asset is not None
    assert (result.asset.state, result.asset.live, result.asset.version) == ("approved", True, 2)
    assert (result.asset.reason, result.asset.reason_kind) == ("similarity 0.1 below 0.2", "similarity")
    assert decided(database, picture.id, "approve").result == "already"
    assert len(audit(database)) == 1


def test_a_published_picture_stays_published_and_can_be_rejected(database: Database) -> None:
    [picture] = drawn(database, state="published")
    assert decided(database, picture.id, "approve").told == f"{SKU}: published already"
    assert assets.get_asset(database, picture.id) == picture
    assert reject(database, picture.id).state == "rejected"
    assert back(database) == "done" and assets.get_asset(database, picture.id).state == "published"


def test_a_rejected_row_lacks_a_picture_again(database: Database) -> None:
    [picture] = drawn(database)
    rejected = reject(database, picture.id, "two\n left  shoes")
    assert (rejected.state, rejected.live, rejected.reason, rejected.reason_kind, rejected.version) == (
        "rejected",
        False,
        "two left shoes",
        "person",
        2,
    )
    assert plan_run(database, "r", dry_run=True).planned == 1
    assert back(database) == "done"
    found = assets.get_asset(database, picture.id)
    assert (found.state, found.live, found.reason, found.reason_kind, found.version) == (
        "needs_review",
        True,
        "",
        "",
        3,
    )
    assert plan_run(database, "r", dry_run=True).planned == 0


def test_the_same_decision_again_does_nothing(database: Database) -> None:
    [picture] = drawn(database)
    decision = Decision(uuid4().hex, picture.id, "reject", version=1, reason="no")
    both = decide(database, [decision, decision], reviewer="ann", source="file")
    assert [one.result for one in both] == ["done", "already"]
    assert back(database) == "done"
    [again] = decide(database, [decision], reviewer="ann", source="file")
    assert (again.result, again.told) == ("already", f"{SKU}: recorded before, and undone since")
    assert assets.get_asset(database, picture.id).live
    [other] = decide(database, [Decision(decision.id, picture.id, "approve")], reviewer="ann", source="file")
    assert (other.result, other.told) == (
        "refused",
        f"{SKU}: the id {decision.id} is that of another decision (reject)",
    )


def test_who_comes_second_is_told_and_changes_nothing(database: Database) -> None:
    [picture] = drawn(database)
    decided(database, picture.id, "approve", version=1)
    before = rows_of(database, tables.asset, *tables.asset.c.keys())
    late = decided(database, picture.id, "reject", version=1, by="bob")
    assert late.result == "changed" and late.asset is not None and late.asset.version == 2
    assert late.told == f"{SKU}: changed since it was looked at: it is approved now by ann"
    other_file = decided(database, picture.id, "approve", sha256="0" * 64)
    assert (other_file.result, other_file.told) == (
        "changed",
        f"{SKU}: the picture's file is another one (its hash differs)",
    )
    assert rows_of(database, tables.asset, *tables.asset.c.keys()) == before and len(audit(database)) == 1
    assert decided(database, picture.id, "reject", version=2, sha256=picture.sha256.upper()).result == "done"
    gone = decided(database, picture.id, "approve", by="bob")
    assert (gone.result, gone.told) == ("changed", f"{SKU}: it is rejected by ann")


def test_what_cannot_be_is_refused_in_one_line(database: Database) -> None:
    [picture] = drawn(database)
    wishful: list[tuple[str, dict[str, Any], str]] = [
        ("reject", {"reason": " \n"}, "a rejection needs a reason"),
        ("approve", {"wish": Wish("red")}, "words and candidates belong to 'again', not to 'approve'"),
        ("again", {"wish": Wish(candidates=65)}, "65 candidates cannot be drawn, 1 to 64 can"),
        ("again", {"wish": Wish(candidates=0)}, "0 candidates cannot be drawn, 1 to 64 can"),
        ("again", {"wish": Wish("<b> 12 </b>")}, "the new words have no letter in them"),
        ("publish", {}, "'publish' is no decision; there are approve, reject, again"),
    ]
    for action, more, told in wishful:
        result = decided(database, picture.id, action, **more)
        assert (result.result, result.told) == ("refused", f"{SKU}: {told}")
    for name in ("", "x" * 101, "a\0", "\ud800"):
        [refused] = decide(database, [Decision(name, picture.id, "approve")], reviewer="a", source="desk")
        assert (refused.result, refused.told) == ("refused", f"{name[:100]!r} cannot be the id of a decision")
    for name in ("", "x" * 101, "a\0", "\ud800"):
        assert decided(database, name, "approve").result == "unknown"
        assert undo(database, reviewer="ann", source="desk", decision_id=name).result == "unknown"
        assert audit(database, sku=name) == audit(database, reviewer=name) == audit(database, asset_id=name) == []
    unknown = decided(database, "nothing", "approve")
    assert (unknown.result, unknown.told, unknown.asset) == ("unknown", "there is no picture 'nothing'", None)
    with pytest.raises(UsageError, match="needs its reviewer's name"):
        decide(database, [], reviewer=" ", source="desk")
    with pytest.raises(UsageError, match=r"do not come from 'mail'\. Sources: desk, file, command"):
        decide(database, [], reviewer="ann", source="mail")
    assert assets.get_asset(database, picture.id) == picture and audit(database) == []


def test_what_was_restyled_goes_with_its_source_and_comes_back(database: Database) -> None:
    approved(database, 2)
    [source, other] = [assets.assets_of(database, f"sku-0000{index}")[0] for index in range(2)]
    run_once(database, scope())
    result = decided(database, source.id, "reject", reason="torn")
    assert result.told == f"{SKU}: rejected (torn), and 2 restyled from it"
    went = assets.assets_of(database, SKU)[1:]
    assert [(one.state, one.live, one.reason, one.reason_kind) for one in went] == [
        ("rejected", False, "its source was rejected", "source")
    ] * 2
    assert {sku for sku, _ in standing(database)} == {other.sku}
    taken_back = undo(database, reviewer="ann", source="desk")
    assert taken_back.told == f"{SKU}: approved again, with 2 restyled from it"
    assert [(one.state, one.live, one.reason, one.reason_kind) for one in assets.assets_of(database, SKU)[1:]] == [
        ("draft", True, "", "")
    ] * 2
    assert {sku for sku, _ in standing(database)} == {SKU, other.sku}


def test_restyled_pictures_are_decided_by_themselves(database: Database) -> None:
    approved(database, 1)
    run_once(database, scope())
    [square, wide] = assets.live_assets(database, SKU, "restyled", "winter")
    assert (square.variant, wide.variant) == ("square", "wide")
    decided(database, square.id, "approve")
    reject(database, wide.id, "cropped")
    assert [one.state for one in assets.live_assets(database, SKU, "restyled", "winter")] == ["approved"]
    assert assets.live_asset(database, SKU) is not None
    told = decided(database, square.id, "again", wish=Wish("blue")).told
    assert told.endswith("drawn from its source: there are no words or candidates to ask for")
    assert decided(database, square.id, "again").told == f"{SKU}: to be made again"
    assert pending_wishes(database) == {}


def test_again_leaves_a_wish_that_undo_takes_back(database: Database) -> None:
    [picture] = drawn(database)
    result = decided(database, picture.id, "again", wish=Wish("  a\tbright <i>red</i> shoe ", 9))
    assert result.told == f"{SKU}: to be made again" and result.asset is not None
    assert (result.asset.state, result.asset.reason, result.asset.reason_kind) == (
        "rejected",
        "asked for again",
        "person",
    )
    wish = pending_wishes(database)[SKU]
    assert (wish.words, wish.candidates, wish.decision_id, wish.requested_by) == (
        "a bright red shoe",
        9,
        result.decision.id,
        "ann",
    )
    assert pending_wishes(database, ["other"]) == {}
    assert back(database) == "done" and pending_wishes(database) == {}


def test_an_undo_brings_back_the_wish_that_there_was(database: Database) -> None:
    [picture] = drawn(database)
    decided(database, picture.id, "again", wish=Wish("red"))
    earlier = pending_wishes(database)[SKU]
    add_pictures(database, [SKU], state="draft")  # a picture from elsewhere: the wish still waits
    new = assets.live_asset(database, SKU)
    assert new is not None
    decided(database, new.id, "again", wish=Wish("blue", 2), by="bob")
    assert pending_wishes(database)[SKU].words == "blue"
    assert back(database, "bob") == "done"
    assert pending_wishes(database) == {SKU: earlier} and isinstance(earlier, PendingWish)


def test_undo_takes_back_this_reviewer_s_last_and_then_the_one_before(database: Database) -> None:
    first, second, third = drawn(database, 3)
    for picture, by in ((first, "ann"), (second, "ann"), (third, "bob")):
        decided(database, picture.id, "approve", by=by)
    assert undo(database, reviewer="ann", source="desk").told == "sku-00001: needs_review again"
    assert undo(database, reviewer="ann", source="desk").told == "sku-00000: needs_review again"
    nothing = undo(database, reviewer="ann", source="desk")
    assert (nothing.result, nothing.told) == ("unknown", "there is nothing to undo")
    assert assets.get_asset(database, third.id).state == "approved"


def test_undo_by_name(database: Database) -> None:
    first, second = drawn(database, 2)
    named = decided(database, first.id, "approve").decision.id
    decided(database, second.id, "approve")
    assert back(database, "bob", decision_id=named) == "done"  # whoever it is: the audit says who
    assert back(database, decision_id=named) == "already"
    assert back(database, decision_id="nothing") == "unknown"
    [row] = audit(database, asset_id=first.id, limit=1)
    assert (row.action, row.undoes, row.reviewer, row.from_state, row.to_state) == (
        "undo",
        named,
        "bob",
        "approved",
        "needs_review",
    )
    assert audit(database, asset_id=first.id)[1].undone_by == row.id
    refused = undo(database, reviewer="ann", source="desk", decision_id=row.id)
    assert (refused.result, refused.told) == ("refused", "sku-00000: an undo cannot be undone; decide anew")


def test_undo_changes_nothing_that_was_decided_after_it(database: Database) -> None:
    [picture] = drawn(database)
    named = decided(database, picture.id, "approve").decision.id
    decided(database, picture.id, "reject", by="bob")
    result = undo(database, reviewer="ann", source="desk")
    assert (result.result, result.told) == ("changed", f"{SKU}: changed since that decision: it is rejected now by bob")
    assert back(database, "bob") == "done"
    assert back(database, decision_id=named) == "changed"  # version 4 is not the version 2 that it made


def test_undo_never_puts_two_pictures_into_one_place(database: Database) -> None:
    [picture] = drawn(database)
    reject(database, picture.id)
    add_pictures(database, [SKU])
    result = undo(database, reviewer="ann", source="desk")
    assert (result.result, result.told) == ("changed", f"{SKU}: another picture stands for it by now")
    assert [one.live for one in assets.assets_of(database, SKU)] == [False, True]


def test_the_audit_is_newest_first_and_pages(database: Database) -> None:
    pictures = drawn(database, 7)
    for number, picture in enumerate(pictures):
        decided(database, picture.id, "approve", by=("ann", "bob")[number % 2])
    whole = audit(database)
    assert [row.sku for row in whole] == [picture.sku for picture in reversed(pictures)]
    paged, before = [], None
    while page := audit(database, before=before, limit=3):
        paged += page
        before = (page[-1].decided_at, page[-1].id)
    assert paged == whole
    assert [row.sku for row in audit(database, reviewer="bob")] == ["sku-00005", "sku-00003", "sku-00001"]
    [row] = audit(database, sku="sku-00002")
    assert (row.asset_id, row.action, row.reason, row.from_state, row.to_state, row.from_version, row.to_version) == (
        pictures[2].id,
        "approve",
        "",
        "needs_review",
        "approved",
        1,
        2,
    )
    assert (row.reviewer, row.source, row.undone_by, row.undoes) == ("ann", "desk", None, None)
    assert imported(database).fetch([row.sku])[row.sku].title == "Title 2"


def test_a_restyled_picture_whose_place_was_taken_stays_away(database: Database) -> None:
    """The source comes back; in one of the outputs, a picture made from a photo stands by then."""
    approved(database, 1)
    run_once(database, scope())
    source = assets.assets_of(database, SKU)[0]
    reject(database, source.id)
    add_pictures(database, [SKU], kind="restyled", style="winter", variant="square")
    [photo] = assets.live_assets(database, SKU, "restyled", "winter")
    result = undo(database, reviewer="ann", source="desk")
    assert result.told == f"{SKU}: approved again, with 1 restyled from it; 1 changed since and stay as they are"
    now = assets.live_assets(database, SKU, "restyled", "winter")
    assert now[0] == photo and [one.variant for one in now] == ["square", "wide"]
    decided(database, photo.id, "reject", version=1, by="bob")
    [row] = audit(database, asset_id=source.id, limit=1)
    assert [one["version"] for one in row.details["with"]] == [3]


def test_deciding_on_what_went_with_its_source_says_so(database: Database) -> None:
    approved(database, 1)
    run_once(database, scope())
    source, square, wide = assets.assets_of(database, SKU)
    reject(database, source.id)
    for picture, action in ((square, "reject"), (wide, "again")):
        result = decided(database, picture.id, action, version=1)
        assert (result.result, result.told) == ("already", f"{SKU}: rejected already, with its source")
    assert decided(database, wide.id, "approve", version=1).result == "changed"
