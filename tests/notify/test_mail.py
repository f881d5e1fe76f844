"""E-mail through a real SMTP server, plain and encrypted: what arrives, and what each refusal means."""

from __future__ import annotations

import socket
import ssl
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from catalog_gen.config_notify import EmailConfig
from catalog_gen.errors import TransientError, Unavailable
from catalog_gen.notify.mail import Attachment, compose, deliver
from catalog_gen.notify.mail_page import mail_page
from notify.conftest import make_news
from notify.servers import MailServer, mail_server

PLAIN: dict[str, Any] = {
    "host": "127.0.0.1",
    "security": "none",
    "sender": "Katalog Größe <job@shop.example>",
    "to": ["ops@shop.example", '"Lee, Ann" <ann@shop.example>'],
}

# aiosmtpd's word on a server that wants a password and is wrapped in TLS as a whole, which is safe.
pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")


def config(server: MailServer, **changes: Any) -> EmailConfig:
    return EmailConfig(**(PLAIN | {"port": server.port} | changes))


def post(config: EmailConfig, attachment: Attachment | None = None) -> None:
    deliver(config, compose(config, make_news(), attachment), timeout=5)


@pytest.fixture
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))


def test_a_mail_has_text_and_html() -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    with mail_server() as server:
        post(config(server))
    [mail] = server.mails
    assert mail["Subject"] == "[catalog-gen] fill-missing: 1,250 pictures stored, 70 of them for review; 3 rows failed"
    assert [str(address) for address in mail["From"].addresses] == ["Katalog Größe <job@shop.example>"]
    assert server.recipients == [["ops@shop.example", "ann@shop.example"]]
    assert before <= mail["Date"].datetime <= datetime.now(UTC), "of the mail, not of a run long past"
    assert mail["Auto-Submitted"] == "auto-generated" and mail["Message-ID"].strip().endswith("@shop.example>")
    assert mail.get_content_type() == "multipart/alternative"
    text, html = mail.iter_parts()
    assert (text.get_content_type(), html.get_content_type()) == ("text/plain", "text/html")
    assert text.get_content().split("\r\n")[:-1] == make_news().text().split("\n")
    assert html.get_content().strip() == mail_page(make_news())
    assert server.encrypted == [False]


@pytest.mark.parametrize("length", [40, 60, 66, 67, 68, 70, 90, 200])
def test_a_subject_of_any_length_arrives_as_it_was(length: int) -> None:
    news = make_news(state="failed", line="x" * length)
    with mail_server() as server:
        chosen = config(server)
        deliver(chosen, compose(chosen, news), timeout=5)
    assert server.mails[0]["Subject"] == f"[catalog-gen] {news.title()}"


def test_the_report_goes_with_it_byte_for_byte() -> None:
    data = "<!doctype html>Größe \r\n\x00".encode() * 1000
    with mail_server() as server:
        post(config(server), Attachment("catalog-gen-r1.html", data))
    [mail] = server.mails
    [attachment] = mail.iter_attachments()
    assert attachment.get_filename() == "catalog-gen-r1.html"
    assert attachment.get_content_type() == "text/html"
    assert attachment.get_payload(decode=True) == data


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.seen.add(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_the_page_escapes_what_it_shows_and_closes_what_it_opens() -> None:
    hostile = make_news(line="<script>alert(1)</script>", host='"><img src=x>', remark="<i>", link='https://x/"<b>')
    page = Tags()
    page.feed(mail_page(hostile))
    page.close()
    assert not page.open
    assert not {"script", "img", "i", "b"} & page.seen
    words = "".join(page.words)
    assert "<b>odd</b> & bad" in words and '"><img src=x>' in words and "1,250" in words and "30,504" in words


@pytest.mark.parametrize(("length", "told"), [(20, 1), (400, 2)])
def test_a_line_that_does_not_fit_into_the_heading_is_in_the_table(length: int, told: int) -> None:
    line = "x" * length
    page = Tags()
    page.feed(mail_page(make_news(state="failed", exit_code=69, line=line, reasons=())))
    assert len([words for words in page.words[1:] if "xxx" in words]) == told
    assert line in "".join(page.words)


@pytest.mark.parametrize(
    ("code", "verdict"),
    [(0, "All done"), (3, "Done, some rows failed"), (4, "Stopped in good order"), (69, "Failed, exit code 69")],
)
def test_the_page_begins_with_the_verdict(code: int, verdict: str) -> None:
    page = Tags()
    page.feed(mail_page(make_news(exit_code=code)))
    assert page.words[1] == verdict


@pytest.mark.usefixtures("trusted")
def test_starttls_and_login(tls: ssl.SSLContext) -> None:
    with mail_server(starttls=tls, auth=True) as server:
        post(config(server, security="starttls", user="job", password="hunter2"))
    assert len(server.mails) == 1 and server.encrypted == [True] and server.users == ["job"]


@pytest.mark.usefixtures("trusted")
def test_tls_and_login(tls: ssl.SSLContext) -> None:
    with mail_server(tls=tls, auth=True) as server:
        post(config(server, security="tls", user="job", password="hunter2"))
    assert len(server.mails) == 1 and server.encrypted == [True] and server.users == ["job"]


@pytest.mark.usefixtures("trusted")
def test_a_wrong_password_is_named_and_not_shown(tls: ssl.SSLContext) -> None:
    with mail_server(tls=tls, auth=True) as server, pytest.raises(Unavailable) as caught:
        post(config(server, security="tls", user="job", password="s3cret"))
    assert "answers 535" in str(caught.value) and "Check notify.email.user and password" in str(caught.value)
    assert "s3cret" not in str(caught.value) and not server.mails


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_certificate_must_be_trusted(tls: ssl.SSLContext, security: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    offered: dict[str, Any] = {security: tls}
    with mail_server(**offered) as server, pytest.raises(Unavailable, match=r"certificate is not trusted"):
        post(config(server, security=security))
    assert not server.mails


def test_a_server_without_starttls_gets_no_mail() -> None:
    with mail_server() as server, pytest.raises(Unavailable, match=r"does not offer .*notify\.email\.security"):
        post(config(server, security="starttls"))
    assert not server.mails


def test_one_refused_recipient_is_named_and_the_others_get_their_mail() -> None:
    with mail_server() as server:
        server.refused = ("ann@shop.example",)
        with pytest.raises(Unavailable, match=r"refuses recipients: ann@shop\.example \(550 no such mailbox\)"):
            post(config(server))
    assert server.recipients == [["ops@shop.example"]]


def test_when_all_are_refused_nothing_is_sent() -> None:
    with mail_server() as server:
        server.refused = ("ann@shop.example", "ops@shop.example")
        with pytest.raises(Unavailable, match=r"ops@shop\.example \(550 .*ann@shop\.example \(550"):
            post(config(server))
    assert not server.mails


@pytest.mark.parametrize(("answer", "kind"), [("451 try later", TransientError), ("554 no spam", Unavailable)])
def test_an_answer_says_whether_trying_again_may_help(answer: str, kind: type[Exception]) -> None:
    with mail_server() as server:
        server.answers = [answer]
        with pytest.raises(kind, match=f"answers {answer}"):
            post(config(server))


def test_a_second_try_sends_the_same_mail() -> None:
    with mail_server() as server:
        chosen = config(server)
        mail = compose(chosen, make_news())
        for _ in range(2):
            deliver(chosen, mail, timeout=5)
    first, second = server.mails
    assert first["Message-ID"] == second["Message-ID"]
    assert compose(chosen, make_news())["Message-ID"] != mail["Message-ID"]


def test_a_server_that_is_not_there_or_says_nothing_is_transient() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and never greets
        port = silent.getsockname()[1]
        chosen = EmailConfig(**PLAIN, port=port)
        with pytest.raises(TransientError, match="timed out"):
            deliver(chosen, compose(chosen, make_news()), timeout=0.2)
    with pytest.raises(TransientError, match="cannot be reached"):
        deliver(chosen, compose(chosen, make_news()), timeout=5)
