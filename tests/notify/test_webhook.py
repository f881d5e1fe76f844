"""The webhook against a real HTTP server: what arrives, and what each kind of answer means."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import ssl
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from catalog_gen.config_notify import WebhookConfig
from catalog_gen.errors import TransientError, Unavailable
from catalog_gen.notify.web import WebRequest, send
from catalog_gen.notify.webhook import webhook_request
from notify.conftest import make_news
from notify.servers import HANG, WebServer, web_server


def post(web: WebServer, path: str = "/hook/T0KEN") -> None:
    send(webhook_request(WebhookConfig(url=web.url + path), make_news()), timeout=5)


def test_the_summary_arrives_as_json(web: WebServer) -> None:
    post(web)
    [got] = web.received
    assert (got.method, got.path) == ("POST", "/hook/T0KEN")
    assert got.headers["Content-Type"] == "application/json; charset=utf-8"
    assert got.headers["User-Agent"].startswith("catalog-gen/")
    assert json.loads(got.body) == json.loads(json.dumps(make_news().payload()))


def test_the_signature_is_that_of_the_bytes_sent(web: WebServer, tmp_path: Path) -> None:
    """Checked by OpenSSL, as a receiver in another language would."""
    send(webhook_request(WebhookConfig(url=web.url, secret="hunter2"), make_news()), timeout=5)
    [got] = web.received
    body = tmp_path / "body"
    body.write_bytes(got.body)
    command = ["openssl", "dgst", "-sha256", "-hmac", "hunter2", "-r", str(body)]
    expected = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[0]
    assert got.headers["X-Catalog-Gen-Signature-256"] == f"sha256={expected}"
    assert expected == hmac.new(b"hunter2", got.body, hashlib.sha256).hexdigest()


def test_without_a_secret_nothing_is_signed(web: WebServer) -> None:
    post(web)
    assert not [name for name in web.received[0].headers if "signature" in name.lower()]


def test_every_try_carries_the_same_delivery_id_and_every_message_another(web: WebServer) -> None:
    config = WebhookConfig(url=web.url)
    first, second = (webhook_request(config, make_news()) for _ in range(2))
    for request in (first, first, second):
        send(request, timeout=5)
    ids = [got.headers["X-Catalog-Gen-Delivery"] for got in web.received]
    assert ids[0] == ids[1] != ids[2] and len(ids[0]) == 32


def test_slack_gets_a_text_with_its_characters_escaped(web: WebServer) -> None:
    send(webhook_request(WebhookConfig(url=web.url, format="slack"), make_news()), timeout=5)
    payload = json.loads(web.received[0].body)
    assert list(payload) == ["text"]
    title, *_, last, link = payload["text"].splitlines()
    assert title == "*fill-missing: 1,250 pictures stored, 70 of them for review; 3 rows failed*"
    assert last == "1 x &lt;b&gt;odd&lt;/b&gt; &amp; bad```"
    assert link == "https://desk.example/runs?run=20260131&amp;x=1"


def test_teams_gets_an_adaptive_card(web: WebServer) -> None:
    send(webhook_request(WebhookConfig(url=web.url, format="teams"), make_news()), timeout=5)
    payload = json.loads(web.received[0].body)
    [attachment] = payload["attachments"]
    assert payload["type"] == "message"
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    card = attachment["content"]
    title, facts = card["body"]
    assert (card["type"], card["version"], title["color"]) == ("AdaptiveCard", "1.4", "Attention")
    assert {"title": "pictures stored", "value": "1,250"} in facts["facts"]
    assert {"title": "2 failed", "value": "storing: timed out"} in facts["facts"]
    assert card["actions"] == [
        {"type": "Action.OpenUrl", "title": "Open", "url": "https://desk.example/runs?run=20260131&x=1"}
    ]


@pytest.mark.parametrize("status", [500, 502, 503, 599, 408, 425, 429])
def test_an_answer_that_may_change_is_transient(web: WebServer, status: int) -> None:
    web.answers = [status]
    with pytest.raises(TransientError, match=f"answers {status} .*: as asked"):
        post(web)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 413])
def test_an_answer_that_stays_is_not(web: WebServer, status: int) -> None:
    web.answers, web.words = [status], "no_text"
    with pytest.raises(Unavailable, match=f"answers {status} .*: no_text"):
        post(web)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_named_and_not_followed(web: WebServer, status: int) -> None:
    web.answers = [status]
    with pytest.raises(Unavailable, match="Name the address that it leads to"):
        post(web)
    assert len(web.received) == 1


def test_a_server_that_says_nothing_is_left(web: WebServer) -> None:
    web.answers = [HANG]
    with pytest.raises(TransientError, match=r"no answer within 0\.2 s"):
        send(WebRequest("POST", web.url, b"{}"), timeout=0.2)


def test_a_port_that_nobody_listens_on_is_transient() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(TransientError, match="cannot be reached"):
        send(WebRequest("POST", f"http://127.0.0.1:{port}", b"{}"), timeout=5)


def test_no_error_names_the_path_or_the_user(web: WebServer) -> None:
    web.answers = [404]
    with pytest.raises(Unavailable) as caught:
        send(WebRequest("POST", f"http://job:hunter2@127.0.0.1:{web.port}/hook/T0KEN?key=s3cret", b"{}"), timeout=5)
    assert str(caught.value).startswith(f"http://127.0.0.1:{web.port}: answers 404")
    assert not any(secret in str(caught.value) for secret in ("T0KEN", "hunter2", "s3cret", "job"))


def test_user_and_password_are_sent_as_basic_authentication(web: WebServer) -> None:
    send(WebRequest("POST", f"http://job:p%40ss%3Aword@127.0.0.1:{web.port}/x", b"{}"), timeout=5)
    [got] = web.received
    assert base64.b64decode(got.headers["Authorization"].removeprefix("Basic ")) == b"job:p@ss:word"
    assert "@" not in got.headers["Host"] and got.path == "/x"


def test_a_certificate_must_be_trusted(tls: ssl.SSLContext, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with web_server(tls) as web:
        with pytest.raises(Unavailable, match=r"certificate is not trusted .*self.signed"):
            send(WebRequest("POST", web.url, b"{}"), timeout=5)
        assert not web.received
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        send(WebRequest("POST", web.url, b"{}"), timeout=5)
    assert [got.body for got in web.received] == [b"{}"]


def test_text_arrives_as_utf_8(web: WebServer) -> None:
    send(webhook_request(WebhookConfig(url=web.url), replace(make_news(), line="Größe: 尺寸 🙂")), timeout=5)
    assert "Größe: 尺寸 🙂".encode() in web.received[0].body
