"""Decisions made in the report's file reach the database: written, opened, decided, downloaded, applied, on both."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from browser.report_fixtures import opened
from catalog_gen.catalog.audit import audit
from catalog_gen.catalog.database import Database
from catalog_gen.catalog.decision_model import Decision
from catalog_gen.catalog.decisions import decide
from catalog_gen.catalog.model import Outcome, Product
from catalog_gen.catalog.night import assets_by_id
from catalog_gen.catalog.wishes import pending_wishes
from catalog_gen.cli import run
from integration.night_shop import NightShop


def test_decisions_of_the_file_reach_the_database(
    browser: Browser,
    database: Database,
    database_url: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shop = NightShop(database, database_url, tmp_path)
    shop.add(*(Product(f"s{number}", f"Thing {number}") for number in range(6)))
    assets = [shop.asset(f"s{number}", (number * 9, 40, 90), scores={"similarity": 0.5}) for number in range(6)]
    shop.night([Outcome(asset.sku, "generated", asset=asset) for asset in assets])
    page_file = tmp_path / "night.html"
    assert run(["report", "--out", str(page_file), *shop.flags]) == 0

    with opened(browser, page_file.as_uri()) as window:
        page = window.page
        page.locator("#order").select_option(label="By sku")
        page.locator(".card .open").first.focus()
        page.keyboard.press("a")  # s0
        page.keyboard.press("r")  # s1, with the first reason
        page.keyboard.press("1")
        page.keyboard.press("n")  # s2, from other words
        page.locator("#words").fill("a “blue” thing & more")
        page.locator("#candidates").fill("16")
        page.keyboard.press("Enter")
        page.keyboard.press("a")  # s3, which somebody else decides on meanwhile
        page.locator("#download").click()
        page.locator("#reviewer").fill("Ada Lovelace")
        with page.expect_download() as download:
            page.locator("#save button.main").click()
        decisions = tmp_path / "decisions.json"
        download.value.save_as(decisions)
        assert not window.errors

    meanwhile = Decision("f" * 32, assets[3].id, "reject", reason="too late")
    assert decide(database, [meanwhile], reviewer="Grace", source="desk")[0].result == "done"
    capsys.readouterr()
    assert run(["review", "apply", str(decisions), *shop.flags[:2]]) == 3  # one could not be carried out
    assert "s3" in capsys.readouterr().out
    now = assets_by_id(database, [asset.id for asset in assets])
    assert [(now[asset.id].state, now[asset.id].live) for asset in assets] == [
        ("approved", True),
        ("rejected", False),
        ("rejected", False),
        ("rejected", False),
        ("draft", True),
        ("draft", True),
    ]
    assert now[assets[1].id].reason == "not the product in the words"
    assert now[assets[3].id].reason == "too late"
    wish = pending_wishes(database, ["s2"])["s2"]
    assert (wish.words, wish.candidates) == ("a “blue” thing & more", 16)
    recorded = audit(database, reviewer="Ada Lovelace")
    assert sorted((row.sku, row.action, row.source) for row in recorded) == [
        ("s0", "approve", "file"),
        ("s1", "reject", "file"),
        ("s2", "again", "file"),
    ]
    assert run(["review", "apply", str(decisions), *shop.flags[:2]]) == 3
    assert "3 as before" in capsys.readouterr().out
    assert len(audit(database, reviewer="Ada Lovelace")) == 3

    # The report written anew takes what was decided for done: the browser's old decisions are out of date.
    assert run(["report", "--out", str(page_file), *shop.flags]) == 0
    with opened(browser, page_file.as_uri()) as window:
        states = dict(zip(window.skus(), window.page.locator(".card .text .state").all_inner_texts(), strict=True))
        assert states == {
            "s0": "approved", "s1": "rejected", "s2": "rejected", "s3": "rejected", "s4": "draft", "s5": "draft"
        }  # fmt: skip
