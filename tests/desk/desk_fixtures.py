"""A small shop with real pictures in a real storage, and the desk over it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
from PIL import Image, ImageDraw
from starlette.testclient import TestClient

from catalog.catalog_fixtures import insert_products, picture
from catalog_gen.catalog import tables
from catalog_gen.catalog.database import Database
from catalog_gen.catalog.model import Asset, Product
from catalog_gen.config import Settings, load_settings
from catalog_gen.desk.app import build_app
from catalog_gen.pipeline.desk import CatalogueDesk
from catalog_gen.storage import Stored, open_storage

BEGIN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ORIGIN = "http://127.0.0.1:8017"


def drawn(number: int, size: int = 64, image_format: str = "WEBP") -> bytes:
    """The file of a picture like no other number's."""
    image = Image.new("RGB", (size, size), "white")
    colour = (number * 37 % 256, number * 91 % 256, number * 53 % 256)
    ImageDraw.Draw(image).ellipse((size // 8, size // 8, size - size // 8, size - size // 8), fill=colour)
    buffer = io.BytesIO()
    image.save(buffer, image_format)
    return buffer.getvalue()


@dataclass
class Shop:
    """A database, a folder of pictures, and what was put there: asset ids by sku."""

    database: Database
    settings: Settings
    ids: dict[str, str] = field(default_factory=dict)
    count: int = 0

    def add(self, sku: str, *, title: str = "", image: str | None = None, category: str = "Shoes", **asset: Any) -> str:
        """Add a product with a generated picture that waits for review; return the picture's id."""
        product = Product(sku, title or f"Title of {sku}", category, {"baseColour": "Red"}, image)
        insert_products(self.database, [product])
        return self.add_picture(sku, category=category, **asset)

    def add_many(self, count: int, category: str) -> list[str]:
        """Add `category-0`, `category-1`, ... at once, the most doubtful first; return their pictures' ids."""
        skus = [f"{category}-{number}" for number in range(count)]
        insert_products(self.database, [Product(sku, f"Title of {sku}", category) for sku in skus])
        numbers = range(self.count + 1, self.count + count + 1)
        stored = open_storage(self.settings.storage.url).put_many([(drawn(number), "webp") for number in numbers])
        rows = [
            self._row(sku, place, 64, {"category": category, "doubt": 1 - number / count})
            for number, (sku, place) in enumerate(zip(skus, stored, strict=True))
        ]
        with self.database.transaction() as connection:
            connection.execute(sa.insert(tables.asset), rows)
        return [self.ids[sku] for sku in skus]

    def add_picture(self, sku: str, *, size: int = 64, **values: Any) -> str:
        """Add another picture of a product; return its id."""
        place = open_storage(self.settings.storage.url).put(drawn(self.count + 1, size), "webp")
        row = self._row(sku, place, size, values)
        with self.database.transaction() as connection:
            connection.execute(sa.insert(tables.asset), row)
        return str(row["id"])

    def _row(self, sku: str, place: Stored, size: int, values: dict[str, Any]) -> dict[str, Any]:
        self.count += 1
        usual: dict[str, Any] = {"state": "needs_review", "doubt": 0.5, "prompt": f"words of {sku}"}
        usual |= {"uri": place.uri, "sha256": place.sha256, "bytes": place.size, "width": size, "height": size}
        live = values.pop("live", True)
        made = BEGIN + timedelta(seconds=self.count)
        asset = Asset(**asdict(picture(sku, **usual | values)), run_id="run", live=live, created_at=made)
        self.ids[sku] = asset.id
        return {one.name: getattr(asset, one.name) for one in fields(Asset)}

    def state(self, asset_id: str) -> str:
        with self.database.read() as connection:
            query = sa.select(tables.asset.c.state).where(tables.asset.c.id == asset_id)
            return str(connection.execute(query).scalar_one())

    def decisions(self) -> list[dict[str, Any]]:
        """Every recorded decision, oldest first."""
        with self.database.read() as connection:
            query = sa.select(tables.decision).order_by(tables.decision.c.decided_at, tables.decision.c.id)
            return [dict(row) for row in connection.execute(query).mappings()]


def shop_settings(database_url: str, folder: Path, **more: Any) -> Settings:
    flags = {"database.url": database_url, "storage.url": str(folder / "pictures"), "review.reviewer": "ann"}
    return load_settings(None, env={}, use_default_file=False, flags=flags | more)


@contextmanager
def desk(shop: Shop, *, client: str = "127.0.0.1", base: str = ORIGIN, **serve: Any) -> Iterator[TestClient]:
    """The desk as `serve` configures it, asked from the address `client`."""
    settings = shop.settings.model_copy(
        update={"serve": shop.settings.serve.model_validate(shop.settings.serve.model_dump() | serve)}
    )
    service = CatalogueDesk(settings, shop.database)
    app = build_app(settings.serve, service, local_name="ann")
    try:
        with TestClient(
            app, base_url=base, client=(client, 50_000), follow_redirects=False, raise_server_exceptions=False
        ) as asker:
            yield asker
    finally:
        service.close()


def csrf(asker: TestClient, address: str = "/") -> str:
    """The CSRF token that the page at `address` carries."""
    page = asker.get(address).text
    return page.split('<meta name="csrf" content="')[1].split('"')[0]


def send(asker: TestClient, address: str, body: Any, **headers: str) -> Any:
    """Post JSON as the desk's own pages do; `headers` are added, and those that are "" left out."""
    usual = {"Origin": str(asker.base_url).rstrip("/"), "X-CSRF-Token": headers.pop("token", None) or csrf(asker)}
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    names = {name.lower() for name in given}
    usual = {name: value for name, value in usual.items() if name.lower() not in names}
    return asker.post(address, json=body, headers={name: value for name, value in (usual | given).items() if value})


def verdict(asset: str, action: str = "approve", version: int = 1, **more: Any) -> dict[str, Any]:
    reason = {"reason": "wrong colour"} if action == "reject" else {}
    return {"id": uuid4().hex, "asset": asset, "action": action, "version": version, **reason, **more}


def decide(asker: TestClient, *verdicts: dict[str, Any]) -> list[dict[str, Any]]:
    """Send decisions; return what came of each."""
    answer = send(asker, "/api/decisions", {"decisions": list(verdicts)})
    assert answer.status_code == 200, answer.text
    ruled: list[dict[str, Any]] = answer.json()["ruled"]
    return ruled
