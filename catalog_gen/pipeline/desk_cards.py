"""From recorded pictures to what the review desk shows of them: words, reasons and numbers, ready to read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from catalog_gen.catalog.beside import assets_by_id, generated_of
from catalog_gen.catalog.database import Database
from catalog_gen.catalog.model import Asset, Product
from catalog_gen.catalog.source import CatalogSource
from catalog_gen.catalog.wishes import PendingWish, pending_wishes
from catalog_gen.desk.model import Card

_DUPLICATE = re.compile(r"near-duplicate of (.+?)(?:;|$)")
# What a score means to somebody who looks at pictures, and with how many decimals it says something.
_SCORES = {
    "similarity": ("Similarity to its words", 3),
    "similarity_mean": ("Mean of its candidates", 3),
    "similarity_worst": ("Worst of its candidates", 3),
    "delta_e": ("Product's colour moved by (ΔE)", 2),
    "delta_e_p95": ("At most, nearly everywhere (ΔE)", 2),
    "ssim": ("Product's structure kept", 3),
    "clip_image": ("Likeness to its source", 3),
}
_SHOWN_SETTINGS = ("engine", "truncation", "device", "dtype", "software")
MAX_EARLIER = 3  # of a product's other attempts, to compare with


class CardMaker:
    """Makes cards for pages of pictures, with as few queries for the page as for one picture."""

    def __init__(self, database: Database, source: CatalogSource) -> None:
        self._database, self._source = database, source

    def of(self, assets: Sequence[Asset]) -> list[Card]:
        """Return the cards of these pictures, in their order."""
        skus = sorted({one.sku for one in assets})
        products = self._source.fetch(skus)
        wishes = pending_wishes(self._database, skus)
        sources = assets_by_id(self._database, sorted({one.source_asset_id for one in assets if one.source_asset_id}))
        alike = {one.id: found[1] for one in assets if (found := _DUPLICATE.search(one.reason))}
        earlier = {one.sku for one in assets if one.kind == "generated" and (one.attempt or not one.live)}
        others = generated_of(self._database, sorted(earlier | set(alike.values())))
        cards = []
        for one in assets:
            product = products.get(one.sku)
            beside = [
                *_source_of(one, sources.get(one.source_asset_id or ""), product),
                *_alike(alike.get(one.id), others),
                *_earlier(one, others),
            ]
            cards.append(_card(one, product, wishes.get(one.sku), beside))
        return cards


def _source_of(one: Asset, source: Asset | None, product: Product | None) -> list[tuple[str, str, str]]:
    found = []
    if source is not None:
        found.append(("its source", f"/image/{source.id}?w=960", f"/picture/{source.id}"))
    if product is not None and product.image:
        of_photo = one.kind == "restyled" and source is None
        name = "its source, the shop's photo" if of_photo else "the shop's photo"
        found.append((name, f"/photo?{urlencode({'sku': one.sku, 'w': 960})}", ""))
    return found


def _alike(sku: str | None, others: Mapping[str, list[Asset]]) -> list[tuple[str, str, str]]:
    live = [one for one in others.get(sku or "", []) if one.live]
    return [(f"alike: {one.sku}", f"/image/{one.id}?w=960", f"/picture/{one.id}") for one in live]


def _earlier(one: Asset, others: Mapping[str, list[Asset]]) -> list[tuple[str, str, str]]:
    if one.kind != "generated":
        return []
    before = [other for other in others.get(one.sku, []) if other.id != one.id][:MAX_EARLIER]
    return [(label_of(other), f"/image/{other.id}?w=960", f"/picture/{other.id}") for other in before]


def label_of(one: Asset) -> str:
    """Return what tells a picture from its product's others."""
    if one.kind == "restyled":
        return f"{one.style}, {one.variant}" if one.variant else one.style
    return f"attempt {one.attempt + 1}"


def _card(one: Asset, product: Product | None, wish: PendingWish | None, beside: list[tuple[str, str, str]]) -> Card:
    return Card(
        id=one.id,
        sku=one.sku,
        version=one.version,
        state=one.state,
        live=one.live,
        kind=one.kind,
        style=one.style,
        variant=one.variant,
        title=product.title if product else "",
        category=one.category or (product.category if product else ""),
        words=one.prompt,
        attributes=_attributes(product),
        reason=one.reason,
        reason_kind=one.reason_kind,
        doubt=one.doubt,
        scores=list(_scores(one.scores)),
        facts=list(_facts(one)),
        candidates=one.candidates,
        attempt=one.attempt,
        width=one.width,
        height=one.height,
        created=f"{one.created_at:%Y-%m-%d %H:%M} UTC" if one.created_at else "",
        label=label_of(one),
        wish=_told(wish),
        wish_words=wish.words if wish and wish.words else one.prompt,
        beside=beside,
    )


def _attributes(product: Product | None) -> list[tuple[str, str]]:
    given = product.attributes if product else {}
    return [(_words(name), str(value)) for name, value in given.items() if str(value).strip()]


def _words(name: str) -> str:
    """`baseColour`, `base_colour` -> "Base colour"."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).replace("_", " ").strip()
    return spaced[:1].upper() + spaced[1:].lower()


def _scores(scores: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for name, value in scores.items():
        label, decimals = _SCORES.get(name, (_words(name), 3))
        if isinstance(value, int | float) and not isinstance(value, bool):
            yield label, f"{value:.{decimals}f}"


def _facts(one: Asset) -> Iterable[tuple[str, str]]:
    yield "Made", f"{one.created_at:%Y-%m-%d %H:%M:%S} UTC" if one.created_at else ""
    yield "Run", one.run_id
    yield "Attempt", str(one.attempt + 1)
    yield "Candidates", str(one.candidates)
    yield "Seed", str(one.seed)
    yield "Size", f"{one.width} × {one.height}, {one.format}, {one.bytes:,} bytes"
    yield "Generator", one.gan_hash[:16]
    yield "CLIP", one.clip_hash[:16]
    for name in _SHOWN_SETTINGS:
        if one.settings.get(name) is not None:
            yield _words(name), str(one.settings[name])
    yield "SHA-256", one.sha256
    yield "Asset", one.id


def _told(wish: PendingWish | None) -> str:
    if wish is None:
        return ""
    asked = [f"with the words “{wish.words}”"] if wish.words else []
    asked += [f"from {wish.candidates} candidates"] if wish.candidates else []
    return f"{wish.requested_by} asked for another one{' ' + ', '.join(asked) if asked else ''}; the next run draws it."
