"""What the job's tests share: a shop to fill, and the promises that hold after any run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from catalog.catalog_fixtures import insert_products
from catalog_gen.catalog import runs, tables
from catalog_gen.catalog.database import Database, open_database
from catalog_gen.catalog.model import Product
from catalog_gen.config import Settings
from catalog_gen.pipeline.fill_missing import FillRequest, fill_missing
from catalog_gen.pipeline.summary import RunSummary
from catalog_gen.provenance import read_provenance
from catalog_gen.storage import open_storage

COLOURS = ("red", "navy blue", "black", "white", "olive", "pink")
KINDS = ("shirt", "running shoe", "watch", "handbag", "belt")


@dataclass
class Shop:
    """A database with products, and the settings to work it with."""

    settings: Settings

    def database(self) -> Database:
        return open_database(self.settings.database.url)

    def add(self, count: int, start: int = 0) -> None:
        database = self.database()
        products = [
            Product(
                f"sku-{index:05d}",
                f"{COLOURS[index % 6]} {KINDS[index % 5]} no {index}",
                KINDS[index % 5],
                {"colour": COLOURS[index % 6]},
            )
            for index in range(start, start + count)
        ]
        insert_products(database, products)
        database.dispose()

    def fill(self, **request: Any) -> RunSummary:
        """Run the job in this process."""
        database = self.database()
        try:
            return fill_missing(self.settings, database, FillRequest(**request))
        finally:
            database.dispose()

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start the real command in a process of its own."""
        flags = {
            "CATALOG_GEN_DATABASE__URL": self.settings.database.url,
            "CATALOG_GEN_STORAGE__URL": self.settings.storage.url,
            "CATALOG_GEN_GAN__MODEL": self.settings.gan.model,
            "CATALOG_GEN_GAN__CANDIDATES": str(self.settings.gan.candidates),
            "CATALOG_GEN_GAN__LADDER": str(self.settings.gan.ladder),
            "CATALOG_GEN_UPSCALE__MODEL": self.settings.upscale.model,
            "CATALOG_GEN_JOB__PAGE_ROWS": str(self.settings.job.page_rows),
        }
        command = [sys.executable, "-m", "catalog_gen", *arguments]
        environment = {**os.environ, **flags}
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def rows(self, statement: sa.Select[Any]) -> list[Any]:
        database = self.database()
        try:
            with database.read() as connection:
                return list(connection.execute(statement))
        finally:
            database.dispose()

    def live(self) -> dict[str, Any]:
        """Return the live assets by sku; fails when a product has two."""
        found = self.rows(sa.select(tables.asset).where(tables.asset.c.live))
        counted = Counter(row.sku for row in found)
        assert all(count == 1 for count in counted.values()), counted.most_common(3)
        return {row.sku: row for row in found}

    def check_promises(self, expected: int) -> None:
        """Every row has exactly one live picture, which is stored, whole, and says what it is; the ledgers add up."""
        live = self.live()
        assert len(live) == expected
        storage = open_storage(self.settings.storage.url, self.settings.storage.options)
        for sku, asset in live.items():
            said = read_provenance(storage.get(asset.uri))
            assert said["sku"] == sku and said["seed"] == str(asset.seed)
        claimed = self.rows(sa.select(tables.work.c.sku).where(tables.work.c.state == "claimed"))
        assert not claimed, "nothing is left under a lease"
        self.check_ledgers()

    def check_ledgers(self) -> None:
        database = self.database()
        try:
            for run in runs.list_runs(database, 1000):
                if run.state == "died":
                    continue
                outcomes = ("generated", "needs_review", "failed", "lost", "released")
                assert run.counts["claimed"] == sum(run.counts[name] for name in outcomes), run.counts
        finally:
            database.dispose()

    def pictures(self) -> list[Path]:
        return [file for file in Path(self.settings.storage.url).rglob("*.webp") if file.is_file()]

    def clear(self) -> None:
        """Take every product out of the catalogue again."""
        database = self.database()
        with database.transaction() as connection:
            connection.execute(sa.delete(tables.product))
        database.dispose()
