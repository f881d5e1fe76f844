"""A night's page opened in a real browser, which notes what the page asks for and what goes wrong in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Browser, Page, Request, expect

from catalog_gen.report.night_rows import Picture
from report.night_fixtures import picture


@dataclass
class Opened:
    """A page in a browser, with what it asked for and what went wrong in it."""

    page: Page
    requests: list[str]
    errors: list[str]

    def tally(self) -> str:
        """Return what the bar says, once it shows: it hides until pictures are in view, and the browser tells when."""
        tally = self.page.locator("#tally")  # wait_for_function would need eval: the page's policy forbids it
        expect(tally).not_to_have_text("", use_inner_text=True)
        return tally.inner_text()

    def shown(self) -> str:
        return self.page.locator("#shown").inner_text()

    def skus(self) -> list[str]:
        """The skus of the cards that exist, in the order of the page."""
        return self.page.locator(".card .sku").all_inner_texts()


@contextmanager
def opened(browser: Browser, address: str, **context: Any) -> Iterator[Opened]:
    """Open an address in a new window of its own; what its scripts throw and its policy blocks is an error."""
    with browser.new_context(**({"viewport": {"width": 1280, "height": 800}} | context)) as window:
        page = window.new_page()
        requests: list[str] = []
        errors: list[str] = []

        def asked(request: Request) -> None:
            if not request.url.startswith(("data:", "blob:")):
                requests.append(request.url)

        page.on("request", asked)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.goto(address)
        page.evaluate("document.getElementById('pictures')?.scrollIntoView()")
        yield Opened(page, requests, errors)


def pictures(count: int) -> list[Picture]:
    return [picture(number) for number in range(count)]
