"""Pictures in bands of detail, the hole of a product filled from around it, and more of a texture than was given."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

_CHOICE = 24  # patches tried for each place of a texture


def shrink(images: Tensor) -> Tensor:
    """Return (B, C, ceil(H/2), ceil(W/2)): each pixel the mean of its four, or of those there are at an odd edge."""
    return F.avg_pool2d(images, 2, ceil_mode=True, count_include_pad=False)


def enlarge(images: Tensor, like: Tensor) -> Tensor:
    """Return the images bilinearly at the size of `like`."""
    return F.interpolate(images, like.shape[-2:], mode="bilinear", align_corners=False)


def laplacian(images: Tensor, levels: int) -> tuple[list[Tensor], Tensor]:
    """Return ([band, fine to coarse], base) of images (B, C, H, W): Burt and Adelson's pyramid, `levels` bands."""
    bands = []
    for _ in range(levels):
        small = shrink(images)
        bands.append(images - enlarge(small, images))
        images = small
    return bands, images


def rebuild(bands: list[Tensor], base: Tensor) -> Tensor:
    """Return the images that `laplacian` took apart."""
    for band in reversed(bands):
        base = band + enlarge(base, band)
    return base


def fill(images: Tensor, valid: Tensor) -> Tensor:
    """Return images (B, C, H, W) where `valid` (B, 1, H, W) is 1, and what lies around, spread smoothly, where it is 0.

    Coarse to fine (push-pull, Gortler et al. 1996; a normalised convolution, Knutsson and Westin 1993): ordinary
    convolutions then see a whole scene without its product. It is partial convolution done once, in front, and not in
    every layer. valid holds zeros and ones. What is not valid has no influence on the result; valid pixels come back
    as they are. A picture without any valid pixel becomes grey.
    """
    kept, share = torch.where(valid > 0, images, torch.zeros_like(images)), valid
    levels = [(kept, share)]
    while min(kept.shape[-2:]) > 1:
        kept, share = (F.avg_pool2d(x, 2, ceil_mode=True) for x in (kept, share))
        levels.append((kept, share))
    known = share.sum((2, 3), keepdim=True)
    mean = kept.sum((2, 3), keepdim=True) / known.clamp_min(1e-12)
    found = torch.where(known > 0, mean, torch.full_like(mean, 0.5)).expand_as(kept)
    for kept, share in reversed(levels):
        around = F.interpolate(found, kept.shape[-2:], mode="bilinear", align_corners=False)
        found = torch.where(share > 0, kept, torch.zeros_like(kept)) + (1 - share) * around
    return found


def more_of(texture: Tensor, size: tuple[int, int], seed: int) -> Tensor:
    """Return a texture (1, C, *size) that looks like (1, C, h, w), of mean zero: a cut of it where it is large enough.

    Where it is not, patches side by side, each that of a few random ones which best continues its neighbours (Efros
    and Freeman 2001), joined by weights whose squares sum to one, so that seams keep the contrast (by-example noise,
    Heitz and Neyret 2018).
    """
    generator = torch.Generator().manual_seed(seed)
    patch = [
        whole if own >= whole else max(1, own * 2 // 3) for own, whole in zip(texture.shape[-2:], size, strict=True)
    ]
    rising = [_window(side).to(texture) for side in patch]
    window = rising[0][:, None] * rising[1][None, :]
    starts = [range(0, max(1, whole - side // 3), side - side // 3) for whole, side in zip(size, patch, strict=True)]
    out = torch.zeros(1, texture.shape[1], starts[0][-1] + patch[0], starts[1][-1] + patch[1]).to(texture)
    power = torch.zeros_like(out[:, :1])
    for y in starts[0]:
        for x in starts[1]:
            here = (..., slice(y, y + patch[0]), slice(x, x + patch[1]))
            chosen = _continuing(out[here], power[here], texture, generator)
            out[here] += window * chosen
            power[here] += window.square()
    return (out / power.sqrt())[..., : size[0], : size[1]]


def _window(side: int) -> Tensor:
    seam = side // 3
    ramp = torch.linspace(0, 1, seam + 2)[1:-1]
    return torch.cat([ramp, torch.ones(side - 2 * seam), ramp.flip(0)])


def _continuing(there: Tensor, power: Tensor, texture: Tensor, generator: torch.Generator) -> Tensor:
    """Return of a few random patches of `texture` the one nearest to what is `there` already, (1, C, h, w)."""
    high, wide = there.shape[-2:]
    thin = (..., slice(None, None, 4), slice(None, None, 4))
    settled, weight = there[thin] / power[thin].sqrt().clamp_min(1e-6), (power[thin] > 0).to(there)
    down, across = texture.shape[2] - high + 1, texture.shape[3] - wide + 1
    found, best = texture[..., :high, :wide], float("inf")
    for _ in range(_CHOICE):
        top, left = (int(torch.randint(room, (), generator=generator)) for room in (down, across))
        one = texture[..., top : top + high, left : left + wide]
        error = float(((one[thin] - settled).square() * weight).sum())
        if error < best:
            found, best = one, error
    return found
