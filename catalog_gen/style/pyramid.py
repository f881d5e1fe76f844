"""Pictures in bands of detail, the hole of a product filled from around it, and more of a texture than was given."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


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
    """Return the images with what is not `valid` (B, 1, H, W, zeros and ones) filled smoothly from what is.

    Pull-push interpolation (Gortler et al. 1996). Invalid pixels have no influence; with none valid it is all zero.
    """
    held = torch.cat([images * valid, valid], 1)
    return _pull_push(held)[:, :-1]


def _pull_push(held: Tensor) -> Tensor:
    """Fill (B, C + 1, H, W), the last plane the validity and the others already multiplied by it."""
    valid = held[:, -1:]
    if max(held.shape[-2:]) == 1:
        return held / valid.clamp_min(1e-12)
    coarse = shrink(held)
    share = coarse[:, -1:]
    coarse = torch.where(share > 0, coarse / share.clamp_min(1e-12), coarse)
    if bool((share == 0).any()):  # a cell with nothing in it: ask further out
        known = (share > 0).to(held.dtype)
        coarse = torch.where(share > 0, coarse, _pull_push(coarse * known))
    return torch.where(valid > 0, held, enlarge(coarse, held))


def more_of(texture: Tensor, size: tuple[int, int], patch: int, seed: int) -> Tensor:
    """Return a texture (1, C, *size) that looks like (1, C, h, w), of mean zero, and never repeats in rows.

    Random patches side by side, joined by weights whose squares sum to one, so that seams keep the contrast
    (by-example noise, Heitz and Neyret 2018). A texture smaller than a patch is mirrored.
    """
    texture = _mirrored(texture, patch)
    generator = torch.Generator().manual_seed(seed)
    step = max(1, patch * 2 // 3)
    ramp = torch.linspace(0, 1, patch - step + 2)[1:-1].to(texture)
    edge = torch.cat([ramp, torch.ones(patch - 2 * len(ramp), device=ramp.device), ramp.flip(0)])
    window = edge[:, None] * edge[None, :]
    rows, columns = (range(0, side + patch, step) for side in size)
    out = torch.zeros(1, texture.shape[1], rows[-1] + patch, columns[-1] + patch).to(texture)
    power = torch.zeros_like(out[:, :1])
    for y in rows:
        for x in columns:
            top, left = (
                int(torch.randint(side - patch + 1, (), generator=generator)) for side in texture.shape[-2:]
            )
            out[..., y : y + patch, x : x + patch] += window * texture[..., top : top + patch, left : left + patch]
            power[..., y : y + patch, x : x + patch] += window.square()
    shift = patch - step  # the first rows have no neighbours above: they are cut off
    out = out[..., shift : shift + size[0], shift : shift + size[1]]
    return out / power[..., shift : shift + size[0], shift : shift + size[1]].sqrt()


def _mirrored(texture: Tensor, least: int) -> Tensor:
    while min(texture.shape[-2:]) < least:
        texture = torch.cat([texture, texture.flip(3)], 3)
        texture = torch.cat([texture, texture.flip(2)], 2)
    return texture
