"""The channels' rules for pictures, and the choice of a product's main one.

Public sources, as of 2026: Google Merchant Center Help, "Image link [image_link]" and "Additional image link"
(answers 6324350, 6324370) and its note on pictures made by generative AI; Shopify Help Center, "Product media types"
and "Using CSV files to import and export products".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from catalog_gen.config_export import ChannelConfig, ExportConfig, section_of
from catalog_gen.export.items import AI_SOURCES, Held, Item, Picture

SUFFIXES = {
    "jpeg": ("jpg", "jpeg"), "png": ("png",), "webp": ("webp",), "gif": ("gif",), "bmp": ("bmp",),
    "tiff": ("tif", "tiff"), "avif": ("avif",),
}  # fmt: skip
MAX_URL = 2_000  # characters


@dataclass(frozen=True)
class Limits:
    """What a channel's public rules fix, 0 and an empty set meaning nothing.

    most: pictures of one product. needs_url: they must be on the web. has_main: one of them is the main one.
    """

    formats: frozenset[str] = frozenset()
    max_bytes: int = 0
    max_pixels: int = 0
    max_side: int = 0  # px
    most: int = 0
    needs_url: bool = False
    has_main: bool = True


LIMITS = {
    "google": Limits(
        formats=frozenset({"jpeg", "png", "webp", "gif", "bmp", "tiff"}),
        max_bytes=16_000_000,
        max_pixels=64_000_000,
        most=11,  # the main one and ten more
        needs_url=True,
    ),
    "shopify": Limits(
        formats=frozenset({"jpeg", "png", "webp", "gif"}),
        max_bytes=20_000_000,
        max_pixels=25_000_000,
        max_side=5_000,
        most=250,
        needs_url=True,
    ),
    "csv": Limits(has_main=False),
    "parquet": Limits(has_main=False),
    "shop": Limits(most=1),
}
CHANNELS = tuple(LIMITS)


@dataclass(frozen=True)
class Rules:
    """A channel's rules: what it fixes, and what the configuration decides."""

    limits: Limits
    config: ChannelConfig
    section: str  # of the configuration


@dataclass
class Choice:
    """A product's pictures that go along, the main one first; none when the product is held back itself."""

    pictures: list[Picture] = field(default_factory=list)
    held: list[Held] = field(default_factory=list)


def rules_of(channel: str, config: ExportConfig) -> Rules:
    """Return the rules of a channel. Raises KeyError for one that there is not."""
    return Rules(LIMITS[channel], config.channel(channel), f"export.{section_of(channel)}")


def choose(item: Item, rules: Rules) -> Choice:
    """Return which pictures of `item` go along, and what is held back, each with its reason.

    A picture that no entry of `pictures` names is neither: the configuration leaves it out.
    """
    choice = Choice()
    usable: list[Picture] = []
    for picture in ranked(item.pictures, rules.config.pictures):
        faults = picture_faults(picture, rules)
        if faults:
            choice.held.append(_held(item, picture, faults))
        else:
            usable.append(picture)
    main = next((picture for picture in usable if not (rules.limits.has_main and main_faults(picture, rules))), None)
    if main is None:
        choice.held += [_held(item, picture, main_faults(picture, rules)) for picture in usable]
        choice.held.insert(0, Held(item.sku, "product", "main", _why_no_main(item, usable, choice)))
        return choice
    rest = [picture for picture in usable if picture is not main]
    most = rules.limits.most
    choice.pictures = [main, *rest][: most or None]
    if most > 1:  # where only one can go, the others were never meant to
        over = [("many", f"over the {most} pictures that a product may have")]
        choice.held += [_held(item, picture, over) for picture in [main, *rest][most:]]
    return choice


def ranked(pictures: Sequence[Picture], order: Sequence[str]) -> list[Picture]:
    """Return the pictures that `order` names, in that order; equal ones by style, output and address."""
    places = [(_place(picture, order), picture) for picture in pictures]
    named = [(place, picture) for place, picture in places if place is not None]
    named.sort(key=lambda pair: (pair[0], pair[1].style, pair[1].output, pair[1].uri))
    once: dict[str, Picture] = {}  # two outputs may be one file
    for _, picture in named:
        once.setdefault(picture.uri, picture)
    return list(once.values())


def _place(picture: Picture, order: Sequence[str]) -> int | None:
    full = f"restyled:{picture.style}/{picture.output}"
    names = ("restyled", f"restyled:{picture.style}", full) if picture.role == "restyled" else (picture.role,)
    return next((place for place, name in enumerate(order) if name in names), None)


def picture_faults(picture: Picture, rules: Rules) -> list[tuple[str, str]]:
    """Return why the channel cannot take the picture at all, as (rule, reason); empty if it can."""
    if picture.fault:
        return [(picture.rule, picture.fault)]
    limits, config = rules.limits, rules.config
    faults = []
    if limits.needs_url and not picture.url:
        why = "export.photo_url" if picture.role == "photo" else "it lies outside of storage.url"
        faults.append(("address", f"has no public address ({why})"))
    elif limits.needs_url:
        faults += _url_faults(picture)
    if picture.overlaid and config.overlays == "none":
        faults.append(("overlay", picture.overlaid))
    if picture.format:  # a photo that was not read is taken at its word
        faults += _file_faults(picture, rules)
    return faults


def _url_faults(picture: Picture) -> list[tuple[str, str]]:
    faults = []
    if len(picture.url) > MAX_URL:
        faults.append(("address", f"its address has {len(picture.url):,} characters, over {MAX_URL:,}"))
    name = picture.url.partition("?")[0].rpartition("/")[2]
    suffix = name.rpartition(".")[2].lower() if "." in name else ""
    known = {each for suffixes in SUFFIXES.values() for each in suffixes}
    if picture.format in SUFFIXES and suffix in known and suffix not in SUFFIXES[picture.format]:
        faults.append(("format", f"its address ends in .{suffix}, and it is {picture.format}"))
    return faults


def _file_faults(picture: Picture, rules: Rules) -> list[tuple[str, str]]:
    limits, faults = rules.limits, []
    size = f"{picture.width}x{picture.height} px"
    if limits.formats and picture.format not in limits.formats:
        faults.append(("format", f"{picture.format} is none of {', '.join(sorted(limits.formats))}"))
    if min(picture.width, picture.height) < rules.config.min_side:
        faults.append(("size", f"{size}, under {rules.config.min_side} px ({rules.section}.min_side)"))
    if 0 < limits.max_side < max(picture.width, picture.height):
        faults.append(("size", f"{size}, over {limits.max_side:,} px"))
    if 0 < limits.max_pixels < picture.width * picture.height:
        faults.append(("size", f"{size}, over {limits.max_pixels // 1_000_000} megapixels"))
    if 0 < limits.max_bytes < picture.size:
        faults.append(("bytes", f"{picture.size / 1e6:.1f} MB, over {limits.max_bytes // 1_000_000} MB"))
    return faults


def main_faults(picture: Picture, rules: Rules) -> list[tuple[str, str]]:
    """Return why a picture that the channel takes may not be a main one, as (rule, reason); empty if it may."""
    config = rules.config
    faults = []
    if picture.is_drawn and not config.generated_main:
        faults.append(("generated", f"a model drew it, and {rules.section}.generated_main is false"))
    if picture.overlaid and config.overlays != "any":
        faults.append(("overlay", picture.overlaid))
    if picture.format and picture.white < config.white_main:
        white = f"{picture.white:.0%} of its border is white, under {config.white_main:.0%}"
        faults.append(("background", f"{white} ({rules.section}.white_main)"))
    return faults


def marking_fault(role: str, from_photo: bool, said: str) -> str:
    """Return what is wrong with the AI marking in one of our own pictures; "" if it is as it must be.

    from_photo: a restyled picture whose source is a photo. said: the digital source type in the file.
    """
    if not said:
        return "its metadata lost the mark of AI media (IPTC DigitalSourceType)"
    allowed = AI_SOURCES if role == "restyled" and from_photo else AI_SOURCES[:1]
    return "" if said in allowed else f"its metadata call it {said}, and not {allowed[-1]}"


def _held(item: Item, picture: Picture, faults: Sequence[tuple[str, str]]) -> Held:
    return Held(item.sku, "picture", faults[0][0], "; ".join(reason for _, reason in faults), picture)


def _why_no_main(item: Item, usable: Sequence[Picture], choice: Choice) -> str:
    if usable:
        return "none of its pictures may be the main one"
    return "none of its pictures can be used" if choice.held else "has no picture that export names"
