"""The job with an upscaler: large pictures on disk, recorded as such, and made again bit for bit."""

from __future__ import annotations

import functools
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from shop import Shop

from catalog_gen.catalog.runs import list_runs
from catalog_gen.config import Settings
from catalog_gen.errors import EXIT_OK, BundleError, Unavailable
from catalog_gen.pipeline import models
from catalog_gen.pipeline.dry_run import estimate
from catalog_gen.pipeline.fill_missing import FillRequest
from catalog_gen.pipeline.replay import replay
from catalog_gen.pipeline.show import look_up
from catalog_gen.provenance import read_provenance
from catalog_gen.storage import open_storage
from catalog_gen.upscale.upscaler import load_upscaler
from integration.upscaler_fixtures import write_upscaler

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def enlarging(settings: Settings, model: str, size: int) -> Settings:
    """Return the settings with this upscaler; an empty model turns it off."""
    update = settings.upscale.model_copy(update={"model": model, "size": size})
    return settings.model_copy(update={"upscale": update})


def test_pictures_are_delivered_large_and_made_again_bit_for_bit(
    shop: Shop, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "load_clip", functools.cache(models.load_clip))  # 60 replays need it once
    model = write_upscaler(tmp_path / "up")
    shop.settings = enlarging(settings, model, 144)  # past it, and back by Lanczos
    summary = shop.fill()
    assert summary.exit_code == EXIT_OK
    upscaler = load_upscaler(model, 144)
    database, storage = shop.database(), open_storage(settings.storage.url)
    for sku, asset in shop.live().items():
        data = storage.get(asset.uri)
        with Image.open(io.BytesIO(data)) as image:
            assert image.size == (asset.width, asset.height) == (144, 144)
        assert asset.settings["upscale"] == upscaler.record()
        assert read_provenance(data)["upscaler"] == f"up@{upscaler.hash}"
        assert replay(shop.settings, database, sku).sha256 == asset.sha256
    shown = look_up(shop.settings, database, sku).document["events"]
    assert any(upscaler.hash[:12] in str(event) and "144 px" in str(event) for event in shown)
    (run,) = list_runs(database, 1)
    assert run.models["upscale"] == upscaler.record() and run.timings["upscale"] > 0
    database.dispose()
    shop.check_promises(60)


def test_a_picture_is_not_made_again_with_another_upscaler(shop: Shop, settings: Settings, tmp_path: Path) -> None:
    shop.settings = enlarging(settings, write_upscaler(tmp_path / "up"), 128)
    shop.fill()
    database = shop.database()
    for other in (write_upscaler(tmp_path / "other", seed=1), ""):
        with pytest.raises(Unavailable, match="made with the upscaler"):
            replay(enlarging(settings, other, 128), database, "sku-00000")
    database.dispose()


def test_a_picture_from_before_there_was_an_upscaler_is_made_again_small(
    shop: Shop, settings: Settings, tmp_path: Path
) -> None:
    shop.fill()
    database = shop.database()
    again = replay(enlarging(settings, write_upscaler(tmp_path / "up"), 128), database, "sku-00000")
    assert again.exit_code == EXIT_OK
    database.dispose()


def test_a_plan_counts_the_enlarging_and_its_bytes(shop: Shop, settings: Settings, tmp_path: Path) -> None:
    database = shop.database()
    plain = estimate(enlarging(settings, "", 512), database, FillRequest())
    large = estimate(enlarging(settings, write_upscaler(tmp_path / "up"), 512), database, FillRequest())
    assert large.plan.planned == plain.plan.planned == 60
    assert large.bytes > 2 * plain.bytes
    database.dispose()


def test_a_missing_upscaler_ends_the_job_before_its_first_row(shop: Shop, settings: Settings) -> None:
    shop.settings = enlarging(settings, "nowhere", 512)
    with pytest.raises(BundleError, match="there is no upscale bundle 'nowhere'"):
        shop.fill()
    assert not shop.live()


def test_large_pictures_look_like_the_small_ones(shop: Shop, settings: Settings, tmp_path: Path) -> None:
    shop.fill()
    storage = open_storage(settings.storage.url)
    small = {
        sku: np.asarray(Image.open(io.BytesIO(storage.get(a.uri))).convert("RGB")) for sku, a in shop.live().items()
    }
    upscaler = load_upscaler(write_upscaler(tmp_path / "up"), 128)
    for picture in small.values():
        large = upscaler.enlarge(picture[None])[0]
        reduced = np.asarray(Image.fromarray(large).resize(picture.shape[1::-1], Image.Resampling.BOX))
        assert np.abs(reduced.astype(float) - picture).mean() < 12
