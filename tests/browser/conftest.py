"""A real Chromium, and the review desk as the command serves it."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from browser.browser_parts import Open, Served
from catalog_gen.catalog.database import open_database
from desk.desk_fixtures import Shop, shop_settings

READY = "The review desk is at "
ROLES = {"Ann": "reviewer", "Bea": "reviewer", "Ray": "reader"}


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Headless Chromium, the system's own."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def served(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """`catalog-gen serve` in a process of its own, where Ann and Bea may decide and Ray may look."""
    folder = tmp_path_factory.mktemp("served")
    shutil.copy(sqlite_template, folder / "shop.sqlite3")
    settings = shop_settings(f"sqlite:///{folder / 'shop.sqlite3'}", folder)
    config = folder / "catalog-gen.toml"
    config.write_text("".join(_token(name, role) for name, role in ROLES.items()), encoding="utf-8")
    flags = ["--config", str(config), "--database", settings.database.url, "--storage", settings.storage.url]
    command = [sys.executable, "-m", "catalog_gen", "serve", "--port", "0", *flags]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    database = open_database(settings.database.url)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith(READY), line
        yield Served(line.removeprefix(READY).split()[0].rstrip("/"), Shop(database, settings))
    finally:
        process.terminate()
        code = process.wait(30)
        database.dispose()
    assert code == 0


def token(name: str) -> str:
    return f"the-token-of-{name}-for-tests"


def _token(name: str, role: str) -> str:
    digest = hashlib.sha256(token(name).encode()).hexdigest()
    return f'[[serve.tokens]]\nname = "{name}"\nrole = "{role}"\ntoken_sha256 = "{digest}"\n'


@pytest.fixture
def opened(browser: Browser, served: Served) -> Iterator[Open]:
    """`opened("/grid", who="Bea", width=390)`: a page after its log-in. No page may log an error or raise one."""
    contexts: list[BrowserContext] = []
    wrong: list[str] = []

    def open_page(path: str, *, who: str = "Ann", width: int = 1360, **context: Any) -> Page:
        contexts.append(browser.new_context(viewport={"width": width, "height": 820}, **context))
        page = contexts[-1].new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: message.type == "error" and wrong.append(message.text))
        page.goto(f"{served.address}{path}")
        page.get_by_label("Your token").fill(token(who))
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url(f"{served.address}{path}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    expected = ("net::ERR_", "409", "404")  # what tests bring about themselves
    assert not [text for text in wrong if not any(part in text for part in expected)]
