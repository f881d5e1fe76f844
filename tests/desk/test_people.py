"""Whom the desk lets in, and what they may do there: nobody unknown, by token, through a proxy."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import pytest
from desk_fixtures import ORIGIN, Shop, csrf, decide, desk, send, verdict
from starlette.testclient import TestClient

from catalog_gen.config_serve import DeskToken, ServeConfig
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
