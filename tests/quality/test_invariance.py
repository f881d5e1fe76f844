"""Whether a product is the same: by published colour pairs, a reference SSIM, and pictures that were changed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torchmetrics.functional.image import structural_similarity_index_measure

from catalog_gen.clip.model import ClipModel, load_clip
from catalog_gen.quality.colour_difference import ciede2000, to_lab
from catalog_gen.quality.invariance import Invariance, Limits, check, colour_difference, structural_similarity

# Table 1 of Sharma, Wu and Dalal (2005): two colours in L*a*b*, and their difference.
SHARMA = """
50 2.6772 -79.7751 50 0 -82.7485 2.0425
50 3.1571 -77.2803 50 0 -82.7485 2.8615
50 2.8361 -74.0200 50 0 -82.7485 3.4412
50 -1.3802 -84.2814 50 0 -82.7485 1.0000
50 -1.1848 -84.8006 50 0 -82.7485 1.0000
50 -0.9009 -85.5211 50 0 -82.7485 1.0000
50 0 0 50 -1 2 2.3669
50 -1 2 50 0 0 2.3669
50 2.4900 -0.0010 50 -2.4900 0.0009 7.1792
50 2.4900 -0.0010 50 -2.4900 0.0010 7.1792
50 2.4900 -0.0010 50 -2.4900 0.0011 7.2195
50 2.4900 -0.0010 50 -2.4900 0.0012 7.2195
50 -0.0010 2.4900 50 0.0009 -2.4900 4.8045
50 -0.0010 2.4900 50 0.0010 -2.4900 4.8045
50 -0.0010 2.4900 50 0.0011 -2.4900 4.7461
50 2.5 0 50 0 -2.5 4.3065
50 2.5 0 73 25 -18 27.1492
50 2.5 0 61 -5 29 22.8977
50 2.5 0 56 -27 -3 31.9030
50 2.5 0 58 24 15 19.4535
50 2.5 0 50 3.1736 0.5854 1.0000
50 2.5 0 50 3.2972 0 1.0000
50 2.5 0 50 1.8634 0.5757 1.0000
50 2.5 0 50 3.2592 0.3350 1.0000
60.2574 -34.0099 36.2677 60.4626 -34.1751 39.4387 1.2644
63.0109 -31.0961 -5.8663 62.8187 -29.7946 -4.0864 1.2630
61.2901 3.7196 -5.3901 61.4292 2.2480 -4.9620 1.8731
35.0831 -44.1164 3.7933 35.0232 -40.0716 1.5901 1.8645
22.7233 20.0904 -46.6940 23.0331 14.9730 -42.5619 2.0373
36.4612 47.8580 18.3852 36.2715 50.5065 21.2231 1.4146
90.8027 -2.0831 1.4410 91.1528 -1.6435 0.0447 1.4441
90.9257 -0.5406 -0.9208 88.6381 -0.8985 -0.7239 1.5381
6.7747 -0.2908 -2.4247 5.8714 -0.0985 -2.2286 0.6377
2.0776 0.0795 -1.1350 0.9033 -0.0636 -0.5514 0.9082
"""

LIMITS = Limits(delta_e=3, delta_e_p95=8, ssim=0.95, clip=0.9)


@pytest.fixture(scope="module")
def clip() -> ClipModel:
    return load_clip()


def shirt(colour: tuple[int, int, int] = (170, 40, 50)) -> tuple[np.ndarray, np.ndarray]:
    """A striped rectangle on grey: picture (160, 120, 3), alpha (160, 120)."""
    picture = np.full((160, 120, 3), 128, np.uint8)
    picture[20:140, 20:100] = colour
    picture[20:140:8, 20:100] = 230
    alpha = np.zeros((160, 120), np.float32)
    alpha[20:140, 20:100] = 1
    return picture, alpha


def test_the_published_pairs() -> None:
    table = np.array([line.split() for line in SHARMA.split("\n") if line], float)
    assert table.shape == (34, 7)
    assert np.abs(ciede2000(table[:, :3], table[:, 3:6]) - table[:, 6]).max() < 1e-4
    assert np.abs(ciede2000(table[:, 3:6], table[:, :3]) - table[:, 6]).max() < 1e-4


def test_lab_of_known_colours() -> None:
    rgb = np.array([[255, 255, 255], [0, 0, 0], [255, 0, 0], [0, 0, 255], [119, 119, 119]], np.uint8)
    known = [[100, 0, 0], [0, 0, 0], [53.24, 80.09, 67.20], [32.30, 79.19, -107.86], [50.03, 0, 0]]
    assert np.abs(to_lab(rgb) - known).max() < 0.02


def test_structural_similarity_is_the_usual_one_where_the_mask_is_everything() -> None:
    rng = np.random.default_rng(0)
    before = np.asarray(Image.fromarray(rng.integers(0, 256, (12, 12, 3), np.uint8)).resize((96, 96)))
    after = np.clip(before + rng.normal(0, 12, before.shape), 0, 255).astype(np.uint8)
    x, y = (
        torch.from_numpy(p.astype(np.float32) @ np.float32([0.299, 0.587, 0.114]) / 255)[None, None]
        for p in (before, after)
    )
    _, whole = structural_similarity_index_measure(x, y, data_range=1.0, return_full_image=True)
    inside = np.zeros((96, 96), bool)
    inside[20:70, 20:70] = True  # windows at its rim see less than the usual ones do
    core = np.zeros_like(inside)
    core[25:65, 25:65] = True
    everything = np.ones_like(inside)
    usual = float(whole[0, 0][torch.from_numpy(core)].mean())
    assert structural_similarity(before, after, everything) == pytest.approx(float(whole.mean()), abs=0.01)
    assert structural_similarity(before, after, inside) == pytest.approx(usual, abs=0.02)


def test_what_happens_around_the_product_does_not_count(clip: ClipModel) -> None:
    picture, alpha = shirt()
    after = picture.copy()
    after[alpha == 0] = np.random.default_rng(0).integers(0, 256, (int((alpha == 0).sum()), 3), np.uint8)
    found = check(picture, after, alpha, clip)
    assert found.delta_e == 0 and found.delta_e_p95 == 0
    assert found.ssim == pytest.approx(1, abs=1e-5)
    assert found.clip == pytest.approx(1, abs=1e-3)
    assert found.faults(LIMITS) == []


def test_another_colour_is_told_with_its_figures(clip: ClipModel) -> None:
    picture, alpha = shirt()
    after, _ = shirt((40, 60, 170))
    found = check(picture, after, alpha, clip)
    expected = float(ciede2000(to_lab(np.uint8([170, 40, 50])), to_lab(np.uint8([40, 60, 170]))))
    assert found.delta_e_p95 == pytest.approx(expected)
    assert 0.8 * expected < found.delta_e < expected  # an eighth of it is stripes, the same in both
    assert any(text == f"colour difference {found.delta_e:.2f} above 3" for text in found.faults(LIMITS))


def test_lost_structure_is_told(clip: ClipModel) -> None:
    picture, alpha = shirt()
    after = picture.copy()
    after[20:140, 20:100] = picture[20:140, 20:100].mean((0, 1)).astype(np.uint8)
    found = check(picture, after, alpha, clip)
    assert found.ssim < 0.5
    assert any(text.startswith("structural similarity") for text in found.faults(LIMITS))


def test_an_even_sample_of_a_large_mask_has_the_mean_of_the_whole() -> None:
    rng = np.random.default_rng(1)
    before = np.full((400, 500, 3), 120, np.uint8)
    after = (before + rng.integers(-20, 21, before.shape)).astype(np.uint8)
    mean, _ = colour_difference(before, after, np.ones((400, 500), bool))
    whole = ciede2000(to_lab(before), to_lab(after)).mean()
    assert mean == pytest.approx(whole, rel=0.01)


def test_a_mask_without_a_product_is_an_error(clip: ClipModel) -> None:
    picture, alpha = shirt()
    with pytest.raises(ValueError, match="covers 0 pixels"):
        check(picture, picture, alpha * 0, clip)
    with pytest.raises(ValueError, match="differ in size"):
        check(picture, picture[:-1], alpha, clip)


def test_each_limit_has_its_own_line() -> None:
    bad = Invariance(delta_e=4, delta_e_p95=9, ssim=0.5, clip=0.2)
    assert bad.faults(LIMITS) == [
        "colour difference 4.00 above 3",
        "colour difference of the worst 5 % 9.00 above 8",
        "structural similarity 0.500 below 0.95",
        "CLIP similarity 0.200 below 0.9",
    ]
    assert bad.scores() == {"delta_e": 4, "delta_e_p95": 9, "ssim": 0.5, "clip_image": 0.2}
