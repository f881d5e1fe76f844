"""The queue of pictures to look at: which, in what order, page by page; and what past decisions teach."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from catalog_fixtures import decided, imported, insert_products, make_products, reject
from restyle_fixtures import add_pictures, run_once, scope

from catalog_gen.catalog import assets
from catalog_gen.catalog.database import Database
from catalog_gen.catalog.decisions import Wish, undo
from catalog_gen.catalog.model import Asset
from catalog_gen.catalog.review import (
    Advice,
    Event,
    Order,
    ReviewFilter,
    facets,
    history,
    rejection_reasons,
    review_page,
    threshold_advice,
)
from catalog_gen.errors import UsageError

EVERY = ReviewFilter(state=())


def skus(database: Database, filter: ReviewFilter, size: int = 1_000) -> list[str]:
    """The whole queue, read in pages of `size`."""
    found: list[str] = []
    after = None
    while True:
        page = review_page(database, imported(database), filter, after=after, limit=size)
        found += [item.asset.sku for item in page.items]
        if page.next is None:
            assert page.total == len(found)
            return found
        assert len(page.items) == size
        after = page.next


def seven(database: Database) -> None:
    """sku-0 .. sku-6: doubts with a tie, two categories, every other one for review."""
    insert_products(database, make_products(7))
    for index, doubt in enumerate((0.5, 0.9, 0.1, 0.9, 0.3, 0.7, 0.0)):
        state = ("needs_review", "draft")[index % 2]
        kinds = {"category": ("shoe", "bag")[index // 4], "reason_kind": ("similarity", "")[index % 2]}
        add_pictures(database, [f"sku-0000{index}"], doubt=doubt, state=state, prompt=f"Words {index}", **kinds)


def numbers(found: list[str]) -> list[int]:
    return [int(sku[-1]) for sku in found]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8])
def test_the_most_doubtful_comes_first_whatever_the_page(database: Database, size: int) -> None:
    seven(database)
    assert numbers(skus(database, ReviewFilter(), size)) == [0, 4, 2, 6]
    whole = numbers(skus(database, EVERY, size))
    assert set(whole[:2]) == {1, 3} and whole[2:] == [5, 0, 4, 2, 6]


@pytest.mark.parametrize(("order", "expected"), [("sku", range(7)), ("oldest", range(7)), ("newest", range(6, -1, -1))])
def test_other_orders(database: Database, order: Order, expected: range) -> None:
    seven(database)
    assert numbers(skus(database, replace(EVERY, order=order), 2)) == list(expected)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"category": "shoe"}, [0, 1, 2, 3]),
        ({"category": "Shoe"}, []),
        ({"reason_kind": "similarity"}, [0, 2, 4, 6]),
        ({"state": ("draft",)}, [1, 3, 5]),
        ({"state": ("draft", "needs_review"), "category": "bag"}, [4, 5, 6]),
        ({"kind": "restyled"}, []),
        ({"kind": "generated", "run": "before"}, [0, 1, 2, 3, 4, 5, 6]),
        ({"run": "other"}, []),
        ({"text": "WORDS 3"}, [3]),
        ({"text": "00005"}, [5]),
        ({"text": "%"}, []),
        ({"text": "WORDS\0 3"}, [3]),
        ({"text": "\ud800"}, []),
        ({"category": "shoe\0"}, [0, 1, 2, 3]),
        ({"category": "\udfff"}, []),
        ({"text": "sku-0000_"}, []),
    ],
)
def test_filters(database: Database, changes: dict[str, object], expected: list[int]) -> None:
    seven(database)
    assert numbers(skus(database, replace(EVERY, order="sku", **changes), 3)) == expected  # type: ignore[arg-type]


def test_a_decision_between_two_pages_loses_and_repeats_nothing(database: Database) -> None:
    seven(database)
    first = review_page(database, imported(database), ReviewFilter(), limit=2)
    for item in first.items:
        decided(database, item.asset.id, "approve")
    rest = review_page(database, imported(database), ReviewFilter(), after=first.next, limit=10)
    assert numbers([item.asset.sku for item in rest.items]) == [2, 6] and rest.total == 2


def test_what_is_replaced_is_gone_and_what_is_rejected_can_be_seen(database: Database) -> None:
    insert_products(database, make_products(2))
    add_pictures(database, ["sku-00000", "sku-00001"])
    run_once(database, scope(square="s1"))
    run_once(database, scope(square="s2"))  # takes the places of the first
    reject(database, assets.live_asset(database, "sku-00001", "restyled").id)  # type: ignore[union-attr]
    restyled = replace(EVERY, kind="restyled", style="winter")
    assert numbers(skus(database, replace(restyled, order="sku"))) == [0, 1]
    assert numbers(skus(database, replace(restyled, state=("draft",)))) == [0]
    assert numbers(skus(database, replace(restyled, state=("rejected",)))) == [1]


def test_an_item_has_what_a_reviewer_needs(database: Database) -> None:
    insert_products(database, make_products(1))
    add_pictures(database, ["sku-00000"])
    add_pictures(database, ["left"])
    run_once(database, scope(square="s1"))
    source = imported(database)
    generated, left = review_page(database, source, replace(EVERY, kind="generated", order="oldest")).items
    assert generated.product == make_products(1)[0] and (generated.source, generated.wish) == (None, None)
    assert (left.asset.sku, left.product) == ("left", None)
    [restyled] = review_page(database, source, replace(EVERY, kind="restyled")).items
    assert restyled.source == generated.asset
    decided(database, generated.asset.id, "again", wish=Wish("red", 3))
    rejected = review_page(database, source, ReviewFilter(state=("rejected",), kind="generated"))
    assert rejected.items[0].wish is not None and (rejected.items[0].wish.words, rejected.total) == ("red", 1)


@pytest.mark.parametrize(
    "cursor",
    ["", "x", "é", "bnVsbA", "WyJza3UiLCAxXQ", "WyJkb3VidCIsICJhIiwgImIiXQ", "WyJkb3VidCIsIDAuNSwgWzFdXQ", "A" * 5_000],
)
def test_a_made_up_page_address_is_refused(database: Database, cursor: str) -> None:
    with pytest.raises(UsageError, match="is none of this queue in this order"):
        review_page(database, imported(database), ReviewFilter(), after=cursor)


def test_what_is_no_queue_is_refused(database: Database) -> None:
    seven(database)
    source = imported(database)
    of_skus = review_page(database, source, replace(EVERY, order="sku"), limit=1).next
    wrong = [
        ({"state": ("good",)}, {}, r"no state 'good'\. States: draft"),
        ({"order": "random"}, {}, r"no order 'random'\. Orders: doubt, newest, oldest, sku"),
        ({"text": "x" * 301}, {}, "longer than 300 characters"),
        ({}, {"limit": 0}, "1 to 1000 pictures, not 0"),
        ({}, {"limit": 1_001}, "1 to 1000 pictures, not 1001"),
        ({}, {"after": of_skus}, "none of this queue in this order"),
    ]
    for changes, more, told in wrong:
        with pytest.raises(UsageError, match=told):
            review_page(database, source, replace(EVERY, **changes), **more)  # type: ignore[arg-type]


def test_facets_count_each_field_under_the_rest_of_the_filter(database: Database) -> None:
    seven(database)
    found = facets(database, ReviewFilter(state=("needs_review",), category="shoe"))
    assert found == {
        "state": [("draft", 2), ("needs_review", 2)],  # of the shoes
        "kind": [("generated", 2)],
        "style": [("", 2)],
        "category": [("bag", 2), ("shoe", 2)],  # of those for review
        "reason_kind": [("similarity", 2)],
    }
    assert facets(database, replace(EVERY, text="words 3"))["state"] == [("draft", 1)]
    assert facets(database, replace(EVERY, run="other"))["state"] == []


def test_the_reasons_given_most(database: Database) -> None:
    insert_products(database, make_products(6))
    add_pictures(database, [f"sku-0000{index}" for index in range(6)])
    pictures = [assets.assets_of(database, f"sku-0000{index}")[0] for index in range(6)]
    for picture, reason in zip(pictures, ["torn", "blurred", "torn", "torn", "dark", "dark"], strict=True):
        reject(database, picture.id, reason)
    undo(database, reviewer="ann", source="desk")
    assert rejection_reasons(database) == [("torn", 3), ("blurred", 1), ("dark", 1)]
    assert rejection_reasons(database, limit=1) == [("torn", 3)]


def judged(database: Database, category: str, rejected: list[float], approved: list[float]) -> list[Asset]:
    made = []
    for action, similarities in (("reject", rejected), ("approve", approved)):
        for number, similarity in enumerate(similarities):
            sku = f"{category}-{action}-{number}-{similarity}"
            add_pictures(database, [sku], category=category, scores={"similarity": similarity}, state="draft")
            [picture] = assets.assets_of(database, sku)
            assert decided(database, picture.id, action).result == "done"
            made.append(picture)
    return made


def test_advice_tells_rejected_from_approved(database: Database) -> None:
    judged(database, "shoe", [0.1, 0.2, 0.3, 0.6], [0.25, 0.5, 0.7, 0.8])
    judged(database, "bag", [0.5, 0.5], [0.5, 0.5])
    judged(database, "belt", [], [0.1, 0.2, 0.3, 0.4])
    judged(database, "sock", [0.1], [0.9])
    # shoe, below 0.4: three of four rejected, one of four approved (0.75 - 0.25); below 0.225, 0.5 - 0 is no more.
    assert threshold_advice(database, fewest=4) == [
        Advice("bag", 4, 2, None, None, 0, 0),
        Advice("belt", 4, 0, None, None, 0, 0),
        Advice("shoe", 8, 4, None, 0.225, 2, 0),
    ]
    [picture] = judged(database, "shoe", [], [0.31])
    # Below 0.305: three of four rejected, one of five approved (0.55).
    assert threshold_advice(database, fewest=9) == [Advice("shoe", 9, 4, None, 0.305, 3, 1)]
    undo(database, reviewer="ann", source="desk")
    assert threshold_advice(database, fewest=9) == []
    reject(database, picture.id)
    # Now below 0.405: four of five rejected, one of four approved.
    assert threshold_advice(database, fewest=9) == [Advice("shoe", 9, 5, None, 0.405, 4, 1)]


def test_a_product_s_history_is_everything_in_order(database: Database) -> None:
    insert_products(database, make_products(1))
    add_pictures(database, ["sku-00000"])
    run_id = run_once(database, scope(square="s1"))
    [_, restyled] = assets.assets_of(database, "sku-00000")
    decided(database, restyled.id, "approve")
    undo(database, reviewer="ann", source="desk")
    events = history(database, "sku-00000")
    assert all(before.at <= after.at for before, after in pairwise(events))

    def told_of(event: Event) -> str | None:
        if event.decision or event.asset:
            return event.decision.action if event.decision else event.asset and event.asset.kind
        return event.item and event.item.outcome

    told = [told_of(event) for event in events]
    assert told == ["generated", "restyled", "restyled", "approve", "undo"]
    assert [(event.run_id, event.job) for event in events[1:3]] == [(run_id, "restyle:winter")] * 2
    assert history(database, "nobody") == [] == history(database, "\ud800\0")
