"""Tiny networks and a tiny folder of photos: the real code at a size that trains in seconds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from catalog_gen.bundles import save_bundle
from catalog_gen.gan.config import DiscriminatorConfig, GanTrainConfig, GeneratorConfig
from catalog_gen.gan.generator import Generator
from catalog_gen.gan.norms import ModulatedNorm
from catalog_gen.training_data import TrainRow

TINY = GeneratorConfig(image_size=16, z_dim=8, text_dim=6, w_dim=16, channels=(16, 16, 8))


def unit_rows(count: int, dim: int = 6, seed: int = 0) -> npt.NDArray[np.float32]:
    rows = np.random.default_rng(seed).standard_normal((count, dim)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def tiny_generator(seed: int = 0) -> Generator:
    """An untrained generator whose norms have uneven statistics, as a trained one's have."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = Generator(TINY)
        for module in network.modules():
            if isinstance(module, ModulatedNorm):
                module.running_mean.normal_()
                module.running_var.uniform_(0.5, 2.0)
    return network.eval()


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny networks are faster on one thread, and many times so on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def config() -> GanTrainConfig:
    return GanTrainConfig(
        generator=TINY,
        discriminator=DiscriminatorConfig(head_width=4, pixel_widths=(4, 8)),
        images=32,
        batch_size=4,
        precision="fp32",
        ema_images=20,
        sheet_every=4,
        workers=1,
    )


@pytest.fixture
def rows(tmp_path: Path) -> list[TrainRow]:
    """Ten photos, each a block of its own colour on white."""
    folder = tmp_path / "shop"
    folder.mkdir()
    found = []
    for i in range(10):
        pixels = np.full((20, 20, 3), 255, np.uint8)
        pixels[5:15, 5:15] = (25 * i, 255 - 25 * i, 120)
        Image.fromarray(pixels).save(folder / f"{i}.png")
        found.append(TrainRow(f"sku-{i}", f"thing number {i}", f"kind {i % 3}", f"colour {i % 2}", folder / f"{i}.png"))
    return found


@pytest.fixture
def gan_bundle(tmp_path: Path) -> Path:
    """A bundle of a tiny untrained generator, made for the CLIP with the hash `c1`."""
    out = tmp_path / "bundle"
    save_bundle(
        out,
        kind="gan",
        name="tiny",
        config={"generator": TINY.model_dump(mode="json"), "clip_hash": "c1"},
        weights=tiny_generator().state_dict(),
        card="# tiny\n",
    )
    return out
