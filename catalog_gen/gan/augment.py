"""Augmentation of what the discriminator sees, and the noise on the words.

Photos and drawn pictures pass through the same draw of parameters, and gradients pass to the pictures (differentiable
augmentation, arXiv 2006.10738). Every random number comes from a generator on the CPU, so a draw is the same anywhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import torch
from torch import Tensor
from torch.nn import functional as F

from catalog_gen.gan.config import AugmentConfig


class _Op(Protocol):
    """One drawn operation for a batch; `part` is that of the items start to stop."""

    def apply(self, images: Tensor) -> Tensor: ...

    def part(self, start: int, stop: int) -> Self: ...


@dataclass(frozen=True)
class _Shift:
    """Whole-pixel shifts, each from 0 to 2 * reach px (`reach` is the picture in its place), then flips (B,) bool.

    No resampling, and the fastest on a CPU; what comes in at the edge repeats the border pixel.
    """

    shifts: list[tuple[int, int]]  # (dy, dx)
    flips: Tensor
    reach: int

    def apply(self, images: Tensor) -> Tensor:
        size = images.shape[-1]
        if self.reach:
            padded = F.pad(images, (self.reach,) * 4, mode="replicate")
            rows = zip(padded.unbind(0), self.shifts, strict=True)
            images = torch.stack([row[:, dy : dy + size, dx : dx + size] for row, (dy, dx) in rows])
        flips = self.flips.to(images.device)[:, None, None, None]
        return torch.where(flips, images.flip(3), images)

    def part(self, start: int, stop: int) -> _Shift:
        return _Shift(self.shifts[start:stop], self.flips[start:stop], self.reach)

    def rotated(self, angles: Tensor, scales: Tensor, size: int) -> _Affine:
        """Return the same flips and shifts after a turn by `angles` (B,) in radians and a growth of `scales` (B,)."""
        mirror = torch.where(self.flips, -1.0, 1.0)
        cos, sin = angles.cos() / scales, angles.sin() / scales
        shifts = (torch.tensor(self.shifts, dtype=torch.float32).view(-1, 2) - self.reach) * (2 / size)
        rows = [cos * mirror, -sin, shifts[:, 1], sin * mirror, cos, shifts[:, 0]]
        return _Affine(torch.stack(rows, 1).view(-1, 2, 3))


@dataclass(frozen=True)
class _Affine:
    """All geometry in one bilinear resampling: (B, 2, 3), from where in [-1, 1] each pixel is taken.

    Beyond the border its pixels go on, as the white ground of a product photo does.
    """

    matrices: Tensor

    def apply(self, images: Tensor) -> Tensor:
        grid = F.affine_grid(self.matrices, list(images.shape), align_corners=False)
        seen = F.grid_sample(
            images.float(), grid.to(images.device), mode="bilinear", padding_mode="border", align_corners=False
        )
        return seen.to(images.dtype)

    def part(self, start: int, stop: int) -> _Affine:
        return _Affine(self.matrices[start:stop])


@dataclass(frozen=True)
class _Colour:
    """Brightness added, then saturation and contrast multiplied, one column each of (B, 3); not clamped."""

    factors: Tensor

    def apply(self, images: Tensor) -> Tensor:
        factors = self.factors.to(images.device, images.dtype)
        brightness, saturation, contrast = (column[:, None, None, None] for column in factors.unbind(1))
        images = images + brightness
        images = torch.lerp(images.mean(1, keepdim=True), images, saturation)
        return torch.lerp(images.mean((1, 2, 3), keepdim=True), images, contrast)

    def part(self, start: int, stop: int) -> _Colour:
        return _Colour(self.factors[start:stop])


@dataclass(frozen=True)
class _Cutout:
    """A grey square of `side` px on each item; corners (B, 2) are its top and left, and may lie outside the picture."""

    corners: Tensor
    side: int

    def apply(self, images: Tensor) -> Tensor:
        pixels = torch.arange(images.shape[-1], device=images.device)
        offsets = pixels - self.corners.to(images.device)[:, :, None]  # (B, 2, S)
        inside = (offsets >= 0) & (offsets < self.side)
        hole = inside[:, 0, :, None] & inside[:, 1, None, :]
        return images.masked_fill(hole[:, None], 0.0)

    def part(self, start: int, stop: int) -> _Cutout:
        return _Cutout(self.corners[start:stop], self.side)


@dataclass(frozen=True)
class Augmentation:
    """One draw for a batch: what is done to each item, whichever pictures it is applied to."""

    ops: tuple[_Op, ...]

    def apply(self, images: Tensor) -> Tensor:
        """Return `images` (B, 3, S, S) augmented, in their own dtype; differentiable once."""
        for op in self.ops:
            images = op.apply(images)
        return images

    def part(self, start: int, stop: int) -> Augmentation:
        """Return the draw of items `start` to `stop`, for one process of several or one part of a batch."""
        return Augmentation(tuple(op.part(start, stop) for op in self.ops))


def draw_augmentation(
    batch: int, size: int, config: AugmentConfig, strength: float, rng: torch.Generator
) -> Augmentation:
    """Return what happens to each of `batch` items of `size` px.

    Every operation touches every item, or when `config.adaptive` each item by itself with probability `strength`. A
    flip turns half of those it touches. `rng` on the CPU gives all random numbers.
    """
    dice = _Dice(batch, strength if config.adaptive else 1.0, rng)
    shift = _draw_shift(size, config, dice)
    ops: list[_Op] = [_Colour(_draw_colour(config.colour, dice))] if config.colour else []
    if config.rotate or config.scale:
        angles = dice.between(math.radians(config.rotate))
        scales = dice.between(math.log1p(config.scale)).exp()
        ops.append(shift.rotated(angles, scales, size))
    else:
        ops.append(shift)
    side = round(size * config.cutout)
    if side:
        corners = torch.randint(0, size, (batch, 2), generator=rng) - side // 2  # the middle lies in the picture
        ops.append(_Cutout(torch.where(dice.touched()[:, None], corners, size), side))
    return Augmentation(tuple(ops))


@dataclass(frozen=True)
class _Dice:
    batch: int
    chance: float
    rng: torch.Generator

    def touched(self) -> Tensor:
        """Return which items an operation touches, (B,) bool."""
        if self.chance >= 1:
            return torch.ones(self.batch, dtype=torch.bool)
        return torch.rand(self.batch, generator=self.rng) < self.chance

    def between(self, reach: float) -> Tensor:
        """Return (B,) from -reach to reach, and 0 for the items that are not touched."""
        drawn = (torch.rand(self.batch, generator=self.rng) * 2 - 1) * reach
        return torch.where(self.touched(), drawn, 0.0)


def _draw_shift(size: int, config: AugmentConfig, dice: _Dice) -> _Shift:
    reach = int(size * config.translate)
    shifts = torch.randint(0, 2 * reach + 1, (dice.batch, 2), generator=dice.rng)
    flips = torch.rand(dice.batch, generator=dice.rng) < (dice.chance / 2 if config.flip else 0.0)
    shifts = torch.where(dice.touched()[:, None], shifts, reach)
    return _Shift([(int(dy), int(dx)) for dy, dx in shifts.tolist()], flips, reach)


def _draw_colour(strength: float, dice: _Dice) -> Tensor:
    """Return (B, 3): at full strength the reaches of arXiv 2006.10738, for pictures in [-1, 1]."""
    brightness, saturation, contrast = (dice.between(reach * strength) for reach in (0.5, 1.0, 0.5))
    return torch.stack([brightness, 1 + saturation, 1 + contrast], 1)


def mean_sign(real_logits: Sequence[Tensor]) -> Tensor:
    """Return the mean over heads of the mean sign of their logits of photos, a scalar in [-1, 1]; of equal weight."""
    return torch.stack([logits.detach().float().sign().mean() for logits in real_logits]).mean()


class AdaptiveStrength:
    """How often photos and pictures are augmented, `p` in [0, 1], held where the discriminator does not overfit (ADA).

    The mean sign of its logits of photos, 1 when it knows every photo for one, is held at `config.target`
    (r_t of arXiv 2006.06676). It says something where 0 parts real from fake: with relativistic and Wasserstein
    losses give the differences of the logits of photos and of drawn pictures.
    """

    def __init__(self, config: AugmentConfig, p: float = 0.0) -> None:
        self.config = config
        self.p = p

    def move(self, sign: float, images: int) -> None:
        """Move `p` by images / adapt_images, up when the mean `sign` is above the target and down below it.

        For several batches or processes give the average of their `mean_sign`.
        """
        step = images / self.config.adapt_images
        direction = (sign > self.config.target) - (sign < self.config.target)
        self.p = min(1.0, max(0.0, self.p + direction * step))

    def state_dict(self) -> dict[str, float]:
        return {"p": self.p}

    def load_state_dict(self, state: dict[str, float]) -> None:
        self.p = float(state["p"])


def jitter_text(text: Tensor, length: float, generator: torch.Generator) -> Tensor:
    """Return unit-length `text` (B, D) moved by noise of about `length` and renormalised.

    A few thousand prompts are a sparse sample of the sphere; the noise lets the networks hear its neighbourhood.
    """
    if not length:
        return text
    noise = torch.randn(text.shape, generator=generator).to(text.device)
    return F.normalize(text + noise * (length / text.shape[1] ** 0.5), dim=1)
