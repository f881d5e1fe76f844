"""What the feed-forward engines share: one pass for the scene, a small one for the product, and codes that mix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from catalog_gen.style.features import scene_of
from catalog_gen.style.network import MARGIN, STRIDE, TransferNetwork
from catalog_gen.style.pyramid import fill
from catalog_gen.style.recolour import Tones, recolour, tones_of

SIZE = 720  # px, the longer side of what the network sees of a picture
LARGEST_ZOOM = 2  # more would blur: of larger pictures it sees more


@dataclass(frozen=True)
class Prepared:
    """A look, ready: the network's code (1, code_size) and the style's tones."""

    code: Tensor
    tones: Tones


def mix(codes: Sequence[Tensor], tones: Sequence[Tones], weights: Sequence[float]) -> Prepared:
    """Return what lies between styles: the weighted mean of their codes (arXiv 1610.07629, sec. 3.2) and tones."""

    def mean(values: Sequence[Tensor]) -> Tensor:
        return torch.stack([value * weight for value, weight in zip(values, weights, strict=True)]).sum(0)

    parts = zip(*[(t.mean, t.deviation, t.root) for t in tones], strict=True)
    return Prepared(mean(codes), Tones(*(mean(part) for part in parts)))


class FeedForward:
    """Styles pictures with a network. The product is no part of what the scene is made from, nor of its statistics.

    The network draws at SIZE and its change is enlarged, up to LARGEST_ZOOM times, so a style's strokes keep their
    proportion to the picture. The scene's pass sees the product's place filled from the scene (`pyramid.fill`). What
    lies inside the product comes from a second pass over the whole picture at half that size: it counts little.
    All of it is in float32: bfloat16 is a sixth faster on a CPU, and makes a picture depend on its batch.
    """

    whole = True  # any size in one piece: never tiled

    def __init__(self, network: TransferNetwork, device: str | torch.device) -> None:
        self.device = torch.device(device)
        self.network = network.to(self.device).to(memory_format=torch.channels_last).eval().requires_grad_(False)

    @torch.inference_mode()
    def stylise(self, content: Tensor, product: Tensor, prepared: Prepared) -> Tensor:
        """Return the fully styled pictures (B, 3, H, W) in [0, 1]; content and product as `StyleEngine` says."""
        if self.device.type == "cpu" and len(content) > 1:  # one by one is faster there: a batch leaves the cache
            parts = zip(content.chunk(len(content)), product.chunk(len(content)), strict=True)
            return torch.cat([self.stylise(picture, alpha, prepared) for picture, alpha in parts])
        scene = scene_of(product)
        longest = max(SIZE, -(-max(content.shape[-2:]) // LARGEST_ZOOM))
        size = _within(content.shape[-2:], longest)
        # A pixel that the product has any part in is none of the scene's.
        valid = (_resized(scene, size) > 0.999).to(scene.dtype)
        stylised = self._pass(content, fill(_resized(content, size), valid), valid, prepared)
        if bool(scene.all()):
            return stylised
        small = _resized(content, _within(content.shape[-2:], longest // 2))
        return torch.lerp(stylised, self._pass(content, small, torch.ones_like(small[:, :1]), prepared), product)

    def _pass(self, content: Tensor, small: Tensor, valid: Tensor, prepared: Prepared) -> Tensor:
        """Return content in the style's tones plus the change that the network draws for `small`, clamped."""
        weight = torch.where(valid.amax((1, 2, 3), keepdim=True) > 0, valid, torch.ones_like(valid))
        tones = tones_of(small, weight)
        height, width = small.shape[-2:]
        sides = [MARGIN, MARGIN + -width % STRIDE, MARGIN, MARGIN + -height % STRIDE]
        padded = F.pad(recolour(small, tones, prepared.tones), sides, mode="replicate")
        padded = padded.contiguous(memory_format=torch.channels_last)
        change = self.network(padded, F.pad(weight, sides), prepared.code, prepared.tones)
        change = change[..., MARGIN : MARGIN + height, MARGIN : MARGIN + width].contiguous()
        if change.shape != content.shape:
            change = F.interpolate(change, content.shape[-2:], mode="bilinear", align_corners=False)
        return recolour(content, tones, prepared.tones).add_(change).clamp_(0, 1)


def _within(size: torch.Size, longest: int) -> list[int]:
    scale = min(1.0, longest / max(size))
    return [max(1, round(side * scale)) for side in size]


def _resized(images: Tensor, size: list[int]) -> Tensor:
    if list(images.shape[-2:]) == size:
        return images
    return F.interpolate(images, size, mode="bilinear", antialias=True, align_corners=False)
