"""Products with their pictures, ready for a channel's rules: each picture read once, and what was found in its file."""

from __future__ import annotations

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from PIL import Image

from catalog_gen.catalog.model import Asset, PictureSource, Product
from catalog_gen.catalog.restyling import is_written_back
from catalog_gen.config import Settings
from catalog_gen.errors import PhotoError, RowError, TemplateError, TemporaryFailure
from catalog_gen.export.items import Item, Picture, Role
from catalog_gen.export.rules import marking_fault
from catalog_gen.photos import border_whiteness, open_photo
from catalog_gen.pipeline.export_addresses import Addresses
from catalog_gen.pipeline.export_check import address_fault
from catalog_gen.pipeline.restyle_source import SourceReader
from catalog_gen.pipeline.retry import Retry
from catalog_gen.pipeline.styles import own_templates
from catalog_gen.provenance import read_provenance
from catalog_gen.storage import PictureError, Storage, promised_hash

READERS = 8  # pictures read at once: what an object store's latency asks for


class Faulty(Exception):
    """A picture that can be used nowhere: a word for counts, and the reason."""

    def __init__(self, rule: str, reason: str) -> None:
        super().__init__(reason)
        self.rule, self.reason = rule, reason


class ItemReader:
    """Makes items of products and their assets. Used as a context, as it holds threads.

    Raises TemporaryFailure when the storage stays away, Unavailable when it is not to be had.
    """

    def __init__(self, settings: Settings, storage: Storage, *, check_addresses: bool = False) -> None:
        self._settings, self._storage, self._check_addresses = settings, storage, check_addresses
        self._addresses = Addresses(settings, storage)
        self._photos = SourceReader(settings, storage)
        self._retry = Retry(settings.job.retries, settings.job.retry_seconds)
        self._overlays = Overlays(settings)
        self._pool = ThreadPoolExecutor(READERS, thread_name_prefix="export")

    def __enter__(self) -> ItemReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def items(self, products: Sequence[Product], assets: dict[str, list[Asset]]) -> list[Item]:
        """Return the products' items, in their order; their pictures' bytes are read and let go one by one."""
        work = [(product, picture) for product in products for picture in self._named(product, assets)]
        read = iter(self._pool.map(lambda pair: self._looked_at(*pair), work))
        counts = [len(self._named(product, assets)) for product in products]
        return [
            Item(
                product.sku,
                product.title,
                product.category,
                product.attributes,
                tuple(next(read) for _ in range(count)),
            )
            for product, count in zip(products, counts, strict=True)
        ]

    def _named(self, product: Product, assets: dict[str, list[Asset]]) -> list[Asset | str]:
        """The product's pictures: its photo's address where it has one that is not our own, and its assets."""
        own, image = assets.get(product.sku, []), product.image
        photo = image if image and not any(is_written_back(image, asset) for asset in own) else None
        return [*([photo] if photo else []), *own]

    def _looked_at(self, product: Product, source: Asset | str) -> Picture:
        if isinstance(source, Asset):
            picture = self._asset_picture(source)
        else:
            picture = Picture("photo", source, self._addresses.photo(source))
        try:
            if isinstance(source, Asset):
                picture = self._stored(source, picture)
            elif self._settings.export.check_photos:
                picture = self._photo(product, picture)
            if self._check_addresses and picture.url and (wrong := address_fault(picture, self._retry)):
                raise Faulty(*wrong)
        except Faulty as fault:
            return replace(picture, rule=fault.rule, fault=fault.reason)
        return picture

    def _asset_picture(self, asset: Asset) -> Picture:
        role: Role = "restyled" if asset.kind == "restyled" else "generated"
        return Picture(
            role=role,
            uri=asset.uri,
            url=self._addresses.picture(asset.uri),
            style=asset.style,
            output=asset.variant,
            asset_id=asset.id,
            version=asset.version,
        )

    def _stored(self, asset: Asset, picture: Picture) -> Picture:
        try:
            data = self._retry("reading a picture", lambda: self._storage.get(asset.uri))
            if promised_hash(asset.uri) != asset.sha256:
                raise Faulty("damaged", "its row in the database has another hash than its name")
        except PictureError as error:
            raise Faulty("missing" if error.what == "is missing" else "damaged", error.what) from error
        found = replace(picture, **_facts(data), sha256=asset.sha256, overlays=self._overlays.of(asset))
        fault = marking_fault(picture.role, asset.settings.get("source") == "photo", found.source_type)
        if fault:
            raise Faulty("marking", fault)
        return found

    def _photo(self, product: Product, picture: Picture) -> Picture:
        source = PictureSource(product.sku, picture.uri, "")
        try:
            data, sha256 = self._retry("reading a photo", lambda: self._photos.read(source))
        except (RowError, PhotoError, TemporaryFailure) as error:  # one photo's server is not the export's business
            raise Faulty("missing", error.what) from error
        return replace(picture, **_facts(data), sha256=sha256)


def _facts(data: bytes) -> dict[str, Any]:
    """What a picture's bytes say: its size in px and bytes, its format, its mark, the whiteness of its border."""
    try:
        with Image.open(io.BytesIO(data)) as opened:
            kind = (opened.format or "").lower().replace("mpo", "jpeg")  # a JPEG with another behind it
        image = open_photo(data)
        source_type = read_provenance(data).get("source_type", "")
    except (PhotoError, OSError) as error:
        raise Faulty("damaged", error.what if isinstance(error, PhotoError) else "is no image") from error
    return {
        "width": image.width,
        "height": image.height,
        "format": kind,
        "size": len(data),
        "source_type": source_type,
        "white": border_whiteness(image),
    }


class Overlays:
    """What lies over restyled pictures: as noted when they were made, else as their templates have it now."""

    def __init__(self, settings: Settings) -> None:
        self._own = own_templates(settings)
        self._known: dict[tuple[str, str], tuple[str, ...] | None] = {}

    def of(self, asset: Asset) -> tuple[str, ...] | None:
        """Return the overlays of a picture, None when nothing tells of them any more."""
        if asset.kind != "restyled":
            return ()
        noted = asset.settings.get("overlays")
        if noted is not None:
            return tuple(noted)
        place = (asset.style, asset.variant)
        if place not in self._known:
            self._known[place] = self._in_template(*place)
        return self._known[place]

    def _in_template(self, style: str, output: str) -> tuple[str, ...] | None:
        from catalog_gen.style.template import known_templates
        from catalog_gen.style.template_faults import parse_template

        folder = known_templates(self._own).get(style)
        try:
            return None if folder is None else parse_template(folder).overlays_on(output)
        except TemplateError:  # a broken template tells nothing
            return None
