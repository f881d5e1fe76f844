"""A sheet of pictures of the same words and noise, drawn again and again while training: what a person looks at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from catalog_gen.gan.generator import Generator


@dataclass(frozen=True)
class Sheet:
    """The words to draw: texts (N, D) of unit length, `columns` pictures a line, and the seed of their noise."""

    texts: npt.NDArray[np.float32]
    columns: int = 8
    seed: int = 0


@torch.inference_mode()
def write_sheet(path: Path, generator: Generator, sheet: Sheet) -> None:
    """Draw the sheet with `generator` (in eval mode) and write it as PNG, by a temporary name."""
    device = next(generator.parameters()).device
    rng = torch.Generator().manual_seed(sheet.seed)
    z = torch.randn(len(sheet.texts), generator.config.z_dim, generator=rng).to(device)
    texts = torch.from_numpy(sheet.texts).to(device)
    parts = [generator(z[i : i + 32], texts[i : i + 32]).cpu() for i in range(0, len(z), 32)]
    pictures = to_uint8(torch.cat(parts)).permute(0, 2, 3, 1).numpy()
    save_grid(path, pictures, sheet.columns)


def to_uint8(images: torch.Tensor) -> torch.Tensor:
    """Return images in [-1, 1] as uint8, rounded to nearest."""
    return images.float().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)


def save_grid(path: Path, pictures: npt.NDArray[np.uint8], columns: int, scale: int = 1) -> None:
    """Write pictures (N, S, S, 3) as one PNG, `columns` a line, with lines of two grey pixels between."""
    count, size = pictures.shape[:2]
    lines = -(-count // columns)
    grid = np.full((lines * (size + 2), columns * (size + 2), 3), 128, np.uint8)
    for index, picture in enumerate(pictures):
        y, x = divmod(index, columns)
        grid[y * (size + 2) : y * (size + 2) + size, x * (size + 2) : x * (size + 2) + size] = picture
    image = Image.fromarray(grid)
    if scale > 1:
        image = image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    image.save(part, format="PNG")
    part.replace(path)
