"""The night's page in a real browser: from a file, by keyboard, with hostile words, and in a frame."""

from __future__ import annotations

import json
import re
from pathlib import Path

from playwright.sync_api import Browser, expect

from browser.report_fixtures import Opened, opened, pictures
from report.night_fixtures import picture, restyled, write_page

HOSTILE = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'>\u202e&amp; \"'"


def saved(window: Opened, name: str = "") -> dict[str, object]:
    """Download the decisions, and return the file."""
    window.page.locator("#download").click()
    if name:
        window.page.locator("#reviewer").fill(name)
    with window.page.expect_download() as download:
        window.page.locator("#save button.main").click()
    assert download.value.suggested_filename == "decisions.json"
    document: dict[str, object] = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
    return document


def test_two_hundred_pictures_are_decided_by_keyboard_alone(browser: Browser, tmp_path: Path) -> None:
    night = pictures(210)
    with opened(browser, write_page(tmp_path / "n.html", night).as_uri()) as window:
        page = window.page
        page.locator("#grouped").uncheck()
        page.locator("#order").select_option(label="By sku")
        page.locator(".card .open").first.focus()
        for number in range(200):
            if number % 10 == 3:
                page.keyboard.press("r")
                page.keyboard.press("2")  # the second reason
            elif number % 10 == 7:
                page.keyboard.press("n")
                page.locator("#words").fill(f"other words {number}")
                page.locator("#candidates").fill("16")
                page.keyboard.press("Enter")
            else:
                page.keyboard.press("a")
        assert window.tally().split() == ["160", "approved", "20", "rejected", "20", "again"]
        document = saved(window, "Ada")
        assert not window.errors
    decisions = document.pop("decisions")
    assert document == {
        "format": "catalog-gen-decisions",
        "version": 1,
        "run": "20260131T020000.000-abc123",
        "reviewer": "Ada",
    }
    assert isinstance(decisions, list) and len(decisions) == 200
    assert len({decision["id"] for decision in decisions}) == 200
    assert all(re.fullmatch(r"[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}", decision["id"]) for decision in decisions)
    by_asset = {decision["asset"]: decision for decision in decisions}
    for number in range(200):
        given, shown = by_asset[night[number].id], night[number]
        assert (given["version"], given["sha256"]) == (shown.version, shown.sha256)
        expected = ("approve", "", "", None)
        if number % 10 == 3:
            expected = ("reject", "wrong colour", "", None)
        elif number % 10 == 7:
            expected = ("again", "", f"other words {number}", 16)
        assert (given["action"], given["reason"], given["words"], given["candidates"]) == expected


def test_decisions_outlive_the_page_and_can_be_undone(browser: Browser, tmp_path: Path) -> None:
    address = write_page(tmp_path / "n.html", pictures(12)).as_uri()
    with opened(browser, address) as window:
        page = window.page
        page.locator(".card .yes").nth(0).click()
        page.locator(".card .yes").nth(1).click()
        page.locator(".card .no").nth(2).click()
        page.locator("#said").fill("too dark")
        page.keyboard.press("Enter")
        page.reload()
        page.evaluate("document.getElementById('pictures').scrollIntoView()")
        assert window.tally().split() == ["2", "approved", "1", "rejected"]
        expect(page.locator(".card.reject .reason")).to_have_text("too dark")
        page.locator(".card .yes").nth(0).click()  # pressed again: taken back
        assert window.tally().split() == ["1", "approved", "1", "rejected"]
        page.locator("#undo").click()
        assert window.tally().split() == ["2", "approved", "1", "rejected"]
        page.locator("#many").click()
        page.locator("#sure button.main").click()
        assert window.tally().split() == ["11", "approved", "1", "rejected"]
        page.keyboard.press("z")  # all of it at once
        assert window.tally().split() == ["2", "approved", "1", "rejected"]
        # The report is written anew after one of them was decided elsewhere: that decision is out of date.
        decided = page.locator(".card.approve .sku").first.inner_text()
        night = [picture(n, version=9) if picture(n).sku == decided else picture(n) for n in range(12)]
        write_page(tmp_path / "n.html", night)
        page.reload()
        page.evaluate("document.getElementById('pictures').scrollIntoView()")
        assert window.tally().split() == ["1", "approved", "1", "rejected"]
        expect(page.locator("#note")).to_contain_text("1 earlier decisions were on pictures that have changed")
        assert not window.errors


def test_a_key_decides_on_nothing_unseen(browser: Browser, tmp_path: Path) -> None:
    with opened(browser, write_page(tmp_path / "n.html", pictures(12)).as_uri()) as window:
        window.page.evaluate("scrollTo(0, 0)")
        window.page.keyboard.press("a")
        assert window.tally() == "Nothing decided yet."  # but the picture that it would be about is there now
        expect(window.page.locator(".card:focus-within")).to_be_in_viewport()
        window.page.keyboard.press("a")
        assert window.tally() == "1 approved"


def test_a_rejection_needs_a_reason(browser: Browser, tmp_path: Path) -> None:
    with opened(browser, write_page(tmp_path / "n.html", pictures(3)).as_uri()) as window:
        window.page.locator(".card .no").first.click()
        window.page.locator("#why button.main").click()
        assert window.tally() == "Nothing decided yet."
        window.page.keyboard.press("Escape")
        expect(window.page.locator("#why")).to_be_hidden()
        assert window.tally() == "Nothing decided yet."


def test_a_download_needs_a_name(browser: Browser, tmp_path: Path) -> None:
    with opened(browser, write_page(tmp_path / "n.html", pictures(3)).as_uri()) as window:
        window.page.locator(".card .yes").first.click()
        window.page.locator("#download").click()
        window.page.locator("#reviewer").fill("   ")
        window.page.locator("#save button.main").click()
        expect(window.page.locator("#save")).to_be_visible()  # spaces are no name: the browser says so
        window.page.keyboard.press("Escape")
        assert saved(window, "Grace")["reviewer"] == "Grace"


def test_where_nothing_may_be_kept_it_still_works(browser: Browser, tmp_path: Path) -> None:
    """As a mail program or a bucket's preview shows it: in a frame without an origin, whose storage is denied."""
    page_file = write_page(tmp_path / "n.html", pictures(6))
    frame = (
        f'<iframe sandbox="allow-scripts allow-downloads allow-modals" src="{page_file.name}" width=1200 height=700>'
    )
    (tmp_path / "mail.html").write_text(f"<!doctype html><title>m</title>{frame}</iframe>", encoding="utf-8")
    with opened(browser, (tmp_path / "mail.html").as_uri()) as window:
        inside = window.page.frame_locator("iframe")
        inside.locator("#pictures").evaluate("(title) => title.scrollIntoView()")
        inside.locator(".card .yes").first.click()
        expect(inside.locator("#note")).to_contain_text("keeps nothing: download before you close")
        inside.locator("#download").click()
        inside.locator("#reviewer").fill("Ada")
        with window.page.expect_download() as download:
            inside.locator("#save button.main").click()
        assert len(json.loads(Path(download.value.path()).read_text(encoding="utf-8"))["decisions"]) == 1
        assert not window.errors


def test_hostile_words_are_words(browser: Browser, tmp_path: Path) -> None:
    night = [
        picture(0, title=HOSTILE, prompt=HOSTILE, category=HOSTILE, reason=HOSTILE, sku=HOSTILE, style=HOSTILE),
        picture(1, prompt="x" * 5000, category="=HYPERLINK(1)", sku="<b>1</b>"),
    ]
    address = write_page(tmp_path / "n.html", night, reasons=[HOSTILE]).as_uri()
    with opened(browser, address) as window:
        page = window.page
        expect(page.locator(".card")).to_have_count(2)
        page.locator(".card .open").first.click()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("r")
        page.keyboard.press("1")
        page.keyboard.press("Escape")
        assert page.evaluate("window.hacked") is None
        assert page.locator("img[src='x'], bdi *").count() == 0
        shown = page.locator(".card .sku").all_inner_texts()
        assert HOSTILE in shown and "<b>1</b>" in shown
        assert not window.errors
        assert saved(window, HOSTILE)["reviewer"] == HOSTILE[:100]
        assert window.requests == [address]  # nothing was fetched, and nothing was sent


def test_filters_and_orders(browser: Browser, tmp_path: Path) -> None:
    """Thirty pictures: six for review (0, 5, ... 25), ten a category, scores from 0.2000 to 0.2029."""
    with opened(browser, write_page(tmp_path / "n.html", pictures(30)).as_uri()) as window:
        page = window.page
        page.set_viewport_size({"width": 1280, "height": 3000})
        assert window.shown() == "30 pictures"
        assert page.locator(".group h3").all_inner_texts() == ["Bags10", "Belts10", "Shoes10"]
        page.locator("#grouped").uncheck()
        assert window.skus()[:7] == [f"SKU-{n:04d}" for n in (0, 5, 10, 15, 20, 25, 1)]  # the doubtful ones first
        page.locator("#states button", has_text="for review").click()
        assert window.shown() == "6 of 30 pictures"
        page.locator("#category").select_option(label="Shoes (10)")
        assert window.skus() == ["SKU-0000", "SKU-0015"]
        assert page.locator("#states b").all_inner_texts() == ["10", "8", "2"]
        page.locator("#states button", has_text="All").click()
        page.locator("#category").select_option("")
        page.locator("#reason").select_option("none")
        assert window.shown() == "24 of 30 pictures"
        page.locator("#reason").select_option(label="near-duplicate of another product (6)")
        assert window.shown() == "6 of 30 pictures"
        page.locator("#reason").select_option("")
        page.locator("#from").fill("0.2027")
        page.locator("#order").select_option(label="Best score first")
        assert window.skus() == ["SKU-0029", "SKU-0028", "SKU-0027"]
        page.locator("#order").select_option(label="Worst score first")
        assert window.skus() == ["SKU-0027", "SKU-0028", "SKU-0029"]
        page.locator("#to").fill("0.2028")
        assert window.shown() == "2 of 30 pictures"
        page.locator("#search").fill("number 27")
        assert window.skus() == ["SKU-0027"]
        page.locator("#search").fill("no such words")
        page.locator("#all").click()
        assert window.shown() == "30 pictures"
        page.locator(".card .yes").first.click()
        page.locator("#decided").select_option("open")
        assert window.shown() == "29 of 30 pictures"
        page.locator("#decided").select_option("approve")
        assert window.shown() == "1 of 30 pictures"
        assert not window.errors


def test_only_cards_in_view_exist_and_every_one_can_be_reached(browser: Browser, tmp_path: Path) -> None:
    page_file = write_page(tmp_path / "n.html", pictures(500), total=12_345)
    with opened(browser, page_file.as_uri()) as window:
        page = window.page
        expect(page.locator(".sampled").first).to_contain_text("500 of 12,345 pictures (4.1 %)")
        page.locator("#grouped").uncheck()
        page.locator("#order").select_option(label="By sku")
        height = page.evaluate("document.body.scrollHeight")
        seen: set[str] = set()
        for top in range(0, height, 800):
            page.evaluate(f"scrollTo(0, {top})")
            page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))")
            cards = window.skus()
            assert len(cards) < 200
            assert cards == sorted(cards)
            seen.update(cards)
        assert len(seen) == 500
        page.locator(".card .open").last.focus()
        page.keyboard.press("k")
        page.keyboard.press("k")
        focused = page.evaluate("document.activeElement.closest('.card').querySelector('.sku').textContent")
        assert focused == "SKU-0497"
        page.evaluate("document.getElementById('pictures').scrollIntoView()")
        expect(page.locator(".card").first).to_contain_text("SKU-0000")
        assert page.evaluate("document.activeElement.closest('.card').querySelector('.sku').textContent") == "SKU-0497"
        assert not window.errors


def test_the_large_view_says_everything_and_leads_to_the_nearest(browser: Browser, tmp_path: Path) -> None:
    with opened(browser, write_page(tmp_path / "n.html", pictures(7)).as_uri()) as window:
        page = window.page
        page.locator(".card", has_text="SKU-0005").locator(".open").click()
        told = page.locator("#facts").inner_text()
        for words in ("for review", "a thing number 5", "near-duplicate of SKU-0006", "0.201", "9223372036854775802",
                      "gan-64 d0ed8f12", "the job found the two too alike"):  # fmt: skip
            assert words in told
        expect(page.locator("#twin img")).to_be_visible()
        expect(page.locator("#twin figcaption")).to_have_text("near-duplicate: SKU-0006")
        page.locator(".near button").click()
        expect(page.locator("#facts .caption")).to_have_text("a thing number 6")
        expect(page.locator("#twin")).to_be_hidden()
        page.keyboard.press("a")
        page.keyboard.press("Escape")
        expect(page.locator(".card.approve .sku")).to_have_text("SKU-0006")
        assert not window.errors


def test_before_and_after_under_a_slider(browser: Browser, tmp_path: Path) -> None:
    with opened(browser, write_page(tmp_path / "n.html", [restyled(1), restyled(2)]).as_uri()) as window:
        page = window.page
        page.locator(".card .open").first.click()
        first = page.locator("#facts .caption").inner_text()
        expect(page.locator("#cut-before")).to_have_text("before: the generated picture")
        assert page.evaluate("getComputedStyle(document.getElementById('before')).clipPath") == "inset(0px 50% 0px 0px)"
        page.locator("#cut").focus()
        for _ in range(10):
            page.keyboard.press("ArrowRight")
        assert page.evaluate("getComputedStyle(document.getElementById('before')).clipPath") == "inset(0px 40% 0px 0px)"
        assert page.locator("#facts .caption").inner_text() == first  # the slider's arrows are the slider's
        page.keyboard.press("n")
        expect(page.locator("#anew-words")).to_be_hidden()  # a restyled picture is not drawn from words
        page.keyboard.press("Enter")
        assert window.tally() == "1 again"
        assert not window.errors


def test_what_cannot_be_shown_says_why(browser: Browser, tmp_path: Path) -> None:
    night = [picture(1), picture(2, live=False, state="rejected"), picture(3, live=False)]
    key = night[0].sha256[:20]
    address = write_page(tmp_path / "n.html", night, broken={key: "!is missing"}).as_uri()
    with opened(browser, address) as window:
        page = window.page
        expect(page.locator("#unreadable")).to_contain_text("One of these pictures cannot be shown")
        expect(page.locator(".card", has_text="SKU-0001").locator(".open")).to_contain_text("No picture: is missing")
        for sku, state in (("SKU-0002", "rejected"), ("SKU-0003", "replaced")):
            card = page.locator(".card", has_text=sku)
            expect(card.locator(".state")).to_have_text(state)
            expect(card.locator(".yes")).to_be_disabled()
        page.locator(".card", has_text="SKU-0002").locator(".open").focus()
        page.keyboard.press("a")
        assert window.tally() == "Nothing decided yet."
        assert not window.errors
