"""The desk that browser tests open, and what several of them do with a page."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from playwright.sync_api import Locator, Page, Route, expect

from desk.desk_fixtures import Shop

UNSENT = "Object.keys(localStorage).filter((name) => name.startsWith('desk-unsent')).length"

Open = Callable[..., Page]


@dataclass
class Served:
    """A running desk: its address, and the shop behind it."""

    address: str
    shop: Shop


def settled(page: Page) -> None:
    """Wait until every decision of the page has its answer."""
    deadline = time.monotonic() + 30
    while page.evaluate(UNSENT):  # not wait_for_function, which needs eval: the desk's policy forbids it
        assert time.monotonic() < deadline, page.locator("#outbox").text_content()
        page.wait_for_timeout(50)


def decide_all(pages: Sequence[Page]) -> None:
    """Approve on each page in turn, until every one of them says that nothing is left."""
    for page in pages:
        page.wait_for_selector("#desk:not([hidden]), #empty:not([hidden])")
    while any(page.locator("#desk").is_visible() for page in pages):
        for page in pages:
            page.keyboard.press("a")
    for page in pages:
        settled(page)


def by_sku(served: Served, category: str) -> dict[str, list[tuple[str, str, str]]]:
    """(action, reason, reviewer) of every decision on the category's products, by sku."""
    found: dict[str, list[tuple[str, str, str]]] = {}
    for row in served.shop.decisions():
        if row["sku"].startswith(f"{category}-"):
            found.setdefault(row["sku"], []).append((row["action"], row["reason"], row["reviewer"]))
    return found


def title(page: Page) -> Locator:
    return page.locator("#words h1")


def intercept(page: Page, handle: Callable[[Route], None]) -> None:
    """Send the page's decisions to `handle`. Loads it anew: an open document's requests can slip by."""
    page.route("**/api/decisions", handle)
    page.reload()
    expect(title(page)).to_be_visible()
