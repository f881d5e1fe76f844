"""What a prior may give back to a mask, on masks made by hand."""

from __future__ import annotations

import numpy as np

from catalog_gen.style.recover import recovered

SIZE = (60, 50)
BODY = np.s_[10:30, 10:40]  # what colours tell
HEM = np.s_[30:50, 10:40]  # what they do not


def squares(*areas: tuple[slice, slice], value: float = 1.0) -> np.ndarray:
    made = np.zeros(SIZE, np.float32)
    for area in areas:
        made[area] = value
    return made


def test_what_the_prior_is_sure_of_is_given_back_as_far_as_it_is_likely() -> None:
    mask = squares(BODY) > 0
    probability = squares(BODY) + squares(HEM, value=0.6) + squares(np.s_[32:40, 15:25], value=0.35)
    found = recovered(mask, probability, squares(BODY, value=0.3), 0.0012)
    assert (found == ((squares(BODY) + squares(HEM)) > 0)).all()


def test_likely_is_not_enough_to_begin_with() -> None:
    mask = squares(BODY) > 0
    assert (recovered(mask, squares(BODY) + squares(HEM, value=0.85), squares(BODY), 0.0012) == mask).all()


def test_where_colours_tell_the_prior_is_not_asked() -> None:
    mask = squares(BODY) > 0
    told = squares(BODY, value=0.3) + squares(HEM, value=0.1)  # a shadow, say
    assert (recovered(mask, squares(BODY, HEM), told, 0.0012) == mask).all()
    assert recovered(mask, squares(BODY, HEM), told, 0.03)[HEM].all()  # less than that ground's own noise


def test_a_rim_of_what_is_there_is_no_part() -> None:
    mask = squares(BODY) > 0
    assert (recovered(mask, squares(np.s_[8:32, 8:42]), squares(BODY), 0.0012) == mask).all()


def test_what_lies_apart_from_the_product_is_none_of_it() -> None:
    mask = squares(BODY) > 0
    assert (recovered(mask, squares(BODY, np.s_[40:55, 10:40]), squares(BODY), 0.0012) == mask).all()


def test_a_hole_is_filled_whole_or_stays_open_whole() -> None:
    hole, half = np.s_[15:25, 15:25], np.s_[15:25, 15:19]
    mask = (squares(BODY) - squares(hole)) > 0
    assert recovered(mask, squares(BODY), squares(BODY, value=0.3), 0.0012)[hole].all()
    torn = squares(BODY) - squares(hole) + squares(half)  # 4 of 10 columns sure
    assert (recovered(mask, torn, squares(BODY, value=0.3), 0.0012) == mask).all()
