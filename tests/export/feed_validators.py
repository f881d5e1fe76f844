"""Independent validators of exported files, written from the channels' public column rules and from nothing else.

They share no code with the exports: a rule that both got wrong in the same place would pass unseen. Each returns the
mistakes it found as `line N: what`.
Google: Merchant Center Help, product data specification (7052112), image link (6324350), additional image link
(6324370), tab-delimited feeds (160588), RSS 2.0 (160589). Shopify: Help Center, "Using CSV files to import and export
products".
"""

from __future__ import annotations

import csv
import io
import re
import string
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from urllib.parse import urlsplit

G = "{http://base.google.com/ns/1.0}"
GOOGLE_NEEDS = ["id", "title", "description", "link", "image_link", "availability", "price", "brand"]
GOOGLE_KNOWS = {
    *GOOGLE_NEEDS, "additional_image_link", "condition", "product_type", "sale_price", "gtin", "mpn",
    "identifier_exists", "google_product_category", "color", "gender", "age_group", "size", "material", "pattern",
    "item_group_id",
}  # fmt: skip
GOOGLE_LENGTHS = {"id": 50, "title": 150, "description": 5_000, "link": 2_000, "image_link": 2_000, "brand": 70,
                  "color": 100, "size": 100, "material": 200, "product_type": 750, "mpn": 70}  # fmt: skip
GOOGLE_WORDS = {
    "availability": {"in_stock", "out_of_stock", "preorder", "backorder"},
    "condition": {"new", "refurbished", "used"},
    "gender": {"male", "female", "unisex"},
    "age_group": {"newborn", "infant", "toddler", "kids", "adult"},
    "identifier_exists": {"yes", "no"},
}
GOOGLE_IMAGES = {".jpg", ".jpeg", ".webp", ".png", ".gif", ".bmp", ".tif", ".tiff"}
SHOPIFY_COLUMNS = {
    "Handle", "Title", "Body (HTML)", "Vendor", "Product Category", "Type", "Tags", "Published", "Option1 Name",
    "Option1 Value", "Variant SKU", "Variant Price", "Variant Barcode", "Image Src", "Image Position", "Image Alt Text",
}  # fmt: skip
SHOPIFY_NEW_NAMES = {
    "URL handle": "Handle", "Description": "Body (HTML)", "Product category": "Product Category",
    "Published on online store": "Published", "Option1 name": "Option1 Name", "Option1 value": "Option1 Value",
    "SKU": "Variant SKU", "Price": "Variant Price", "Barcode": "Variant Barcode", "Product image URL": "Image Src",
    "Image position": "Image Position", "Image alt text": "Image Alt Text",
}  # fmt: skip
URL_CHARACTERS = set(string.ascii_letters + string.digits + "-._~:/?#[]@!$&'()*+;=%,")


def google_tsv(data: bytes, *, supplemental: bool = False) -> list[str]:
    if data.startswith(b"\xef\xbb\xbf") or b"\r" in data:
        return ["line 1: a mark or a carriage return"]
    rows = list(csv.reader(io.StringIO(data.decode("utf-8"), newline=""), delimiter="\t"))
    header, mistakes, items = rows[0], [], []
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(header):
            mistakes.append(f"line {number}: {len(row)} cells of {len(header)}")
            continue
        mistakes += [f"line {number}: a formula in {cell!r}" for cell in row if _spreadsheet_reckons(cell)]
        values = {name: [cell] for name, cell in zip(header, row, strict=True) if cell}
        values["additional_image_link"] = [
            u for cell in values.get("additional_image_link", []) for u in cell.split(",")
        ]
        items.append(values)
    return mistakes + list(_google_items(items, header, supplemental))


def google_xml(data: bytes, *, supplemental: bool = False) -> list[str]:
    root = ElementTree.fromstring(data)
    if root.tag != "rss" or root.get("version") != "2.0" or [child.tag for child in root] != ["channel"]:
        return ["line 1: is not RSS 2.0"]
    channel = root[0]
    mistakes = [f"the channel has no {tag}" for tag in ("title", "link", "description") if not channel.findtext(tag)]
    items, names = [], []
    for element in channel.findall("item"):
        values: dict[str, list[str]] = {}
        for child in element:
            name = child.tag.removeprefix(G)
            if not child.tag.startswith(G):
                mistakes.append(f"{child.tag} is outside of Google's namespace")
            values.setdefault(name, []).append(child.text or "")
            names.append(name)
        items.append(values)
    return mistakes + list(_google_items(items, list(dict.fromkeys(names)), supplemental))


def _google_items(items: list[dict[str, list[str]]], names: list[str], supplemental: bool) -> Iterator[str]:
    if unknown := set(names) - GOOGLE_KNOWS:
        yield f"unknown attributes {unknown}"
    seen: set[str] = set()
    for number, values in enumerate(items, 2):
        for name in ["id", "image_link"] if supplemental else GOOGLE_NEEDS:
            if not values.get(name):
                yield f"line {number}: no {name}"
        for name, texts in values.items():
            if len(texts) > (10 if name == "additional_image_link" else 1):
                yield f"line {number}: {len(texts)} times {name}"
            for text in texts:
                yield from (f"line {number}: {name}: {why}" for why in _google_value(name, text))
        links = [*values.get("image_link", []), *values.get("additional_image_link", [])]
        if len(links) != len(set(links)):
            yield f"line {number}: a picture twice"
        identity = values.get("id", [""])[0]
        if identity in seen:
            yield f"line {number}: the id {identity} again"
        seen.add(identity)


def _google_value(name: str, text: str) -> Iterator[str]:
    if not text.strip() or text != text.strip():
        yield f"outer spaces in {text!r}"
    if any(ord(character) < 32 or 127 <= ord(character) < 160 for character in text):
        yield f"controls in {text!r}"
    if len(text) > GOOGLE_LENGTHS.get(name, 2_000):
        yield f"{len(text)} characters"
    if name in GOOGLE_WORDS and text not in GOOGLE_WORDS[name]:
        yield f"{text!r} is no word of it"
    if name in ("price", "sale_price") and not re.fullmatch(r"\d+\.\d\d [A-Z]{3}", text):
        yield f"{text!r} is no price"
    if name == "gtin" and not re.fullmatch(r"\d{8}|\d{12,14}", text):
        yield f"{text!r} is no GTIN"
    if name.endswith("link"):
        yield from _url(text)
    if name.endswith("image_link") and not any(urlsplit(text).path.lower().endswith(end) for end in GOOGLE_IMAGES):
        yield f"{text!r} ends like no picture"


def _url(text: str) -> Iterator[str]:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        yield f"{text!r} is no web address"
    if set(text) - URL_CHARACTERS:
        yield f"{text!r} has characters that RFC 3986 has not"
    if re.search(r"%(?![0-9A-Fa-f]{2})", text):
        yield f"{text!r} has a lone %"


def shopify_csv(data: bytes) -> list[str]:
    mistakes = []
    if len(data) > 15_000_000:
        mistakes.append(f"line 1: {len(data)} bytes, over 15 MB")
    if data.startswith(b"\xef\xbb\xbf") or b"\r" in data:
        mistakes.append("line 1: a mark or a carriage return")
    rows = list(csv.reader(io.StringIO(data.decode("utf-8"), newline="")))
    header = [SHOPIFY_NEW_NAMES.get(name, name) for name in rows[0]]
    if unknown := set(header) - SHOPIFY_COLUMNS:
        mistakes.append(f"line 1: unknown columns {unknown}")
    if len(set(header)) != len(header) or not {"Handle", "Title"} <= set(header):
        mistakes.append("line 1: a column twice, or no handle or title")
    if {"Variant SKU", "Variant Price", "Variant Barcode"} & set(header) and "Option1 Value" not in header:
        mistakes.append("line 1: variant columns without Option1 Value")
    products: dict[str, int] = {}
    last = ""
    for number, cells in enumerate(rows[1:], 2):
        if len(cells) != len(header):
            mistakes.append(f"line {number}: {len(cells)} cells of {len(header)}")
            continue
        row = dict(zip(header, cells, strict=True))
        mistakes += [f"line {number}: {why}" for why in _shopify_row(row, header, row["Handle"] == last)]
        if row["Handle"] != last and row["Handle"] in products:
            mistakes.append(f"line {number}: the handle {row['Handle']} again, apart from its first lines")
        products[row["Handle"]] = products.get(row["Handle"], 0) + 1
        if row["Image Position"] != str(products[row["Handle"]]):
            mistakes.append(f"line {number}: position {row['Image Position']} of {products[row['Handle']]}")
        last = row["Handle"]
    return mistakes + [f"{handle}: {count} pictures" for handle, count in products.items() if count > 250]


def _shopify_row(row: dict[str, str], header: list[str], is_further: bool) -> Iterator[str]:
    if not re.fullmatch(r"[a-z0-9-]{1,255}", row["Handle"]):
        yield f"{row['Handle']!r} is no handle"
    if is_further and any(
        row[name] for name in header if name not in ("Handle", "Image Src", "Image Position", "Image Alt Text")
    ):
        yield "a further line tells of the product again"
    if not is_further:
        if not 0 < len(row["Title"]) <= 255:
            yield "no title, or one over 255 characters"
        if row.get("Published", "TRUE") not in ("TRUE", "FALSE"):
            yield "Published is TRUE or FALSE"
        if row.get("Option1 Name", "Title") != "Title" or row.get("Option1 Value", "Default Title") != "Default Title":
            yield "a product without options has Title and Default Title"
        if "Variant Price" in row and not re.fullmatch(r"\d+\.\d\d", row["Variant Price"]):
            yield f"{row['Variant Price']!r} is no price"
        if len(row.get("Vendor", "Acme")) == 1:
            yield "a vendor has two characters at least"
        if any(len(tag.strip()) > 255 for tag in row.get("Tags", "").split(",")):
            yield "a tag over 255 characters"
    if not row["Image Src"].startswith("https://"):
        yield f"{row['Image Src']!r} is no https address"
    yield from _url(row["Image Src"])
    if len(row["Image Alt Text"]) > 512:
        yield "alt text over 512 characters"
    for cell in row.values():
        if any(ord(character) < 32 for character in cell):
            yield f"controls in {cell!r}"
        if _spreadsheet_reckons(cell):
            yield f"a formula in {cell!r}"


def _spreadsheet_reckons(cell: str) -> bool:
    return cell.lstrip()[:1] in tuple("=+-@") and not re.fullmatch(r"[+-]?[\d.,]+%?", cell)
