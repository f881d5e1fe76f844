"""A shop with real rows, the shipped CLIP, and a generator that is tiny but real."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from catalog_gen.bundles import load_bundle, save_bundle
from catalog_gen.config import Settings, load_settings
from catalog_gen.gan.config import GeneratorConfig
from catalog_gen.gan.generator import Generator
from integration.shop import Shop
from integration.upscaler_fixtures import write_upscaler

TINY = GeneratorConfig(image_size=32, z_dim=16, text_dim=256, w_dim=32, channels=(16, 16, 8, 8))


@pytest.fixture(scope="session")
def tiny_gan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of an untrained generator of the shipped kind, for the shipped CLIP: draws noise, but quickly."""
    folder = tmp_path_factory.mktemp("bundles") / "tiny-gan"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Generator(TINY).eval()
    config = {"generator": TINY.model_dump(mode="json"), "clip_hash": load_bundle("product-clip", "clip").hash}
    save_bundle(folder, kind="gan", name="tiny", config=config, weights=network.state_dict(), card="# tiny\n")
    return folder


@pytest.fixture(scope="session")
def tiny_upscaler(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(write_upscaler(tmp_path_factory.mktemp("bundles") / "tiny-upscale"))


@pytest.fixture
def settings(database_url: str, tiny_gan: Path, tmp_path: Path) -> Settings:
    return load_settings(
        None,
        env={},
        use_default_file=False,
        flags={
            "database.url": database_url,
            "storage.url": str(tmp_path / "pictures"),
            "gan.model": str(tiny_gan),
            "gan.candidates": 2,
            "upscale.model": "",
            "gan.ladder": 0,  # an untrained generator never satisfies CLIP: every row would climb to the top
            "job.page_rows": 16,
            "job.retry_seconds": 0.02,
        },
    )


@pytest.fixture
def shop(settings: Settings, database: object) -> Shop:
    """Sixty products without a picture in an empty database."""
    shop = Shop(settings)
    shop.add(60)
    return shop
