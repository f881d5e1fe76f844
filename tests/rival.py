"""Public GANs from PyPI, trained on the catalogue's photos for a given time on one CPU thread.

`dcgan` is torchgan's DCGAN (arXiv 1511.06434) with its own trainer and losses at the paper's settings. `lightweight` is
lightweight-gan with its own trainer, networks, losses and augmentation at their defaults, but for the batch; only its
calls to CUDA are sent to the CPU, where `--light` makes it half as wide and leaves out its attention. Neither reads
words. What they draw goes to a folder that `catalog-gen evaluate --pictures` scores as it scores ours.

torchgan installs a package named `tests` that hides this folder: give it a place of its own, or take it off again.

    pip install lightweight-gan && pip install --no-deps --target rivals torchgan
    PYTHONPATH=tests:rivals python -m rival dcgan --config catalog-gen.toml --work work/rival --minutes 12 --size 64
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import DEFAULT, patch

import numpy as np
import torch
import torchvision
from PIL import Image
from torch import nn

from catalog_gen.catalog.database import open_database
from catalog_gen.config import load_settings
from catalog_gen.gan.sheet import save_grid, to_uint8
from catalog_gen.pipeline.training_source import training_rows
from catalog_gen.training_data import load_photos, split

BATCH = 32
DRAWN = 1000
Draw = Callable[[int], torch.Tensor]  # how many -> pictures (N, 3, S, S) in [-1, 1]
LIGHT: dict[str, Any] = {"fmap_max": 256, "attn_res_layers": []}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("which", choices=["dcgan", "lightweight"])
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--light", action="store_true", help="half as wide, without attention")
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    photos = write_photos(given.config, given.work, given.size)
    train = train_dcgan if given.which == "dcgan" else train_lightweight
    draw(train(photos, given), given.work)


def train_dcgan(photos: Path, given: argparse.Namespace) -> Draw:
    """Train torchgan's DCGAN; return what draws with it."""
    from torchgan.losses import MinimaxDiscriminatorLoss, MinimaxGeneratorLoss
    from torchgan.models import DCGANDiscriminator, DCGANGenerator
    from torchgan.trainer import Trainer

    adam = {"name": torch.optim.Adam, "args": {"lr": 0.0002, "betas": (0.5, 0.999)}}
    shape = {"out_size": given.size, "out_channels": 3}
    seen = {"in_size": given.size, "in_channels": 3}
    trainer = Trainer(
        {
            "generator": {"name": DCGANGenerator, "args": shape | {"last_nonlinearity": nn.Tanh()}, "optimizer": adam},
            "discriminator": {"name": DCGANDiscriminator, "args": seen, "optimizer": adam},
        },
        [MinimaxGeneratorLoss(), MinimaxDiscriminatorLoss()],
        device=torch.device("cpu"),
        epochs=1,
        checkpoints=str(given.work / "checkpoint"),
        recon=str(given.work),
        log_dir=str(given.work / "log"),
    )
    with patch.multiple(
        torchvision.utils, make_grid=DEFAULT, save_image=DEFAULT
    ):  # its sheet names an argument that torchvision has renamed
        trainer(Timed(photos, given.minutes))
    generator = trainer.generator.eval()
    return lambda count: generator(torch.randn(count, generator.encoding_dims))


class Timed:
    """Batches of photos (B, 3, S, S) in [-1, 1], shuffled and flipped, until the time is up."""

    batch_size = BATCH

    def __init__(self, photos: Path, minutes: float) -> None:
        files = sorted(photos.glob("*.png"))
        pixels = np.stack([np.asarray(Image.open(file)) for file in files])
        self.photos = torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy())
        self.minutes = minutes

    def __iter__(self) -> Iterator[torch.Tensor]:
        started, steps = time.monotonic(), 0
        while time.monotonic() - started < self.minutes * 60:
            batch = self.photos[torch.randint(len(self.photos), (BATCH,))].float() / 127.5 - 1
            yield torch.where(torch.rand(BATCH, 1, 1, 1) < 0.5, batch, batch.flip(3))
            steps += 1
        sys.stdout.write(f"{steps * BATCH:,} images in {(time.monotonic() - started) / 60:.1f} minutes\n")


def train_lightweight(photos: Path, given: argparse.Namespace) -> Draw:
    """Train lightweight-gan; return what draws with its averaged generator."""
    trainer = make_trainer(given.work, given.size, LIGHT if given.light else {})
    trainer.set_data_src(str(photos))
    started = time.monotonic()
    while time.monotonic() - started < given.minutes * 60:
        trainer.train()
    seconds = time.monotonic() - started
    sys.stdout.write(f"{trainer.steps * BATCH:,} images in {seconds / 60:.1f} minutes\n")
    trainer.GAN.eval()
    return lambda count: trainer.generate_(trainer.GAN.GE, torch.randn(count, trainer.GAN.latent_dim)) * 2 - 1


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


def make_trainer(work: Path, size: int, changed: dict[str, Any]) -> Any:
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
        save_every=10**9,
        evaluate_every=10**9,
        use_aim=False,
        **changed,
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
def draw(some: Draw, work: Path) -> None:
    """Write pictures, and a sheet of the first 64."""
    pictures = torch.cat([some(50) for _ in range(DRAWN // 50)])
    pixels = to_uint8(pictures).permute(0, 2, 3, 1).numpy()
    folder = work / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    for number, picture in enumerate(pixels):
        Image.fromarray(picture).save(folder / f"drawn-{number:04d}.png")
    save_grid(work / "sheet.png", pixels[:64], columns=8)


if __name__ == "__main__":
    main()
