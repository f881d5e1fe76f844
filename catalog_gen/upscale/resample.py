"""Classic resampling by Pillow, of batches of pictures."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor


def resampled(
    pictures: npt.NDArray[np.uint8], side: int, how: Image.Resampling = Image.Resampling.LANCZOS
) -> npt.NDArray[np.uint8]:
    """Return square pictures (B, S, S, 3) as (B, side, side, 3)."""
    if pictures.shape[1] == side:
        return pictures
    return np.stack([np.asarray(Image.fromarray(one).resize((side, side), how)) for one in pictures])


def lanczos(pictures: Tensor, factor: int) -> Tensor:
    """Return pictures (B, 3, S, S) in [-1, 1] enlarged, in [-1, 1]."""
    levels = pictures.add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).numpy()
    large = resampled(levels, levels.shape[1] * factor)
    return torch.from_numpy(large).permute(0, 3, 1, 2).float() / 127.5 - 1
