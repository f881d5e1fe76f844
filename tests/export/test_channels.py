"""The channels' files: what a product becomes in each, and hostile words in all of them."""

from __future__ import annotations

import csv
import io
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from catalog_gen.errors import ConfigError, UsageError
from catalog_gen.export.channel import handle_of
from catalog_gen.export.formats import check_suffix, open_channel, open_file
from catalog_gen.export.items import HeldBack, Item
from export.export_fixtures import CDN, config, item, picture
from export.feed_validators import G, google_tsv, google_xml, shopify_csv

PRIMARY = {
    "public_url": CDN,
    "product_url": "https://shop.example.com/p/{handle}",
    "brand": "Acme",
    "currency": "EUR",
    "fields": {"price": "price", "color": "baseColour", "gtin": "ean", "gender": "gender"},
}
HOSTILE = [
    "<script>alert(1)</script> & \"quotes\" ' ]]> --",
    "new\nline\r\nand\ttab",
    "=HYPERLINK(\"https://evil.example\",\"click\")",
    "+1+1|cmd",
    "@SUM(A1:A9)",
    "-cmd",
    "nul\0 bell\x07 escape\x1b[31m half\ud83d turned\u202e \ufffe",
    "emoji 👨‍👩‍👧 🏳️‍🌈 ❤️",
    "x" * 5_000,
    "word " * 1_000,
    "\"unbalanced",
    "=" + "x" * 200,
    "a,b;c\td",
    "'=1",
    "مرحبا שלום 日本語",
    "%s {0} ${x} {{ y }}",
]  # fmt: skip


def written(channel: str, name: str, items: Sequence[Item], tmp_path: Path, **settings: Any) -> bytes:
    """Return the file that the items make, each with all of its pictures."""
    configured, path = config(**settings), tmp_path / name
    with open_file(channel, opened := open_channel(channel, configured, path), configured, path) as file:
        for each in items:
            file.add(opened.rows(each, each.pictures)[0])
        file.commit()
    return path.read_bytes()


def table(data: bytes, delimiter: str = ",") -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode(), newline=""), delimiter=delimiter))


def test_google_tsv_of_a_product_worked_out_by_hand(tmp_path: Path) -> None:
    pictures = picture(), picture("restyled", "b, c")
    jersey = item(*pictures, price="12.9", baseColour="Blue", gender="Men", ean="", sleeveLength="short")
    assert written("google", "feed.tsv", [jersey], tmp_path, **PRIMARY).decode() == (
        "id\ttitle\tdescription\tlink\timage_link\tadditional_image_link\tavailability\tprice\tbrand\tcondition\t"
        "product_type\tgtin\tcolor\tgender\n"
        "1164\tBlue Cricket Jersey\tBlue Cricket Jersey. Sleeve length: short\t"
        "https://shop.example.com/p/1164\thttps://cdn.example.com/p/a.jpg\thttps://cdn.example.com/p/b%2C%20c.jpg\t"
        "in_stock\t12.90 EUR\tAcme\tnew\tTshirts\t\tBlue\tmale\n"
    )


def test_google_xml_of_a_product_worked_out_by_hand(tmp_path: Path) -> None:
    settings = {"google": {"feed": "supplemental"}, "public_url": CDN}
    jersey = item(picture(), picture("restyled", "b"), picture("generated", "c"))
    assert written("google", "feed.xml", [jersey], tmp_path, **settings).decode() == (
        '<?xml version="1.0" encoding="UTF-8"?>\n<rss version="2.0" xmlns:g="http://base.google.com/ns/1.0">\n'
        "<channel>\n<title>Products</title>\n<link>https://cdn.example.com/p</link>\n"
        "<description>Products with their pictures, by catalog-gen</description>\n"
        "<item>\n<g:id>1164</g:id>\n<g:image_link>https://cdn.example.com/p/a.jpg</g:image_link>\n"
        "<g:additional_image_link>https://cdn.example.com/p/b.jpg</g:additional_image_link>\n"
        "<g:additional_image_link>https://cdn.example.com/p/c.jpg</g:additional_image_link>\n</item>\n"
        "</channel>\n</rss>\n"
    )


def test_shopify_lines_of_a_product_worked_out_by_hand(tmp_path: Path) -> None:
    jersey = item(picture(), picture("restyled", "b"), gender="Men", season="Fall, early", text="Soft & <b>blue</b>")
    settings = {"fields": {"description": "text"}, "brand": "Acme"}
    assert written("shopify", "products.csv", [jersey], tmp_path, **settings).decode() == (
        "Handle,Title,Body (HTML),Vendor,Type,Tags,Published,Option1 Name,Option1 Value,Variant SKU,Image Src,"
        "Image Position,Image Alt Text\n"
        '1164,Blue Cricket Jersey,<p>Soft &amp; &lt;b&gt;blue&lt;/b&gt;</p>,Acme,Tshirts,"Men, Fall early",TRUE,Title,'
        "Default Title,1164,https://cdn.example.com/p/a.jpg,1,Blue Cricket Jersey\n"
        "1164,,,,,,,,,,https://cdn.example.com/p/b.jpg,2,Blue Cricket Jersey\n"
    )


def test_shopify_pictures_alone_leave_the_rest_of_a_product_as_it_is(tmp_path: Path) -> None:
    settings = {"shopify": {"columns": "pictures", "headings": "current"}, "brand": "Acme"}
    assert written("shopify", "p.csv", [item(picture())], tmp_path, **settings).decode() == (
        "URL handle,Title,Product image URL,Image position,Image alt text\n"
        "1164,Blue Cricket Jersey,https://cdn.example.com/p/a.jpg,1,Blue Cricket Jersey\n"
    )


FILES: list[tuple[str, str, Callable[[bytes], list[str]]]] = [
    ("google", "feed.tsv", google_tsv),
    ("google", "feed.xml", google_xml),
    ("shopify", "products.csv", shopify_csv),
]


@pytest.mark.parametrize(("channel", "name", "validate"), FILES, ids=["tsv", "xml", "shopify"])
def test_hostile_words_break_no_rule(
    channel: str, name: str, validate: Callable[[bytes], list[str]], tmp_path: Path
) -> None:
    items = [
        Item(f"sku-{n}", f"{text}", text, {"price": "5", "baseColour": text[:40], "text": text}, (picture(),))
        for n, text in enumerate(HOSTILE)
    ]
    settings = PRIMARY | {"fields": {"price": "price", "description": "text"}}
    data = written(channel, name, items, tmp_path, **settings)
    assert validate(data) == []
    assert data.count(b"sku-") >= len(items)


def test_hostile_words_come_back_from_xml_as_they_were(tmp_path: Path) -> None:
    settings = PRIMARY | {"fields": {"price": "price"}}
    items = [item(picture(), sku="1", title=HOSTILE[0], price="5"), item(picture(), sku="2", title="=1+1", price="5")]
    root = ElementTree.fromstring(written("google", "feed.xml", items, tmp_path, **settings))
    assert [found.text for found in root.iter(f"{G}title")] == [HOSTILE[0], "=1+1"]


def test_a_spreadsheet_finds_no_formula_unless_that_is_configured(tmp_path: Path) -> None:
    titled = [item(picture(), title="=1+1")]
    assert table(written("csv", "a.csv", titled, tmp_path))[0]["title"] == "'=1+1"
    assert table(written("csv", "b.csv", titled, tmp_path, escape_formulas=False))[0]["title"] == "=1+1"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"title": " \t"}, "has no title"),
        ({"sku": "a\tb"}, "its sku has breaks, controls or outer spaces"),
        ({"sku": "x" * 51}, "its sku has 51 characters, over 50"),
        ({"sku": "=1"}, "its sku begins like a formula, and export.escape_formulas may not change it"),
        ({"price": ""}, "has no price in 'price'"),
        ({"price": "cheap"}, "price: 'cheap' is no price like 12.34 EUR"),
    ],
)
def test_google_holds_a_product_back(change: dict[str, str], reason: str, tmp_path: Path) -> None:
    channel = open_channel("google", config(**PRIMARY), tmp_path / "feed.tsv")
    with pytest.raises(HeldBack) as caught:
        channel.rows(item(**{"price": "5"} | change), [picture()])
    assert caught.value.what == reason


def test_an_optional_value_that_is_wrong_costs_itself_only(tmp_path: Path) -> None:
    channel = open_channel("google", config(**PRIMARY), tmp_path / "feed.tsv")
    rows, held = channel.rows(item(price="5", ean="123", gender="Women", baseColour="Red"), [picture()])
    assert (rows[0]["gender"], rows[0]["color"], rows[0].get("gtin", "")) == ("female", "Red", "")
    assert [(each.what, each.rule, each.reason) for each in held] == [
        ("value", "gtin", "gtin: '123' is no GTIN of 8, 12, 13 or 14 digits")
    ]


def test_shopify_never_sells_for_nothing(tmp_path: Path) -> None:
    channel = open_channel("shopify", config(fields={"price": "price"}), tmp_path / "p.csv")
    assert channel.rows(item(price="12.9 EUR"), [picture()])[0][0]["Variant Price"] == "12.90"
    with pytest.raises(HeldBack, match="is no price"):
        channel.rows(item(price=""), [picture()])


def test_products_of_one_handle_are_not_mixed(tmp_path: Path) -> None:
    channel = open_channel("shopify", config(fields={"handle": "page"}), tmp_path / "p.csv")
    channel.rows(item(sku="1", page="jersey"), [picture()])
    with pytest.raises(HeldBack, match="another product has the handle 'jersey'"):
        channel.rows(item(sku="2", page="jersey"), [picture()])
    with pytest.raises(HeldBack, match="'Jersey 2' is no handle"):
        channel.rows(item(sku="3", page="Jersey 2"), [picture()])


def test_handles_of_different_skus_differ() -> None:
    skus = ["1164", "a-1", "A-1", "a 1", "a--1", "-a-1", "日本", "日本語", "x" * 300, "x" * 301]
    handles = [handle_of(config(), item(sku=sku)) for sku in skus]
    assert len(set(handles)) == len(skus)
    assert handles[:2] == ["1164", "a-1"]
    assert all(len(handle) <= 255 for handle in handles)


def test_what_a_primary_feed_lacks_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        open_channel("google", config(public_url=CDN), tmp_path / "feed.tsv")
    told = str(caught.value)
    assert all(key in told for key in ("export.product_url", "export.fields.price", "export.brand", "supplemental"))


def test_a_file_s_name_says_what_it_is() -> None:
    check_suffix("google", Path("feed.XML"))
    with pytest.raises(UsageError, match=r"an export for google is a \.tsv or \.txt or \.xml file"):
        check_suffix("google", Path("feed.csv"))


def test_parquet_holds_what_csv_holds(tmp_path: Path) -> None:
    items = [
        item(picture(), picture("restyled", "b", overlays=("text", "frame"), asset_id="a1"), sku=str(n))
        for n in range(3)
    ]
    lines = table(written("csv", "a.csv", items, tmp_path))
    written("parquet", "a.parquet", items, tmp_path)
    rows = pq.read_table(tmp_path / "a.parquet").to_pylist()
    assert [{name: str(value) for name, value in row.items()} for row in rows] == lines
    assert rows[1] == {
        "sku": "0", "title": "Blue Cricket Jersey", "category": "Tshirts", "position": 2, "picture": "restyled",
        "style": "studio", "output": "square", "url": f"{CDN}/b.jpg", "stored_at": "file:///pictures/b.jpg",
        "width": 1080, "height": 1080, "format": "jpeg", "bytes": 300_000, "sha256": "0" * 64,
        "digital_source_type": "compositeWithTrainedAlgorithmicMedia", "overlays": "text frame", "asset": "a1",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("channel", "name"),
    [("google", "f.tsv"), ("google", "f.xml"), ("shopify", "f.csv"), ("csv", "f.csv"), ("parquet", "f.parquet")],
)
def test_the_same_again_is_the_same_bytes(channel: str, name: str, tmp_path: Path) -> None:
    items = [item(picture(), picture("restyled", "b"), sku=str(n), price="5") for n in range(5)]
    first = written(channel, name, items, tmp_path, **PRIMARY)
    assert written(channel, name, items, tmp_path, **PRIMARY) == first
