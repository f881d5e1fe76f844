"""Shopify's product CSV: a line a picture, the first of which tells of the product.

Shopify Help Center, "Using CSV files to import and export products". A column that a file lacks leaves the shop's
values alone, an empty cell empties them: so there are no columns here but those that the catalogue can fill.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from html import escape

from catalog_gen.config_export import ExportConfig
from catalog_gen.export.channel import Row, Value, checked_sku, field, handle_of
from catalog_gen.export.items import Held, HeldBack, Item, Picture
from catalog_gen.export.text import ascii_url, fitted, one_line
from catalog_gen.export.values import price

MAX_FILE = 15_000_000  # bytes that an import takes
MAX_TITLE, MAX_ALT, MAX_TAG, MAX_TAGS, MAX_SKU = 255, 512, 255, 250, 255  # characters
CLASSIC = {
    "handle": "Handle", "title": "Title", "body": "Body (HTML)", "vendor": "Vendor", "category": "Product Category",
    "type": "Type", "tags": "Tags", "published": "Published", "option_name": "Option1 Name",
    "option_value": "Option1 Value", "sku": "Variant SKU", "price": "Variant Price", "barcode": "Variant Barcode",
    "image": "Image Src", "position": "Image Position", "alt": "Image Alt Text",
}  # fmt: skip
CURRENT = {
    "handle": "URL handle", "title": "Title", "body": "Description", "vendor": "Vendor", "category": "Product category",
    "type": "Type", "tags": "Tags", "published": "Published on online store", "option_name": "Option1 name",
    "option_value": "Option1 value", "sku": "SKU", "price": "Price", "barcode": "Barcode",
    "image": "Product image URL", "position": "Image position", "alt": "Image alt text",
}  # fmt: skip
PICTURES = ("handle", "title", "image", "position", "alt")


class ShopifyFile:
    """Whole products, or (`columns = "pictures"`) their pictures alone."""

    def __init__(self, config: ExportConfig) -> None:
        self._config = config
        self._names = CLASSIC if config.shopify.headings == "classic" else CURRENT
        self._keys = self._known_keys()
        self._handles: set[bytes] = set()

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(self._names[key] for key in self._keys)

    def rows(self, item: Item, pictures: Sequence[Picture]) -> tuple[list[Row], list[Held]]:
        title = fitted(one_line(item.title), MAX_TITLE)
        if not title:
            raise HeldBack("title", "has no title")
        handle = self._handle(item)
        held: list[Held] = []
        product = {} if self._config.shopify.columns == "pictures" else self._product(item, held)
        rows: list[Row] = []
        for position, picture in enumerate(pictures, 1):
            about = {"handle": handle, "image": ascii_url(picture.url), "alt": fitted(title, MAX_ALT)}
            first = {"title": title, **product} if position == 1 else {}
            row: dict[str, Value] = {**about, "position": position, **first}
            rows.append({self._names[key]: value for key, value in row.items()})
        return rows, held

    def _known_keys(self) -> tuple[str, ...]:
        config = self._config
        if config.shopify.columns == "pictures":
            return PICTURES
        unknown = {
            "body": "description" not in config.fields,
            "vendor": not (config.brand or "brand" in config.fields),
            "category": "google_product_category" not in config.fields,
            "price": "price" not in config.fields,
            "barcode": "gtin" not in config.fields,
        }
        return tuple(key for key in CLASSIC if not unknown.get(key, False))

    def _handle(self, item: Item) -> str:
        handle = handle_of(self._config, item)
        if "handle" in self._config.fields:  # from skus they are different anyway
            digest = hashlib.sha256(handle.encode()).digest()[:12]
            if digest in self._handles:
                raise HeldBack("handle", f"another product has the handle {handle!r}, and an import would mix them")
            self._handles.add(digest)
        return handle

    def _product(self, item: Item, held: list[Held]) -> dict[str, Value]:
        config = self._config
        body = field(config, item, "description")
        vendor = field(config, item, "brand") or one_line(config.brand)
        if len(vendor) == 1:
            held.append(
                Held(item.sku, "value", "vendor", f"vendor: {vendor!r} has one character, and two are the least")
            )
        values: dict[str, Value] = {
            "body": f"<p>{escape(body, quote=False)}</p>" if body else "",
            "vendor": fitted(vendor, MAX_TITLE) if len(vendor) > 1 else "",
            "category": field(config, item, "google_product_category"),
            "type": fitted(one_line(item.category), MAX_TITLE),
            "tags": ", ".join(self._tags(item)),
            "published": "TRUE" if config.shopify.published else "FALSE",
            "option_name": "Title",  # what Shopify calls the only variant of a product without variants
            "option_value": "Default Title",
            "sku": checked_sku(item, MAX_SKU, in_cells=config.escape_formulas),
            "barcode": field(config, item, "gtin"),
        }
        if "price" in config.fields:
            try:
                values["price"] = str(price(field(config, item, "price"))[0])
            except ValueError as error:  # an empty cell would make it free of charge
                raise HeldBack("price", f"price: {error}") from error
        return {key: value for key, value in values.items() if key in self._keys}

    def _tags(self, item: Item) -> list[str]:
        taken = set(self._config.fields.values())
        names = self._config.shopify.tags or [name for name in item.attributes if name not in taken]
        tags = [fitted(one_line(item.attributes.get(name, "").replace(",", " ")), MAX_TAG) for name in names]
        return list(dict.fromkeys(tag for tag in tags if tag))[:MAX_TAGS]
