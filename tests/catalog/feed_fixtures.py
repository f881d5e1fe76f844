"""What the importer's tests share: feeds and photos to write, and what an import left behind."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from PIL import Image

from catalog_gen.catalog import tables
from catalog_gen.catalog.database import Database
from catalog_gen.catalog.importer import ImportResult


def feed(tmp_path: Path, text: str | bytes, name: str = "feed.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def photo(path: Path, colour: tuple[int, int, int] = (200, 30, 30)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 60), colour).save(path)
    return path


def stored(database: Database) -> dict[str, Any]:
    with database.read() as connection:
        return {row.sku: row for row in connection.execute(sa.select(tables.product))}


def rejects(result: ImportResult) -> list[dict[str, str]]:
    assert result.rejects_path is not None
    with result.rejects_path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def counts(result: ImportResult) -> tuple[int, int, int, int]:
    assert result.read == result.inserted + result.updated + result.unchanged + result.rejected
    return result.inserted, result.updated, result.unchanged, result.rejected
