"""The few metrics that tell a training's health, quick enough to be taken while it runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import Tensor

from catalog_gen.errors import UsageError
from catalog_gen.quality.distances import frechet_distance, kernel_distance
from catalog_gen.quality.evaluation import FEWEST_PICTURES
from catalog_gen.quality.lite1 import FeatureNetwork, cached_features
from catalog_gen.quality.neighbours import copy_distance, coverage, nearest, precision, unit, within_prompt

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]
Draw = Callable[[Floats, npt.NDArray[np.int64]], Pixels | Tensor]

VARIETY_SHARE = 4  # one prompt in four is drawn a second time


class Monitor:
    """Measures a generator against photos, always with the same words and seeds.

    held_out: photos (N, S, S, 3) uint8 that it never learns from, and texts (N, D), their words' vectors; the first
    `count` rows of a fixed shuffle are drawn. train: photos (M, S, S, 3), whose features are kept in `cache`.
    Raises UsageError when either has fewer photos than metrics need.
    """

    def __init__(
        self,
        held_out: Pixels,
        texts: Floats,
        train: Pixels,
        network: FeatureNetwork,
        cache: Path,
        count: int = 500,
    ) -> None:
        if len(held_out) != len(texts):
            raise UsageError(f"{len(texts)} texts do not match {len(held_out)} held-out photos")
        if min(len(held_out), len(train)) < FEWEST_PICTURES:
            raise UsageError(
                f"{len(held_out)} held-out and {len(train)} training photos are too few to measure on",
                hint=f"At least {FEWEST_PICTURES} of each are needed.",
            )
        rng = np.random.default_rng(0)
        chosen = rng.permutation(len(held_out))[:count]
        self._network = network
        self._texts = texts[chosen]
        known = cached_features(network, train, cache)
        self._train = unit(known)
        self._sample = known[np.sort(rng.choice(len(train), min(len(chosen), len(train)), replace=False))]
        unseen = unit(cached_features(network, held_out, cache))
        self._copy_distance = copy_distance(nearest(unseen, self._train))
        shifted = np.roll(unseen, 1, axis=0)
        self._usual_distance = float(np.linalg.norm(unseen.astype(np.float64) - shifted, axis=1).mean())

    def measure(self, draw: Draw) -> dict[str, float]:
        """Return fd, kid, precision, coverage, variety and memorised of what `draw` makes of texts and seeds.

        draw: texts (B, D) of unit length and seeds (B,) to pictures (B, 3, S, S) uint8. variety: how unlike two draws
        of one prompt are, as a share of how unlike two held-out photos are. memorised: the share of pictures nearer to
        a training photo than 99 % of held-out photos are.
        """
        count = len(self._texts)
        twice = max(2, count // VARIETY_SHARE)
        texts = np.concatenate([self._texts, self._texts[:twice]])
        features = self._network(_channels_last(draw(texts, np.arange(len(texts), dtype=np.int64))))
        pictures, directions, photos = features[:count], unit(features), unit(self._sample)
        seen, again = directions[:count], directions[count:]
        return {
            "fd": frechet_distance(pictures, self._sample),
            "kid": kernel_distance(pictures, self._sample).value,
            "precision": float(precision(seen, photos).mean()),
            "coverage": float(coverage(seen, photos).mean()),
            "variety": float(within_prompt(np.stack([seen[:twice], again], 1)).mean()) / self._usual_distance,
            "memorised": float((nearest(seen, self._train) <= self._copy_distance).mean()),
        }


def _channels_last(pictures: Pixels | Tensor) -> Pixels:
    pixels = pictures.cpu().numpy() if isinstance(pictures, Tensor) else pictures
    return pixels.transpose(0, 2, 3, 1)
