"""News of a night, servers to tell it to, and settings that tell it everywhere."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from catalog_gen.config import Settings
from catalog_gen.notify.news import News
from notify.servers import MailServer, WebServer, mail_server, make_certificate, server_context, web_server
from notify.tellings import configured

NIGHT: dict[str, Any] = {
    "task": "fill-missing",
    "state": "finished",
    "exit_code": 3,
    "line": "3 rows failed",
    "run_id": "20260131T011500.123-9f3a1c",
    "started_at": datetime(2026, 1, 31, 1, 15, tzinfo=UTC),
    "ended_at": datetime(2026, 1, 31, 2, 27, 30, tzinfo=UTC),
    "host": "db1",
    "version": "0.1.0",
    "counts": {"claimed": 1253, "generated": 1180, "needs_review": 70, "failed": 3, "lost": 0, "released": 0},
    "planned": {"planned": 1253, "has_asset": 40},
    "timings": {"claim": 0.5, "draw": 61.25},
    "images_per_second": 55.2,
    "lacking": 30504,
    "reasons": (("storing: timed out", 2), ("<b>odd</b> & bad", 1)),
    "link": "https://desk.example/runs?run=20260131&x=1",
}


def make_news(**changes: Any) -> News:
    return News(**(NIGHT | changes))


@pytest.fixture
def web() -> Iterator[WebServer]:
    with web_server() as server:
        yield server


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    return server_context(certificate)


@pytest.fixture
def push() -> Iterator[WebServer]:
    with web_server() as server:
        yield server


@pytest.fixture
def mail() -> Iterator[MailServer]:
    with mail_server() as server:
        yield server


@pytest.fixture
def url(sqlite_template: Path, tmp_path: Path) -> str:
    (tmp_path / "catalog.sqlite3").write_bytes(sqlite_template.read_bytes())
    return f"sqlite:///{tmp_path}/catalog.sqlite3"


@pytest.fixture
def settings(url: str, web: WebServer, push: WebServer, mail: MailServer, tmp_path: Path) -> Settings:
    """Everything is told everywhere, and nothing is waited for long."""
    (tmp_path / "textfile").mkdir()
    return configured(
        {
            "database.url": url,
            "storage.url": str(tmp_path / "pictures"),
            "job.retry_seconds": 0.01,
            "notify.timeout_seconds": 5,
            "notify.webhook.url": f"{web.url}/hook/T0KEN",
            "notify.link": "https://desk.example/{run}",
            "notify.email.host": "127.0.0.1",
            "notify.email.port": mail.port,
            "notify.email.security": "none",
            "notify.email.sender": "job@shop.example",
            "notify.email.to": ["ops@shop.example"],
            "metrics.pushgateway": push.url,
            "metrics.textfile": str(tmp_path / "textfile"),
        }
    )
