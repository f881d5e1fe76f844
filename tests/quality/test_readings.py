"""Shares of what is read off real photos: in all and by category, worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from catalog_gen.quality.estimate import Estimate, ratio
from catalog_gen.quality.evaluation import set_beside
from catalog_gen.quality.readings import by_category, shares_of_photos

NAN = math.nan
CATEGORIES = ["Shoes", "Shoes", "Shoes", "Bags", "Bags", "", "Hats"]
PICTURES = {"kind": np.array([1, 0, 1, 0, 0, NAN, NAN]), "colour": np.array([1, 1, NAN, NAN, NAN, 0, 1])}
PHOTOS = {"kind": np.array([1, 1, 1, 0, 1, NAN, NAN]), "colour": np.array([1, 0, NAN, NAN, NAN, 1, 0])}


def test_a_share_is_of_the_rows_that_were_asked_about() -> None:
    found = shares_of_photos(PICTURES, PHOTOS)
    assert found["kind_share"].value == pytest.approx((2 / 5) / (4 / 5)) and found["kind_share"].count == 5
    assert found["colour_share"].value == pytest.approx((3 / 4) / (2 / 4)) and found["colour_share"].count == 4
    assert shares_of_photos({"kind": np.array([1.0])}, {"kind": np.array([0.0])}) == {}, "no photo to be a share of"
    assert shares_of_photos({"kind": np.array([NAN])}, {"kind": np.array([NAN])}) == {}
    same = shares_of_photos(PHOTOS, PHOTOS)["kind_share"]
    assert same == Estimate(1.0, 5, 1.0, 1.0, 0.0), "both sides of a row are drawn together"


def test_the_interval_of_a_share_is_the_delta_method_s() -> None:
    """For means p and q of independent hits: variance of p/q = (p/q)^2 ((1-p)/(n p) + (1-q)/(n q)), to first order."""
    rng = np.random.default_rng(5)
    above, below = rng.random(2000) < 0.6, rng.random(2000) < 0.8
    p, q, n = above.mean(), below.mean(), 2000
    correlated = np.cov(above, below)[0, 1] / (n * p * q)
    error = p / q * math.sqrt((1 - p) / (n * p) + (1 - q) / (n * q) - 2 * correlated)
    found = ratio(above, below)
    assert found is not None and found.value == pytest.approx(p / q)
    assert found.error == pytest.approx(error, rel=0.1)
    assert found.low == pytest.approx(p / q - 1.96 * error, abs=error / 3)
    assert found.high == pytest.approx(p / q + 1.96 * error, abs=error / 3)


def test_every_category_has_its_row_the_largest_first() -> None:
    rows = by_category(CATEGORIES, {"Bags": 500, "Shoes": 20, "Rings": 900}, PICTURES, PHOTOS)
    assert rows == [
        {"category": "Bags", "training_photos": 500, "rows": 2,
         "kind_rows": 2, "kind_pictures": 0.0, "kind_photos": 0.5, "kind_share": 0.0,
         "colour_rows": 0, "colour_pictures": None, "colour_photos": None, "colour_share": None},
        {"category": "Shoes", "training_photos": 20, "rows": 3,
         "kind_rows": 3, "kind_pictures": 0.6667, "kind_photos": 1.0, "kind_share": 0.6667,
         "colour_rows": 2, "colour_pictures": 1.0, "colour_photos": 0.5, "colour_share": 2.0},
        {"category": "Hats", "training_photos": 0, "rows": 1,
         "kind_rows": 0, "kind_pictures": None, "kind_photos": None, "kind_share": None,
         "colour_rows": 1, "colour_pictures": 1.0, "colour_photos": 0.0, "colour_share": None},
    ]  # fmt: skip


def test_an_earlier_evaluation_without_an_upscaler_did_not_say_so() -> None:
    alike = dict.fromkeys(
        ("rows", "view", "candidates", "truncation", "held_out_rule", "training_photos", "features"), 1
    )
    earlier = alike | {"name": "a", "hash": "", "metrics": []}
    document = alike | {"upscaler": "none", "metrics": [], "notes": []}
    set_beside(document, earlier, 10)
    assert document["notes"] == []
    document["upscaler"] = "big@12"
    set_beside(document, earlier, 10)
    assert document["notes"] == ["Earlier figures were not measured alike: upscaler big@12 here and none there."]
