"""Google Merchant Center's feed: one item a product, as tab-separated text or RSS 2.0.

Product data specification (Merchant Center Help, answer 7052112), "Tab-delimited data feed" (160588), "Quoted
attributes" (14998273), "RSS 2.0 specification" (160589). Pictures keep the mark of generative AI in their files, as
Merchant Center asks (IPTC DigitalSourceType); texts are the shop's own, so no `structured_title` is needed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.sax.saxutils import escape

from catalog_gen.config_export import ExportConfig
from catalog_gen.errors import ConfigError
from catalog_gen.export.channel import Row, Value, checked_sku, field, page_of
from catalog_gen.export.items import Held, HeldBack, Item, Picture
from catalog_gen.export.text import ascii_url, cut, fitted, one_line
from catalog_gen.export.values import checked

REQUIRED = (
    "id", "title", "description", "link", "image_link", "additional_image_link", "availability", "price", "brand",
    "condition", "product_type",
)  # fmt: skip
OPTIONAL = (
    "sale_price", "gtin", "mpn", "identifier_exists", "google_product_category", "color", "gender", "age_group", "size",
    "material", "pattern", "item_group_id",
)  # fmt: skip
PICTURES = ("id", "image_link", "additional_image_link")
MAX_ID, MAX_TITLE, MAX_DESCRIPTION, MAX_TYPE = 50, 150, 5_000, 750  # characters
NAMESPACE = "http://base.google.com/ns/1.0"


class GoogleFeed:
    """A primary feed, or a supplemental one that has ids and pictures only. in_cells: the file is TSV, not XML.

    Raises ConfigError, naming all that is missing, when the configuration cannot make a primary feed.
    """

    def __init__(self, config: ExportConfig, *, in_cells: bool) -> None:
        self._config, self._in_cells = config, in_cells
        self._optional = tuple(name for name in OPTIONAL if name in config.fields)
        if config.google.feed == "primary":
            _check_primary(config)

    @property
    def columns(self) -> tuple[str, ...]:
        return PICTURES if self._config.google.feed == "supplemental" else REQUIRED + self._optional

    def rows(self, item: Item, pictures: Sequence[Picture]) -> tuple[list[Row], list[Held]]:
        escaped = self._in_cells and self._config.escape_formulas
        row: dict[str, Value] = {
            "id": checked_sku(item, MAX_ID, in_cells=escaped),
            "image_link": ascii_url(pictures[0].url),
            "additional_image_link": [ascii_url(picture.url) for picture in pictures[1:]],
        }
        if self._config.google.feed == "supplemental":
            return [row], []
        row |= self._required(item)
        held: list[Held] = []
        for name in self._optional:
            text = field(self._config, item, name)
            try:
                row[name] = checked(name, text, self._config.currency) if text else ""
            except ValueError as error:
                held.append(Held(item.sku, "value", name, f"{name}: {error}"))
        return [row], held

    def _required(self, item: Item) -> dict[str, Value]:
        config = self._config
        title = fitted(one_line(item.title), MAX_TITLE)
        link = page_of(config, item)
        price = field(config, item, "price")
        kind = field(config, item, "product_type") or one_line(item.category)
        if not title:
            raise HeldBack("title", "has no title")
        if not link.startswith(("http://", "https://")) or len(link) > 2_000:
            raise HeldBack("link", f"its page {cut(link, 60)!r} is no address of at most 2,000 characters")
        if not price:
            raise HeldBack("price", f"has no price in {config.fields['price']!r}")
        required: dict[str, Value] = {
            "title": title,
            "link": link,
            "description": fitted(field(config, item, "description") or described(config, item), MAX_DESCRIPTION),
            "product_type": fitted(kind.replace(",", ";"), MAX_TYPE),  # a comma would begin another type
        }
        given = {
            "price": price,
            "availability": field(config, item, "availability") or config.google.availability,
            "condition": field(config, item, "condition") or config.google.condition,
            "brand": field(config, item, "brand") or one_line(config.brand),
        }
        for name, text in given.items():
            if not text:
                raise HeldBack(name, f"has no {name}")
            try:
                required[name] = checked(name, text, config.currency)
            except ValueError as error:
                raise HeldBack(name, f"{name}: {error}") from error
        return required


def described(config: ExportConfig, item: Item) -> str:
    """Return a description made of the product's own words, for a catalogue that has none.

    What goes into attributes of its own, a price above all, is left out, as the specification asks.
    """
    taken = set(config.fields.values())
    facts = {name: one_line(value) for name, value in item.attributes.items() if name not in taken}
    told = [f"{_label(name)}: {value}" for name, value in facts.items() if value]
    return ". ".join([one_line(item.title), *told])


def _label(name: str) -> str:
    """Return `baseColour` or `base_colour` as `Base colour`."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[_\s]+", " ", name).split()
    return one_line(" ".join(words)).capitalize()


def _check_primary(config: ExportConfig) -> None:
    missing = []
    if not (config.product_url or "link" in config.fields):
        missing.append("export.product_url (or fields.link)")
    if "price" not in config.fields:
        missing.append("export.fields.price")
    if not (config.brand or "brand" in config.fields):
        missing.append("export.brand (or fields.brand)")
    if missing:
        raise ConfigError(
            f"a primary Merchant Center feed also needs {', '.join(missing)}",
            where="export.google",
            hint='For a feed of pictures beside the one the shop has: feed = "supplemental".',
        )


def rss_head(link: str) -> bytes:
    """Return what an RSS 2.0 feed begins with; `link`: the shop's address."""
    head = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<rss version="2.0" xmlns:g="{NAMESPACE}">',
        "<channel>",
        "<title>Products</title>",
        f"<link>{escape(link)}</link>",
        "<description>Products with their pictures, by catalog-gen</description>",
    ]
    return ("\n".join(head) + "\n").encode("utf-8")


RSS_TAIL = b"</channel>\n</rss>\n"


def rss_item(row: Row, columns: Sequence[str]) -> bytes:
    """Return a product as an RSS 2.0 item; a value that repeats has an element each, an empty one none."""
    lines = ["<item>"]
    for name in columns:
        value = row.get(name, "")
        values = [str(value)] if isinstance(value, str | int) else list(value)
        lines += [f"<g:{name}>{escape(text)}</g:{name}>" for text in values if text]
    return ("\n".join([*lines, "</item>"]) + "\n").encode("utf-8")
