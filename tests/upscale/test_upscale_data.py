"""Crops and their small pictures follow from seed and step, and grounds are pure white."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from catalog_gen.upscale.data import CropSource, cut, whiten
from catalog_gen.upscale.degrade import GROUND, degrade, reduce_cleanly


def photos(count: int = 3, side: int = 96) -> npt.NDArray[np.uint8]:
    """Return dark squares on a ground that is almost white."""
    made = np.full((count, side, side, 3), 252, np.uint8)
    made[:, side // 4 : side // 2, side // 4 : side // 2] = (200, 40, 30)
    return made


def test_almost_white_becomes_white_without_a_step() -> None:
    levels = np.array([[[244, 244, 244], [248, 248, 248], [250, 250, 250], [255, 200, 255]]], np.uint8)
    # 248 is three fifths of the way from 245 to 250: 248 + 0.6 * 7 = 252.2
    assert whiten(levels)[0, :, 0].tolist() == [244, 252, 255, 255]
    assert whiten(levels)[0, 3].tolist() == [255, 200, 255]


def test_a_step_is_the_same_again_and_another_is_not() -> None:
    source = CropSource(photos(), 64, 4, seed=5)
    first, again, other = source.draw(7, 4), source.draw(7, 4), source.draw(8, 4)
    assert torch.equal(first.small, again.small) and torch.equal(first.large, again.large)
    assert not torch.equal(first.large, other.large)
    assert first.small.shape == (4, 3, 16, 16) and first.large.shape == (4, 3, 64, 64)
    assert float(first.large.max()) == 1.0 and float(first.large.min()) >= -1


def test_crops_show_the_product() -> None:
    rng = np.random.default_rng(0)
    crops = [cut(photos(1)[0], 64, rng) for _ in range(60)]
    assert all((crop.min(2) < 100).any() for crop in crops)
    assert all((crop.min(2) == 255).any() for crop in crops)


def test_the_clean_reduction_of_flat_colour_is_that_colour() -> None:
    flat = np.full((16, 16, 3), (10, 120, 250), np.uint8)
    assert (reduce_cleanly(flat, 4) == np.array((10, 120, 250))).all()


def test_faults_are_mild_and_grounds_get_a_veil_now_and_then() -> None:
    large = whiten(photos(1, 128)[0])
    clean = reduce_cleanly(large, 4).astype(int)
    small = [degrade(large, 4, np.random.default_rng(seed)).astype(int) for seed in range(40)]
    assert max(float(np.abs(one - clean).mean()) for one in small) < 12
    corners = [one[-4:, -4:] for one in small]  # ground, far from the product
    veiled = [corner for corner in corners if corner.max() < 255]
    assert 3 < len(veiled) < 25
    assert min(int(corner.min()) for corner in corners) > GROUND - 25
