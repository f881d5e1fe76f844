"""What every channel does: it names its columns, and makes rows of a product whose pictures are chosen."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Protocol, TypeAlias
from urllib.parse import quote

from catalog_gen.config_export import ExportConfig
from catalog_gen.export.items import Held, HeldBack, Item, Picture
from catalog_gen.export.text import ascii_url, defused, is_formula, one_line

Value: TypeAlias = str | int | Sequence[str]
Row: TypeAlias = Mapping[str, Value]
_HANDLE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


class Channel(Protocol):
    """A channel's own form. `rows` returns a product's rows, of texts on one line, and the values that it left out.

    It raises HeldBack when the channel cannot take the product. Products come once each, in the catalogue's order.
    """

    @property
    def columns(self) -> tuple[str, ...]: ...

    def rows(self, item: Item, pictures: Sequence[Picture]) -> tuple[list[Row], list[Held]]: ...


def field(config: ExportConfig, item: Item, name: str) -> str:
    """Return, on one line, what the catalogue says for a channel's attribute; "" when `export.fields` has no such."""
    return one_line(item.attributes.get(config.fields.get(name, ""), ""))


def checked_sku(item: Item, limit: int, *, in_cells: bool) -> str:
    """Return the product's sku, which no channel may change. Raises HeldBack when it cannot go as it is.

    in_cells: into a file that a spreadsheet may open and take for formulas.
    """
    if one_line(item.sku) != item.sku:
        raise HeldBack("sku", "its sku has breaks, controls or outer spaces")
    if len(item.sku) > limit:
        raise HeldBack("sku", f"its sku has {len(item.sku):,} characters, over {limit}")
    if in_cells and is_formula(item.sku):
        raise HeldBack("sku", "its sku begins like a formula, and export.escape_formulas may not change it")
    return item.sku


def handle_of(config: ExportConfig, item: Item) -> str:
    """Return the product's handle, the last part of its page's address: `export.fields.handle`, or else its sku.

    From the sku, because a title changes and another product may have it. A sku that is no handle gets a short hash of
    itself, so that "A-1" and "a 1" stay two products. Raises HeldBack when the catalogue's own is none.
    """
    if "handle" in config.fields:
        handle = field(config, item, "handle")
        if not _HANDLE.fullmatch(handle) or len(handle) > 255:
            raise HeldBack("handle", f"{handle!r} is no handle of a-z, 0-9 and dashes")
        return handle
    if _HANDLE.fullmatch(item.sku) and len(item.sku) <= 255:
        return item.sku
    slug = re.sub(r"[^a-z0-9]+", "-", item.sku.lower()).strip("-")[:200].strip("-")
    digest = hashlib.sha256(item.sku.encode("utf-8", "surrogatepass")).hexdigest()[:10]
    return f"{slug}-{digest}" if slug else digest


def page_of(config: ExportConfig, item: Item) -> str:
    """Return the address of the product's page, "" where neither `fields.link` nor `product_url` is set."""
    if "link" in config.fields:
        return ascii_url(field(config, item, "link"))
    if not config.product_url:
        return ""
    handle = handle_of(config, item) if "{handle}" in config.product_url else ""
    return ascii_url(config.product_url.replace("{sku}", quote(item.sku, safe="")).replace("{handle}", handle))


def cells(row: Row, columns: Sequence[str], *, escape: bool) -> list[str]:
    """Return a row as a line of a CSV or TSV file; several values are joined by commas."""
    texts = []
    for column in columns:
        value = row.get(column, "")
        text = value if isinstance(value, str) else str(value) if isinstance(value, int) else ",".join(value)
        texts.append(defused(text) if escape else text)
    return texts
