"""A shop with approved pictures of every kind, really stored and saying what they are, and photos of its own."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import sqlalchemy as sa
from PIL import Image

from catalog.catalog_fixtures import insert_products, picture
from catalog_gen.catalog import tables
from catalog_gen.catalog.database import Database, open_database
from catalog_gen.catalog.model import Product
from catalog_gen.config import Settings, load_settings
from catalog_gen.encode import SUFFIX, encode_image
from catalog_gen.pipeline.export import ExportRequest, export
from catalog_gen.pipeline.export_summary import ExportSummary
from catalog_gen.provenance import Provenance, SourceType, build_xmp
from catalog_gen.storage import open_storage

CDN = "https://cdn.example.com/pictures"


@dataclass
class ExportShop:
    """Settings, and a folder for photos and for what is exported."""

    settings: Settings
    folder: Path

    def database(self) -> Database:
        return open_database(self.settings.database.url)

    def configure(self, **flags: Any) -> None:
        """Set keys of the configuration: `export__public_url="..."`."""
        values = self.settings.model_dump(by_alias=True)
        for key, value in flags.items():
            section, _, name = key.partition("__")
            values[section][name] = value
        self.settings = Settings.model_validate(values)

    def add(self, *products: Product) -> None:
        database = self.database()
        insert_products(database, products)
        database.dispose()

    def photo(self, name: str, side: int = 64) -> str:
        """Store a photo of the shop's own; return its path below the photos' folder."""
        file = self.folder / "photos" / name
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(box(side, len(name))).save(file)
        return name

    def draw(self, sku: str, *, data: bytes = b"", side: int = 64, **changes: Any) -> str:
        """Record an approved generated picture of the product; return the asset's id."""
        data = data or encode_image(box(side, sum(map(ord, sku))), "webp", 90, marked(sku))
        return self._record(sku, data, "webp", side, **changes)

    def restyle(self, sku: str, *, side: int = 96, from_photo: bool = True, **changes: Any) -> str:
        """Record an approved restyled picture; return the asset's id."""
        kind: SourceType = "compositeWithTrainedAlgorithmicMedia" if from_photo else "trainedAlgorithmicMedia"
        data = encode_image(box(side, 7 + sum(map(ord, sku))), "jpeg", 90, marked(sku, kind))
        place = {"kind": "restyled", "style": "studio", "variant": "square"}
        settings = {"source": "photo" if from_photo else "asset", "overlays": []}
        return self._record(sku, data, "jpeg", side, **place | {"settings": settings} | changes)

    def _record(self, sku: str, data: bytes, image_format: str, side: int, **changes: Any) -> str:
        stored = open_storage(self.settings.storage.url, self.settings.storage.options).put(data, SUFFIX[image_format])
        values = {"id": uuid4().hex, "uri": stored.uri, "sha256": stored.sha256, "bytes": len(data), "width": side}
        asset = picture(sku, **values | {"height": side, "format": image_format, "state": "approved"} | changes)
        row = {name: getattr(asset, name) for name in asset.__dataclass_fields__}
        database = self.database()
        with database.transaction() as connection:
            more = {"live": True, "run_id": "earlier", "created_at": database.now(connection)}
            connection.execute(sa.insert(tables.asset), row | more)
        database.dispose()
        return asset.id

    def export(self, channel: str, name: str, **request: Any) -> ExportSummary:
        database = self.database()
        try:
            return export(self.settings, database, ExportRequest(channel, self.folder / name, **request))
        finally:
            database.dispose()

    def lines(self, name: str, delimiter: str = ",") -> list[dict[str, str]]:
        """Return the rows of an exported CSV or TSV file."""
        with (self.folder / name).open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file, delimiter=delimiter))

    def held(self, name: str) -> list[tuple[str, str, str, str]]:
        """Return (sku, what, rule, reason) of all that an export held back."""
        rows = self.lines(f"{name}.held-back.csv")
        return [(row["sku"], row["what"], row["rule"], row["reason"]) for row in rows]

    def states(self) -> dict[str, tuple[str, int]]:
        """Return state and version of every asset, by its id."""
        database = self.database()
        with database.read() as connection:
            query = sa.select(tables.asset.c.id, tables.asset.c.state, tables.asset.c.version)
            found = {row[0]: (row[1], row[2]) for row in connection.execute(query)}
        database.dispose()
        return found


def settings_for(database_url: str, folder: Path) -> Settings:
    flags = {
        "database.url": database_url,
        "storage.url": str(folder / "pictures"),
        "restyle.photos": str(folder / "photos"),
        "job.retry_seconds": 0.02,
        "job.retries": 1,
        "export.public_url": CDN,
        "export.photo_url": "https://shop.example.com/photos",
    }
    return load_settings(None, env={}, use_default_file=False, flags=flags)


def box(side: int, index: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A box of a colour of its own on white."""
    rgb = np.full((side, side, 3), 255, np.uint8)
    rgb[side // 4 : -side // 4, side // 4 : -side // 4] = (index * 37 % 240, index * 101 % 240, 60)
    return rgb


def marked(sku: str, source_type: SourceType = "trainedAlgorithmicMedia") -> bytes:
    """Return the metadata that the jobs put into a picture."""
    return build_xmp(Provenance(sku, "a red shoe", "gan-64@1f0c", "product-clip@77aa", source_type=source_type))
