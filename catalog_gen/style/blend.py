"""How much of the style the finished picture takes: the scene by one strength, the product by another."""

from __future__ import annotations

import torch
from torch import Tensor

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, the luma of JPEG's YCbCr


def blend(
    content: Tensor,
    stylised: Tensor,
    product: Tensor,
    strength: float,
    product_strength: float,
    keep_colours: bool = False,
) -> Tensor:
    """Return content + (strength (1 - a) + product_strength a) (stylised - content), in [0, 1].

    content, stylised (B, 3, H, W) in [0, 1]; product (B, 1, H, W) its alpha a in [0, 1]; strengths 0 to 1. Where the
    share is 0 the content comes back bit for bit. keep_colours: only the luma Y of YCbCr is taken from the stylised
    (luminance-only transfer, arXiv 1606.05897), and Cb and Cr stay the content's; where that leaves RGB's range, the
    luma gives way and not the colour.
    """
    share = strength * (1 - product) + product_strength * product
    if keep_colours:
        stylised = _with_luma_of(content, stylised)
    return torch.where(share == 0, content, torch.lerp(content, stylised, share.expand_as(content)).clamp(0, 1))


def _with_luma_of(content: Tensor, stylised: Tensor) -> Tensor:
    """Return the content moved along grey to the stylised luma: equal steps in R, G and B change neither Cb nor Cr."""
    luma = torch.tensor(_LUMA, dtype=content.dtype, device=content.device).view(1, 3, 1, 1)
    step = ((stylised - content) * luma).sum(1, keepdim=True)
    lowest, highest = -content.amin(1, keepdim=True), 1 - content.amax(1, keepdim=True)
    return content + step.maximum(lowest).minimum(highest)
