"""Whether a restyled picture still shows the same product: its colours, its structure, and what CLIP sees in it.

Everything is measured inside the product's mask, between the product as it was placed in its scene and the finished
picture; what happened around it does not count.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from catalog_gen.clip.model import ClipModel
from catalog_gen.photos import letterbox
from catalog_gen.quality.colour_difference import ciede2000, to_lab

Pixels = npt.NDArray[np.uint8]  # (H, W, 3) RGB
Mask = npt.NDArray[np.float32]  # (H, W) in [0, 1]

INSIDE = 0.95  # alpha from which a pixel is the product's alone
FEWEST_PIXELS = 64  # of the product: fewer say nothing
MOST_COLOURS = 60_000  # pixels whose colours are compared: a mean over them is within a hundredth of the whole
STRUCTURE = 512  # px of the longer side at which structure is compared
WINDOW, SIGMA = 11, 1.5  # of the structural similarity, in px
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
_C1, _C2 = 0.01**2, 0.03**2


@dataclass(frozen=True)
class Limits:
    """What is still the same product: at most these colour differences (CIEDE2000), at least these similarities."""

    delta_e: float
    delta_e_p95: float
    ssim: float
    clip: float


@dataclass(frozen=True)
class Invariance:
    """delta_e, delta_e_p95: mean and 95th percentile of CIEDE2000 inside the mask. ssim: mean in [-1, 1].

    clip: CLIP cosine of the product on white, before and after.
    """

    delta_e: float
    delta_e_p95: float
    ssim: float
    clip: float

    def scores(self) -> dict[str, float]:
        """Return the figures by name, rounded, for the asset's scores."""
        return {
            "delta_e": round(self.delta_e, 3),
            "delta_e_p95": round(self.delta_e_p95, 3),
            "ssim": round(self.ssim, 4),
            "clip_image": round(self.clip, 4),
        }

    def nearness(self, limits: Limits) -> float:
        """Return how near the nearest limit is: 0 for a picture without any change, 1 at the limit."""
        shares = (
            _share(self.delta_e, limits.delta_e),
            _share(self.delta_e_p95, limits.delta_e_p95),
            _share(1 - self.ssim, 1 - limits.ssim),
            _share(1 - self.clip, 1 - limits.clip),
        )
        return min(max(*shares, 0.0), 1.0)

    def faults(self, limits: Limits) -> list[str]:
        """Return what is beyond the limits, each with its figures; empty when the product is the same."""
        beyond = [
            (self.delta_e > limits.delta_e, f"colour difference {self.delta_e:.2f} above {limits.delta_e:g}"),
            (
                self.delta_e_p95 > limits.delta_e_p95,
                f"colour difference of the worst 5 % {self.delta_e_p95:.2f} above {limits.delta_e_p95:g}",
            ),
            (self.ssim < limits.ssim, f"structural similarity {self.ssim:.3f} below {limits.ssim:g}"),
            (self.clip < limits.clip, f"CLIP similarity {self.clip:.3f} below {limits.clip:g}"),
        ]
        return [text for found, text in beyond if found]


def _share(value: float, limit: float) -> float:
    return value / limit if limit > 0 else float(value > 0)


def check(before: Pixels, after: Pixels, alpha: Mask, clip: ClipModel) -> Invariance:
    """Compare the product in two pictures of one size. Raises ValueError for unlike shapes or a mask without product.

    before, after: (H, W, 3) uint8; alpha: (H, W), how much of each pixel is the product's.
    """
    if before.shape != after.shape or before.shape[:2] != alpha.shape:
        raise ValueError(f"pictures and mask differ in size: {before.shape}, {after.shape}, {alpha.shape}")
    inside = alpha >= INSIDE
    if inside.sum() < FEWEST_PIXELS:
        raise ValueError(f"the product covers {int(inside.sum())} pixels, and {FEWEST_PIXELS} are the least")
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    before, after, alpha, inside = before[box], after[box], alpha[box], inside[box]
    mean, worst = colour_difference(before, after, inside)
    shown = np.stack([on_white(picture, alpha, clip.score_size) for picture in (before, after)])  # (2, S, S, 3)
    one, other = clip.embed_images(torch.from_numpy(shown.transpose(0, 3, 1, 2).copy()))
    return Invariance(mean, worst, structural_similarity(before, after, inside), float(one @ other))


def colour_difference(before: Pixels, after: Pixels, inside: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Return the mean and the 95th percentile of CIEDE2000 inside; of large masks, of an even sample."""
    places = np.flatnonzero(inside)
    places = places[:: max(1, len(places) // MOST_COLOURS)]
    found = ciede2000(to_lab(before.reshape(-1, 3)[places]), to_lab(after.reshape(-1, 3)[places]))
    return float(found.mean()), float(np.percentile(found, 95))


def structural_similarity(before: Pixels, after: Pixels, inside: npt.NDArray[np.bool_]) -> float:
    """Return the mean SSIM of the luma where `inside` (H, W) holds (Wang et al. 2004: 11 x 11 Gaussian window).

    Pixels outside take no part in the windows either: each window's weights are those of its inside pixels. Pictures
    over `STRUCTURE` px are averaged down to it first, as the paper's authors do.
    """
    maps = torch.stack([_luma(before), _luma(after), torch.from_numpy(inside).float()])[:, None]  # (3, 1, H, W)
    if (scale := STRUCTURE / max(inside.shape)) < 1:
        maps = F.interpolate(maps, scale_factor=scale, mode="area")
    x, y, mask = maps[0:1], maps[1:2], maps[2:3]
    mask = (mask > INSIDE).float()
    x, y = x * mask, y * mask
    sums = _blur(torch.cat([mask, x, y, x * x, y * y, x * y]))
    mx, my, xx, yy, xy = (sums[1:] / sums[:1].clamp_min(1e-6))[:, None]
    vx, vy = (xx - mx * mx).clamp_min(0), (yy - my * my).clamp_min(0)
    found = ((2 * mx * my + _C1) * (2 * (xy - mx * my) + _C2)) / ((mx * mx + my * my + _C1) * (vx + vy + _C2))
    return float((found * mask).sum() / mask.sum().clamp_min(1))


def on_white(picture: Pixels, alpha: Mask, size: int) -> Pixels:
    """Return the product alone, on white, as a square of `size` px."""
    laid = picture * alpha[..., None] + 255.0 * (1 - alpha[..., None])
    return np.asarray(letterbox(Image.fromarray(np.rint(laid).clip(0, 255).astype(np.uint8)), size))


def _luma(picture: Pixels) -> Tensor:
    return torch.from_numpy(picture.astype(np.float32)) @ torch.tensor(_LUMA) / 255


def _blur(maps: Tensor) -> Tensor:
    """(N, 1, H, W) -> the same, through a Gaussian window; outside of the picture there is nothing.

    By shifted sums: a convolution of a single channel is slower on the CPU.
    """
    at = torch.arange(WINDOW, dtype=torch.float32) - WINDOW // 2
    line = torch.exp(-(at**2) / (2 * SIGMA**2))
    weights = (line / line.sum()).tolist()
    for dim in (2, 3):
        padded = F.pad(maps, (0, 0, WINDOW // 2, WINDOW // 2) if dim == 2 else (WINDOW // 2, WINDOW // 2))
        length = maps.shape[dim]
        maps = torch.zeros_like(maps)
        for shift, weight in enumerate(weights):
            maps.add_(padded.narrow(dim, shift, length), alpha=weight)
    return maps
