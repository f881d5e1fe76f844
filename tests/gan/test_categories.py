"""What a generator's bundle says of the categories that its training saw."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from catalog_gen.bundles import Bundle
from catalog_gen.errors import BundleError
from catalog_gen.gan.categories import count_categories, stated_categories, with_earlier


def bundle(**config: Any) -> Bundle:
    return Bundle("mine", "gan", Path("bundles/mine"), config, "0" * 64)


def test_spellings_of_a_category_are_counted_together() -> None:
    names = ["Flip Flops", "flip  flops", "Flip Flops", "FLIPFLOPS", "Belts", "", " ", "Café", "Cafe\u0301"]
    assert count_categories(names) == {"Belts": 1, "Café": 2, "Flip Flops": 4}
    assert count_categories(["b", "B"]) == {"B": 2}, "of spellings as frequent, always the same one"


def test_a_bundle_is_asked_in_any_spelling() -> None:
    learnt = stated_categories(bundle(categories={"Flip Flops": 4, "flipflops": 1, "Belts": 30}))
    assert learnt is not None
    assert [learnt.of(name) for name in ("FLIP FLOPS ", "belts", "Cufflinks")] == [5, 30, 0]


def test_a_bundle_may_state_none_but_nothing_else() -> None:
    assert stated_categories(bundle()) is None
    for broken in ({"Belts": "30"}, {"Belts": -1}, {"Belts": True}, ["Belts"], 3):
        with pytest.raises(BundleError, match="its categories are not names with numbers of photos"):
            stated_categories(bundle(categories=broken))


def test_a_fine_tuning_takes_the_larger_count_and_nothing_from_a_silent_bundle() -> None:
    now = {"Belts": 5, "Shoes": 40}
    assert with_earlier(now, None) == with_earlier(now, bundle()) == now
    before = bundle(categories={"BELTS": 30, "shoes": 7, "Ties": 2})
    assert with_earlier(now, before) == {"Belts": 30, "Shoes": 40, "Ties": 2}
