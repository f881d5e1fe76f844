"""What a prior may give back to a mask, on masks made by hand."""

from __future__ import annotations

import numpy as np

from catalog_gen.style.recover import astray, recovered

SIZE = (60, 50)
BODY = np.s_[10:30, 10:40]  # what colours tell
HEM = np.s_[30:50, 10:40]  # what they do not


def squares(*areas: tuple[slice, slice], value: float = 1.0) -> np.ndarray:
    made = np.zeros(SIZE, np.float32)
    for area in areas:
        made[area] = value
    return made


PALE = squares(BODY, value=0.08) + squares(HEM, value=0.004)  # from the ground: the hem by one grey level
NOISE = 0.0012


def test_what_the_prior_is_sure_of_is_given_back_as_far_as_it_is_likely() -> None:
    mask = squares(BODY) > 0
    probability = squares(BODY) + squares(HEM, value=0.6) + squares(np.s_[32:40, 15:25], value=0.35)
    assert (recovered(mask, probability, PALE, NOISE) == (squares(BODY, HEM) > 0)).all()


def test_likely_is_not_enough_to_begin_with() -> None:
    mask = squares(BODY) > 0
    assert (recovered(mask, squares(BODY) + squares(HEM, value=0.85), PALE, NOISE) == mask).all()


def test_where_colours_tell_the_prior_is_not_asked() -> None:
    mask = squares(BODY) > 0
    shadow = squares(BODY, value=0.08) + squares(HEM, value=0.05)
    assert (recovered(mask, squares(BODY, HEM), shadow, NOISE) == mask).all()
    assert recovered(mask, squares(BODY, HEM), shadow, 0.02)[HEM].all()  # on a ground that is as uneven itself


def test_what_lies_no_further_from_the_ground_than_its_noise_is_ground() -> None:
    mask = squares(BODY) > 0
    assert (recovered(mask, squares(BODY, HEM), PALE, 0.0041) == mask).all()


def test_what_dark_edges_alone_frame_is_open() -> None:
    mask = squares(BODY) > 0
    dark = squares(BODY, value=0.3) + squares(HEM, value=0.004)
    assert (recovered(mask, squares(BODY, HEM), dark, NOISE) == mask).all()
    dark[BODY][:, :15] = 0.08  # pale on one side: cloth goes on there
    assert recovered(mask, squares(BODY, HEM), dark, NOISE)[HEM].all()


def test_a_rim_of_what_is_there_is_no_part() -> None:
    mask = squares(BODY) > 0
    distance = squares(np.s_[5:35, 5:45], value=0.004) + squares(BODY, value=0.076)
    assert (recovered(mask, squares(np.s_[8:32, 8:42]), distance, NOISE) == mask).all()


def test_what_lies_apart_from_the_product_is_none_of_it() -> None:
    mask, apart = squares(BODY) > 0, np.s_[40:55, 10:40]
    distance = squares(BODY, value=0.08) + squares(apart, value=0.004)
    assert (recovered(mask, squares(BODY, apart), distance, NOISE) == mask).all()


def test_a_hole_is_filled_whole_or_stays_open_whole() -> None:
    hole, half = np.s_[14:26, 15:27], np.s_[14:26, 15:20]
    mask = (squares(BODY) - squares(hole)) > 0
    distance = mask * np.float32(0.08) + squares(hole, value=0.004)
    assert recovered(mask, squares(BODY), distance, NOISE)[hole].all()
    torn = squares(BODY) - squares(hole) + squares(half)  # sure of 5 of its 12 columns
    assert (recovered(mask, torn, distance, NOISE) == mask).all()


def test_a_prior_that_sees_product_on_the_border_s_ground_is_astray() -> None:
    mask = (
        squares(np.s_[40:60, 10:40]) > 0
    )  # the lower edge cuts it off: 190 of the border's 220 px are ground, and 5 % are 9.5
    assert not astray(mask, squares(np.s_[40:60, 10:40]))
    assert not astray(mask, squares(np.s_[0:5, 0:4]))  # 9 px: 5 down and 4 across, the corner on either
    assert astray(mask, squares(np.s_[0:5, 0:5]))  # 10 px
