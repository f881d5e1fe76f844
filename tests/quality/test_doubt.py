"""How unsure a job is of a picture: values worked out by hand."""

from __future__ import annotations

import pytest

from catalog_gen.quality.doubt import Cutout, of_drawn, of_restyled
from catalog_gen.quality.invariance import Invariance, Limits

LIMITS = Limits(delta_e=4.0, delta_e_p95=8.0, ssim=0.9, clip=0.8)


@pytest.mark.parametrize(
    ("similarity", "threshold", "expected"),
    [
        (1.0, 0.4, 0.0),
        (0.7, 0.4, 0.25),  # half the way from the threshold to 1
        (0.4, 0.4, 0.5),
        (-0.3, 0.4, 0.75),  # half the way down to -1
        (-1.0, 0.4, 1.0),
        (1.5, 0.4, 0.0),  # rounding above 1
        (1.0, 1.0, 0.0),
        (0.0, 1.0, 0.75),
        (-1.0, -1.0, 0.5),
    ],
)
def test_doubt_of_a_similarity(similarity: float, threshold: float, expected: float) -> None:
    assert of_drawn(similarity, "", threshold) == pytest.approx(expected)
    assert of_drawn(similarity, "", threshold, duplicate=True) == pytest.approx((1 + expected) / 2)
    assert of_drawn(similarity, "", threshold, unlearnt=True) == pytest.approx((1 + expected) / 2)
    both = of_drawn(similarity, "", threshold, duplicate=True, unlearnt=True)
    assert both == pytest.approx((3 + expected) / 4)


def test_a_fault_is_the_most_doubtful() -> None:
    assert of_drawn(0.9, "noise: no shapes", 0.4) == 1.0
    assert of_drawn(float("nan"), "", 0.4) == 1.0


@pytest.mark.parametrize(
    ("nearness", "cutout", "expected"),
    [
        (0.0, "sure", 0.0),
        (1.0, "sure", 0.5),
        (0.0, "unplain", 0.5),
        (0.6, "unplain", 0.65),
        (0.0, "doubted", 0.75),
        (1.0, "doubted", 0.875),
        (7.0, "sure", 0.5),
    ],
)
def test_doubt_of_a_restyled_picture(nearness: float, cutout: Cutout, expected: float) -> None:
    assert of_restyled(nearness, cutout) == pytest.approx(expected)


def test_the_nearest_limit_counts() -> None:
    assert Invariance(delta_e=0, delta_e_p95=0, ssim=1, clip=1).nearness(LIMITS) == 0
    assert Invariance(delta_e=1, delta_e_p95=6, ssim=0.99, clip=0.9).nearness(LIMITS) == pytest.approx(0.75)
    assert Invariance(delta_e=1, delta_e_p95=1, ssim=0.92, clip=0.9).nearness(LIMITS) == pytest.approx(0.8)
    assert Invariance(delta_e=1, delta_e_p95=1, ssim=1, clip=0.82).nearness(LIMITS) == pytest.approx(0.9)
    assert Invariance(delta_e=9, delta_e_p95=1, ssim=1, clip=1).nearness(LIMITS) == 1
    strict = Limits(delta_e=0, delta_e_p95=1, ssim=1, clip=0)
    assert Invariance(delta_e=0, delta_e_p95=0, ssim=1, clip=1).nearness(strict) == 0
    assert Invariance(delta_e=0.1, delta_e_p95=0, ssim=1, clip=1).nearness(strict) == 1
