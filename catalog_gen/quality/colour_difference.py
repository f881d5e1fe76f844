"""How far two colours are apart to the eye: CIE L*a*b* (D65) and the CIEDE2000 difference."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_FROM_RGB = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_WHITE = np.array([0.95047, 1.0, 1.08883])  # D65, 2 degrees
_KNEE = (6 / 29) ** 3
_25_TO_7 = 25.0**7


def to_lab(rgb: npt.NDArray[np.uint8]) -> Floats:
    """Return sRGB colours (..., 3) uint8 as CIE L*a*b* (..., 3), by IEC 61966-2-1 and CIE 15, white D65."""
    linear = _LINEAR[rgb]  # (..., 3)
    xyz = linear @ _FROM_RGB.T / _WHITE
    root = np.where(xyz > _KNEE, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = root[..., 0], root[..., 1], root[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def ciede2000(one: Floats, other: Floats) -> Floats:
    """Return the CIEDE2000 difference of L*a*b* colours (..., 3), as (...): about 1 is just seen, 5 is plain.

    CIE 142-2001, as Sharma, Wu and Dalal (2005) spell it out; all three weights are 1.
    """
    l1, a1, b1 = np.moveaxis(one, -1, 0)
    l2, a2, b2 = np.moveaxis(other, -1, 0)
    chroma = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    stretch = 1.5 - 0.5 * np.sqrt(chroma**7 / (chroma**7 + _25_TO_7))  # 1 + G: less chroma, more weight on a*
    a1, a2 = a1 * stretch, a2 * stretch
    c1, c2 = np.hypot(a1, b1), np.hypot(a2, b2)
    h1, h2 = (np.degrees(np.arctan2(b, a)) % 360 for a, b in ((a1, b1), (a2, b2)))
    grey = c1 * c2 == 0
    turn = np.where(grey, 0.0, (h2 - h1 + 180) % 360 - 180)  # the shorter way round
    hue = np.where(grey, h1 + h2, _mean_hue(h1, h2))
    light, chroma = (l1 + l2) / 2, (c1 + c2) / 2
    t = 1 - 0.17 * _cos(hue - 30) + 0.24 * _cos(2 * hue) + 0.32 * _cos(3 * hue + 6) - 0.20 * _cos(4 * hue - 63)
    off = (light - 50) ** 2
    dl = (l2 - l1) / (1 + 0.015 * off / np.sqrt(20 + off))
    dc = (c2 - c1) / (1 + 0.045 * chroma)
    dh = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn) / 2) / (1 + 0.015 * chroma * t)
    blue = 30 * np.exp(-(((hue - 275) / 25) ** 2))  # degrees: where hue and chroma are not independent
    rotation = -2 * np.sqrt(chroma**7 / (chroma**7 + _25_TO_7)) * np.sin(np.radians(2 * blue))
    return np.asarray(np.sqrt(np.maximum(dl**2 + dc**2 + dh**2 + rotation * dc * dh, 0)))


def _mean_hue(h1: Floats, h2: Floats) -> Floats:
    """The hue (degrees) between two, on the shorter arc; where both arcs are equal, the plain mean."""
    total = h1 + h2
    far = np.abs(h1 - h2) > 180
    return np.asarray(np.where(far, np.where(total < 360, total + 360, total - 360), total) / 2)


def _cos(degrees: Floats) -> Floats:
    return np.asarray(np.cos(np.radians(degrees)))


def _linear_values() -> Floats:
    value = np.arange(256) / 255
    return np.asarray(np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4))


_LINEAR = _linear_values()
