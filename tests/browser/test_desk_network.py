"""The review desk on a bad network: decisions wait, are taken back, and arrive once."""

from __future__ import annotations

from playwright.sync_api import Route, expect

from browser.browser_parts import Open, Served, by_sku, intercept, settled, title


def test_nothing_is_lost_when_the_network_drops(served: Served, opened: Open) -> None:
    served.shop.add_many(9, "net")
    page = opened("/?category=net")
    expect(title(page)).to_have_text("Title of net-0")
    page.context.set_offline(True)
    for number in range(1, 6):
        page.keyboard.press("a")
        expect(title(page)).to_have_text(f"Title of net-{number}")
    expect(page.locator("#outbox")).to_have_text("5 not sent yet, kept here")
    page.keyboard.press("u")  # was never sent: nothing to take back there
    expect(page.locator("#outbox")).to_have_text("4 not sent yet, kept here")
    assert by_sku(served, "net") == {}
    page.context.set_offline(False)
    settled(page)
    assert set(by_sku(served, "net")) == {f"net-{number}" for number in range(4)}


def test_what_arrived_though_its_answer_was_lost_is_taken_back_there(served: Served, opened: Open) -> None:
    first, _ = served.shop.add_many(2, "lost")
    page = opened("/?category=lost")
    expect(title(page)).to_have_text("Title of lost-0")

    losing = True

    def lose(route: Route) -> None:
        if losing:
            route.fetch()
            route.abort()
        else:
            route.continue_()

    intercept(page, lose)
    page.keyboard.press("a")
    expect(page.locator("#outbox")).to_have_text("1 not sent yet, kept here")
    assert [row[0] for row in by_sku(served, "lost")["lost-0"]] == ["approve"], "it is there, and the page cannot know"
    page.keyboard.press("u")
    losing = False
    settled(page)
    assert sorted(row[0] for row in by_sku(served, "lost")["lost-0"]) == ["approve", "undo"]
    assert served.shop.state(first) == "needs_review"


def test_nothing_is_lost_when_the_tab_is_closed_before_it_is_sent(served: Served, opened: Open) -> None:
    served.shop.add_many(3, "tab")
    page = opened("/?category=tab")
    expect(title(page)).to_have_text("Title of tab-0")
    intercept(page, lambda route: route.abort())
    page.keyboard.press("a")
    expect(title(page)).to_have_text("Title of tab-1")
    page.keyboard.press("2")
    expect(page.locator("#outbox")).to_have_text("2 not sent yet, kept here")
    later = page.context.new_page()
    page.close()
    later.goto(f"{served.address}/?category=tab")
    settled(later)
    assert {sku: rows[0][0] for sku, rows in by_sku(served, "tab").items()} == {"tab-0": "approve", "tab-1": "reject"}


def test_a_lost_answer_decides_once(served: Served, opened: Open) -> None:
    """The server has recorded the decision, and the browser never hears of it: it sends it again."""
    served.shop.add_many(2, "once")
    page = opened("/?category=once")
    expect(title(page)).to_have_text("Title of once-0")
    lost = []

    def lose(route: Route) -> None:
        if lost:
            route.continue_()
        else:
            lost.append(route.fetch())
            route.abort()

    intercept(page, lose)
    page.keyboard.press("a")
    settled(page)
    assert len(lost) == 1 and by_sku(served, "once") == {"once-0": [("approve", "", "Ann")]}
    expect(page.locator(".notice.wrong")).to_have_count(0)
