"""A shop with approved pictures and photos, and small parts to restyle them with: plain arithmetic, with knobs."""

from __future__ import annotations

import argparse
import io
import json
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import numpy as np
import sqlalchemy as sa
import torch
from PIL import Image

from catalog.catalog_fixtures import insert_products, picture
from catalog_gen.catalog import runs, tables
from catalog_gen.catalog.database import Database, open_database
from catalog_gen.catalog.model import Product
from catalog_gen.config import Settings, load_settings
from catalog_gen.encode import encode_image
from catalog_gen.errors import RowError, UsageError
from catalog_gen.pipeline import restyle as job
from catalog_gen.pipeline.restyle_parts import RestyleParts, choose_outputs
from catalog_gen.pipeline.restyle_work import Pixels
from catalog_gen.pipeline.summary import RunSummary
from catalog_gen.provenance import Provenance, build_xmp, read_provenance
from catalog_gen.storage import open_storage

SIZE = 48  # px of a source


@dataclass
class Knobs:
    """How the parts behave: versions decide hashes; a product's blue part names what goes wrong with it."""

    square: int = 1
    wide: int = 1
    engine: int = 1
    strength: float = 0.5
    product_strength: float = 0.0
    delay: float = 0.0
    stochastic: bool = False
    limit: float = 3.0
    not_finite: bool = False
    doubt: str = ""
    drawn: list[int] = field(default_factory=list)  # batches as the engine met them


class Engine:
    name = "stand-in"

    def __init__(self, knobs: Knobs, seed: int = 0) -> None:
        self.knobs, self.seed = knobs, seed
        self.stochastic = knobs.stochastic
        self.hash = f"engine-{knobs.engine}-{seed}"

    @classmethod
    def open(cls, config: Any, device: str, seed: int = 0) -> Engine:
        return cls(config.knobs, seed)


class Template:
    name, hash = "winter", "template-hash"

    def __init__(self, knobs: Knobs) -> None:
        self.knobs = knobs
        sizes = {"square": (64, 64), "wide": (96, 64)}
        outputs = [
            SimpleNamespace(name=name, width=width, height=height, format="png", quality=90)
            for name, (width, height) in sizes.items()
        ]
        self.config = SimpleNamespace(output=outputs, knobs=knobs, overlays_on=lambda output: ("frame",))

    def output_hash(self, output: Any) -> str:
        return f"{output.name}-{getattr(self.knobs, output.name)}"


class Parts(RestyleParts):
    """The steps over arrays: a product on white, a grey scene, an engine that turns the scene blue."""

    @property
    def knobs(self) -> Knobs:
        return cast(Any, self.template).knobs

    def limits_hash(self) -> str:
        return f"limit-{self.knobs.limit}"

    def detail(self, product: Product) -> str:
        return ""

    def cut_out(self, photo: Image.Image, words: str) -> Any:
        rgb = np.asarray(photo)
        alpha = (rgb.min(axis=2) < 250).astype(np.uint8) * 255
        if not alpha.any():
            raise RowError("the product cannot be cut out: nothing but plain ground")
        kind = "studio" if rgb[0, 0].min() > 250 else "general"
        return SimpleNamespace(rgb=rgb, alpha=alpha, kind=kind, doubt=self.knobs.doubt)

    def place(self, output: Any, cutout: Any, words: str) -> tuple[Pixels, Pixels]:
        content = np.full((output.height, output.width, 3), 128, np.uint8)
        alpha = np.zeros((output.height, output.width), np.uint8)
        alpha[:SIZE, :SIZE] = cutout.alpha
        content[:SIZE, :SIZE][cutout.alpha > 0] = cutout.rgb[cutout.alpha > 0]
        return content, alpha

    def _stylise(self, candidate: int, contents: Any, products: Any) -> list[Pixels]:
        self.knobs.drawn.append(len(contents))
        time.sleep(self.knobs.delay)
        pictures = []
        for content, product in zip(contents, products, strict=True):
            if self.knobs.not_finite:
                pictures.append(content[:0])
                continue
            share = np.where(product > 0, self.knobs.product_strength / (1 + candidate), self.knobs.strength)
            blue = np.array([0, 0, 255], np.float32)
            pictures.append(np.rint(content + share[..., None] * (blue - content)).astype(np.uint8))
        return pictures

    def finish(self, output: Any, picture: Pixels) -> Pixels:
        framed = picture.copy()
        framed[-1] = 255
        return framed

    def check(self, before: Pixels, after: Pixels, product: Pixels) -> tuple[Any, list[str]]:
        inside = product > 0
        moved = float(np.abs(before[inside].astype(int) - after[inside].astype(int)).mean())
        limit = self.knobs.limit
        faults = [f"colour difference {moved:.2f} above {limit:g}"] if moved > limit else []
        return SimpleNamespace(delta_e=moved, scores=lambda: {"delta_e": round(moved, 3)}), faults

    def nearness(self, found: Any) -> float:
        return float(found.delta_e / self.knobs.limit)

    def encode(self, output: Any, picture: Pixels, xmp: bytes) -> bytes:
        return encode_image(picture, output.format, output.quality, xmp)


def make_parts(knobs: Knobs, outputs: Any = (), candidates: int = 1) -> RestyleParts:
    if candidates > 1 and not knobs.stochastic:
        raise UsageError("the engine stand-in makes one picture, the same every time", where="--candidates")
    template: Any = Template(knobs)
    engines: Any = tuple(Engine(knobs, seed) for seed in range(candidates))
    clip: Any = SimpleNamespace(name="product-clip", hash="clip-hash")
    chosen = choose_outputs(template, outputs)
    return Parts(
        template=template,
        engines=engines,
        prepared=None,
        device="cpu",
        batch=4,
        tile=2048,
        outputs=chosen,
        clip=clip,
        streams=2,
        workers=1,
    )


@dataclass
class RestyleShop:
    """A database with products, their pictures or photos, and the settings to restyle them."""

    settings: Settings
    photos: Path
    knobs: Knobs = field(default_factory=Knobs)

    def database(self) -> Database:
        return open_database(self.settings.database.url)

    def add_approved(self, count: int, start: int = 0, **changes: Any) -> None:
        """Products with an approved picture that is really stored, and says how it was drawn."""
        database, storage = self.database(), open_storage(self.settings.storage.url)
        skus = [f"made-{index:04d}" for index in range(start, start + count)]
        insert_products(database, [Product(sku, f"red shoe {sku}") for sku in skus])
        files = [encode_image(product_on_white(index), "png", 90, xmp(sku)) for index, sku in enumerate(skus, start)]
        stored = storage.put_many([(data, "png") for data in files])
        with database.transaction() as connection:
            now = database.now(connection)
            for sku, place in zip(skus, stored, strict=True):
                values = {"uri": place.uri, "sha256": place.sha256, "state": "approved", "format": "png"} | changes
                asset = picture(sku, id=uuid4().hex, **values)
                row = {name: getattr(asset, name) for name in asset.__dataclass_fields__}
                connection.execute(
                    sa.insert(tables.asset), row | {"live": True, "run_id": "earlier", "created_at": now}
                )
        database.dispose()

    def add_photos(self, count: int, start: int = 0) -> None:
        """Products with a photo of their own in the shop's folder."""
        database = self.database()
        products = []
        for index in range(start, start + count):
            path = self.photos / f"photo-{index:04d}.png"
            Image.fromarray(product_on_white(1000 + index)).save(path)
            products.append(Product(f"photo-{index:04d}", f"photographed shoe {index}", image=str(path)))
        insert_products(database, products)
        database.dispose()

    def restyle(self, **request: Any) -> RunSummary:
        database = self.database()
        try:
            return job.restyle(self.settings, database, job.RestyleRequest("winter", **request))
        finally:
            database.dispose()

    def rows(self, statement: sa.Select[Any]) -> list[Any]:
        database = self.database()
        try:
            with database.read() as connection:
                return list(connection.execute(statement))
        finally:
            database.dispose()

    def live(self) -> dict[tuple[str, str], Any]:
        """Return the live restyled assets by sku and output; fails when a place has two."""
        asset = tables.asset.c
        found = self.rows(sa.select(tables.asset).where(asset.kind == "restyled", asset.live))
        places = Counter((row.sku, row.variant) for row in found)
        assert all(count == 1 for count in places.values()), places.most_common(3)
        return {(row.sku, row.variant): row for row in found}

    def check_promises(self, products: int) -> None:
        """Every product has both outputs, stored whole and saying what they are; nothing is left under a lease."""
        live = self.live()
        assert len(live) == 2 * products
        storage = open_storage(self.settings.storage.url)
        for (sku, _), asset in live.items():
            said = read_provenance(storage.get(asset.uri))
            assert said["sku"] == sku and said["source_sha256"] == asset.settings["source_sha256"]
        assert not self.rows(sa.select(tables.work.c.sku).where(tables.work.c.state == "claimed"))
        database = self.database()
        for run in runs.list_runs(database, 1_000):
            if run.state != "died":
                outcomes = ("restyled", "needs_review", "failed", "skipped", "lost", "released")
                assert run.counts["claimed"] == sum(run.counts[name] for name in outcomes), run.counts
        database.dispose()


def product_on_white(index: int) -> Pixels:
    """A box of a colour of its own on white."""
    rgb = np.full((SIZE, SIZE, 3), 255, np.uint8)
    rgb[12:36, 10:38] = (index * 7 % 240, index // 240 * 40 % 240, 60)
    return rgb


def xmp(sku: str) -> bytes:
    return build_xmp(Provenance(sku, "a red shoe", "gan-64@1f0c", "product-clip@77aa", 2**60 + 1, truncation=0.85))


def settings_for(database_url: str, pictures: Path | str) -> Settings:
    flags = {
        "database.url": database_url,
        "storage.url": str(pictures),
        "job.retry_seconds": 0.02,
    }
    return load_settings(None, env={}, use_default_file=False, flags=flags)


def main() -> None:
    """One worker, as a process of its own."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--database", required=True)
    parser.add_argument("--pictures", required=True)
    parser.add_argument("--delay", type=float, default=0.0)
    parser.add_argument("--allow-parallel", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    shop = RestyleShop(settings_for(given.database, given.pictures), Path(), Knobs(delay=given.delay))
    job.load_parts = lambda settings, style, outputs, candidates: make_parts(shop.knobs, outputs, candidates)
    summary = shop.restyle(include_photos=True, allow_parallel=given.allow_parallel)
    sys.stdout.write(json.dumps({"counts": summary.counts, "exit_code": summary.exit_code}))


def as_jpeg(rgb: Pixels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


if __name__ == "__main__":
    main()
