"""The public package `lightweight-gan` trained on the catalogue's photos for a given time, on one CPU thread.

Its own trainer, networks, losses and augmentation at their defaults, but for the batch, and the channels where
`--fmap-max` lowers them; only its calls to CUDA are sent to the CPU. It reads no words. Its averaged generator's
pictures go to a folder that `catalog-gen evaluate --pictures` scores as it scores ours.

    pip install lightweight-gan
    PYTHONPATH=tests python -m rival --config catalog-gen.toml --work work/rival --minutes 12 --size 64
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from PIL import Image

from catalog_gen.catalog.database import open_database
from catalog_gen.config import load_settings
from catalog_gen.gan.sheet import save_grid, to_uint8
from catalog_gen.pipeline.training_source import training_rows
from catalog_gen.training_data import load_photos, split

BATCH = 32
DRAWN = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--fmap-max", type=int, default=512, help="the most channels of a layer; fewer are faster")
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    photos = write_photos(given.config, given.work, given.size)
    trainer = make_trainer(given.work, given.size, given.fmap_max)
    trainer.set_data_src(str(photos))
    started = time.monotonic()
    while time.monotonic() - started < given.minutes * 60:
        trainer.train()
        sys.stdout.write(f"\r{trainer.steps * BATCH:,} images")
        sys.stdout.flush()
    seconds = time.monotonic() - started
    sys.stdout.write(f"\r{trainer.steps * BATCH:,} images in {seconds / 60:.1f} minutes\n")
    draw(trainer, given.work)


def write_photos(config: Path, work: Path, size: int) -> Path:
    """Write the training side's photos, as our own training sees them, to a folder of PNG files."""
    settings = load_settings(config)
    database = open_database(settings.database.url)
    train, _ = split(training_rows(settings, database, ()), 1000, 0)
    database.dispose()
    pixels, _, kept = load_photos(train, size, work / "cache")
    folder = work / "photos"
    folder.mkdir(parents=True, exist_ok=True)
    for row, picture in zip(kept, pixels, strict=True):
        Image.fromarray(picture).save(folder / f"{row.sku}.png", compress_level=1)
    return folder


def make_trainer(work: Path, size: int, fmap_max: int) -> Any:
    """Return the package's trainer; what it puts on a GPU stays where it is."""
    torch.Tensor.cuda = torch.nn.Module.cuda = lambda self, *_, **__: self  # type: ignore[method-assign,assignment]
    device = torch.device
    with patch.object(torch.cuda, "is_available", return_value=True):
        from lightweight_gan import lightweight_gan

    lightweight_gan.torch = _OnCpu(device)
    return lightweight_gan.Trainer(
        base_dir=str(work),
        image_size=size,
        batch_size=BATCH,
        num_workers=0,
        fmap_max=fmap_max,
        save_every=10**9,
        evaluate_every=10**9,
        use_aim=False,
    )


class _OnCpu:
    """The module torch, in which every device is the CPU."""

    def __init__(self, device: type[torch.device]) -> None:
        self._device = device

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)

    def device(self, *_: Any) -> torch.device:
        return self._device("cpu")


@torch.no_grad()
def draw(trainer: Any, work: Path) -> None:
    """Write pictures of the averaged generator, and a sheet of the first 64."""
    trainer.GAN.eval()
    latents = torch.randn(DRAWN, trainer.GAN.latent_dim)
    pictures = torch.cat([trainer.generate_(trainer.GAN.GE, some) for some in latents.split(50)])
    pixels = to_uint8(pictures * 2 - 1).permute(0, 2, 3, 1).numpy()
    folder = work / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    for number, picture in enumerate(pixels):
        Image.fromarray(picture).save(folder / f"drawn-{number:04d}.png")
    save_grid(work / "sheet.png", pixels[:64], columns=8)


if __name__ == "__main__":
    main()
