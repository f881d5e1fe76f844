"""PSNR and SSIM against values worked out another way; distances in features grow with the fault."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from catalog_gen.upscale.measure import FeatureJudge, measure, psnr, ssim
from catalog_gen.upscale.resample import resampled


def noise(seed: int, side: int = 32) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(seed).integers(0, 256, (1, side, side, 3), np.uint8)


def test_psnr_of_a_shift_by_one_level_is_known() -> None:
    first = np.full((1, 16, 16, 3), 100, np.uint8)
    assert psnr(first, first + 1)[0] == pytest.approx(20 * math.log10(255), abs=1e-6)
    assert psnr(first, first)[0] == math.inf


def test_ssim_is_that_of_a_plain_double_loop() -> None:
    first, second = noise(1, 14), noise(2, 14)
    weights = np.array((0.299, 0.587, 0.114))
    one, other = (first[0] @ weights, second[0] @ weights)
    at = np.arange(11) - 5
    window = np.exp(-(at[:, None] ** 2 + at[None] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    values = []
    for top in range(4):
        for left in range(4):
            a, b = one[top : top + 11, left : left + 11], other[top : top + 11, left : left + 11]
            mean_a, mean_b = (window * a).sum(), (window * b).sum()
            var_a, var_b = (window * (a - mean_a) ** 2).sum(), (window * (b - mean_b) ** 2).sum()
            shared = (window * (a - mean_a) * (b - mean_b)).sum()
            c1, c2 = 2.55**2, 7.65**2
            values.append(
                (2 * mean_a * mean_b + c1) * (2 * shared + c2)
                / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
            )  # fmt: skip
    assert ssim(first, second)[0] == pytest.approx(float(np.mean(values)), abs=1e-9)
    assert ssim(first, first)[0] == pytest.approx(1)


def test_a_way_that_keeps_everything_measures_best() -> None:
    torch.manual_seed(0)
    judge = FeatureJudge(pretrained=False)
    photos = [np.asarray(resampled(noise(seed, 8), 64)[0]) for seed in range(2)]
    ways = {
        "lanczos": lambda pictures: resampled(pictures, 64),
        "flat": lambda pictures: np.full((1, 64, 64, 3), 128, np.uint8),
    }
    found = measure(photos, 2, ways, judge, seed=0)
    assert set(found) == {(a, b) for a in ("clean", "degraded") for b in ways}
    assert found["clean", "lanczos"].psnr > found["clean", "flat"].psnr + 6
    assert found["clean", "lanczos"].ssim > 0.9 > found["clean", "flat"].ssim
    assert judge(noise(1), noise(1)) == [0]
    assert found["clean", "lanczos"].features < found["clean", "flat"].features
