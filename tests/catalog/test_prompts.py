"""Prompts: what a shop's text becomes before CLIP reads it."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog_gen.catalog.prompts import MAX_CHARACTERS, build_prompt, cap, check_template, clean_text
from catalog_gen.errors import ConfigError

FRAGMENTS = st.sampled_from(
    [
        "<b>",
        "</p>",
        "<script>x</script>",
        "&amp;",
        "&lt;",
        "&#39;",
        "\u200b",
        "\x00",
        "\ud800",
        "é",
        "́",
        "赤い",
        "ثوب",
        ", ",
    ]
)
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
TEXTS = st.lists(st.one_of(st.text(max_size=20), FRAGMENTS), max_size=12).map("".join)


def test_title_comes_first_and_known_words_are_not_repeated() -> None:
    fields = {
        "category": "Tshirts",
        "title": "Puma Men Blue Tee",
        "colour": "blue",
        "gender": "Men",
        "usage": "Sports",
    }
    assert build_prompt(fields) == "Puma Men Blue Tee, Tshirts, Sports"


def test_a_value_inside_a_longer_word_is_still_added() -> None:
    assert build_prompt({"title": "Women Redwood Boots", "gender": "Men", "colour": "Red"}) == (
        "Women Redwood Boots, Men, Red"
    )


def test_attributes_choose_and_order_and_exclude_leaves_out() -> None:
    fields = {"title": "Shoe", "a": "one", "b": "two", "Year": "2011"}
    assert build_prompt(fields, attributes=["b", "a"]) == "Shoe, two, one"
    assert build_prompt(fields, attributes=()) == "Shoe, one, two, 2011"
    assert build_prompt(fields, exclude=("year",)) == "Shoe, one, two"


@pytest.mark.parametrize("empty", ["", "  ", "nan", "NaN", "N/A", "n/a", "None", "null", "-", "\u200b"])
def test_empty_values_leave_nothing(empty: str) -> None:
    assert build_prompt({"title": "Bag", "colour": empty}) == "Bag"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("<p>Red&nbsp;<b>dress</b></p>", "Red dress"),
        ("&lt;i&gt;Red&lt;/i&gt; dress", "Red dress"),
        ("M&amp;amp;M bag", "M&M bag"),
        ("a<script>alert('x')</script>b", "a b"),
        ("size < 10 and > 5", "size < 10 and > 5"),
        ("Li\u200bnen\tshirt\x00new", "Linen shirt new"),
        ("cafe\u0301", "café"),
        ("красное платье", "красное платье"),
        ("赤いドレス", "赤いドレス"),
    ],
)
def test_cleaning(text: str, clean: str) -> None:
    assert clean_text(text) == clean


@pytest.mark.parametrize("title", ["", "---", "12345", "👗👗", "&nbsp;", "<br>"])
def test_nothing_to_draw_from(title: str) -> None:
    assert build_prompt({"title": title}) == ""


def test_template() -> None:
    fields = {"title": "Linen Dress", "colour": "Red", "season": ""}
    assert build_prompt(fields, "{title}, {season}, {colour}, studio photo") == "Linen Dress, Red, studio photo"
    assert build_prompt(fields, "{season}, studio photo") == ""
    assert build_prompt(fields, "") == "Linen Dress, Red"


@pytest.mark.parametrize("template", ["studio photo", "{title} {", "{titel}", "{}"])
def test_a_template_that_cannot_be_filled_is_refused(template: str) -> None:
    with pytest.raises(ConfigError):
        check_template(template, {"title", "colour"})


def test_cap_cuts_between_words_and_never_before_a_mark() -> None:
    assert cap("word " * 100, 23) == "word word word word"
    assert len(cap("x" * 1000)) == MAX_CHARACTERS
    text = "é" * 10
    marked = unicodedata.normalize("NFD", text)
    assert unicodedata.normalize("NFC", cap(marked, 5)) in text


@patient
@given(st.dictionaries(st.sampled_from(["title", "category", "colour", "usage"]), TEXTS))
def test_a_prompt_is_one_clean_short_line(fields: dict[str, str]) -> None:
    prompt = build_prompt(fields)
    assert len(prompt) <= MAX_CHARACTERS
    assert prompt == " ".join(prompt.split())
    assert not any(unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co") for character in prompt)
    assert not prompt or any(character.isalpha() for character in prompt)
    assert "&amp;" not in prompt and "<b>" not in prompt


@patient
@given(TEXTS)
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    assert clean_text(clean_text(text)) == clean_text(text)


@patient
@given(st.text(st.characters(categories=["Lu", "Ll", "Lo"]), min_size=1, max_size=40))
def test_words_of_any_language_are_kept(word: str) -> None:
    kept = build_prompt({"title": f"{word} bag"})
    assert kept == unicodedata.normalize("NFC", f"{word} bag")
