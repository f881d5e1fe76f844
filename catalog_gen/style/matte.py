"""The product's matte: cut out of its photo with soft edges, free of the colour of the ground it stood on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from catalog_gen.style import general, studio
from catalog_gen.style.doubt import doubt_of
from catalog_gen.style.glass import let_through, panes
from catalog_gen.style.ground import Floats, Ground, Mask, estimate_ground
from catalog_gen.style.prior import Prior, load_prior
from catalog_gen.style.recover import astray, recovered
from catalog_gen.style.unmix import soften


@dataclass(frozen=True)
class Cutout:
    """A product without its ground.

    rgb: (H, W, 3) float32 in [0, 1], the product's own colours, also in its soft edges; alpha: (H, W) float32 in
    [0, 1]; kind: what ground it stood on; fault: empty, or why no product could be told from it; box: left, top, right,
    bottom in pixels of where alpha is over 0.5, all 0 when nowhere; doubt: empty, or why it may be wrong though one was
    found, so that a person should look.
    """

    rgb: Floats
    alpha: Floats
    kind: Literal["studio", "general"]
    fault: str
    box: tuple[int, int, int, int]
    doubt: str = ""


_SHOWN = 0.25  # of the border: less plain ground than that, and it may as well be the product that is plain
_PLAIN = 0.03  # the noise of plain ground: texture has more
_LEAST, _MOST = 0.0015, 0.97  # of the picture: how much of it a product covers


def cut_out(photo: Image.Image, *, glass: bool = False) -> Cutout:
    """Return the product of `photo` (RGB, any size).

    On a plain ground, of any colour and unevenly lit, edges are soft and holes are open; anything else is cut out by
    what is unlike the picture's border, less surely. From one photo nobody can tell pale glass from pale paint: glass
    keeps what shows through it, unless `glass` says that the product has panes (glasses), which on a plain ground then
    let through what they let through there. `fault` is set, and alpha is the best guess, where no product can be told;
    `doubt` where one was found, but its outline can hardly be seen or scraps of it lie apart.

    Where a product has the colour of its plain ground, the shipped prior tells how it goes on. Raises BundleError when
    that is missing.
    """
    return cut_out_with(photo, load_prior(), glass=glass)


def cut_out_with(photo: Image.Image, prior: Prior | None, *, glass: bool = False) -> Cutout:
    """Return what `cut_out` does, by another prior, or without one by the colours alone."""
    photo = photo.convert("RGB")
    rgb = np.asarray(photo, dtype=np.float32) / np.float32(255)
    small = reduced(photo, studio.SIDE)
    ground = estimate_ground(small)
    if ground.share >= _SHOWN and ground.noise <= _PLAIN:
        return _from_studio(photo, rgb, small, ground, prior, glass)
    return _from_anywhere(photo, rgb)


def _from_studio(
    photo: Image.Image, rgb: Floats, small: Floats, ground: Ground, prior: Prior | None, glass: bool
) -> Cutout:
    small_mask = studio.product_mask(small, ground)
    probability = prior.probability(small, ground) if prior is not None and small_mask.any() else None
    if probability is not None and astray(small_mask, probability):
        probability = None
    if probability is not None:
        small_mask = recovered(small_mask, probability, ground.distance(small), ground.noise)
    mask = _enlarged(small_mask, photo.size)
    scale = max(1.0, max(photo.size) / studio.SIDE)
    behind = ground.colour if small.shape == rgb.shape else estimate_ground(rgb).colour
    alpha, colours = soften(rgb, behind, mask, scale)
    if glass:
        share = _stretched(panes(small, small_mask), photo.size)
        alpha, colours = let_through(rgb, behind, alpha, colours, share)
    covered, fault = float(alpha.mean()), ""
    if covered < _LEAST:
        fault = "nothing but plain ground"
    elif covered > _MOST:
        fault = "no ground shows round the product"
    doubt = "" if fault else doubt_of(small, small_mask, probability)
    return Cutout(colours, alpha, "studio", fault, _box(alpha), doubt)


def _from_anywhere(photo: Image.Image, rgb: Floats) -> Cutout:
    small_mask, fault, doubt = general.salient_mask(reduced(photo, general.SIDE))
    mask = _enlarged(small_mask, photo.size)
    scale = max(1.0, max(photo.size) / general.SIDE)
    alpha, colours = soften(rgb, general.spread_ground(rgb, mask, scale), mask, scale)
    return Cutout(colours, alpha, "general", fault, _box(alpha), "" if fault else doubt)


def reduced(photo: Image.Image, side: int) -> Floats:
    """Return `photo` (RGB) as (H, W, 3) float32 in [0, 1], its longer side `side` px at most."""
    factor = max(1.0, max(photo.size) / side)
    size = (max(1, round(photo.width / factor)), max(1, round(photo.height / factor)))
    small = photo if factor == 1.0 else photo.resize(size, Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float32) / np.float32(255)


def _enlarged(mask: Mask, size: tuple[int, int]) -> Mask:
    if mask.shape == (size[1], size[0]):
        return mask
    grown = Image.fromarray(mask.astype(np.uint8) * 255).resize(size, Image.Resampling.BILINEAR)
    return np.asarray(grown) > 100


def _stretched(values: Floats, size: tuple[int, int]) -> Floats:
    if values.shape == (size[1], size[0]):
        return values
    return np.asarray(Image.fromarray(values).resize(size, Image.Resampling.BILINEAR))


def _box(alpha: Floats) -> tuple[int, int, int, int]:
    solid = alpha > 0.5
    rows, columns = np.flatnonzero(solid.any(axis=1)), np.flatnonzero(solid.any(axis=0))
    if not len(rows):
        return (0, 0, 0, 0)
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
