"""The demo catalogue is what the README promises: enough rows, no picture, no brand, as uneven as real feeds."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from catalog_gen.catalog.database import Database
from catalog_gen.catalog.importer import import_file
from catalog_gen.catalog.prompts import build_prompt
from catalog_gen.catalog.source import open_source
from catalog_gen.config import Settings
from catalog_gen.demo import catalogue_path

# Makers whose names a fashion shop's rows are full of; a demo must not carry them.
BRANDS = """adidas nike puma reebok asics fila converse vans skechers crocs birkenstock clarks gucci prada chanel dior
    versace armani burberry levi's levis wrangler zara h&m uniqlo mango benetton lacoste hilfiger diesel casio rolex
    seiko goodyear timex titan fossil swatch fastrack ray-ban rayban oakley velcro lycra spandex gore-tex wayfarer
    clubmaster samsonite eastpak fjällräven wildcraft tommy calvin guess swarovski pandora timberland ugg stetson"""


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return pd.read_csv(catalogue_path(), dtype=str, keep_default_na=False)


def test_there_are_over_three_hundred_rows_with_different_words(rows: pd.DataFrame) -> None:
    assert len(rows) >= 320
    assert rows["sku"].is_unique
    assert rows["title"].is_unique
    prompts = [build_prompt(dict(row)) for row in rows.drop(columns="sku").to_dict("records")]
    assert all(prompts)
    assert len(set(prompts)) == len(rows)


def test_it_covers_fashion_bags_watches_and_shoes(rows: pd.DataFrame) -> None:
    kinds = Counter(rows["category"])
    assert len(kinds) >= 25
    for kind in ("Tshirts", "Dresses", "Handbags", "Backpacks", "Watches", "Casual Shoes", "Formal Shoes", "Heels"):
        assert kinds[kind] >= 8, kind


def test_its_attributes_are_filled_unevenly(rows: pd.DataFrame) -> None:
    filled = (rows != "").mean()
    assert 0.7 < filled["colour"] < 0.95
    assert 0.3 < filled["material"] < 0.8
    assert 0.1 < filled["season"] < 0.5
    assert 0.05 < filled["description"] < 0.5
    assert rows["title"].str.contains("&amp;|<", regex=True).any()
    assert rows["title"].str.contains("[\U0001f300-\U0001faff]", regex=True).any()


def test_it_names_no_brand(rows: pd.DataFrame) -> None:
    text = " ".join(rows.to_numpy().ravel()).casefold()
    assert not [brand for brand in BRANDS.split() if re.search(rf"(?<!\w){re.escape(brand)}(?!\w)", text)]


def test_it_imports_whole_and_every_row_lacks_a_picture(database: Database, rows: pd.DataFrame) -> None:
    result = import_file(database, catalogue_path())
    assert (result.inserted, result.rejected) == (len(rows), 0)
    assert open_source(Settings(), database).count() == len(rows)
    assert not Path(f"{catalogue_path()}.rejects.csv").exists()
