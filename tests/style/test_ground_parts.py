"""The small tools that mattes are made with, against scipy's own and against grounds that are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from catalog_gen.style.ground import LUMA, box_of, edge_contrast, estimate_ground
from catalog_gen.style.parts import maximum, sums

generator = np.random.default_rng(3)
LABELS, COUNT = ndimage.label(generator.random((40, 50)) > 0.6)
VALUES = generator.random((40, 50)).astype(np.float32)


def test_sums_and_maxima_of_parts_are_scipys() -> None:
    index = np.arange(1, COUNT + 1)
    assert COUNT > 50
    assert np.allclose(sums(VALUES, LABELS, COUNT), ndimage.sum_labels(VALUES, LABELS, index), rtol=1e-6)
    assert sums(VALUES > 0.5, LABELS, COUNT).tolist() == ndimage.sum_labels(VALUES > 0.5, LABELS, index).tolist()
    assert maximum(VALUES, LABELS, COUNT).tolist() == ndimage.maximum(VALUES, LABELS, index).tolist()


def test_the_contrast_of_an_edge_is_of_nine_pixels() -> None:
    rgb = generator.random((20, 30, 3)).astype(np.float32)
    planes = [rgb @ LUMA, *(0.5 * np.moveaxis(rgb, 2, 0))]
    spread = [ndimage.maximum_filter(plane, 3) - ndimage.minimum_filter(plane, 3) for plane in planes]
    assert np.allclose(edge_contrast(rgb), np.max(spread, axis=0), atol=1e-6)


def test_the_box_holds_the_mask_and_its_margin() -> None:
    mask = np.zeros((10, 20), bool)
    assert mask[box_of(mask, 3)].size == 0
    mask[4, 7] = mask[6, 9] = True
    assert box_of(mask, 1) == (slice(3, 8), slice(6, 11))
    assert mask[box_of(mask, 5)].shape == (10, 13)


def test_unevenly_lit_ground_is_found_at_every_pixel() -> None:
    y, x = np.meshgrid(np.linspace(-1, 1, 224), np.linspace(-1, 1, 168), indexing="ij")
    level = 0.8 + 0.04 * x - 0.06 * y - 0.05 * x * x + 0.02 * x * y - 0.03 * y * y
    lit = (level[..., None] * np.array([1, 0.98, 0.95])).astype(np.float32)
    photo = lit.copy()
    photo[60:160, 50:120] = 0.2
    ground = estimate_ground(photo)
    assert ground.share == pytest.approx(1, abs=0.01)
    assert np.abs(ground.colour - lit).max() < 1 / 255
