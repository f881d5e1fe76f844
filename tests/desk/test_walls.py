"""What the desk keeps out: people it does not know, pages of others, requests that make no sense."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import pytest
from desk_fixtures import ORIGIN, Shop, csrf, decide, desk, send, verdict
from starlette.testclient import TestClient

from catalog_gen.config_serve import DeskToken, ServeConfig
from catalog_gen.desk.app import ROUTES
from catalog_gen.desk.auth import FAILURES, Keeper
from catalog_gen.errors import ConfigError

TOKEN = "a-token-that-is-long-enough"
TOKENS = [
    {"name": "Bea", "token_sha256": hashlib.sha256(TOKEN.encode()).hexdigest()},
    {"name": "Ray", "role": "reader", "token_sha256": hashlib.sha256(b"the-token-of-a-reader").hexdigest()},
]
PUBLIC = {"host": "0.0.0.0", "hosts": ["desk.shop.example"], "certificate": "c.pem", "key": "k.pem"}
OUTSIDE = "https://desk.shop.example"
PROXY = {"proxy_header": "X-Forwarded-User", "proxies": ["10.0.0.5", "fd00::/8"], "hosts": ["desk.shop.example"]}


def log_in(asker: TestClient, token: str = TOKEN, **more: str) -> Any:
    form = {"csrf": csrf(asker, "/login"), "token": token} | more
    return asker.post("/login", data=form, headers={"Origin": str(asker.base_url)})


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"host": "0.0.0.0"}, "nothing would ask them who they are"),
        ({"host": "::"}, "nothing would ask them who they are"),
        ({"host": "desk.shop.example"}, "nothing would ask them who they are"),
        ({"hosts": ["desk.shop.example"]}, "nothing would ask them who they are"),
        ({"host": "0.0.0.0", "tokens": TOKENS}, "unencrypted"),
        ({"host": "0.0.0.0", "certificate": "c.pem"}, "certificate and key belong together"),
        ({"proxy_header": "X-User"}, "proxy_header and proxies belong together"),
        ({"proxies": ["10.0.0.5"]}, "proxy_header and proxies belong together"),
        ({"proxy_header": "X-User", "proxies": ["the proxy"]}, "the proxy"),
        ({"tokens": [TOKENS[0], TOKENS[0]]}, "two people have the same token"),
        ({"tokens": [{"name": "Bea", "env": "UNSET"}]}, "the variable UNSET holds 0 characters"),
        ({"tokens": [{"name": "Bea", "env": "SHORT"}]}, "the variable SHORT holds 6 characters"),
    ],
)
def test_a_desk_that_would_be_open_does_not_start(config: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(told)) as raised:
        Keeper(ServeConfig.model_validate(config), "ann", env={"SHORT": "secret"})
    assert raised.value.hint or "belong together" in told or told == "the proxy"


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"host": "::1"},
        {"host": "localhost", "tokens": TOKENS},
        PUBLIC | {"tokens": TOKENS},
        PROXY,
        {"host": "0.0.0.0"} | PROXY,
        {"tokens": [{"name": "Bea", "env": "BEA"}]},
    ],
)
def test_a_desk_that_asks_who_comes_starts(config: dict[str, Any]) -> None:
    keeper = Keeper(ServeConfig.model_validate(config), "ann", env={"BEA": TOKEN})
    assert keeper.local == ("tokens" not in config and "proxies" not in config)


@pytest.mark.parametrize("token", [{"name": "Bea"}, {"name": "Bea", "env": "A", "token_sha256": "0" * 64}])
def test_a_token_has_one_source(token: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="one of the two"):
        DeskToken.model_validate(token)


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


# --- the log-in ------------------------------------------------------------------------------------------------------


def test_who_has_no_session_sees_the_log_in_and_nothing_else(small: Shop) -> None:
    asset = small.add("a", title="A secret shoe")
    with desk(small, client="203.0.113.9", base=OUTSIDE, tokens=TOKENS, **PUBLIC) as asker:
        pages = [asker.get(path) for path in ("/", "/grid?state=draft", f"/picture/{asset}", "/audit", "/thresholds")]
        assert {page.status_code for page in pages} == {303}
        assert pages[1].headers["location"] == "/login?next=%2Fgrid%3Fstate%3Ddraft"
        for path in ("/api/queue", f"/api/picture/{asset}", f"/image/{asset}", "/photo?sku=a", "/api/draws"):
            answer = asker.get(path)
            assert answer.status_code == 401 and answer.json() == {"error": "log in first"}
        token = csrf(asker, "/login")
        assert send(asker, "/api/decisions", {"decisions": [verdict(asset)]}, token=token).status_code == 401
        assert "secret shoe" not in asker.get("/login").text
        assert asker.get("/health").text == "ok\n"


def test_a_token_lets_in_and_the_cookie_is_locked_up(small: Shop) -> None:
    asset = small.add("a")
    with desk(small, client="203.0.113.9", base=OUTSIDE, tokens=TOKENS, **PUBLIC) as asker:
        before = asker.get("/login").headers["set-cookie"]
        answer = log_in(asker, next="/grid")
        assert (answer.status_code, answer.headers["location"]) == (303, "/grid")
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Host-") and cookie.split("=")[1] != before.split("=")[1]
        assert {"HttpOnly", "Secure", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
        assert "Bea" in asker.get("/").text
        assert decide(asker, verdict(asset))[0]["result"] == "done"
    assert small.decisions()[0]["reviewer"] == "Bea"


def test_on_loopback_the_cookie_travels_without_tls(asker: TestClient) -> None:
    cookie = asker.get("/").headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie and "Secure" not in cookie


def test_a_reader_sees_everything_and_decides_nothing(small: Shop) -> None:
    asset = small.add("a")
    with desk(small, tokens=TOKENS) as asker:
        log_in(asker, "the-token-of-a-reader")
        for path in ("/", "/grid", f"/picture/{asset}", "/audit", "/thresholds", "/api/queue", f"/image/{asset}"):
            assert asker.get(path).status_code == 200
        assert "do-approve" not in asker.get("/").text and "<form class=" not in asker.get(f"/picture/{asset}").text
        for path, body in (
            ("/api/decisions", {"decisions": [verdict(asset)]}),
            ("/api/undo", {"decisions": ["x"]}),
            ("/api/leave", {}),
        ):
            answer = send(asker, path, body)
            assert answer.status_code == 403 and "decide nothing" in answer.json()["error"]
        form = {"csrf": csrf(asker), **{name: str(value) for name, value in verdict(asset).items()}}
        assert asker.post(f"/picture/{asset}/decide", data=form, headers={"Origin": ORIGIN}).status_code == 403
        assert asker.post("/undo", data=form, headers={"Origin": ORIGIN}).status_code == 403
    assert small.state(asset) == "needs_review" and not small.decisions()


def test_logging_out_ends_the_session_on_the_server_too(small: Shop) -> None:
    with desk(small, tokens=TOKENS) as asker:
        log_in(asker)
        stolen = dict(asker.cookies)
        assert asker.post("/logout", data={"csrf": csrf(asker)}, headers={"Origin": ORIGIN}).status_code == 303
        assert asker.get("/").status_code == 303
        asker.cookies.clear()
        asker.cookies.update(stolen)
        assert asker.get("/api/queue").status_code == 401


def test_guessing_tokens_is_slowed_down(small: Shop) -> None:
    with desk(small, tokens=TOKENS) as asker:
        wrong = [log_in(asker, f"guess {number}").status_code for number in range(FAILURES + 1)]
        assert wrong == [401] * FAILURES + [429]
        answer = log_in(asker)  # the right one has to wait as well, or waiting would tell it from the others
        assert answer.status_code == 429 and 0 < int(answer.headers["retry-after"]) <= 301


@pytest.mark.parametrize(
    "where", ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/\tx"]
)
def test_the_log_in_leads_nowhere_else(small: Shop, where: str) -> None:
    with desk(small, tokens=TOKENS) as asker:
        assert log_in(asker, next=where).headers["location"] == "/"


@pytest.mark.parametrize("cookie", ["x", "WyJhIiwiYiIsImMiXQ.aaaa.bbbb", "", "\u00e9"])
def test_a_cookie_that_is_not_ours_is_nobody_s(small: Shop, cookie: str) -> None:
    with desk(small, tokens=TOKENS) as asker:
        answer = asker.get("/api/queue", headers={"Cookie": f"desk-8017={cookie}".encode("latin-1")})
    assert answer.status_code == 401


def test_a_token_taken_out_of_the_configuration_ends_its_sessions(small: Shop) -> None:
    with desk(small, tokens=TOKENS, secret="s" * 32) as asker:
        log_in(asker)
        cookies = dict(asker.cookies)
    for tokens, status in ((TOKENS, 200), (TOKENS[1:], 401)):
        with desk(small, tokens=tokens, secret="s" * 32) as asker:
            asker.cookies.update(cookies)
            assert asker.get("/api/queue").status_code == status


# --- behind a proxy --------------------------------------------------------------------------------------------------


def proxied(small: Shop, client: str, **more: Any) -> Any:
    return desk(small, client=client, base="http://127.0.0.1:8017", **PROXY, **more)


def test_the_proxy_s_word_counts_from_the_proxy_only(small: Shop) -> None:
    asset = small.add("a")
    name = {"X-Forwarded-User": "Cem", "X-Forwarded-Proto": "https", "X-Forwarded-For": "198.51.100.7"}
    with proxied(small, "10.0.0.5") as asker:
        answer = asker.get("/", headers=name)
        assert answer.status_code == 200 and "Cem" in answer.text
        assert answer.headers["set-cookie"].startswith("__Host-") and "Secure" in answer.headers["set-cookie"]
        assert asker.get("/").status_code == 401
        assert asker.get("/", headers=[("X-Forwarded-User", "Cem"), ("X-Forwarded-User", "Dora")]).status_code == 401
    with proxied(small, "10.0.0.6") as asker:
        assert asker.get("/", headers=name).status_code == 403
        assert asker.get(f"/image/{asset}", headers=name).status_code == 403
    with proxied(small, "fd00::12") as asker:
        assert asker.get("/", headers=name).status_code == 200


def test_pages_behind_a_proxy_may_have_its_name(small: Shop) -> None:
    asset = small.add("a")
    name = {"X-Forwarded-User": "Cem"}
    with proxied(small, "10.0.0.5") as asker:
        token = asker.get("/", headers=name).text.split('name="csrf" content="')[1].split('"')[0]
        body = {"decisions": [verdict(asset)]}
        other = send(asker, "/api/decisions", body, token=token, Origin="https://evil.example", **name)
        assert other.status_code == 403
        answer = send(asker, "/api/decisions", body, token=token, Origin=OUTSIDE, **name)
        assert answer.json()["ruled"][0]["result"] == "done"
    assert small.decisions()[0]["reviewer"] == "Cem"


def test_only_named_reviewers_decide_behind_a_proxy(small: Shop) -> None:
    with proxied(small, "10.0.0.5", reviewers=["Cem"]) as asker:
        roles = {
            name: asker.get("/api/session", headers={"X-Forwarded-User": name}).json()["role"] for name in ("Cem", "Di")
        }
    assert roles == {"Cem": "reviewer", "Di": "reader"}


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
