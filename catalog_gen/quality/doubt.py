"""How unsure a job is of its picture, from 0 to 1: what a reviewer sees first. From one half on, a person must look."""

from __future__ import annotations

import math
from typing import Literal

Cutout = Literal["sure", "unplain", "doubted"]
"""How a product was cut out: off a plain ground without a doubt, off a ground that is not plain, or with a doubt."""

_CUTOUTS: dict[Cutout, int] = {"sure": 0, "unplain": 1, "doubted": 2}


def of_drawn(
    similarity: float, fault: str, threshold: float, *, duplicate: bool = False, unlearnt: bool = False
) -> float:
    """Return the doubt of a generated picture.

    By CLIP's similarity: 0 at 1, one half at the threshold, 1 at -1, and straight lines between:
    (1 - s) / (2 (1 - t)) from the threshold up, 1/2 + (t - s) / (2 (t + 1)) below it. A near-duplicate is half the way
    from there to 1, and so is one of a category that the generator has hardly seen; one that is both, half of the rest
    as well. A fault, or a similarity that is not a number, is 1.
    """
    if fault or not math.isfinite(similarity):
        return 1.0
    s, t = (min(max(value, -1.0), 1.0) for value in (similarity, threshold))
    above = (1 - s) / (1 - t) / 2 if t < 1 else 0.0
    doubt = above if s >= t else 0.5 + (t - s) / (t + 1) / 2
    return _half_way_to_1(doubt, duplicate + unlearnt)


def of_restyled(nearness: float, cutout: Cutout) -> float:
    """Return the doubt of a restyled picture.

    nearness: how near it is to the template's limits, 0 to 1 (`Invariance.nearness`): half of it. Off a ground that is
    not plain it is half the way from there to 1, with a doubt about the cut-out half of the rest as well.
    """
    return _half_way_to_1(min(max(nearness, 0.0), 1.0) / 2, _CUTOUTS[cutout])


def _half_way_to_1(doubt: float, times: int) -> float:
    return 1 - (1 - doubt) * 0.5**times
