"""Penalties on the slope of the discriminator, as pure functions; a config's weight is each one's only constant.

A `Judge` is the discriminator seen as a function of what the slope is taken for: pictures (B, 3, S, S), and for MA-GP
the words' embeddings (B, D) too, to a sequence with one logit map (B, H, W), or (B,), a head. An item's score is the
mean over heads of their mean logits, as in the losses; its slope is the gradient at that item alone. The result
keeps the graph, to be differentiated by the discriminator's parameters.

Give pictures as the discriminator sees them, after augmentation: the resampling of `augment` has no second derivative.
Call outside of autocast: half precision underflows in second derivatives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Judge = Callable[[Tensor], Sequence[Tensor]]
TextJudge = Callable[[Tensor, Tensor], Sequence[Tensor]]

TINY = 1e-12  # under the root: a slope of exactly 0 has a norm of 1e-6 and a gradient of 0, not NaN


def wgan_gp(judge: Judge, real: Tensor, fake: Tensor, share: Tensor) -> Tensor:
    """Return the mean of (||slope|| - 1)^2 between photos and pictures, a scalar (WGAN-GP, arXiv 1704.00028).

    real, fake (B, 3, S, S); share (B,) uniform in [0, 1): how much of the photo is in each pair's mixture.
    """
    mixed = torch.lerp(fake.detach(), real.detach(), share.to(real.dtype)[:, None, None, None]).requires_grad_()
    (slope,) = _slopes(judge(mixed), [mixed])
    return (_norms(slope) - 1).square().mean()


def zero_centred(judge: Judge, images: Tensor) -> Tensor:
    """Return half the mean of ||slope||^2, a scalar: R1 on photos, R2 on drawn pictures (arXiv 1801.04406).

    images (B, 3, S, S).
    """
    images = images.detach().requires_grad_()
    (slope,) = _slopes(judge(images), [images])
    return 0.5 * slope.flatten(1).square().sum(1).mean()


def ma_gp(judge: TextJudge, images: Tensor, text: Tensor) -> Tensor:
    """Return the mean of (||slope by image|| + ||slope by text||)^6, a scalar (MA-GP of DF-GAN, arXiv 2008.05865).

    images (B, 3, S, S) are photos and text (B, D) their own words': the score shall be flat there, and nowhere else.
    The slope by text is by the embedding as given, before any rescaling in the discriminator.
    """
    images, text = images.detach().requires_grad_(), text.detach().requires_grad_()
    by_image, by_text = _slopes(judge(images, text), [images, text])
    return (_norms(by_image) + _norms(by_text)).pow(6).mean()


def _slopes(logits: Sequence[Tensor], inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Return the gradients of all items' scores by each of `inputs`; items do not mix, so one sum serves them all."""
    scores = torch.stack([head.flatten(1).mean(1) if head.dim() > 1 else head for head in logits]).mean(0)
    return torch.autograd.grad(scores.sum(), inputs, create_graph=True)


def _norms(slope: Tensor) -> Tensor:
    return (slope.flatten(1).square().sum(1) + TINY).sqrt()
