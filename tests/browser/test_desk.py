"""The review desk as people use it: by keyboard, two at once, with hostile titles."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Dialog, Page, expect

from browser.browser_parts import Open, Served, by_sku, decide_all, settled, title


def test_two_hundred_pictures_by_keyboard(served: Served, opened: Open) -> None:
    """Approve, reject with the second reason, reject in other words, in turn; every one arrives as it was meant."""
    served.shop.add_many(200, "many")
    page = opened("/?category=many")
    second = page.locator("#reject .reasons button").nth(1).get_attribute("value")
    for number in range(200):
        expect(title(page)).to_have_text(f"Title of many-{number}")
        if number % 3 == 0:
            page.keyboard.press("a")
        elif number % 3 == 1:
            page.keyboard.press("2")
        else:
            page.keyboard.press("r")
            page.keyboard.type(f"odd {number}")
            page.keyboard.press("Enter")
    expect(page.locator("#empty-title")).to_have_text("That was the last one")
    settled(page)
    decided = by_sku(served, "many")
    expected = {0: lambda _: ("approve", "", "Ann"), 1: lambda _: ("reject", second, "Ann"),
                2: lambda number: ("reject", f"odd {number}", "Ann")}  # fmt: skip
    assert decided == {f"many-{number}": [expected[number % 3](number)] for number in range(200)}


def test_two_reviewers_at_once_share_the_work(served: Served, opened: Open) -> None:
    served.shop.add_many(60, "two")
    ann, bea = opened("/?category=two"), opened("/?category=two", who="Bea")
    decide_all([ann, bea])
    decided = by_sku(served, "two")
    assert len(decided) == 60 and all(len(rows) == 1 for rows in decided.values())
    assert Counter(rows[0][2] for rows in decided.values()).keys() == {"Ann", "Bea"}
    for page in (ann, bea):
        expect(page.locator(".notice.wrong")).to_have_count(0)


def test_who_comes_second_is_told_and_shown(served: Served, opened: Open) -> None:
    served.shop.add_many(2, "late")
    ann = opened("/?category=late")
    expect(title(ann)).to_have_text("Title of late-0")
    bea = opened(f"/picture/{served.shop.ids['late-0']}", who="Bea")
    bea.get_by_label("Reason").fill("blurred")
    bea.get_by_role("button", name="Reject", exact=True).click()
    expect(bea.locator(".state.rejected")).to_have_count(1)
    ann.keyboard.press("a")
    notice = ann.locator(".notice.wrong")
    expect(notice).to_contain_text("rejected")
    expect(notice).to_contain_text("Bea")
    ann.keyboard.press("ArrowLeft")
    expect(ann.locator("#frame .stamp")).to_have_text("rejected")
    assert by_sku(served, "late") == {"late-0": [("reject", "blurred", "Bea")]}


def test_a_key_right_behind_a_dialog_is_not_lost(served: Served, opened: Open) -> None:
    """It comes before the browser has told the page that the dialog is closed, and has taken the focus out of it."""
    served.shop.add_many(2, "hasty")
    page = opened("/?category=hasty")
    expect(title(page)).to_have_text("Title of hasty-0")
    first = page.locator("#reject .reasons button").first.get_attribute("value")
    for number in range(3):
        page.keyboard.press("r")
        page.keyboard.type(f"not sent {number}")
        taken = page.evaluate("""(name) => {
            document.querySelector("dialog[open]").dispatchEvent(new Event("cancel"));
            const event = new KeyboardEvent("keydown", { key: name, bubbles: true, cancelable: true });
            return !document.activeElement.dispatchEvent(event);
        }""", "t" if number % 2 else "r")  # fmt: skip
        assert taken, "the letter would be written into the closed dialog"
        expect(page.locator("#again[open]" if number % 2 else "#reject[open]")).to_have_count(1)
        page.keyboard.press("Escape")
    page.keyboard.press("r")
    page.keyboard.type("odd")
    page.keyboard.press("Enter")
    page.keyboard.press("r")
    page.keyboard.press("Tab")
    page.keyboard.press("1")  # closes the dialog, and is not taken for a second decision
    expect(page.locator("#empty-title")).to_have_text("That was the last one")
    settled(page)
    assert by_sku(served, "hasty") == {"hasty-0": [("reject", "odd", "Ann")], "hasty-1": [("reject", first, "Ann")]}


def test_undo_goes_back_one_by_one(served: Served, opened: Open) -> None:
    served.shop.add_many(3, "undo")
    page = opened("/?category=undo")
    expect(title(page)).to_have_text("Title of undo-0")
    page.keyboard.press("a")
    expect(title(page)).to_have_text("Title of undo-1")
    page.keyboard.press("1")
    expect(title(page)).to_have_text("Title of undo-2")
    settled(page)
    for number in (1, 0):
        page.keyboard.press("u")
        expect(title(page)).to_have_text(f"Title of undo-{number}")
    settled(page)
    shop = served.shop
    assert [shop.state(shop.ids[f"undo-{number}"]) for number in range(3)] == ["needs_review"] * 3
    page.keyboard.press("1")  # the picture's new version is known: deciding anew works
    expect(title(page)).to_have_text("Title of undo-1")
    settled(page)
    assert shop.state(shop.ids["undo-0"]) == "rejected"
    page.reload()
    expect(title(page)).to_have_text("Title of undo-1")
    page.keyboard.press("u")
    page.get_by_role("button", name="Undo it").click()
    settled(page)
    assert shop.state(shop.ids["undo-0"]) == "needs_review"


def test_filters_narrow_and_count(served: Served, opened: Open) -> None:
    served.shop.add_many(4, "narrow")
    page = opened("/grid?category=narrow")
    expect(page.locator("#sheet li")).to_have_count(4)
    expect(page.locator("#bulk")).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.type("words of narrow-2")
    page.keyboard.press("Enter")
    expect(page.locator("#sheet li")).to_have_count(1)
    assert "text=words+of+narrow-2" in page.url
    page.get_by_text("Filter", exact=True).click()
    page.get_by_label("Order").select_option("sku")
    page.wait_for_url("**order=sku**")
    expect(page.locator(".chips li")).to_have_text(["Category: narrow ×", "Sku or words: words of narrow-2 ×"])
    page.get_by_role("link", name="one by one").click()
    expect(title(page)).to_have_text("Title of narrow-2")
    expect(page.locator("#progress")).to_have_text("1 to go")
    page.get_by_role("link", name="Without Sku or words").click()
    expect(page.locator("#progress")).to_have_text("4 to go")


def test_deciding_about_several_and_about_all_that_match(served: Served, opened: Open) -> None:
    shop = served.shop
    shop.add_many(70, "bulk")
    page = opened("/grid?category=bulk")
    expect(page.locator("#bulk")).to_be_visible()
    page.locator("#sheet li").nth(0).get_by_role("checkbox").check()
    page.locator("#sheet li").nth(2).get_by_role("checkbox").check()
    expect(page.locator("#chosen")).to_have_text("2")
    page.keyboard.press("a")
    expect(page.locator("#sheet .stamp.approve")).to_have_count(2)
    settled(page)
    approved = {sku for sku, rows in by_sku(served, "bulk").items() if rows == [("approve", "", "Ann")]}
    assert approved == {"bulk-0", "bulk-2"}
    page.get_by_role("button", name="All 70 that match").click()
    expect(page.locator("#chosen")).to_have_text("68")  # what was decided matches no more
    page.get_by_role("button", name="Reject").click()
    page.get_by_role("button", name="Yes, all 68").click()
    expect(page.locator("#reject[open]")).to_have_count(1)
    third = page.locator("#reject .reasons button").nth(2).get_attribute("value")
    page.keyboard.press("3")
    expect(page.locator("#sheet .stamp.reject")).to_have_count(58)  # of this page's 60, two were approved
    settled(page)
    rejected = {sku for sku, rows in by_sku(served, "bulk").items() if rows == [("reject", third, "Ann")]}
    assert len(rejected) == 68
    page.locator("#do-undo").click()
    settled(page)
    states = Counter(shop.state(shop.ids[f"bulk-{number}"]) for number in range(70))
    assert states == {"needs_review": 68, "approved": 2}


def test_the_sheet_by_keyboard(served: Served, opened: Open) -> None:
    served.shop.add_many(5, "keys")
    page = opened("/grid?category=keys")
    expect(page.locator("#bulk")).to_be_visible()  # scripts run
    for key in ("ArrowRight", "ArrowRight", "s", "ArrowRight", "s", "r", "1"):
        page.keyboard.press(key)
    expect(page.locator("#sheet .stamp.reject")).to_have_count(2)
    settled(page)
    assert set(by_sku(served, "keys")) == {"keys-1", "keys-2"}


def test_a_title_that_is_a_script(served: Served, opened: Open) -> None:
    text = "<img src=x onerror='window.broken=1'><script>window.broken=1</script>"
    shop = served.shop
    asset = shop.add("script-1", title=text, category="script", prompt=text, reason=text)
    shown: list[Dialog] = []
    for path in ("/?category=script", "/grid?category=script", f"/picture/{asset}", "/audit?sku=script-1"):
        page = opened(path)
        page.on("dialog", lambda dialog: shown.append(dialog))
        if path.startswith("/?"):
            expect(title(page)).to_have_text(text)
            page.keyboard.press("r")
            page.keyboard.type(text)
            page.keyboard.press("Escape")
        assert page.evaluate("window.broken") is None
    assert not shown


def test_a_reader_has_nothing_to_decide_with(served: Served, opened: Open) -> None:
    served.shop.add_many(2, "read")
    page = opened("/?category=read", who="Ray")
    expect(title(page)).to_have_text("Title of read-0")
    expect(page.get_by_role("button", name="Approve")).to_have_count(0)
    page.keyboard.press("a")
    page.keyboard.press("1")
    page.keyboard.press("ArrowRight")
    expect(title(page)).to_have_text("Title of read-1")
    assert by_sku(served, "read") == {}


def test_looking_closer_and_beside(served: Served, opened: Open) -> None:
    shop = served.shop
    shop.add("beside-0", category="beside", state="approved")
    restyled = shop.add_picture(
        "beside-0", kind="restyled", style="winter", source_asset_id=shop.ids["beside-0"], category="beside"
    )
    page = opened("/?category=beside")
    expect(page.locator("#frame img")).to_have_count(1)
    page.keyboard.press("c")
    expect(page.locator("#frame figure")).to_have_count(2)
    expect(page.locator("#frame figcaption").nth(1)).to_have_text("its source")
    page.keyboard.press("x")
    slide = page.get_by_role("slider")
    slide.focus()
    page.keyboard.press("Home")
    assert page.locator("#frame .cut").evaluate("node => node.style.getPropertyValue('--cut')") == "0%"
    page.keyboard.press("Tab")
    page.keyboard.press("z")
    assert page.locator("#frame .window").evaluate("node => node.classList.contains('zoomed')")
    expect(page.locator("#frame .window img").last).to_have_attribute("src", f"/image/{restyled}")


def test_again_asks_for_other_words(served: Served, opened: Open) -> None:
    served.shop.add_many(1, "again")
    page = opened("/?category=again")
    expect(title(page)).to_have_text("Title of again-0")
    page.keyboard.press("t")
    page.get_by_label("Words to draw from").fill("a plain red shoe")
    page.get_by_label("Candidates to choose from").fill("16")
    page.get_by_role("button", name="Ask for another").click()
    expect(page.locator("#empty-title")).to_have_text("That was the last one")
    settled(page)
    (row,) = [row for row in served.shop.decisions() if row["sku"] == "again-0"]
    assert row["action"] == "again"
    assert {name: row["details"]["wish"][name] for name in ("words", "candidates")} == {
        "words": "a plain red shoe",
        "candidates": 16,
    }


def test_single_keys_can_be_switched_off(served: Served, opened: Open) -> None:
    served.shop.add_many(1, "off")
    page = opened("/?category=off")
    expect(title(page)).to_have_text("Title of off-0")
    page.keyboard.press("?")
    page.get_by_label("Single keys are on").uncheck()
    page.get_by_role("button", name="Close", exact=True).click()
    page.keyboard.press("a")
    page.get_by_role("button", name="Approve").click()
    settled(page)
    assert len(by_sku(served, "off")["off-0"]) == 1


PAGES = ["/?category=axe", "/grid?category=axe", "/audit", "/thresholds", "/picture/{asset}", "/nothing", "/?text=none"]


@pytest.mark.parametrize("width", [1360, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_serious_violation_of_accessibility(served: Served, opened: Open, scheme: Any, width: int) -> None:
    shop = served.shop
    if "axe-0" not in shop.ids:
        shop.add_many(3, "axe")
        shop.add_picture("axe-0", attempt=1, live=False, state="rejected", reason="wrong colour")
    asset = shop.ids["axe-1"]
    page = opened("/audit", width=width, color_scheme=scheme)
    found: dict[str, list[str]] = {}
    for path in PAGES:
        page.goto(served.address + path.replace("{asset}", asset))
        page.wait_for_load_state("networkidle")
        found[path] = serious(page)
    page.goto(f"{served.address}/?category=axe")
    for key in ("r", "t", "?"):
        expect(title(page)).to_be_visible()
        page.keyboard.press(key)
        expect(page.locator("dialog[open]")).to_have_count(1)
        found[f"dialog {key}"] = serious(page)
        page.keyboard.press("Escape")
        expect(page.locator("dialog[open]")).to_have_count(0)
    page.context.clear_cookies()
    page.goto(f"{served.address}/login")
    found["/login"] = serious(page)
    assert found == {path: [] for path in found}
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def serious(page: Page) -> list[str]:
    violations = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {node['html'][:120]}"
        for one in violations
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]
