"""Addresses of pictures in the shop's own table: rows that lack an image get one, and no other row is touched."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from catalog_gen.catalog.database import Database
from catalog_gen.pipeline.approval import Ask, decide_skus
from integration.export_shop import CDN, ExportShop, settings_for


@pytest.fixture
def shop(database_url: str, database: object, tmp_path: Path) -> ExportShop:
    return ExportShop(settings_for(database_url, tmp_path), tmp_path)


def attach(shop: ExportShop, rows: list[tuple[str, str, str | None]]) -> Database:
    """Make a table of the shop's own, and configure it with write-back."""
    database = shop.database()
    with database.transaction() as connection:
        connection.execute(sa.text("CREATE TABLE goods (code TEXT PRIMARY KEY, name TEXT, picture TEXT)"))
        connection.execute(
            sa.text("INSERT INTO goods VALUES (:code, :name, :picture)"),
            [dict(zip(("code", "name", "picture"), row, strict=True)) for row in rows],
        )
    columns = {"sku": "code", "title": "name", "image": "picture"}
    shop.configure(catalog__table="goods", catalog__writeback=True, catalog__columns=columns)
    return database


def goods(database: Database) -> dict[str, str | None]:
    with database.read() as connection:
        return {row[0]: row[1] for row in connection.execute(sa.text("SELECT code, picture FROM goods"))}


@pytest.fixture
def goods_shop(shop: ExportShop) -> Iterator[tuple[ExportShop, Database]]:
    database = attach(shop, [("1", "Red", None), ("2", "Blue", "https://shop.example.com/2.jpg"), ("3", "Pink", None)])
    yield shop, database
    with database.transaction() as connection:
        connection.execute(sa.text("DROP TABLE goods"))
    database.dispose()


def test_a_write_back_fills_rows_that_lack_an_image_and_no_others(goods_shop: tuple[ExportShop, Database]) -> None:
    shop, database = goods_shop
    ids = {sku: shop.draw(sku) for sku in ("1", "2")}
    first = shop.export("shop", "written.csv", publish=True)
    written = goods(database)
    assert re.fullmatch(rf"{CDN}/\w\w/\w\w/\w{{64}}\.webp", written["1"] or "")
    assert (written["2"], written["3"]) == ("https://shop.example.com/2.jpg", None)
    assert (first.written, first.published, first.exit_code) == (1, 1, 0)
    assert {each: state for each, (state, _) in shop.states().items()} == {ids["1"]: "published", ids["2"]: "approved"}
    before = (shop.folder / "written.csv").read_bytes()
    again = shop.export("shop", "written.csv", publish=True)
    assert (again.written, again.published, again.exit_code) == (0, 0, 0)
    assert goods(database) == written and (shop.folder / "written.csv").read_bytes() == before


def test_approving_writes_the_same_address(goods_shop: tuple[ExportShop, Database]) -> None:
    shop, database = goods_shop
    shop.draw("1", state="needs_review")
    assert decide_skus(shop.settings, database, Ask(["1"], "approve")).written == ["1"]
    written = goods(database)
    assert (written["1"] or "").startswith(f"{CDN}/")
    summary = shop.export("shop", "written.csv", publish=True)
    assert (summary.products, summary.written, summary.published) == (1, 0, 1)
    assert goods(database) == written


def test_our_own_picture_in_the_shop_s_row_is_no_photo(goods_shop: tuple[ExportShop, Database]) -> None:
    shop, _ = goods_shop
    asset = shop.draw("1")
    shop.export("shop", "written.csv")
    shop.configure(export__check_photos=False)
    shop.export("csv", "p.csv", include_photos=True)
    rows = [(row["sku"], row["picture"], row["asset"]) for row in shop.lines("p.csv")]
    assert rows == [("1", "generated", asset), ("2", "photo", "")]


def test_another_picture_of_ours_in_the_shop_s_row_stays(goods_shop: tuple[ExportShop, Database]) -> None:
    shop, database = goods_shop
    shop.draw("1")
    shop.export("shop", "written.csv")
    written = goods(database)
    shop.restyle("1")
    summary = shop.export("shop", "written.csv")
    assert shop.held("written.csv")[0][2:] == (
        "taken",
        "the shop's row has another picture of ours; clear it there, and export again",
    )
    assert goods(database) == written and summary.exit_code == 3
