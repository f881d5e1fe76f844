"""Drawing "now" from the review desk: the real command in a process of its own."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from catalog_gen.catalog.assets import assets_of, live_assets
from catalog_gen.catalog.wishes import pending_wishes
from catalog_gen.config import Settings, load_settings
from catalog_gen.desk.model import Draw, Verdict
from catalog_gen.pipeline.desk import CatalogueDesk
from integration.shop import Shop

WAIT_SECONDS = 240.0


@pytest.fixture
def configured(sqlite_template: Path, tiny_gan: Path, tmp_path: Path) -> Path:
    """A configuration file of a shop with a generator that is tiny but real."""
    shutil.copy(sqlite_template, tmp_path / "shop.sqlite3")
    file = tmp_path / "catalog-gen.toml"
    file.write_text(
        f'[database]\nurl = "sqlite:///{tmp_path}/shop.sqlite3"\n[storage]\nurl = "{tmp_path}/pictures"\n'
        f'[gan]\nmodel = "{tiny_gan}"\ncandidates = 2\nladder = 0\n',
        encoding="utf-8",
    )
    return file


@pytest.fixture
def shop(configured: Path) -> Shop:
    settings: Settings = load_settings(configured, env={})
    shop = Shop(settings)
    shop.add(2)
    assert shop.fill().counts["claimed"] == 2
    return shop


@pytest.fixture
def opened(shop: Shop, configured: Path) -> Iterator[Callable[[str], CatalogueDesk]]:
    """A desk whose runs are led by these flags."""
    database = shop.database()
    desks: list[CatalogueDesk] = []

    def open_desk(flag: str) -> CatalogueDesk:
        desks.append(CatalogueDesk(shop.settings, database, flags=[flag]))
        return desks[-1]

    yield open_desk
    for desk in desks:
        desk.close()
    database.dispose()


def again(desk: CatalogueDesk, shop: Shop, sku: str, number: int) -> None:
    (asset,) = live_assets(shop.database(), sku, "generated")
    verdict = Verdict(
        f"decision{number}", asset.id, "again", asset.version, words="a green hat", candidates=3, now=True
    )
    assert desk.decide([verdict], "ann")[0].result == "done"


def finished(desk: CatalogueDesk) -> list[Draw]:
    deadline = time.monotonic() + WAIT_SECONDS
    while any(draw.state in ("waiting", "drawing") for draw in desk.draws()):
        assert time.monotonic() < deadline, desk.draws()
        time.sleep(0.1)
    return desk.draws()


def test_again_and_now_draws_another_picture(
    shop: Shop, configured: Path, opened: Callable[[str], CatalogueDesk]
) -> None:
    desk = opened(f"--config={configured}")
    for number, sku in enumerate(("sku-00000", "sku-00001")):
        again(desk, shop, sku, number)
    draws = finished(desk)
    assert [(draw.sku, draw.state, draw.told) for draw in draws] == [
        ("sku-00001", "done", ""),
        ("sku-00000", "done", ""),
    ]
    database = shop.database()
    for draw in draws:
        before, now = assets_of(database, draw.sku)
        assert (before.state, before.live, before.id) == ("rejected", False, draw.id)
        assert (now.live, now.id, now.prompt, now.candidates) == (True, draw.asset, "a green hat", 3)
        assert now.seed != before.seed and now.sha256 != before.sha256
        card = desk.card(now.id)
        assert ("attempt 1", f"/image/{before.id}?w=960", f"/picture/{before.id}") in card.beside
    assert not pending_wishes(database)


def test_a_run_that_fails_is_told(shop: Shop, configured: Path, opened: Callable[[str], CatalogueDesk]) -> None:
    broken = configured.with_name("broken.toml")
    broken.write_text('[database]\nurl = "mysql://nowhere/shop"\n', encoding="utf-8")
    desk = opened(f"--config={broken}")
    again(desk, shop, "sku-00000", 0)
    (draw,) = finished(desk)
    assert draw.state == "failed" and "mysql databases are not supported" in draw.told
    assert set(pending_wishes(shop.database())) == {"sku-00000"}  # the next run still knows what was asked


def test_closing_the_desk_ends_its_runs_in_good_order(
    shop: Shop, configured: Path, opened: Callable[[str], CatalogueDesk]
) -> None:
    desk = opened(f"--config={configured}")
    again(desk, shop, "sku-00000", 0)
    while [draw.state for draw in desk.draws()] == ["waiting"]:
        time.sleep(0.01)
    desk.close()
    assert desk.draws()[0].state in ("done", "failed")
    shop.check_ledgers()
