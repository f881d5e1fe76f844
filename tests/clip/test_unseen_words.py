"""The words that `unseen_words` puts in the place of others, by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from catalog_gen.training_data import TrainRow
from unseen_words import LANGUAGES, MISSPELT, Variant, double, drop, is_known, misspell, swap, variants, vocabulary

KINDS, COLOURS = vocabulary()
ROW = TrainRow("s1", "Nike Men T-Shirt Red Tee, Tshirts, Fall", "Tshirts", "Red", Path())


def test_misspellings_by_hand() -> None:
    assert (swap("shirt", 1), drop("shirt", 2), double("shirt", 3)) == ("sihrt", "shrt", "shirrt")
    for way in MISSPELT:
        said = misspell("red T-Shirts", way, np.random.default_rng(1))
        assert said.startswith("red T-S") and said.endswith("s") and said != "red T-Shirts"
    assert misspell("aaaa", "swap", np.random.default_rng(1)) == "aaaa", "equal neighbours cannot be swapped"


@pytest.mark.parametrize(
    ("kind", "colour", "said"),
    [
        (None, "german", "Nike Men T-Shirt rot Tee, Tshirts, Fall"),
        ("german", "german", "Nike Men Leibchen rot Leibchen, Leibchen, Fall"),
        ("hindi", "hindi", "Nike Men T-Shirt lal Tee, Tshirts, Fall"),  # no other word than the English one
        ("nothing", "nothing", "Nike Men , , Fall"),
    ],
)
def test_every_form_is_replaced(kind: str | None, colour: str | None, said: str) -> None:
    assert Variant("v", kind, colour).say(ROW, KINDS, COLOURS, 0) == said


def test_what_was_used_is_counted() -> None:
    way = Variant("v", "spanish", None)
    way.say(ROW, KINDS, COLOURS, 0)
    assert way.used == {"camiseta": 3}


def test_one_word_of_a_prompt_is_misspelt() -> None:
    said = Variant("v", "once", None).say(ROW, KINDS, COLOURS, 0)
    unlike = [(a, b) for a, b in zip(said.split(), ROW.prompt.split(), strict=True) if a != b]
    assert len(unlike) == 1


def test_the_vocabulary_says_each_word_itself() -> None:
    for name, entry in (KINDS | COLOURS).items():
        assert entry.forms.fullmatch(name), f"{name}: its own name is one of its forms"
        assert set(entry.others) <= {"synonyms", *LANGUAGES} and len(entry.others["synonyms"]) == 2
    assert len({way.name for way in variants()}) == len(variants())


def test_a_word_is_known_when_all_of_it_is() -> None:
    known = Variant("v", None, None).used
    known.update(["sac", "main"])
    assert is_known("Sac main", known) and not is_known("sac à main", known)
