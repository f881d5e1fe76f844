"""Hostile text: one line, no controls, no formula, ASCII addresses."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog_gen.export.text import ascii_url, cut, defused, fitted, is_formula, one_line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Blue\r\nshirt\tsize\x0bL", "Blue shirt size L"),
        ("  a \u00a0 b\u2028c\u2029d  ", "a b c d"),
        ("nul\0bell\x07", "nul bell"),
        ("abc\u202etxt.exe\u2066", "abctxt.exe"),  # what turns the text around
        ("\ud83dhalf\udc00", "half"),  # surrogates that met no partner
        ("\ufffe\U0001ffffend\ufdd0", "end"),  # noncharacters, which no XML can hold
        ("family \U0001f468\u200d\U0001f469\u200d\U0001f467 \u2764\ufe0f", "family 👨‍👩‍👧 ❤️"),
        ("", ""),
    ],
)
def test_text_becomes_one_line(text: str, line: str) -> None:
    assert one_line(text) == line


@given(st.text(st.characters(codec=None, exclude_categories=())))
def test_no_line_has_a_control_or_a_half_character(text: str) -> None:
    line = one_line(text)
    line.encode("utf-8")
    assert not [c for c in line if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")]
    assert one_line(line) == line


@pytest.mark.parametrize(
    ("text", "limit", "short"),
    [
        ("Blue shirt", 10, "Blue shirt"),
        ("Blue shirt for men", 12, "Blue shirt"),
        ("Blue shirt for men", 10, "Blue shirt"),
        ("Blue shirtmakers", 12, "Blue shirtma"),  # the only space is too far back
        ("x" * 5_000, 150, "x" * 150),
        ("👨‍👩‍👧", 2, "👨"),  # no joiner without what it joins
    ],
)
def test_text_is_cut_between_words(text: str, limit: int, short: str) -> None:
    assert cut(text, limit) == short
    assert len(cut(text, limit)) <= limit


@pytest.mark.parametrize(
    "text", ["=1+1", '=HYPERLINK("http://x","y")', "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", " =1", "＝1", "\t=1"]
)
def test_a_formula_is_one_no_more(text: str) -> None:
    assert is_formula(text)
    assert defused(text) == f"'{text}"
    assert not is_formula(defused(text))


@pytest.mark.parametrize("text", ["Blue shirt", "", "-20%", "+3.5", "-12,50", "a=b", "100 % @home", "'=1"])
def test_other_text_stays(text: str) -> None:
    assert defused(text) == text


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://x.example/a b,c.jpg", "https://x.example/a%20b%2Cc.jpg"),
        ("https://x.example/größe.jpg?a=1&b=%2F", "https://x.example/gr%C3%B6%C3%9Fe.jpg?a=1&b=%2F"),
        ('https://x.example/"<>', "https://x.example/%22%3C%3E"),
    ],
)
def test_an_address_is_ascii(url: str, expected: str) -> None:
    assert ascii_url(url) == expected


def test_room_is_left_for_the_apostrophe() -> None:
    assert len(defused(fitted("=" + "x" * 200, 150))) == 150
    assert fitted("x" * 200, 150) == "x" * 150
