"""The gate: which pictures a person must look at before they count, and why, in a few words.

It looks for what a broken generator makes (nothing, one colour, noise) and for words that the picture does not show.
Its limits were set so that real product photos pass, white shirts on white included: all of 10,882 do, at 64 px and
at 128.
"""

from __future__ import annotations

import math
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

DRAFT: Final = "draft"
NEEDS_REVIEW: Final = "needs_review"
Verdict = Literal["draft", "needs_review"]
Kind = Literal["", "similarity", "fault", "duplicate", "few-photos"]

FLAT_DEVIATION = 2.0  # of 255: the standard deviation of every channel; the least of the real photos has 4.2
WHITE_FROM = 250.0  # of 255: a pixel whose channels all reach this shows background
MIN_SHOWN = 0.005  # share of pixels that show something else: 20 of 64 x 64; the least of the real photos has 0.016
MIN_CORRELATION = 0.25  # of neighbouring pixels: the least of 10,882 real photos has 0.40, noise about 0
MAX_CLIPPED = 0.35  # share of pixels with one channel at the top and another at the bottom; the most is 0.010
MAX_NAME = 60  # characters of a category in a reason
_CHUNK = 256  # pictures at once: bounds the float32 copies to some megabytes

Pictures = NDArray[np.uint8] | NDArray[np.floating]


def find_faults(pictures: Pictures) -> list[str]:
    """Return for each picture why it cannot be one of a product, or "" when nothing speaks against it.

    pictures: (B, H, W, 3), uint8, or floating in [0, 1], where NaN and values out of range are faults of their own.
    Raises ValueError for another shape or type.
    """
    if pictures.ndim != 4 or pictures.shape[3] != 3 or min(pictures.shape[1:3]) < 2:
        raise ValueError(f"pictures are (B, H, W, 3), not {pictures.shape}")
    if pictures.dtype != np.uint8 and not np.issubdtype(pictures.dtype, np.floating):
        raise ValueError(f"pictures are uint8 or floating, not {pictures.dtype}")
    faults: list[str] = []
    for start in range(0, len(pictures), _CHUNK):
        faults += _chunk_faults(pictures[start : start + _CHUNK])
    return faults


class Judgement(NamedTuple):
    """A picture's state, the reason for it, and what kind of reason that is."""

    state: Verdict
    reason: str
    kind: Kind


def judge(similarity: float, fault: str, threshold: float) -> Judgement:
    """Return what becomes of a picture: ("draft", "", "") or ("needs_review", why, what kind of reason).

    similarity: CLIP cosine of picture and prompt. fault: from `find_faults`. threshold: the CLIP bundle's own, or the
    configuration's.
    """
    if fault:
        return Judgement(NEEDS_REVIEW, fault, "fault")
    if not math.isfinite(similarity):
        return Judgement(NEEDS_REVIEW, "similarity is not a number", "similarity")
    if similarity < threshold:
        rounded = math.floor(similarity * 1_000) / 1_000  # down, or 0.1799 would read "0.180 below 0.180"
        return Judgement(NEEDS_REVIEW, f"similarity {rounded:.3f} below {threshold:.3f}", "similarity")
    return Judgement(DRAFT, "", "")


def duplicate_reason(other_sku: str) -> str:
    """Return the reason that a near-duplicate of another product's picture is recorded with."""
    return f"near-duplicate of {other_sku}"


def few_photos_reason(category: str, photos: int, needed: int) -> str:
    """Return the reason for a person to look at a picture of a category that the generator saw too few photos of.

    "" when there were enough, or when the row has no category. In quotes, a name is a particular of its row and not
    part of what rows have in common; ";" would part two reasons.
    """
    name = " ".join(category.split()).replace('"', "'").replace(";", ",")
    if not name or photos >= needed:
        return ""
    shown = name if len(name) <= MAX_NAME else name[: MAX_NAME - 1] + "…"
    return f'of its kind, "{shown}", the generator saw too few photos: {photos} of {needed}'


def _chunk_faults(pictures: Pictures) -> list[str]:
    values: NDArray[np.float32] = pictures.astype(np.float32)
    broken: NDArray[np.bool_] = np.zeros(len(values), bool)
    outside: NDArray[np.bool_] = np.zeros(len(values), bool)
    if pictures.dtype != np.uint8:
        broken = np.logical_not(np.isfinite(values).all(axis=(1, 2, 3)))
        values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
        # A generator's last layer may overshoot by a rounding error; beyond that its scale is wrong.
        outside = (values.min(axis=(1, 2, 3)) < -0.01) | (values.max(axis=(1, 2, 3)) > 1.01)
        values = values.clip(0, 1) * 255
    red, green, blue = values[..., 0], values[..., 1], values[..., 2]
    darkest = np.minimum(np.minimum(red, green), blue)
    brightest = np.maximum(np.maximum(red, green), blue)
    shown = (darkest < WHITE_FROM).mean(axis=(1, 2))
    clipped = ((darkest < 4) & (brightest > 251)).mean(axis=(1, 2))
    flat = np.max([channel.std(axis=(1, 2)) for channel in (red, green, blue)], axis=0) < FLAT_DEVIATION
    correlation = _neighbour_correlation(((red + green + blue) / 3).astype(np.float32))
    checks = [
        (broken, "the picture has values that are not numbers"),
        (outside, "the picture has values out of range"),
        (shown < MIN_SHOWN, "blank: nothing but white"),
        (flat, "blank: one flat colour"),
        (correlation < MIN_CORRELATION, "noise: no shapes"),
        (clipped > MAX_CLIPPED, "degenerate: colours clipped"),
    ]
    return [next((reason for found, reason in checks if found[index]), "") for index in range(len(values))]


def _neighbour_correlation(luma: NDArray[np.float32]) -> NDArray[np.float32]:
    """(B, H, W) -> (B,): the correlation of a pixel with the ones right of it and below it, the lower of both."""
    centred = luma - luma.mean(axis=(1, 2), keepdims=True)
    variance = (centred**2).mean(axis=(1, 2)) + 1e-6
    across = (centred[:, :, 1:] * centred[:, :, :-1]).mean(axis=(1, 2)) / variance
    down = (centred[:, 1:] * centred[:, :-1]).mean(axis=(1, 2)) / variance
    correlation: NDArray[np.float32] = np.minimum(across, down)
    return correlation
