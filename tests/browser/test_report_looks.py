"""The night's page as people meet it: accessible, on a phone, and where scripts are off."""

from __future__ import annotations

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect

from browser.report_fixtures import opened, pictures
from report.night_fixtures import picture, restyled, write_page


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_accessible(browser: Browser, tmp_path: Path, scheme: str) -> None:
    night = [*pictures(20), restyled(21), picture(22, state="approved"), picture(23, state="rejected", live=False)]
    address = write_page(tmp_path / "n.html", night).as_uri()
    with opened(browser, address, color_scheme=scheme, bypass_csp=True) as window:  # axe is a script of its own
        page = window.page
        found = serious(page)
        page.locator(".card .yes").first.click()
        page.locator(".card .no").nth(1).click()
        found += serious(page)
        page.keyboard.press("1")
        page.locator(".card", has_text="SKU-0021").locator(".open").click()
        found += serious(page)
        page.keyboard.press("Escape")
        page.locator("#download").click()
        found += serious(page)
    assert found == []


def serious(page: object) -> list[str]:
    """The serious and critical violations that axe-core finds, each with its first place."""
    response = Axe().run(page).response  # type: ignore[arg-type]
    assert len(response["passes"]) > 10, "axe-core saw the page"
    return [
        f"{one['id']}: {one['help']} at {one['nodes'][0]['html'][:200]}"
        for one in response["violations"]
        if one["impact"] in ("serious", "critical")
    ]


def test_it_fits_a_phone(browser: Browser, tmp_path: Path) -> None:
    address = write_page(tmp_path / "n.html", pictures(12)).as_uri()
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    with opened(browser, address, **phone) as window:
        page = window.page
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        page.locator(".card .open").first.tap()
        box = page.locator("#large").bounding_box()
        assert box and box["x"] >= 0 and box["x"] + box["width"] <= 390
        page.locator("#large .yes").tap()
        page.locator("#large [data-go='0']").tap()
        assert window.tally() == "1 approved"
        target = page.locator(".card .yes").first.bounding_box()
        assert target and min(target["width"], target["height"]) >= 24  # WCAG 2.2, target size (minimum)
        assert not window.errors


def test_the_figures_need_no_script(browser: Browser, tmp_path: Path) -> None:
    address = write_page(tmp_path / "n.html", pictures(12)).as_uri()
    with opened(browser, address, java_script_enabled=False) as window:
        expect(window.page.locator(".headline")).to_contain_text("13 rows asked for, 12 made: 9 drafts")
        expect(window.page.locator("details.rows")).to_contain_text("storing: the disk is full")
