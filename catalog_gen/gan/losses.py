"""The losses, as pure functions of logits and pictures."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

LAYOUT_SIZES = (4, 8, 16)


def hinge_d(real: Sequence[Tensor], fake: Sequence[Tensor], mismatched: Sequence[Tensor]) -> Tensor:
    """Return the discriminator's hinge loss (arXiv 1705.02894), a scalar; arguments hold one head's logits an entry.

    A real photo with another product's words is a second kind of fake (arXiv 1605.05396), each with half the weight.
    """
    total = torch.zeros((), device=real[0].device)
    for r, f, m in zip(real, fake, mismatched, strict=True):
        total = total + F.relu(1 - r).mean() + 0.5 * (F.relu(1 + f).mean() + F.relu(1 + m).mean())
    return total / len(real)


def hinge_g(fake: Sequence[Tensor]) -> Tensor:
    """Return the generator's side of the hinge loss, a scalar: minus the mean logit of each head, averaged."""
    return -torch.stack([logits.mean() for logits in fake]).mean()


def layout(fake: Tensor, real: Tensor, sizes: Sequence[int] = LAYOUT_SIZES) -> Tensor:
    """Return the mean over `sizes` of the squared error between area averages of that many pixels a side.

    fake, real (B, 3, S, S) in [-1, 1]. It brings colour and layout in the first minutes, when the frozen features of
    the discriminator are almost blind to both; at 16 px and below it leaves texture to the adversarial loss.
    """
    sizes = [size for size in sizes if size <= fake.shape[-1]]
    errors = [F.mse_loss(F.adaptive_avg_pool2d(fake, size), F.adaptive_avg_pool2d(real, size)) for size in sizes]
    return torch.stack(errors).mean()


def feature_match(fake: Sequence[Tensor], real: Sequence[Tensor]) -> Tensor:
    """Return the mean squared error of frozen features, averaged over stages (perceptual loss, arXiv 1603.08155).

    Each entry (B, C, H, W), standardised a channel, so that every stage and channel counts alike.
    """
    return torch.stack([F.mse_loss(f.float(), r.float()) for f, r in zip(fake, real, strict=True)]).mean()


def clip_alignment(image: Tensor, text: Tensor) -> Tensor:
    """Return 1 - cosine of image and text embeddings (B, D), averaged: CLIP guidance (arXiv 2301.09515)."""
    return 1 - F.cosine_similarity(image.float(), text.float(), dim=1).mean()
