"""Products from the imported rows and from a shop's own table, which is only read."""

from __future__ import annotations

import hashlib
import uuid
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from catalog_fixtures import imported, insert_products, make_products

from catalog_gen.catalog.database import Database, open_database
from catalog_gen.catalog.model import Product, Where
from catalog_gen.catalog.source import CatalogSource, open_source
from catalog_gen.config import Settings
from catalog_gen.errors import CatalogGenError, ConfigError, Unavailable, UsageError

SKUS = ["1", "10", "2", "a/b", "a.b", "A", "a", "ä", "Z", "z", "é\u0301", "👟", "0", "-", "%", "'; DROP TABLE x; --"]


def skus_of(source: CatalogSource, where: Where = (), skus: tuple[str, ...] = (), page_size: int = 3) -> list[str]:
    pages = list(source.pages(where, skus, page_size))
    assert all(pages) and all(len(page) <= page_size + 1 for page in pages)
    return [product.sku for page in pages for product in page]


def attach(database: Database, **catalog: Any) -> CatalogSource:
    return open_source(Settings.model_validate({"catalog": {"table": "items"} | catalog}), database)


def shop_table(database: Database, ddl: str, rows: list[tuple[Any, ...]] = ()) -> None:  # type: ignore[assignment]
    with database.transaction() as connection:
        connection.exec_driver_sql(f"CREATE TABLE items ({ddl})")
        marks = ", ".join(["%s" if database.is_postgres else "?"] * len(rows[0])) if rows else ""
        for row in rows:
            connection.exec_driver_sql(f"INSERT INTO items VALUES ({marks})", row)


@pytest.mark.parametrize("page_size", [1, 2, 5, 1000])
def test_pages_hold_every_row_without_an_image_once(database: Database, page_size: int) -> None:
    images = {"1": "file:///1.jpg", "10": "", "2": " \t\n", "a/b": "\u00a0"}
    insert_products(database, [Product(sku, "t", image=images.get(sku)) for sku in SKUS])
    assert skus_of(imported(database), page_size=page_size) == sorted(set(SKUS) - {"1"})
    assert imported(database).count() == len(SKUS) - 1
    assert imported(database).count(lacking_image=False) == len(SKUS)
    assert imported(database).fetch(["1"])["1"].image == "file:///1.jpg"


def test_products_come_back_as_they_went_in(database: Database) -> None:
    product = Product("ä/1", "Schuh – «rot» 👟", "Shoes", {"z": "1", "a": "ü", "m.n \"q'": "%"})
    insert_products(database, [product])
    [[found]] = imported(database).pages()
    assert found == product and list(found.attributes) == list(product.attributes)
    assert imported(database).fetch(["ä/1", "nowhere"]) == {"ä/1": product}


def test_where_ands_fields_and_ors_values(database: Database) -> None:
    insert_products(
        database,
        [
            Product("1", "Shirt", "Tops", {"colour": "Red", "season": "Fall"}),
            Product("2", "Shirt", "Tops", {"colour": "Blue"}),
            Product("3", "Shoe", "Shoes", {"colour": "Red"}),
            Product("4", "Sock", "Shoes", {}, image="u"),
        ],
    )
    source = imported(database)
    assert skus_of(source, (("category", "Tops"),)) == ["1", "2"]
    assert skus_of(source, (("category", "Tops"), ("category", "Shoes"), ("colour", "Red"))) == ["1", "3"]
    assert skus_of(source, (("title", "Shoe"), ("sku", "3"))) == ["3"]
    assert skus_of(source, (("category", "'; DROP TABLE cg_product; --"),)) == []
    assert skus_of(source, (("category", "Tops"),), ("2", "3", "4", "5")) == ["2"]
    assert source.count((("category", "Shoes"),)) == 1
    assert source.count((("season", "Fall"),), lacking_image=False) == 1
    with pytest.raises(UsageError, match=r"no field 'color'\. Did you mean colour\?"):
        skus_of(source, (("color", "Red"),))
    with pytest.raises(UsageError, match=r"Did you mean category\?"):
        source.count((("Categry", "Tops"),))


def test_a_missing_field_in_an_empty_catalogue_matches_nothing(database: Database) -> None:
    assert skus_of(imported(database), (("anything", "x"),)) == []


def test_attached_text_columns_become_attributes(database: Database) -> None:
    shop_table(
        database,
        "code VARCHAR(20), name TEXT, kind TEXT, pic TEXT, colour TEXT, price NUMERIC(10, 2), fit VARCHAR(9)",
        [("b", "Shoe", "Shoes", None, "red", 10, " "), ("a", None, None, "u", None, None, None)],
    )
    columns: dict[str, Any] = {"sku": "code", "title": "name", "category": "kind", "image": "pic"}
    source = attach(database, columns=columns)
    assert list(source.pages()) == [[Product("b", "Shoe", "Shoes", {"colour": "red"})]]
    assert source.fetch(["a"]) == {"a": Product("a", "", "", {}, "u")}
    assert skus_of(source, (("colour", "red"), ("category", "Shoes"))) == ["b"]
    with pytest.raises(UsageError, match=r"Did you mean colour\?"):
        skus_of(source, (("colr", "red"),))
    named = attach(database, columns=columns | {"attributes": ["price", "colour"]})
    [[product]] = named.pages()
    assert list(product.attributes) == ["price", "colour"] and float(product.attributes["price"]) == 10
    everything = attach(database, columns={"sku": "code", "title": "name"})
    assert everything.count() == 2  # no image column: every row lacks one


@pytest.mark.parametrize("kind", ["INTEGER", "BIGINT", "TEXT", "CHAR(12)", "NUMERIC(12, 0)", "UUID"])
@pytest.mark.parametrize("page_size", [1, 3, 100])
def test_any_sku_type_pages_and_fetches(database: Database, kind: str, page_size: int) -> None:
    numbers = [10, 9, 2, 100, 1, 33, 4]
    values: list[Any] = numbers
    if kind == "UUID":
        values = [str(uuid.UUID(hashlib.md5(str(number).encode()).hexdigest())) for number in numbers]
    elif kind in ("TEXT", "CHAR(12)"):
        values = [str(number) for number in numbers]
    shop_table(database, f"sku {kind}, title TEXT", [(value, f"t{value}") for value in values])
    source = attach(database)
    found = skus_of(source, page_size=page_size)
    assert sorted(found) == sorted(str(value) for value in values)
    if "INT" in kind or "NUM" in kind:
        assert found == [str(number) for number in sorted(numbers)]
    assert set(source.fetch([*found, "no-such", "007", "٣", "1_0", "9" * 30])) == set(found)
    assert skus_of(source, skus=(found[2], "no-such"), page_size=page_size) == [found[2]]
    assert skus_of(source, (("sku", found[1]),)) == [found[1]]
    assert source.unusable_rows() == 0


@pytest.mark.parametrize("page_size", [1, 2, 3, 100])
def test_collations_repeats_and_empty_skus_lose_no_row(database: Database, page_size: int) -> None:
    if database.is_postgres:
        with database.transaction() as connection:
            connection.exec_driver_sql("CREATE SCHEMA shop")
            connection.exec_driver_sql(
                "CREATE COLLATION shop.nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"
            )
    collation = "COLLATE shop.nocase" if database.is_postgres else "COLLATE NOCASE"
    skus = ["a1", "A1", "B", "b", "c", None, "", "  ", "c", "c", "c", "d", "D", "e"]
    shop_table(database, f"sku TEXT {collation}, title TEXT", [(sku, "t") for sku in skus])
    source = attach(database)
    assert sorted(skus_of(source, page_size=page_size)) == ["A1", "B", "D", "a1", "b", "c", "d", "e"]
    assert source.unusable_rows() == 3 + 3
    assert set(source.fetch(["a1", "B"])) == {"a1", "B"}


def test_wrong_names_say_the_nearest(database: Database, tmp_path: Path) -> None:
    shop_table(database, "sku TEXT, title TEXT, image_url TEXT")
    for catalog, words in [
        ({"table": "item"}, r"catalog\.table: there is no table 'item'.*Did you mean items\?"),
        ({"columns": {"sku": "SKU_"}}, r"catalog\.columns\.sku: .*no column 'SKU_'\. Did you mean sku\?"),
        ({"columns": {"image": "imageurl"}}, r"Did you mean image_url\?"),
        ({"columns": {"attributes": ["titel"]}}, r"catalog\.columns\.attributes.*Did you mean title\?"),
        ({"schema": "shpo"}, r"catalog\.schema: there is no schema 'shpo'"),
    ]:
        with pytest.raises(ConfigError, match=words):
            attach(database, **catalog)
    with pytest.raises(Unavailable, match="does not exist"):
        attach(database, url=f"sqlite:///{tmp_path}/nowhere.sqlite3")
    with pytest.raises(CatalogGenError, match="cannot be reached"):
        attach(database, url="postgresql://me:secret@127.0.0.1:1/shop")


def test_the_shop_is_never_written_without_writeback(database: Database, tmp_path: Path) -> None:
    shop_table(database, "sku TEXT, title TEXT, image TEXT", [("a", "t", None), ("b", "t", "own.jpg")])
    columns = {"image": "image"}
    with pytest.raises(UsageError, match="writeback = true"):
        attach(database, columns=columns).write_image("a", "u")
    with pytest.raises(UsageError, match="writeback = true"):
        imported(database).write_image("a", "u")
    writer = attach(database, columns=columns, writeback=True)
    assert writer.write_image("a", "https://cdn/a.webp") is True
    assert writer.write_image("a", "https://cdn/other.webp") is False
    assert writer.write_image("b", "https://cdn/b.webp") is False
    assert writer.write_image("nowhere", "u") is False
    assert {sku: product.image for sku, product in writer.fetch(["a", "b"]).items()} == {
        "a": "https://cdn/a.webp",
        "b": "own.jpg",
    }


def test_a_shop_in_another_sqlite_file_stays_untouched(database: Database, tmp_path: Path) -> None:
    file = tmp_path / "shop.sqlite3"
    shop = open_database(f"sqlite:///{file}")
    shop_table(shop, "sku INTEGER PRIMARY KEY, title TEXT, made DATE", [(2, "Shoe", "last autumn"), (1, "Hat", "x")])
    with shop.transaction() as connection:  # a title in the encoding of another century
        connection.exec_driver_sql("UPDATE items SET title = CAST(x'C4636865726E' AS TEXT) WHERE sku = 1")
    with shop.engine.connect() as connection:
        connection.connection.execute("PRAGMA journal_mode = DELETE")  # type: ignore[attr-defined]
    shop.dispose()
    before = hashlib.sha256(file.read_bytes()).hexdigest()
    source = attach(database, url=f"sqlite:///{file}", columns={"attributes": ["made"]})
    assert [product.title for page in source.pages() for product in page] == ["\ufffdchern", "Shoe"]
    assert source.fetch(["2"])["2"].attributes == {"made": "last autumn"}
    with pytest.raises(Unavailable, match="readonly"), source.database.transaction() as connection:  # type: ignore[attr-defined]
        connection.exec_driver_sql("DELETE FROM items")
    source.close()
    assert hashlib.sha256(file.read_bytes()).hexdigest() == before
    assert sorted(path.name for path in tmp_path.glob("shop*")) == ["shop.sqlite3"]


def test_a_view_in_another_schema_and_database(database: Database, bare_postgres_url: str) -> None:
    shop = open_database(bare_postgres_url)
    with shop.transaction() as connection:
        for statement in (
            "CREATE SCHEMA shop",
            "CREATE TYPE shop.kind AS ENUM ('Shoes', 'Hats')",
            "CREATE TABLE shop.items (sku int PRIMARY KEY, title varchar(20), kind shop.kind, image text, tags jsonb)",
            "INSERT INTO shop.items VALUES (1, 'Shoe', 'Shoes', ''), (2, 'Hat', 'Hats', null), (3, 'Cap', 'Hats', 'u')",
            "CREATE VIEW shop.visible AS SELECT * FROM shop.items WHERE sku < 10",
        ):
            connection.execute(sa.text(statement))
    shop.dispose()
    source = attach(
        database,
        url=bare_postgres_url,
        table="visible",
        schema="shop",
        columns={"category": "kind", "image": "image"},
    )
    assert skus_of(source) == ["1", "2"]
    assert skus_of(source, (("category", "Hats"),)) == ["2"]
    assert source.fetch(["3"]) == {"3": Product("3", "Cap", "Hats", {}, "u")}
    with pytest.raises(Unavailable, match="read-only"), source.database.transaction() as connection:  # type: ignore[attr-defined]
        connection.exec_driver_sql("DELETE FROM shop.items")
    source.close()


def test_two_thousand_skus_in_one_request(database: Database) -> None:
    insert_products(database, make_products(2500))
    wanted = tuple(f"sku-{index:05d}" for index in range(0, 2500, 2))
    assert skus_of(imported(database), skus=wanted, page_size=1000) == sorted(wanted)
    assert len(imported(database).fetch(wanted)) == 1250
