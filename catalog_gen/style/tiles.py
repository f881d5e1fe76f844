"""Pictures too large for an engine's network in one piece: by tiles that overlap, without seams.

A network that normalises by its instance's own statistics would give every tile other colours. It takes them from a
thumbnail of the whole picture instead (URST, arXiv 2103.11784), where it can: see `TiledEngine`.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from catalog_gen.style.engine import StyleEngine, TiledEngine

ALIGNED = 32  # px: tiles start at multiples of this, so that strided convolutions fall on the same pixels in each


def stylise_tiled(
    engine: StyleEngine, content: Tensor, product: Tensor, prepared: Any, tile: int = 1024, overlap: int = 128
) -> Tensor:
    """Return what `engine.stylise` returns, worked in tiles of `tile` px a side that overlap by at least `overlap` px.

    content (B, 3, H, W), product (B, 1, H, W). Neighbours fade into each other over the middle half of an overlap;
    its outer quarters, which a tile's border has spoilt, are not used, so a seam shows only where a network sees
    further than overlap / 4. Engines whose `whole` is true bound their memory themselves and are not tiled.
    Raises ValueError when tile is no multiple of 32 or the overlap leaves no tile.
    """
    if tile % ALIGNED or not 0 <= overlap <= tile - ALIGNED:
        raise ValueError(f"tile {tile} px must be a multiple of {ALIGNED} and overlap {overlap} px smaller than it")
    size = content.shape[-2:]
    if max(size) <= tile or getattr(engine, "whole", False):
        return engine.stylise(content, product, prepared)
    if hasattr(engine, "freeze"):
        scale = tile / max(size)
        small = [max(ALIGNED, round(side * scale)) for side in size]
        thumbnails = [F.interpolate(x, small, mode="bilinear", antialias=True) for x in (content, product)]
        prepared = cast(TiledEngine, engine).freeze(thumbnails[0], thumbnails[1], prepared)
    out = torch.zeros_like(content)
    power = torch.zeros_like(content[:1, :1])
    for top in _starts(size[0], tile, overlap):
        for left in _starts(size[1], tile, overlap):
            here = (..., slice(top, min(top + tile, size[0])), slice(left, min(left + tile, size[1])))
            done = engine.stylise(content[here], product[here], prepared)
            down = _fade(top, done.shape[2], size[0], overlap)
            across = _fade(left, done.shape[3], size[1], overlap)
            weight = (down[:, None] * across[None, :]).to(done)
            out[here] += done * weight
            power[here] += weight
    return out / power


def _starts(side: int, tile: int, overlap: int) -> list[int]:
    """Return where tiles start along a side: at multiples of ALIGNED, the last one so that it just reaches the end."""
    step = max(ALIGNED, (tile - overlap) // ALIGNED * ALIGNED)
    last = -(-max(0, side - tile) // ALIGNED) * ALIGNED
    return [*range(0, last, step), last]


def _fade(start: int, length: int, side: int, overlap: int) -> Tensor:
    """Return a tile's weights (length) along one axis: one inside, falling over each overlap that has a neighbour."""
    place = torch.arange(length, dtype=torch.float32) + 0.5
    quarter, width = overlap / 4, max(overlap / 2, 1)
    weight = torch.ones(length)
    if start > 0:
        weight = weight.minimum(((place - quarter) / width).clamp(0, 1))
    if start + length < side:
        weight = weight.minimum(((length - place - quarter) / width).clamp(0, 1))
    return weight
