"""Settings of `export`: what goes along to each channel, in which order, and what may be a main picture.

What a channel's own public rules fix (formats, bytes, pixels, numbers of pictures) is no setting; it stands in
`export/rules.py`.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

FIELDS = (
    "description", "link", "price", "sale_price", "availability", "condition", "brand", "gtin", "mpn",
    "identifier_exists", "google_product_category", "product_type", "color", "gender", "age_group", "size", "material",
    "pattern", "item_group_id", "handle",
)  # fmt: skip
_CHOICE = re.compile(r"photo|generated|restyled(:[^/:\s]+(/[^/:\s]+)?)?")


def _check_choice(text: str) -> str:
    if not _CHOICE.fullmatch(text):
        raise ValueError("it is photo, generated, restyled, restyled:STYLE or restyled:STYLE/OUTPUT")
    return text


def _check_prefix(url: str) -> str:
    if not url:
        return url
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError("it is an address like https://cdn.example.com/pictures, without user, query and fragment")
    if not url.isascii() or any(character.isspace() for character in url):
        raise ValueError("it may have no characters but ASCII ones, and no spaces")
    return url.rstrip("/")


def _check_product_url(url: str) -> str:
    if url and not ("{sku}" in url or "{handle}" in url):
        raise ValueError("it needs {sku} or {handle}, or every product would have the same page")
    if url and urlsplit(url).scheme not in ("http", "https"):
        raise ValueError("it begins with https://")
    return url


def _check_fields(fields: dict[str, str]) -> dict[str, str]:
    for name in fields:
        if name not in FIELDS:
            raise ValueError(f"{name!r} is none of {', '.join(FIELDS)}")
    return fields


Choice = Annotated[str, AfterValidator(_check_choice)]
Prefix = Annotated[str, AfterValidator(_check_prefix)]
Choices = Annotated[tuple[Choice, ...], Field(min_length=1)]
ORDER = ("photo", "restyled:studio", "restyled", "generated")


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class ChannelConfig(Section):
    """Which pictures go along, in this order; the first that may be a main picture is the main picture.

    generated_main: a picture that a model drew may be one. overlays: where a picture with text, logo or frame may
    stand. white_main: the share of a main picture's border that must be white; 0: any ground. min_side: px.
    """

    pictures: Choices = ORDER
    generated_main: bool = False
    overlays: Literal["none", "additional", "any"] = "additional"
    white_main: Annotated[float, Field(ge=0, le=1)] = 0.0
    min_side: Annotated[int, Field(ge=0, le=8_192)] = 0


class GoogleConfig(ChannelConfig):
    """Merchant Center. A "supplemental" feed has ids and pictures only, beside the feed that the shop has already."""

    feed: Literal["primary", "supplemental"] = "primary"
    overlays: Literal["none", "additional", "any"] = "none"
    white_main: Annotated[float, Field(ge=0, le=1)] = 0.9
    # What Merchant Center asks of every product from 31 January 2027 on; before: 250 for apparel, 100 for the rest.
    min_side: Annotated[int, Field(ge=0, le=8_192)] = 500
    availability: Literal["in_stock", "out_of_stock", "preorder", "backorder"] = "in_stock"
    condition: Literal["new", "refurbished", "used"] = "new"


class ShopifyConfig(ChannelConfig):
    """columns "pictures": nothing but what names the product and its pictures, so that an import overwrites no more.

    headings "current" are those of the template that Shopify's admin offers now, "classic" those of its own exports
    for years before; `published` is for products that the import creates or overwrites.
    """

    columns: Literal["products", "pictures"] = "products"
    headings: Literal["classic", "current"] = "classic"
    published: bool = True
    tags: tuple[str, ...] = ()  # attributes; empty: all that no field takes


class PlainConfig(ChannelConfig):
    """CSV and Parquet, and the shop's own table: whoever reads these has rules of their own."""

    generated_main: bool = True
    overlays: Literal["none", "additional", "any"] = "any"


class ExportConfig(Section):
    """Where the world finds the pictures, and what each channel gets.

    public_url: what stands for `storage.url` in an address that anybody can open. photo_url: the same for
    `restyle.photos`. product_url: a product's page. fields: the channels' attributes by the catalogue's.
    """

    public_url: Prefix = ""
    photo_url: Prefix = ""
    product_url: Annotated[str, AfterValidator(_check_product_url)] = ""
    check_photos: bool = True  # read the shop's own photos too; otherwise they are taken at their word
    escape_formulas: bool = True  # in CSV and TSV, which spreadsheets open
    brand: str = ""
    currency: Annotated[str, Field(pattern=r"^([A-Z]{3})?$")] = ""
    fields: Annotated[dict[str, str], AfterValidator(_check_fields)] = {}
    google: GoogleConfig = GoogleConfig()
    shopify: ShopifyConfig = ShopifyConfig()
    plain: PlainConfig = PlainConfig()
    shop: PlainConfig = PlainConfig()

    def channel(self, name: str) -> ChannelConfig:
        """Return what holds for a channel of `export`."""
        found: Any = getattr(self, section_of(name))
        assert isinstance(found, ChannelConfig)
        return found


def section_of(channel: str) -> str:
    """Return the section below `[export]` that a channel's settings stand in."""
    return "plain" if channel in ("csv", "parquet") else channel
