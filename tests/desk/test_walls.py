"""What the desk keeps out: pages of others, requests that make no sense, markup in words."""

from __future__ import annotations

import re
from typing import Any

import pytest
from desk_fixtures import ORIGIN, Shop, csrf, decide, desk, send, verdict
from starlette.testclient import TestClient

from catalog_gen.desk.app import ROUTES

# --- names, origins, tokens ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8017", "", "127.0.0.1@evil", "[::1"]
)
def test_a_foreign_host_is_turned_away(small: Shop, asker: TestClient, host: str) -> None:
    asset = small.add("a")
    for address in ("/", "/api/queue", f"/image/{asset}", "/static/desk.css", "/health"):
        answer = asker.get(address, headers={"Host": host})
        assert answer.status_code == 421 and "a" * 10 not in answer.text


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8017", "127.0.0.1:9", "[::1]:8017"])
def test_loopback_s_own_names_are_answered(asker: TestClient, host: str) -> None:
    assert asker.get("/", headers={"Host": host}).status_code == 200


POSTS = [route.path for route in ROUTES if "POST" in (route.methods or ())]


@pytest.mark.parametrize("address", POSTS)
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": ""},
        {"Origin": "null"},
        {"Origin": "https://evil.example"},
        {"Origin": "http://127.0.0.1:3000"},
        {"Origin": "http://127.0.0.1:8017.evil.example"},
        {"X-CSRF-Token": ""},
        {"X-CSRF-Token": "0" * 64},
    ],
)
def test_nothing_is_changed_by_other_pages(
    small: Shop, asker: TestClient, address: str, headers: dict[str, str]
) -> None:
    asset = small.add("a")
    token = csrf(asker)
    usual = {"Origin": ORIGIN, "X-CSRF-Token": token} | headers
    given = {name: value for name, value in usual.items() if value}
    one = verdict(asset) | {"csrf": given.get("X-CSRF-Token", "")}
    path = address.replace("{asset}", asset)
    if address.startswith("/api/"):
        del one["csrf"]
        answer = asker.post(path, json={"decisions": [one]}, headers=given)
    else:
        answer = asker.post(path, data={name: str(value) for name, value in one.items()}, headers=given)
    assert answer.status_code == 403
    assert small.state(asset) == "needs_review" and not small.decisions()


def test_a_token_of_another_session_is_none(small: Shop) -> None:
    asset = small.add("a")
    with desk(small) as first, desk(small) as second:
        answer = send(first, "/api/decisions", {"decisions": [verdict(asset)]}, token=csrf(second))
    assert answer.status_code == 403 and small.state(asset) == "needs_review"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_other_methods(asker: TestClient, method: str) -> None:
    assert asker.request(method, "/api/decisions", headers={"Origin": ORIGIN}).status_code == 405


def test_a_desk_without_a_log_in_is_not_for_a_proxy(asker: TestClient) -> None:
    for header in ("X-Forwarded-For", "Forwarded", "Via", "X-Real-IP"):
        answer = asker.get("/", headers={header: "203.0.113.9"})
        assert answer.status_code == 403 and "proxy" in answer.text


# --- requests that make no sense -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        {"decisions": []},
        {"decisions": "all"},
        {"decisions": [1]},
        {"decisions": [verdict("a")] * 201},
        {"decisions": [{**verdict("a"), "extra": 1}]},
        {"decisions": [{**verdict("a"), "id": ""}]},
        {"decisions": [{**verdict("a"), "id": "x" * 65}]},
        {"decisions": [{**verdict("a"), "asset": "../../etc/passwd"}]},
        {"decisions": [{**verdict("a"), "asset": None}]},
        {"decisions": [{**verdict("a"), "action": "publish"}]},
        {"decisions": [{**verdict("a"), "version": 0}]},
        {"decisions": [{**verdict("a"), "version": "1"}]},
        {"decisions": [{**verdict("a"), "version": True}]},
        {"decisions": [{**verdict("a"), "version": 2**31}]},
        {"decisions": [verdict("a", reason="x" * 501)]},
        {"decisions": [verdict("a", reason="a\0b")]},
        {"decisions": [verdict("a", words=["w"])]},
        {"decisions": [verdict("a", candidates=0)]},
        {"decisions": [verdict("a", candidates=65)]},
        {"decisions": [verdict("a", now="yes")]},
    ],
)
def test_decisions_that_make_no_sense_are_refused_whole(small: Shop, asker: TestClient, body: Any) -> None:
    asset = small.add("a")
    text = str(body)
    answer = send(asker, "/api/decisions", body)
    assert answer.status_code == 400, text
    assert answer.json()["error"]
    assert small.state(asset) == "needs_review" and not small.decisions()


@pytest.mark.parametrize(
    ("data", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b'{"decisions": [{"id": "\\ud800"}]}', "application/json", 400),
        (b"{}", "text/plain", 415),
        (b"{}", "application/x-www-form-urlencoded", 415),
        (b" " * (512 * 1024 + 1), "application/json", 413),
    ],
)
def test_bodies_that_are_none(asker: TestClient, data: bytes, kind: str, status: int) -> None:
    headers = {"Origin": ORIGIN, "X-CSRF-Token": csrf(asker), "Content-Type": kind}
    assert asker.post("/api/decisions", content=data, headers=headers).status_code == status


def test_a_body_without_a_length_is_counted_as_it_comes(asker: TestClient) -> None:
    headers = {"Origin": ORIGIN, "X-CSRF-Token": csrf(asker), "Content-Type": "application/json"}
    chunks = (b" " * 65_536 for _ in range(9))
    assert asker.post("/api/decisions", content=chunks, headers=headers).status_code == 413


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/?state=secret", 400),
        ("/?kind=painted", 400),
        ("/?order=random", 400),
        (f"/?text={'x' * 201}", 400),
        ("/?text=a%00b", 400),
        ("/?category=%27%20OR%201=1--", 200),
        ("/?text=%25_%5C", 200),
        ("/grid?after=nonsense", 404),
        ("/grid?after=%00", 404),
        ("/grid?limit=241", 400),
        ("/grid?limit=-1", 400),
        ("/api/queue?limit=501", 400),
        ("/api/queue?limit=1e9", 400),
        ("/picture/nothing", 404),
        ("/picture/..%2f..%2fetc%2fpasswd", 404),
        ("/picture/%00", 400),
        ("/audit?before=now", 400),
        ("/audit?before=2026-01-01T00:00:00 x", 400),
        ("/audit?before=2026-01-01T00:00:00%2B00:00 x", 200),
        ("/image/nothing?w=240", 404),
        ("/image/nothing?w=241", 404),
        ("/image/nothing?w=99999999", 400),
        ("/image/..%2f..%2fetc%2fpasswd", 404),
        ("/photo", 400),
        ("/photo?sku=nothing", 404),
        ("/photo?sku=../../../../etc/passwd", 404),
        ("/photo?sku=http://169.254.169.254/latest/meta-data", 404),
        ("/static/../app.py", 404),
        ("/static/..%2fapp.py", 404),
        ("/static/%2e%2e/app.py", 404),
        ("/login", 303),
    ],
)
def test_addresses_that_nobody_linked_to(small: Shop, asker: TestClient, address: str, status: int) -> None:
    small.add("a")
    answer = asker.get(address)
    assert answer.status_code == status
    assert "Traceback" not in answer.text and "root:" not in answer.text


@pytest.mark.parametrize(
    "address", ["/", "/grid", "/audit", "/login", "/nothing", "/api/queue", "/static/desk.css", "/health"]
)
def test_every_answer_carries_the_headers(asker: TestClient, address: str) -> None:
    headers = asker.get(address).headers
    policy = dict(part.strip().partition(" ")[::2] for part in headers["content-security-policy"].split(";"))
    assert (
        policy["default-src"] == "'none'" and policy["frame-ancestors"] == "'none'" and policy["base-uri"] == "'none'"
    )
    for source in ("script-src", "style-src", "img-src", "connect-src", "form-action"):
        assert policy[source] == "'self'"
    assert headers["x-content-type-options"] == "nosniff" and headers["x-frame-options"] == "DENY"
    assert headers["cache-control"] in ("no-store", "no-cache")
    assert "server" not in headers


def test_pages_hold_nothing_that_the_policy_forbids(small: Shop, asker: TestClient) -> None:
    asset = small.add("a")
    decide(asker, verdict(asset, "reject"))
    small.add_picture("a", attempt=1)
    for address in ("/", "/grid", f"/picture/{asset}", "/audit", "/thresholds", "/nothing"):
        page = asker.get(address).text
        assert not re.search(r"<script(?![^>]* src=)|<style| style=| on[a-z]+=|javascript:", page), address


HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</textarea><svg onload=alert(1)>",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_words_stay_words(small: Shop, asker: TestClient, text: str) -> None:
    asset = small.add("a", title=text, category=text, prompt=text, reason=f"near-duplicate of {text}")
    small.add_picture(text, attempt=1, live=False, state="rejected", reason=text)
    decide(asker, verdict(asset, "reject", reason=text))
    pages = [
        asker.get(path).text for path in ("/", "/grid?state=rejected", f"/picture/{asset}", "/audit", "/thresholds")
    ]
    pages.append(asker.get("/grid", params={"text": text, "category": text}).text)
    for page in pages:
        assert text not in page
    assert all("&lt;" in page for page in pages[1:4])


def test_a_title_is_no_template(small: Shop, asker: TestClient) -> None:
    asset = small.add("a", title="{{ 7 * 7 }}{% raw %}")
    assert "{{ 7 * 7 }}{% raw %}" in asker.get(f"/picture/{asset}").text
