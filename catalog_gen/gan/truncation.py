"""The mean of a prompt: what truncation draws a picture towards (StyleGAN-T, arXiv 2301.09515).

The noise that is averaged over is fixed, and a text's mean is computed at one shape whatever stands beside it, so that
it is the same bits in every batch.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from catalog_gen.gan.latents import latents

MEAN_OVER = 64  # latents: their mean is off by 0.12 of a picture's own distance from it (shipped bundle)
GROUP = 8  # texts at once, short groups filled up: one shape, the same bits


def mean_over_noise(mapping: Callable[[Tensor, Tensor], Tensor], text: Tensor, z_dim: int) -> Tensor:
    """Return the mean of `mapping(z, text)` over fixed noise for each text (B, D), (B, W).

    mapping: (N, z_dim), (N, D) -> (N, W), row by row. A text that occurs several times is computed once.
    """
    # On the CPU: not every device can do it, and a chunk's texts are small.
    distinct, place = torch.unique(text.detach().cpu(), dim=0, return_inverse=True)
    distinct, place = distinct.to(text.device), place.to(text.device)
    noise = torch.from_numpy(_noise(z_dim)).to(text).repeat(GROUP, 1)  # (GROUP * MEAN_OVER, z_dim)
    means = []
    for start in range(0, len(distinct), GROUP):
        some = distinct[start : start + GROUP]
        filled = F.pad(some, (0, 0, 0, GROUP - len(some)))
        w = mapping(noise, filled.repeat_interleave(MEAN_OVER, dim=0))
        means.append(w.reshape(GROUP, MEAN_OVER, -1).mean(1)[: len(some)])
    return torch.cat(means)[place]


@cache
def _noise(z_dim: int) -> npt.NDArray[np.float32]:
    return latents(np.arange(MEAN_OVER, dtype=np.int64), z_dim)
