"""Do pictures show their words? By CLIP, which is no independent judge where it also chose the picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]  # (N, D), of unit length
Hits = npt.NDArray[np.bool_]

CHOICES = 100


def clip_similarity(pictures: Vectors, texts: Vectors) -> npt.NDArray[np.float64]:
    """Return (N,): the cosine of each picture with its own words (CLIPScore without its factor, arXiv 2104.08718)."""
    cosines: npt.NDArray[np.float64] = (pictures.astype(np.float64) * texts).sum(1)
    return cosines


def r_precision(
    pictures: Vectors, texts: Vectors, prompts: Sequence[str], choices: int = CHOICES, seed: int = 0
) -> Hits:
    """Return (N,): whether each picture finds its own words first among `choices` (R = 1, arXiv 1711.10485).

    The others are prompts of other rows that read differently, drawn at random; fewer where there are not so many.
    A tie counts as a miss. Raises ValueError when all prompts are the same.
    """
    distinct = list(dict.fromkeys(prompts))
    if len(distinct) < 2:
        raise ValueError("all prompts are the same")
    first = np.array([prompts.index(prompt) for prompt in distinct])
    place = {prompt: index for index, prompt in enumerate(distinct)}
    rng = np.random.default_rng(seed)
    hits = np.zeros(len(pictures), bool)
    for index, picture in enumerate(pictures):
        others = rng.choice(len(distinct) - 1, min(choices, len(distinct)) - 1, replace=False)
        others += others >= place[prompts[index]]  # step over its own words
        hits[index] = texts[index] @ picture > (texts[first[others]] @ picture).max()
    return hits
