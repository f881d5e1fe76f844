"""Real servers on loopback for the tests of telling: HTTP that answers as told, SMTP with and without TLS."""

from __future__ import annotations

import ssl
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

HANG = 0  # an "answer" that never comes


@dataclass(frozen=True)
class Received:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class WebServer:
    """Answers each request with the next of `answers` (a status, or HANG), then with 200; keeps what it received."""

    answers: list[int] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)
    words: str = "as asked"
    scheme: str = "http"
    port: int = 0
    closing: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"


class _Quiet(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that leave in the middle are what some tests are about."""


@contextmanager
def web_server(tls: ssl.SSLContext | None = None) -> Iterator[WebServer]:
    """A running HTTP server on a free port, behind TLS where a context is given."""
    state = WebServer(scheme="https" if tls else "http")

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            state.received.append(Received(self.command, self.path, dict(self.headers.items()), body))
            status = state.answers.pop(0) if state.answers else 200
            if status == HANG:
                state.closing.wait()
                return
            said = state.words.encode()
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("Location", f"{state.url}/elsewhere")
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        do_GET = do_POST = do_PUT = do_DELETE = answer

        def log_message(self, format: str, *args: Any) -> None:
            """A line for each request would bury a failing test's own output."""

    server = _Quiet(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    state.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        state.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class MailServer:
    """Keeps every mail it took; refuses `refused` recipients, and answers DATA with the next of `answers`."""

    answers: list[str] = field(default_factory=list)
    refused: tuple[str, ...] = ()
    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    users: list[str] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)
    port: int = 0

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.refused:
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        answer = self.answers.pop(0) if self.answers else "250 OK"
        if answer.startswith("250"):
            mail = message_from_bytes(cast(bytes, envelope.content), policy=policy.default)
            self.mails.append(cast(EmailMessage, mail))
            self.recipients.append(list(envelope.rcpt_tos))
            self.encrypted.append(session.ssl is not None or server.transport.get_extra_info("ssl_object") is not None)
        return answer

    def login(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        known = isinstance(data, LoginPassword) and (data.login, data.password) == (b"job", b"hunter2")
        if known:
            self.users.append(data.login.decode())
        return AuthResult(success=known, handled=False)


class _AnyPort(Controller):
    """Listens on a free port, and knows which one that is."""

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@contextmanager
def mail_server(
    *, tls: ssl.SSLContext | None = None, starttls: ssl.SSLContext | None = None, auth: bool = False
) -> Iterator[MailServer]:
    """A running SMTP server on a free port: wrapped in TLS, offering STARTTLS, or neither."""
    state = MailServer()
    controller = _AnyPort(
        state,
        hostname="127.0.0.1",
        port=0,
        ssl_context=tls,
        tls_context=starttls,
        require_starttls=starttls is not None,
        authenticator=state.login if auth else None,
        auth_required=auth,
        auth_require_tls=auth and tls is None,
    )
    controller.start()
    state.port = controller.port
    try:
        yield state
    finally:
        controller.stop()


def make_certificate(folder: Path) -> Path:
    """Make a certificate for 127.0.0.1 that signs itself; return the PEM file with it and its key."""
    pem = folder / "server.pem"
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    )
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)
    parts = (folder / "key.pem", folder / "certificate.pem")
    pem.write_text("".join(part.read_text(encoding="utf-8") for part in parts), encoding="utf-8")
    return pem


def server_context(pem: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context
