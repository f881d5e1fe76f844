"""Noise from seeds: the same seed gives the same noise on every machine, alone or among others, in every version.

Library generators promise their streams only for a version; a stored seed must draw its picture again for years. So
the bits come from SplitMix64 (Steele et al., OOPSLA 2014), a counter passed through a mixing function, and the normal
numbers from the Box-Muller transform.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_GAMMA = np.uint64(0x9E3779B97F4A7C15)


def latents(seeds: npt.NDArray[np.int64], z_dim: int) -> npt.NDArray[np.float32]:
    """Return standard normal noise (B, z_dim) float32 for `seeds` (B,) int64; each row follows from its seed alone."""
    pairs = (z_dim + 1) // 2
    start = _mix(np.ascontiguousarray(seeds, dtype=np.int64).view(np.uint64))
    steps = np.arange(1, 2 * pairs + 1, dtype=np.uint64)
    with np.errstate(over="ignore"):  # arithmetic modulo 2^64 is meant
        bits = _mix(start[:, None] + steps[None, :] * _GAMMA)
    uniform = ((bits >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53  # (0, 1)
    radius, angle = np.sqrt(-2 * np.log(uniform[:, :pairs])), 2 * np.pi * uniform[:, pairs:]
    normal = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return normal[:, :z_dim].astype(np.float32)


def _mix(bits: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    with np.errstate(over="ignore"):
        bits = bits + _GAMMA
        bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return bits ^ (bits >> np.uint64(31))
