"""What the translations are trained by, each a function of tensors alone."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from catalog_gen.style.translate_config import Adversarial


def generator_loss(fake: Tensor, kind: Adversarial) -> Tensor:
    """Return how far patches' logits of drawn pictures are from those of real ones; a scalar.

    bce: the non-saturating loss of arXiv 1406.2661; lsgan: least squares to 1 (arXiv 1611.04076).
    """
    return _towards(fake, 1.0, kind)


def discriminator_loss(real: Tensor, fake: Tensor, kind: Adversarial) -> Tensor:
    """Return the mean of both sides' losses: halved, as both papers do to slow the discriminator; a scalar."""
    return (_towards(real, 1.0, kind) + _towards(fake, 0.0, kind)) / 2


def l1(drawn: Tensor, wanted: Tensor) -> Tensor:
    """Return the mean absolute difference of pictures in [-1, 1]; a scalar: pix2pix's L1, the cycle, the identity."""
    return (drawn.float() - wanted.float()).abs().mean()


def rate_share(images_seen: int, images: int, constant: float) -> float:
    """Return the share of the full rate: one for the first `constant` of `images`, then falling in a line to zero."""
    left = 1 - min(1.0, images_seen / images)
    return 1.0 if constant >= 1 else min(1.0, left / (1 - constant))


def _towards(logits: Tensor, target: float, kind: Adversarial) -> Tensor:
    wanted = torch.full_like(logits, target, dtype=torch.float32)
    if kind == "lsgan":
        return F.mse_loss(logits.float(), wanted)
    return F.binary_cross_entropy_with_logits(logits.float(), wanted)
