"""Noise, blur and light for the templates' art: numpy only, everything in linear light until it is saved."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Field = NDArray[np.float32]
SUN = (-0.55, 0.62, 0.56)  # towards the light: from the left, above, a little behind the product (x, up, away)


def linear(colour: str) -> Field:
    """Return (3,) linear RGB of `#rrggbb`."""
    value = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)], np.float32) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4).astype(np.float32)


def encode(light: Field, seed: int = 0) -> NDArray[np.uint8]:
    """Return (H, W, 3) uint8 sRGB; half a level of noise keeps gradients from banding."""
    clipped = np.clip(light, 0, 1)
    srgb = np.where(clipped <= 0.0031308, clipped * 12.92, 1.055 * clipped ** (1 / 2.4) - 0.055)
    noise = np.random.default_rng(seed).uniform(-0.5, 0.5, (*srgb.shape[:2], 1))
    return np.clip(np.rint(srgb * 255 + noise), 0, 255).astype(np.uint8)


def save(light: Field, file: Path, quality: int = 86) -> None:
    Image.fromarray(encode(light)).save(file, "WEBP", quality=quality, method=6)


def grid(width: int, height: int) -> tuple[Field, Field]:
    """Return x and y of every pixel's middle, in units of the height, (H, W) each."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) + np.float32(0.5)
    return x / height, y / height


def noise(x: Field, y: Field, seed: int) -> Field:
    """Return Perlin's gradient noise at any points, about -0.7 to 0.7."""
    table = np.random.default_rng(seed)
    hashed = table.permutation(1024).astype(np.int32)
    angles = table.uniform(0, 2 * np.pi, 1024).astype(np.float32)
    slopes = np.stack([np.cos(angles), np.sin(angles)])
    left, top = np.floor(x).astype(np.int32), np.floor(y).astype(np.int32)
    u, v = x - left, y - top

    def corner(dx: int, dy: int) -> Field:
        pick = hashed[(hashed[(left + dx) & 1023] + top + dy) & 1023]
        return slopes[0, pick] * (u - dx) + slopes[1, pick] * (v - dy)

    fade_u, fade_v = (t * t * t * (t * (t * 6 - 15) + 10) for t in (u, v))
    upper = corner(0, 0) + fade_u * (corner(1, 0) - corner(0, 0))
    lower = corner(0, 1) + fade_u * (corner(1, 1) - corner(0, 1))
    return (upper + fade_v * (lower - upper)).astype(np.float32)


def fbm(x: Field, y: Field, octaves: int, seed: int, gain: float = 0.5) -> Field:
    """Return noise summed over octaves, each twice as fine and `gain` times as strong."""
    total, strength = np.zeros(np.broadcast_shapes(x.shape, y.shape), np.float32), 1.0
    for octave in range(octaves):
        total += strength * noise(x * 2**octave + 17.3 * octave, y * 2**octave + 5.1 * octave, seed + octave)
        strength *= gain
    return total


def blur(image: Field, sigma: float) -> Field:
    """Return the image under a Gaussian of `sigma` pixels, its edges carried on; (H, W) or (H, W, 3)."""
    if sigma < 0.3:
        return image
    if sigma > 10:  # nothing finer than the Gaussian is left: work small
        factor = int(sigma // 4)
        return _resize(blur(_resize(image, 1 / factor), sigma / factor), 0, image.shape[:2])
    reach = int(np.ceil(3 * sigma))
    kernel = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma**2)).astype(np.float32)
    kernel /= kernel.sum()
    for axis in (0, 1):
        pad = [(reach, reach) if a == axis else (0, 0) for a in range(image.ndim)]
        padded = np.pad(image, pad, mode="edge")
        length = image.shape[axis]
        taken = [np.take(padded, range(i, i + length), axis) * weight for i, weight in enumerate(kernel)]
        image = np.sum(taken, axis=0, dtype=np.float32)
    return image


def _resize(image: Field, factor: float, shape: tuple[int, ...] = ()) -> Field:
    height, width = shape[:2] or tuple(max(2, round(side * factor)) for side in image.shape[:2])
    how = Image.Resampling.BICUBIC if shape else Image.Resampling.BOX
    planes = image[..., None] if image.ndim == 2 else image
    sized = [np.asarray(Image.fromarray(planes[..., i]).resize((width, height), how)) for i in range(planes.shape[2])]
    return sized[0] if image.ndim == 2 else np.stack(sized, axis=2)


def focus(image: Field, radius: Field, levels: tuple[float, ...] = (0, 2, 5, 12, 26)) -> Field:
    """Return the image blurred by `radius` (H, W) pixels, from place to place another: depth of field."""
    result = np.zeros_like(image)
    stack = [blur(image, level) for level in levels]
    for low, high, near, far in zip(levels, levels[1:], stack, stack[1:], strict=False):
        inside = (radius >= low) & (radius < high)
        share = ((radius - low) / (high - low))[..., None]
        result = np.where(inside[..., None], near + share * (far - near), result)
    return np.where((radius >= levels[-1])[..., None], stack[-1], result)


def mix(first: Field, second: Field, share: Field | float) -> Field:
    """Return first where `share` (H, W) is 0, second where it is 1."""
    weight = np.clip(share, 0, 1)
    weight = weight[..., None] if isinstance(weight, np.ndarray) and weight.ndim == 2 else weight
    return (first + weight * (second - first)).astype(np.float32)


def ramp(position: Field, *stops: tuple[float, str]) -> Field:
    """Return colours (H, W, 3) along `position`, smooth between (place, colour) stops."""
    places = [place for place, _ in stops]
    lights = np.stack([linear(colour) for _, colour in stops])
    return np.stack([np.interp(position, places, lights[:, i]) for i in range(3)], axis=-1).astype(np.float32)


def smoothstep(low: float, high: float, value: Field) -> Field:
    t = np.clip((value - low) / (high - low), 0, 1)
    return (t * t * (3 - 2 * t)).astype(np.float32)


def lit(height_map: Field, step: float, light: tuple[float, float, float] = SUN) -> Field:
    """Return how brightly a relief is lit, 0 to about 1; `height_map` and `step` (a pixel's width) in one unit."""
    down, across = np.gradient(height_map, step)
    length = np.sqrt(1 + across**2 + down**2)
    return np.clip((-across * light[0] + down * light[2] + light[1]) / length, 0, None).astype(np.float32)


def strokes(texture: Field, angle: Field, length: int) -> Field:
    """Return the texture drawn out along `angle` (radians, H, W): line integral convolution (Cabral & Leedom 1993)."""
    height, width = texture.shape[:2]
    total, step_x, step_y = texture.copy(), np.cos(angle), np.sin(angle)
    for way in (-1, 1):
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        for _ in range(length):
            row, column = (np.clip(v, 0, s - 1).astype(np.int32) for v, s in ((y, height), (x, width)))
            x, y = x + way * step_x[row, column], y + way * step_y[row, column]
            total += texture[np.clip(y, 0, height - 1).astype(np.int32), np.clip(x, 0, width - 1).astype(np.int32)]
    return total / (2 * length + 1)


def discs(shape: tuple[int, int], places: Field, radii: Field, strengths: Field, *, rim: float = 0.0) -> Field:
    """Return (H, W): light points out of focus, each a soft-edged disc in pixels, `rim` brighter at its edge."""
    result = np.zeros(shape, np.float32)
    for (x, y), radius, strength in zip(places, radii, strengths, strict=True):
        reach = int(radius + 3)
        top, left = max(int(y) - reach, 0), max(int(x) - reach, 0)
        bottom, right = min(int(y) + reach, shape[0]), min(int(x) + reach, shape[1])
        if top >= bottom or left >= right:
            continue
        rows, columns = np.mgrid[top:bottom, left:right].astype(np.float32)
        distance = np.hypot(columns - x, rows - y)
        edge = max(1.0, 0.12 * radius)
        body = np.clip((radius - distance) / edge + 0.5, 0, 1) * (1 + rim * (distance / radius) ** 4)
        result[top:bottom, left:right] += strength * body
    return result
