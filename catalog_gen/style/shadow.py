"""A product's shadow, from its alpha: where it touches the ground, on the ground around it, or on the wall behind."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from catalog_gen.style.layout import Box, Pose
from catalog_gen.style.light import blur
from catalog_gen.style.template_config import Shadow

Floats = NDArray[np.float32]
FLATNESS = 0.16  # how deep a circle on the ground looks, part of its width: the camera stands low
TOUCH = 0.02  # of the product's height: nearer to the ground, and it rests on it


def darkness(alpha: Floats, box: Box, pose: Pose, shadow: Shadow, ground: float) -> Floats:
    """Return (H, W) in [0, 1]: what share of the light the product takes from the scene behind and under it.

    alpha: (H, W), the product in its place, in its `box`. ground: the row where a product stands.
    """
    if shadow.kind == "none" or shadow.opacity == 0:
        return np.zeros_like(alpha)
    if shadow.kind == "drop":
        return shadow.opacity * _drop(alpha, box, shadow)
    if pose == "stand":
        return _standing(alpha, box, shadow)
    if pose == "float":
        return _floating(alpha, box, shadow, ground)
    return shadow.opacity * 0.35 * _drop(alpha, box, shadow)


def _standing(alpha: Floats, box: Box, shadow: Shadow) -> Floats:
    """Three depths of one shadow: the dark line where it touches, the dimness beside it, and what the light casts."""
    side, depth = max(box.width, box.height), FLATNESS * 0.42 * min(box.width, 1.6 * box.height)
    solid = alpha[box.rows] > 0.5
    lift = np.where(solid.any(axis=0), np.argmax(solid[::-1], axis=0), 1e6).astype(np.float32)  # over the ground
    first = max(0, box.bottom - box.height // 2 - round(3 * shadow.blur * side))  # no shadow on the ground above
    rows = np.arange(first, alpha.shape[0], dtype=np.float32)[:, None]
    touching = np.exp(-lift / (TOUCH * box.height + 1.5))
    line = touching * np.exp(-(((rows - (box.bottom - lift)) / (0.010 * side + 1)) ** 2))
    # A side that stands further away ends higher in the picture, and so does its shadow.
    centre = box.bottom - np.minimum(lift, 0.2 * box.height) - 0.10 * depth
    pool = blur(
        np.exp(-lift / (0.20 * box.height)) * np.exp(-(((rows - centre) / depth) ** 2)), 0.8 * shadow.blur * side
    )
    lean = np.cos(np.deg2rad(shadow.angle)) * 0.30 * box.width
    cast = blur(_moved(pool, lean, 0.1 * depth), 1.6 * shadow.blur * side)
    contact = blur(line, max(0.8, 0.0045 * side))
    left = np.ones_like(alpha)
    for part in (1.1 * contact, 1.3 * pool, 0.55 * cast):
        left[first:] *= 1 - np.clip(shadow.opacity * part, 0, 1)
    return 1 - left


def _floating(alpha: Floats, box: Box, shadow: Shadow, ground: float) -> Floats:
    """A wide soft ellipse on the ground below, fainter the higher the product, and a breath of shade behind it."""
    side = max(box.width, box.height)
    rows = np.arange(alpha.shape[0], dtype=np.float32)
    weight = alpha[box.rows].sum(axis=0)
    weight /= max(float(weight.max()), 1e-6)
    lift = max(0.0, ground - box.bottom) / max(side, 1)
    level = min(max(ground, box.bottom + 0.02 * side), alpha.shape[0] * 0.97)
    depth = FLATNESS * 0.45 * box.width
    ellipse = weight[None] * np.exp(-(((rows[:, None] - level) / depth) ** 2))
    shift = np.cos(np.deg2rad(shadow.angle)) * 0.10 * box.width
    ellipse = blur(_moved(ellipse.astype(np.float32), shift, 0), (1.1 + 4 * lift) * shadow.blur * side)
    ellipse = ellipse / max(float(ellipse.max()), 1e-6) * (0.85 / (1 + 3 * lift))
    behind = 0.30 * _drop(alpha, box, shadow)
    dark = 1 - (1 - shadow.opacity * np.clip(ellipse, 0, 1)) * (1 - shadow.opacity * behind)
    return np.asarray(dark, dtype=np.float32)


def _drop(alpha: Floats, box: Box, shadow: Shadow) -> Floats:
    """The product's own outline on a wall close behind: a near, sharper and a far, softer copy."""
    side = max(box.width, box.height)
    turn = np.deg2rad(shadow.angle)
    across, down = shadow.distance * side * np.cos(turn), shadow.distance * side * np.sin(turn)
    far = blur(_moved(alpha, across, down), max(1.0, shadow.blur * side))
    near = blur(_moved(alpha, 0.35 * across, 0.35 * down), max(1.0, 0.4 * shadow.blur * side))
    return np.asarray(np.clip(1 - (1 - 0.75 * far) * (1 - 0.45 * near), 0, 1), dtype=np.float32)


def _moved(plane: Floats, across: float, down: float) -> Floats:
    dx, dy = round(across), round(down)
    result = np.zeros_like(plane)
    height, width = plane.shape
    if abs(dx) < width and abs(dy) < height:
        source = plane[max(0, -dy) : height - max(0, dy), max(0, -dx) : width - max(0, dx)]
        result[max(0, dy) : max(0, dy) + source.shape[0], max(0, dx) : max(0, dx) + source.shape[1]] = source
    return result
