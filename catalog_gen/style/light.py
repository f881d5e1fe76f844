"""Colours, light and scaling in float32, for composing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float32]


def hex_colour(colour: str) -> Floats:
    """Return (3,) float32 sRGB in [0, 1] of `#rrggbb`."""
    return np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)], dtype=np.float32)


def pixels(image: Image.Image) -> Floats:
    """Return (H, W, C) float32 in [0, 1] of an 8-bit image."""
    return np.asarray(image, dtype=np.float32) * np.float32(1 / 255)


def to_light(srgb: Floats) -> Floats:
    """Return linear light of sRGB values (IEC 61966-2-1), both in [0, 1]."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((np.maximum(srgb, 0) + 0.055) / 1.055) ** 2.4).astype(np.float32)


def to_srgb(light: Floats) -> Floats:
    """Return sRGB values of linear light (IEC 61966-2-1), both in [0, 1]."""
    clipped = np.clip(light, 0, 1)
    return np.where(clipped <= 0.0031308, clipped * 12.92, 1.055 * clipped ** (1 / 2.4) - 0.055).astype(np.float32)


def luminance(srgb: Floats) -> Floats:
    """Return relative luminance in [0, 1] of sRGB values (..., 3), as WCAG 2.2 defines it."""
    weights = np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)
    return (to_light(srgb) @ weights).astype(np.float32)


def contrast(first: Floats | float, second: Floats | float) -> Floats:
    """Return WCAG 2.2's contrast ratio, 1 to 21, of two relative luminances."""
    high, low = np.maximum(first, second), np.minimum(first, second)
    return np.asarray((high + 0.05) / (low + 0.05), dtype=np.float32)


def enlarge(image: Floats, width: int, height: int, margin: int) -> Floats:
    """Return (H, W) or (H, W, C) at another size by Lanczos; values may go a little over and under.

    margin: pixels round the image that are looked at, so that its edges are scaled as its middle is, and not kept.
    """
    if image.ndim == 2:
        plane = Image.fromarray(np.ascontiguousarray(image, dtype=np.float32))
        inner = (margin, margin, plane.width - margin, plane.height - margin)
        return np.asarray(plane.resize((width, height), Image.Resampling.LANCZOS, box=inner), dtype=np.float32)
    return np.stack([enlarge(image[..., c], width, height, margin) for c in range(image.shape[2])], axis=-1)


def blur(plane: Floats, sigma: float) -> Floats:
    """Return (H, W) under a Gaussian of `sigma` pixels; beyond its edges it goes on as it ends."""
    if sigma < 0.2:
        return plane
    height, width = plane.shape
    if sigma > 8:  # nothing finer than the Gaussian is left, so that a smaller picture holds it all
        factor = int(sigma // 3)
        padded = np.pad(plane, ((0, -height % factor), (0, -width % factor)), mode="edge")
        rows, columns = (side // factor for side in padded.shape)
        small = padded.reshape(rows, factor, columns, factor).mean(axis=(1, 3))
        soft = Image.fromarray(blur(small, sigma / factor)).resize(padded.shape[::-1], Image.Resampling.BICUBIC)
        return np.asarray(soft, dtype=np.float32)[:height, :width]
    reach = int(np.ceil(3 * sigma))
    kernel = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma**2)).astype(np.float32)
    kernel /= kernel.sum()
    for axis in (0, 1):
        pad = [(reach, reach) if a == axis else (0, 0) for a in (0, 1)]
        padded = np.pad(plane, pad, mode="edge")
        total = np.zeros_like(plane)
        for i, weight in enumerate(kernel):
            window = padded[i : i + height] if axis == 0 else padded[:, i : i + width]
            total += weight * window
        plane = total
    return plane
