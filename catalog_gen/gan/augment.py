"""Augmentation of what the discriminator sees: geometry only, because the words say what colour a product has.

Photos and drawn pictures pass through the same draw of parameters (differentiable augmentation, arXiv 2006.10738).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Geometry:
    """One draw of shifts and flips for a batch: `shifts` (B, 2) in px, each from 0 to 2 * reach; `flips` (B,) bool."""

    shifts: list[tuple[int, int]]
    flips: Tensor
    reach: int

    def apply(self, images: Tensor) -> Tensor:
        """Return `images` (B, C, S, S) shifted and flipped; what comes in at the edge repeats the border pixel."""
        size = images.shape[-1]
        if self.reach:
            padded = F.pad(images, (self.reach,) * 4, mode="replicate")
            rows = zip(padded.unbind(0), self.shifts, strict=True)
            images = torch.stack([row[:, dy : dy + size, dx : dx + size] for row, (dy, dx) in rows])
        flips = self.flips.to(images.device)[:, None, None, None]
        return torch.where(flips, images.flip(3), images)


def draw_geometry(batch: int, size: int, translate: float, flip: bool, generator: torch.Generator) -> Geometry:
    """Return shifts of at most `translate` of the side, and flips of half the batch when `flip`."""
    reach = int(size * translate)
    shifts = torch.randint(0, 2 * reach + 1, (batch, 2), generator=generator).tolist()
    flips = torch.rand(batch, generator=generator) < (0.5 if flip else 0.0)
    return Geometry([(int(dy), int(dx)) for dy, dx in shifts], flips, reach)


def jitter_text(text: Tensor, length: float, generator: torch.Generator) -> Tensor:
    """Return unit-length `text` (B, D) moved by noise of about `length` and renormalised.

    A few thousand prompts are a sparse sample of the sphere; the noise lets the networks hear its neighbourhood.
    """
    if not length:
        return text
    noise = torch.randn(text.shape, generator=generator).to(text.device)
    return F.normalize(text + noise * (length / text.shape[1] ** 0.5), dim=1)
