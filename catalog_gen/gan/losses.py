"""The generator's losses beside the adversarial one, as pure functions of pictures, features and embeddings."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

LAYOUT_SIZES = (4, 8, 16)
PYRAMID_LEVELS = 4  # at 64 px: bands of 64, 32, 16 and 8 px, and what is left at 4


def layout(fake: Tensor, real: Tensor, sizes: Sequence[int] = LAYOUT_SIZES) -> Tensor:
    """Return the mean over `sizes` of the squared error between area averages of that many pixels a side.

    fake, real (B, 3, S, S) in [-1, 1]. It brings colour and layout in the first minutes, when the frozen features of
    the discriminator are almost blind to both; at 16 px and below it leaves texture to the adversarial loss.
    """
    sizes = [size for size in sizes if size <= fake.shape[-1]]
    errors = [F.mse_loss(F.adaptive_avg_pool2d(fake, size), F.adaptive_avg_pool2d(real, size)) for size in sizes]
    return torch.stack(errors).mean()


@torch.no_grad()
def nearest(fakes: Tensor, real: Tensor) -> Tensor:
    """Return which of a photo's K pictures has the nearest layout, (B,) in [0, K).

    fakes (K, B, 3, S, S), real (B, 3, S, S) in [-1, 1]. The squared error is the one of `layout`, a picture at a time.
    """
    errors = torch.zeros(fakes.shape[:2], device=fakes.device)
    for size in (size for size in LAYOUT_SIZES if size <= real.shape[-1]):
        small = F.adaptive_avg_pool2d(fakes.flatten(0, 1), size).reshape(*fakes.shape[:3], size, size)
        errors += (small - F.adaptive_avg_pool2d(real, size)).square().mean(dim=(2, 3, 4))
    return errors.argmin(dim=0)


def perceptual(fake: Sequence[Tensor], real: Sequence[Tensor]) -> Tensor:
    """Return the mean squared error of frozen features, averaged over stages (perceptual loss, arXiv 1603.08155).

    Each entry (B, C, H, W), standardised a channel, so that every stage and channel counts alike.
    """
    return torch.stack([F.mse_loss(f.float(), r.float()) for f, r in zip(fake, real, strict=True)]).mean()


def clip_alignment(image: Tensor, text: Tensor) -> Tensor:
    """Return 1 - cosine of image and text embeddings (B, D), averaged: CLIP guidance (arXiv 2301.09515)."""
    return 1 - F.cosine_similarity(image.float(), text.float(), dim=1).mean()


def laplacian(fake: Tensor, real: Tensor, levels: int = PYRAMID_LEVELS) -> Tensor:
    """Return the absolute error of Laplacian pyramids, a scalar: sharp edges count at every scale (arXiv 1707.05776).

    fake, real (B, C, S, S) in [-1, 1]. The mean of each of `levels` bands and of the remaining low pass, summed; the
    paper's sums over pixels with weights 2^2j are the same, because level j has 2^-2j of the pixels. Halving ends
    early at an odd size or at 2 px. The pyramid is linear, so one of the difference does.
    """
    with torch.autocast(fake.device.type, enabled=False):
        rest = fake - real if fake.dtype is torch.float64 else fake.float() - real.float()
        bands: list[Tensor] = []
        while len(bands) < levels and rest.shape[-1] >= 4 and rest.shape[-1] % 2 == 0:
            shrink, expand = _halving(rest), _doubling(rest)
            smaller = shrink @ rest @ shrink.T
            bands.append(rest - expand @ smaller @ expand.T)
            rest = smaller
        return torch.stack([band.abs().mean() for band in [*bands, rest]]).sum()


def _halving(images: Tensor) -> Tensor:
    """Return (S / 2, S): a row of pixels blurred by (1, 4, 6, 4, 1) / 16 and halved (Burt and Adelson, 1983).

    What lies beyond the edge repeats it. As a matrix product both ways it takes a tenth of a convolution's time.
    """
    impulses = torch.eye(images.shape[-1], dtype=images.dtype, device=images.device)[:, None]
    return F.conv1d(F.pad(impulses, (2, 2), mode="replicate"), _binomial(images), stride=2)[:, 0].T


def _doubling(images: Tensor) -> Tensor:
    """Return (S, S / 2): a row of half the pixels at full length, each a binomial mean of its neighbours."""
    size = images.shape[-1]
    impulses = torch.eye(size // 2, dtype=images.dtype, device=images.device)[:, None]
    padded = F.pad(impulses, (1, 1), mode="replicate")
    doubled = F.conv_transpose1d(padded, 2 * _binomial(images), stride=2)  # 2: every other pixel is not given
    return doubled[:, 0, 4 : 4 + size].T


def _binomial(like: Tensor) -> Tensor:
    return torch.tensor([[[1.0, 4.0, 6.0, 4.0, 1.0]]], dtype=like.dtype, device=like.device) / 16
