"""Kinds of product that the generator has hardly seen go to review, in the job, its log and its dry run."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import pytest

from catalog_gen.bundles import MANIFEST
from catalog_gen.config import Settings
from catalog_gen.pipeline.dry_run import estimate
from catalog_gen.pipeline.fill_missing import FillRequest
from integration.shop import Shop
from integration.test_again import changed

SEEN = {"SHIRT ": 50, "runningshoe": 20, "Watch": 19, "handbag": 1}  # of the shop's five kinds; no belt


def shop_with(settings: Settings, bundle: Path, **gate: float | int | bool) -> Shop:
    """A shop of ten products, two of each kind, whose gate lets everything else pass."""
    gates = changed(settings, "gate", min_similarity=-1.0, duplicates=False, **gate)
    shop = Shop(changed(gates, "gan", model=str(bundle), ladder=0))
    shop.add(10)
    return shop


@pytest.fixture
def counting_gan(tiny_gan: Path, tmp_path: Path) -> Path:
    """The tiny generator, whose bundle says what it has seen."""
    folder = Path(shutil.copytree(tiny_gan, tmp_path / "counting"))
    manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
    manifest["config"]["categories"] = SEEN
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    return folder


def test_what_was_hardly_seen_goes_to_review(
    settings: Settings, counting_gan: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shop = shop_with(settings, counting_gan)
    database = shop.database()
    said = estimate(shop.settings, database, FillRequest()).describe()
    assert "6 of them go to review for their kind: the generator saw fewer than 20 photos of it" in said
    few = estimate(shop.settings, database, FillRequest(limit=4)).describe()
    assert "2 of them go to review" in few, "of the planned rows alone: shirt, shoe, watch, handbag"
    database.dispose()
    with caplog.at_level(logging.INFO):
        shop.fill()
    assert "does not say which categories" not in caplog.text
    why = 'of its kind, "{}", the generator saw too few photos: {} of 20'
    live = shop.live()
    assert len(live) == 10
    for asset in live.values():
        seen = {"watch": 19, "handbag": 1, "belt": 0}.get(asset.category)
        parts = asset.reason.split("; ") if asset.reason else []
        assert (why.format(asset.category, seen) in parts) == (seen is not None)
        if seen is not None:
            assert asset.state == "needs_review" and asset.doubt >= 0.5
            assert asset.reason_kind == ("few-photos" if len(parts) == 1 else "fault")


def test_without_counts_or_with_the_check_off_nothing_is_held_back(
    settings: Settings, tiny_gan: Path, counting_gan: Path, caplog: pytest.LogCaptureFixture
) -> None:
    silent = shop_with(settings, tiny_gan)
    with caplog.at_level(logging.INFO):
        silent.fill(limit=5)
    line = "the generator tiny does not say which categories it has seen"
    assert caplog.text.count(line) == 1
    caplog.clear()
    silent.settings = changed(changed(silent.settings, "gate", min_photos=0), "gan", model=str(counting_gan))
    with caplog.at_level(logging.INFO):
        silent.fill()
    assert line not in caplog.text
    live = silent.live()
    assert len(live) == 10 and not any("of its kind" in asset.reason for asset in live.values())
