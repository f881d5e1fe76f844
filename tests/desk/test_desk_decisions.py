"""Deciding through the desk: what is recorded, what comes too late, what is taken back."""

from __future__ import annotations

from typing import Any

import pytest
from desk_fixtures import Shop, decide, desk, send, verdict
from starlette.testclient import TestClient

BY_PROXY = {"proxy_header": "X-Forwarded-User", "proxies": ["10.0.0.5"]}


def queue(asker: TestClient, **params: Any) -> list[dict[str, Any]]:
    answer = asker.get("/api/queue", params=params)
    assert answer.status_code == 200, answer.text
    cards: list[dict[str, Any]] = answer.json()["cards"]
    return cards


def test_each_decision_is_recorded_with_who_and_what(shop: Shop) -> None:
    first, second, third = (shop.add(sku) for sku in "abc")
    with desk(shop) as asker:
        ruled = decide(asker, verdict(first), verdict(second, "reject"), verdict(third, "again", words="blue shoe"))
    assert [one["result"] for one in ruled] == ["done"] * 3
    assert [one["card"]["state"] for one in ruled] == ["approved", "rejected", "rejected"]
    assert [one["card"]["version"] for one in ruled] == [2, 2, 2]
    rows = {row["sku"]: row for row in shop.decisions()}
    assert {sku: (row["action"], row["reviewer"], row["source"]) for sku, row in rows.items()} == {
        "a": ("approve", "ann", "desk"),
        "b": ("reject", "ann", "desk"),
        "c": ("again", "ann", "desk"),
    }
    assert rows["b"]["reason"] == "wrong colour"


def test_what_is_decided_leaves_the_queue_and_the_rest_keeps_its_order(shop: Shop) -> None:
    for sku, doubt in (("a", 0.1), ("b", 0.9), ("c", 0.5)):
        shop.add(sku, doubt=doubt)
    with desk(shop) as asker:
        assert [card["sku"] for card in queue(asker)] == ["b", "c", "a"]
        decide(asker, verdict(shop.ids["c"]))
        assert [card["sku"] for card in queue(asker)] == ["b", "a"]


def test_sent_twice_is_decided_once(shop: Shop) -> None:
    asset = shop.add("a")
    one = verdict(asset, "reject")
    with desk(shop) as asker:
        assert [ruled["result"] for ruled in decide(asker, one, one)] == ["done", "already"]
        assert decide(asker, one)[0]["result"] == "already"
    assert len(shop.decisions()) == 1


def test_the_second_reviewer_is_told_what_the_first_did(shop: Shop) -> None:
    asset = shop.add("a")
    with desk(shop) as asker:
        decide(asker, verdict(asset, "reject"))
        late = decide(asker, verdict(asset, "approve"))[0]
    assert late["result"] == "changed"
    assert "rejected" in late["told"] and "ann" in late["told"]
    assert late["card"]["state"] == "rejected"
    assert shop.state(asset) == "rejected" and len(shop.decisions()) == 1


def test_one_decision_that_comes_too_late_leaves_the_others_alone(shop: Shop) -> None:
    first, second = shop.add("a"), shop.add("b")
    with desk(shop) as asker:
        decide(asker, verdict(first))
        results = [one["result"] for one in decide(asker, verdict(first, "reject"), verdict(second, "reject"))]
    assert results == ["changed", "done"]
    assert (shop.state(first), shop.state(second)) == ("approved", "rejected")


def test_rejecting_needs_a_reason(small: Shop, asker: TestClient) -> None:
    asset = small.add("a")
    assert decide(asker, verdict(asset, "reject", reason=" "))[0]["result"] == "refused"
    assert small.state(asset) == "needs_review"


def test_a_picture_that_is_not_there(asker: TestClient) -> None:
    ruled = decide(asker, verdict("nothing"))[0]
    assert (ruled["result"], ruled["card"]) == ("unknown", None)


def test_undo_brings_back_what_was_there(shop: Shop) -> None:
    asset = shop.add("a")
    one = verdict(asset, "reject")
    with desk(shop) as asker:
        decide(asker, one)
        answer = send(asker, "/api/undo", {"decisions": [one["id"]]}).json()["ruled"]
        assert [ruled["result"] for ruled in answer] == ["done"]
        assert (answer[0]["card"]["state"], answer[0]["card"]["version"]) == ("needs_review", 3)
        again = send(asker, "/api/undo", {"decisions": [one["id"]]}).json()["ruled"]
        assert [ruled["result"] for ruled in again] == ["already"]
        assert asker.get("/api/last").json() == {"last": None}
    assert shop.state(asset) == "needs_review"


def test_the_last_decision_is_the_latest_that_stands(small: Shop, asker: TestClient) -> None:
    first, second = verdict(small.add("a")), verdict(small.add("b"))
    decide(asker, first)
    decide(asker, second)
    assert asker.get("/api/last").json()["last"]["id"] == second["id"]
    send(asker, "/api/undo", {"decisions": [second["id"]]})
    found = asker.get("/api/last").json()["last"]
    assert found == {"id": first["id"], "asset": small.ids["a"], "sku": "a", "action": "approve"}


def test_two_reviewers_are_shown_different_pictures(small: Shop) -> None:
    """Ann's page is not Bea's; at the end Bea sees whose the others are, until Ann leaves."""
    for number in range(4):
        small.add(f"p{number}", doubt=1 - number / 10)
    with desk(small, **BY_PROXY, client="10.0.0.5") as asker:
        ann, bea = ({"X-Forwarded-User": name} for name in ("Ann", "Bea"))
        assert skus(asker, ann, limit=2, hold=1) == ["p0", "p1"]
        assert skus(asker, bea, limit=2, hold=1) == ["p2", "p3"]
        assert skus(asker, ann, limit=2, hold=1) == ["p0", "p1"]  # she has loaded the page again
        assert skus(asker, bea, limit=4) == ["p0", "p1", "p2", "p3"]
        left = asker.get("/api/queue?limit=4&hold=1&all=1", headers=bea).json()["cards"]
        assert [card["held_by"] for card in left] == ["Ann", "Ann", "", ""]
        token = asker.get("/api/session", headers=ann).json()["csrf"]
        send(asker, "/api/leave", {}, token=token, **ann)
        assert skus(asker, bea, limit=4, hold=1) == ["p0", "p1", "p2", "p3"]


def skus(asker: TestClient, who: dict[str, str], **params: Any) -> list[str]:
    return [card["sku"] for card in asker.get("/api/queue", params=params, headers=who).json()["cards"]]


@pytest.mark.parametrize("action", ["approve", "reject", "again"])
def test_the_form_of_a_page_decides_without_scripts(small: Shop, asker: TestClient, action: str) -> None:
    asset = small.add("a")
    page = asker.get(f"/picture/{asset}").text
    form = {name: page.split(f'name="{name}" value="')[1].split('"')[0] for name in ("csrf", "id", "version")}
    values = form | {"action": action, "reason": "wrong colour", "words": "words of a", "candidates": ""}
    headers = {"Origin": str(asker.base_url)}
    answer = asker.post(f"/picture/{asset}/decide", data=values, headers=headers)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/picture/{asset}")
    assert small.decisions()[0]["action"] == action
    twice = asker.post(f"/picture/{asset}/decide", data=values, headers=headers)
    assert twice.status_code == 303 and len(small.decisions()) == 1
    late = asker.post(f"/picture/{asset}/decide", data=values | {"id": "another", "action": "reject"}, headers=headers)
    assert late.status_code == 409
    assert 'role="alert"' in late.text and len(small.decisions()) == 1


def test_undoing_by_the_form_of_the_audit_page(small: Shop, asker: TestClient) -> None:
    asset = small.add("a")
    one = verdict(asset)
    decide(asker, one)
    page = asker.get("/audit").text
    token = page.split('name="csrf" value="')[1].split('"')[0]
    form = {"csrf": token, "decision": one["id"], "next": "/audit?sku=a"}
    answer = asker.post("/undo", data=form, headers={"Origin": str(asker.base_url)})
    assert (answer.status_code, answer.headers["location"]) == (303, "/audit?sku=a")
    assert small.state(asset) == "needs_review"


def test_an_earlier_picture_may_stand_again(shop: Shop) -> None:
    """Of two attempts the first is taken after all: both steps are recorded, and both can be undone."""
    first = shop.add("a")
    with desk(shop) as asker:
        decide(asker, verdict(first, "again"))
        second = shop.add_picture("a", attempt=1)
        page = asker.get(f"/picture/{first}").text
        assert "Take this one instead" in page
        form = {"csrf": page.split('name="csrf" value="')[1].split('"')[0]}
        headers = {"Origin": str(asker.base_url)}
        answer = asker.post(f"/picture/{first}/prefer", data=form, headers=headers)
        assert answer.status_code == 303
        assert (shop.state(first), shop.state(second)) == ("needs_review", "rejected")
        assert [row["action"] for row in shop.decisions()] == ["again", "reject", "undo"]
        once_more = asker.post(f"/picture/{first}/prefer", data=form, headers=headers)
        assert once_more.status_code == 400 and len(shop.decisions()) == 3
