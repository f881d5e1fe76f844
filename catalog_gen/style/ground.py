"""The ground a product was photographed on: its colour at every pixel, and how plain it is.

A studio's ground is one colour, or one colour under uneven light: a polynomial of second degree in x and y describes
it, also where the product hides it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

_SIDE = 128  # px: light varies slowly, so its model is fitted on a small picture
_FIRST_REACH = 0.06  # how far from the commonest colour of the border the first ground may lie, of 1
_REACH = 0.012  # how far from the model ground may lie at least: three grey levels, what JPEG leaves
_FITS = 4
LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as JPEG does
EDGE = 6 / 255  # what lies on both sides of an edge differs by more than JPEG's noise on plain ground
_QUANTUM = 0.0012  # the noise of a ground that has none: a third of a grey level


@dataclass(frozen=True)
class Ground:
    """colour: (H, W, 3) float32 in [0, 1]; noise: its standard deviation; share: the part of the border it shows in."""

    colour: Floats
    noise: float
    share: float

    def distance(self, rgb: Floats) -> Floats:
        """Return (H, W): how far each pixel lies from the ground, 0 to 1: in lightness, or half as far in colour.

        JPEG keeps colour at half the size and coarser, so that it bleeds two blocks wide over a product's edge.
        """
        apart = rgb - self.colour
        lightness = np.abs(apart @ LUMA)
        further: Floats = np.maximum(lightness, 0.5 * largest(np.abs(apart)))
        return further


def estimate_ground(rgb: Floats) -> Ground:
    """Return the ground of `rgb` (H, W, 3) in [0, 1], told from the picture's border.

    The commonest colour of the border starts it; what lies near and hangs together with the border refines it.
    """
    height, width = rgb.shape[:2]
    small = _reduced(rgb)
    first, small = _commonest(_border(small)), small.astype(np.float64)
    terms = _terms(*small.shape[:2])
    plane = np.ascontiguousarray(terms[..., :3])
    reach, share, noise = _FIRST_REACH, 0.0, _QUANTUM
    coefficients = np.zeros((6, 3))
    coefficients[0] = first
    apart = largest(np.abs(small - first))
    for number in range(_FITS):
        shown = joined_to_border(apart <= reach)
        share = float(_border(shown).mean())
        if shown.sum() < 8:
            break
        shape = plane if number < 2 else terms  # a plane first: a curved one would bend towards a pale product
        coefficients = np.zeros((6, 3))
        coefficients[: shape.shape[-1]] = _robust_fit(shape[shown], small[shown])
        apart = largest(np.abs(small - terms @ coefficients))
        noise = max(_QUANTUM, 1.4826 * float(np.median(apart[shown])))
        reach = max(_REACH, 4 * noise)
    if np.abs(coefficients[1:]).max() < 0.5 / 255:  # one colour, as most are: cheaper, and exact
        full = np.broadcast_to(coefficients[0].astype(np.float32), rgb.shape)
    else:
        full = _polynomial(coefficients, height, width)
    return Ground(np.clip(full, 0, 1), noise, share)


def largest(colours: Floats) -> Floats:
    """Return (...): the largest channel of (..., 3), several times as fast as numpy's maximum over a short axis."""
    found: Floats = np.maximum(np.maximum(colours[..., 0], colours[..., 1]), colours[..., 2])
    return found


def edge_contrast(rgb: Floats) -> Floats:
    """Return (H, W): the difference of the extremes among a pixel of (H, W, 3) and its eight neighbours.

    In lightness, or half of that in any channel, which JPEG smears.
    """
    contrast, *channels = (_spread(plane) for plane in (rgb @ LUMA, rgb[..., 0], rgb[..., 1], rgb[..., 2]))
    found: Floats = np.maximum(contrast, 0.5 * np.maximum(np.maximum(channels[0], channels[1]), channels[2]))
    return found


def _spread(plane: Floats) -> Floats:
    """Return (H, W): largest less smallest of 3 x 3; by whole rows and columns, as numpy is faster than scipy here."""
    padded = np.pad(plane, 1, mode="edge")
    extremes = []
    for extreme in (np.maximum, np.minimum):
        rows = extreme(extreme(padded[:-2], padded[1:-1]), padded[2:])
        extremes.append(extreme(extreme(rows[:, :-2], rows[:, 1:-1]), rows[:, 2:]))
    found: Floats = extremes[0] - extremes[1]
    return found


def joined_to_border(mask: Mask) -> Mask:
    """Return the parts of `mask` that reach the picture's edge."""
    labels, count = ndimage.label(mask)
    reaching = np.zeros(count + 1, bool)
    reaching[_border(labels)] = True
    reaching[0] = False
    joined: Mask = reaching[labels]
    return joined


def box_of(mask: Mask, margin: int) -> tuple[slice, slice]:
    """Return the rows and columns that hold `mask` (H, W) and `margin` px around it; none where it is empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return slice(0, 0), slice(0, 0)
    top, left = max(0, int(rows[0]) - margin), max(0, int(columns[0]) - margin)
    return slice(top, int(rows[-1]) + 1 + margin), slice(left, int(columns[-1]) + 1 + margin)


def _reduced(rgb: Floats) -> Floats:
    step = max(1, round(max(rgb.shape[:2]) / _SIDE))
    return rgb[step // 2 :: step, step // 2 :: step] if min(rgb.shape[:2]) >= 2 * step else rgb


def _border(picture: npt.NDArray[Any]) -> npt.NDArray[Any]:
    sides = (picture[0], picture[-1], picture[1:-1, 0], picture[1:-1, -1])
    return np.concatenate(sides)


def _commonest(colours: Floats) -> Floats:
    """Return the mean of the fullest cell of colours (N, 3), and of what lies near it."""
    cells = np.round(colours * 24).astype(np.int64)
    values, counts = np.unique(cells @ np.array([10000, 100, 1]), return_counts=True)
    fullest = int(values[counts.argmax()])
    centre = np.array([fullest // 10000, fullest // 100 % 100, fullest % 100]) / 24
    near = np.abs(colours - centre).max(axis=1) <= _FIRST_REACH
    return np.asarray(np.median(colours[near], axis=0), np.float32)


def _terms(height: int, width: int) -> npt.NDArray[np.float64]:
    """Return (H, W, 6): 1, x, y, x^2, xy, y^2, with x and y in [-1, 1]."""
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)


def _polynomial(coefficients: npt.NDArray[np.float64], height: int, width: int) -> Floats:
    """Return `_terms(height, width) @ coefficients` (6, 3), without making the terms."""
    y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[:, None]
    along = coefficients[0] + x * coefficients[1] + x * x * coefficients[3]  # (W, 3)
    down = y * coefficients[2] + y * y * coefficients[5]  # (H, 3)
    slope = y * coefficients[4]
    found: Floats = down.astype(np.float32)[:, None] + along.astype(np.float32)
    found += slope.astype(np.float32)[:, None] * x.astype(np.float32)
    return found


def _robust_fit(terms: npt.NDArray[np.float64], colours: Floats) -> npt.NDArray[np.float64]:
    """Return (K, 3): the polynomial nearest to `colours` by absolute differences (iteratively reweighted squares)."""
    weights: npt.NDArray[Any] = np.ones(len(terms))
    solved = np.zeros((terms.shape[1], 3))
    for _ in range(3):
        weighted = terms * weights[:, None]
        normal = weighted.T @ terms + 1e-6 * len(terms) * np.diag([0.0] + [1.0] * (terms.shape[1] - 1))
        solved = np.linalg.solve(normal, weighted.T @ colours)
        residual = largest(np.abs(terms @ solved - colours).astype(np.float32))
        weights = 1 / np.maximum(residual, _QUANTUM)
        weights /= weights.max()
    return solved
