"""Truncation and the ladder in the whole job: counts, records, and a picture from a rung drawn again."""

from __future__ import annotations

import statistics
from typing import Any

import pytest
import sqlalchemy as sa

from catalog_gen.catalog import runs, tables
from catalog_gen.config import Settings
from catalog_gen.errors import EXIT_OK
from catalog_gen.pipeline.replay import replay
from catalog_gen.pipeline.summary import RunSummary
from catalog_gen.provenance import read_provenance
from catalog_gen.storage import open_storage
from integration.shop import Shop


def fill(shop: Shop, settings: Settings, min_similarity: float, **gan: Any) -> tuple[RunSummary, dict[str, Any]]:
    """Draw every row of the shop afresh; return the summary and the live assets."""
    shop.settings = settings.model_copy(
        update={
            "gan": settings.gan.model_copy(update={"ladder": 2} | gan),
            "gate": settings.gate.model_copy(update={"min_similarity": min_similarity}),
        }
    )
    database = shop.database()
    with database.transaction() as connection:
        for table in (tables.phash, tables.asset, tables.run_item, tables.work):
            connection.execute(sa.delete(table))
    database.dispose()
    summary = shop.fill()
    assert summary.exit_code == EXIT_OK
    return summary, shop.live()


def similarity(asset: Any) -> float:
    return float(asset.scores["similarity"])


def test_rows_below_the_bar_are_drawn_again_and_the_others_are_not(shop: Shop, settings: Settings) -> None:
    _, plain = fill(shop, settings, -1.0)
    bar = statistics.median(similarity(asset) for asset in plain.values()) + 0.00005  # of rounded similarities
    summary, live = fill(shop, settings, bar)
    below = {sku for sku, asset in plain.items() if similarity(asset) < bar}
    assert 20 <= len(below) <= 40
    assert {sku: asset.sha256 for sku, asset in live.items() if sku not in below} == {
        sku: asset.sha256 for sku, asset in plain.items() if sku not in below
    }
    assert all(similarity(live[sku]) >= similarity(plain[sku]) for sku in below)
    assert {live[sku].candidates for sku in below} <= {2 + 4, 2 + 4 + 8}
    saved = {sku for sku in below if similarity(live[sku]) >= bar}
    assert {live[sku].state for sku in below - saved} <= {"needs_review"}
    extra = sum(asset.candidates for asset in live.values()) - 2 * 60
    expected = {"ladder_rows": len(below), "ladder_pictures": extra, "ladder_saved": len(saved)}
    database = shop.database()
    recorded = runs.get_run(database, summary.run_id)
    database.dispose()
    assert {name: recorded.counts[name] for name in expected} == expected
    assert saved and "the ladder" in summary.describe()
    shop.check_promises(60)


def test_a_picture_from_a_rung_says_so_and_is_drawn_again_bit_for_bit(shop: Shop, settings: Settings) -> None:
    summary, live = fill(shop, settings, 1.0, truncation=0.9)  # which no picture reaches
    assert summary.counts["ladder_rows"] == 60 and summary.counts["ladder_saved"] == 0
    assert summary.counts["ladder_pictures"] == 60 * (4 + 8)
    assert summary.images_per_second * summary.seconds > 0.99 * 60 * (2 + 4 + 8), "every picture drawn counts"
    assert {asset.candidates for asset in live.values()} == {14}
    by_truncation = {asset.settings["truncation"]: asset for asset in live.values()}
    assert set(by_truncation) <= {0.9, 0.765, 0.65025} and len(by_truncation) >= 2
    first_of = {0.9: 0, 0.765: 2, 0.65025: 6}
    storage = open_storage(settings.storage.url)
    database = shop.database()
    for truncation, asset in by_truncation.items():
        assert first_of[truncation] <= asset.settings["candidate"]
        said = read_provenance(storage.get(asset.uri))
        assert (said["candidates"], said["truncation"]) == ("14", str(truncation))
        assert said["candidate"] == str(asset.settings["candidate"])
        assert replay(shop.settings, database, asset.sku).sha256 == asset.sha256
    database.dispose()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_row_from_before_truncation_is_drawn_again_without(shop: Shop, settings: Settings) -> None:
    _, live = fill(shop, settings, -1.0)
    older = dict(live["sku-00003"].settings)
    assert older.pop("truncation") == 1.0
    database = shop.database()
    with database.transaction() as connection:
        connection.execute(sa.update(tables.asset).where(tables.asset.c.sku == "sku-00003").values(settings=older))
    assert replay(shop.settings, database, "sku-00003").exit_code == EXIT_OK
    database.dispose()
