"""The products of a training: rows with usable photos, and on which side of the split each is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from catalog_gen.clip.config import ClipTrainConfig
from catalog_gen.errors import ConfigError
from catalog_gen.training_data import HeldOut, TrainRow, hold_out, load_photos


@dataclass(frozen=True)
class Products:
    """Rows, their photos (N, S, S, 3) uint8 in the same order, and the rule that holds some of them out."""

    rows: list[TrainRow]
    photos: npt.NDArray[np.uint8]
    rule: HeldOut
    unreadable: list[tuple[str, str]]

    def places(self, *, held_out: bool) -> npt.NDArray[np.int64]:
        """Return the positions of the rows on one side of the split, in their order."""
        return np.flatnonzero([(row in self.rule) == held_out for row in self.rows])

    def side(self, *, held_out: bool) -> list[TrainRow]:
        """Return the rows on one side of the split, in their order."""
        return [self.rows[place] for place in self.places(held_out=held_out)]


def load_products(
    rows: Sequence[TrainRow], work_dir: Path, config: ClipTrainConfig, rule: HeldOut | None, batch_size: int
) -> Products:
    """Return the rows that have a prompt and a usable photo, split by the rule or as the config says.

    Raises ConfigError when fewer than a batch are left to learn from, and what `load_photos` raises.
    """
    photos, unreadable, kept = load_photos([row for row in rows if row.prompt], config.image_size, work_dir)
    products = Products(kept, photos, rule or hold_out(kept, config.held_out, config.seed), unreadable)
    count = len(products.places(held_out=False))
    if count < batch_size:
        raise ConfigError(
            f"{count} products with a photo and a prompt are fewer than one batch of {batch_size}",
            hint="Give more rows, or a smaller batch.",
        )
    return products
