"""A night without a generator: pictures painted here, stored and recorded as the jobs do, to be reported on."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from PIL import Image

from catalog.catalog_fixtures import imported, insert_products
from catalog_gen.catalog.database import Database
from catalog_gen.catalog.locks import acquire_lock
from catalog_gen.catalog.model import NewAsset, Outcome, PlanRequest, Product
from catalog_gen.catalog.queue import claim, close_scope, plan
from catalog_gen.catalog.record import record
from catalog_gen.catalog.runs import finish_run, new_run_id, start_run
from catalog_gen.encode import encode_image
from catalog_gen.provenance import Provenance, build_xmp
from catalog_gen.storage import LocalStorage

MODELS = {"clip": {"name": "product-clip", "hash": "c" * 64}, "gan": {"name": "gan-64", "hash": "d" * 64}}


@dataclass
class NightShop:
    """A database and a folder of pictures, and the flags that lead the commands to them."""

    database: Database
    url: str
    folder: Path
    storage: LocalStorage = field(init=False)

    def __post_init__(self) -> None:
        self.storage = LocalStorage(self.folder / "pictures")

    @property
    def flags(self) -> list[str]:
        return ["--database", self.url, "--storage", str(self.folder / "pictures")]

    def add(self, *products: Product) -> None:
        insert_products(self.database, products)

    def asset(self, sku: str, colour: tuple[int, int, int] = (200, 30, 30), size: int = 32, **changes: Any) -> NewAsset:
        """Paint and store a picture; return its asset."""
        pixels = np.full((size, size, 3), 255, np.uint8)
        pixels[size // 4 : -size // 4, size // 4 : -size // 4] = colour
        data = encode_image(pixels, "webp", 90, build_xmp(Provenance(sku, "p", "gan-64@d", "product-clip@c", 7)))
        stored = self.storage.put(data, "webp")
        values: dict[str, Any] = {
            "id": uuid4().hex, "sku": sku, "uri": stored.uri, "sha256": stored.sha256, "bytes": stored.size,
            "width": size, "height": size, "format": "webp", "prompt": f"words of {sku}", "prompt_hash": "p", "seed": 7,
            "attempt": 0, "candidates": 4, "clip_hash": "c" * 64, "gan_hash": "d" * 64, "scores": {"similarity": 0.5},
            "phash": hashlib.sha256(sku.encode()).hexdigest()[:16],
        }  # fmt: skip
        return NewAsset(**(values | changes))

    def photo(self, name: str) -> Path:
        """A photo of the shop's own."""
        buffer = io.BytesIO()
        Image.new("RGB", (60, 40), (20, 90, 200)).save(buffer, "JPEG")
        path = self.folder / name
        path.write_bytes(buffer.getvalue())
        return path

    def night(self, outcomes: list[Outcome], *, state: str = "finished", exit_code: int = 0, message: str = "") -> str:
        """Run a night in which these things came of these rows; return the run's id."""
        run_id = new_run_id()
        lock = acquire_lock(self.database, f"run:{run_id}")
        assert lock is not None
        models = MODELS | {"threshold": 0.3}
        start_run(self.database, run_id=run_id, job="fill-missing", config={}, models=models, version="1")
        source = imported(self.database)
        request = PlanRequest(run_id=run_id, job="fill-missing", input_hash=lambda product: product.title)
        counts = plan(self.database, source, request).counts
        claim(self.database, source, run_id, "fill-missing", max(1, len(outcomes)), 60)
        record(self.database, run_id, "fill-missing", outcomes)
        close_scope(self.database, run_id, "fill-missing")
        tally = {name: sum(one.outcome == name for one in outcomes) for name in ("generated", "needs_review", "failed")}
        tally |= {"claimed": len(outcomes)} | {f"plan_{name}": count for name, count in counts.items()}
        finish_run(
            self.database, run_id, state=state, counts=tally,
            timings={"draw": 3.0, "record": 1.0}, images_per_second=2.0, exit_code=exit_code, message=message,
        )  # fmt: skip
        lock.release()
        return run_id
