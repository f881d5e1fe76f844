"""Which pictures a channel takes, which one is the main one, and what is said of the others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from catalog_gen.export.items import Picture
from catalog_gen.export.rules import CHANNELS, choose, marking_fault, ranked, rules_of
from export.export_fixtures import config, item, picture

PHOTO, DRAWN = picture(), picture("generated", "b")
STUDIO = picture("restyled", "c")
WINTER = picture("restyled", "d", style="winter", overlays=("text",))


def chosen(channel: str, *pictures: Picture, **settings: Any) -> tuple[list[str], dict[str, str]]:
    """Return the names of the pictures that go along, and by name why others do not."""
    choice = choose(item(*pictures), rules_of(channel, config(**{channel: settings} if settings else {})))
    return [each.name for each in choice.pictures], {
        each.picture.name if each.picture else "product": f"{each.rule}: {each.reason}" for each in choice.held
    }


def test_the_first_picture_in_order_that_may_be_the_main_one_is() -> None:
    names, held = chosen("google", DRAWN, WINTER, STUDIO, PHOTO)
    assert names == ["photo", "restyled studio/square", "generated"]
    assert held == {"restyled winter/square": "overlay: has text over it"}


def test_a_drawn_picture_is_the_main_one_only_where_that_is_configured() -> None:
    names, held = chosen("google", DRAWN)
    assert names == []
    assert held["product"] == "main: none of its pictures may be the main one"
    assert held["generated"] == "generated: a model drew it, and export.google.generated_main is false"
    assert chosen("google", DRAWN, generated_main=True) == (["generated"], {})


def test_a_restyled_picture_of_a_drawn_product_counts_as_drawn() -> None:
    drawn = replace(STUDIO, source_type="trainedAlgorithmicMedia")
    assert chosen("google", drawn)[0] == []
    assert chosen("google", STUDIO)[0] == ["restyled studio/square"]


def test_a_photo_that_says_that_a_model_drew_it_counts_as_drawn() -> None:
    written_back = replace(PHOTO, source_type="trainedAlgorithmicMedia")
    assert chosen("shopify", written_back)[0] == []


def test_an_overlay_is_for_further_pictures_where_the_channel_allows_it() -> None:
    assert chosen("shopify", WINTER, PHOTO)[0] == ["photo", "restyled winter/square"]
    names, held = chosen("shopify", WINTER)
    assert names == [] and held["restyled winter/square"] == "overlay: has text over it"
    assert chosen("csv", WINTER)[0] == ["restyled winter/square"]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"width": 499, "height": 499}, "size: 499x499 px, under 500 px (export.google.min_side)"),
        ({"width": 8_001, "height": 8_000}, "size: 8001x8000 px, over 64 megapixels"),
        ({"size": 16_000_001}, "bytes: 16.0 MB, over 16 MB"),
        (
            {"format": "avif", "url": "https://x.example/a.avif"},
            "format: avif is none of bmp, gif, jpeg, png, tiff, webp",
        ),
        ({"url": "https://x.example/a.png"}, "format: its address ends in .png, and it is jpeg"),
        ({"url": ""}, "address: has no public address (export.photo_url)"),
        ({"url": f"https://x.example/{'a' * 2_000}.jpg"}, "address: its address has 2,022 characters, over 2,000"),
        ({"white": 0.89}, "background: 89% of its border is white, under 90% (export.google.white_main)"),
        ({"rule": "damaged", "fault": "is damaged"}, "damaged: is damaged"),
    ],
)
def test_a_rule_of_google_holds_a_picture_back(change: dict[str, Any], expected: str) -> None:
    names, held = chosen("google", replace(PHOTO, **change))
    assert names == []
    assert held["photo"] == expected


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"width": 5_001, "height": 100}, "size: 5001x100 px, over 5,000 px"),
        ({"size": 20_000_001}, "bytes: 20.0 MB, over 20 MB"),
        ({"format": "tiff", "url": "https://x.example/a.tif"}, "format: tiff is none of gif, jpeg, png, webp"),
    ],
)
def test_a_rule_of_shopify_holds_a_picture_back(change: dict[str, Any], expected: str) -> None:
    assert chosen("shopify", replace(PHOTO, **change))[1]["photo"] == expected


def test_what_is_at_the_limit_passes() -> None:
    at = {"width": 500, "height": 500, "size": 16_000_000, "white": 0.9}
    assert chosen("google", replace(PHOTO, **at)) == (["photo"], {})
    assert chosen("shopify", replace(PHOTO, width=5_000, height=5_000, size=20_000_000))[0] == ["photo"]


def test_pictures_over_the_number_that_fits_are_held_back() -> None:
    more = [picture("restyled", f"r{n:02}", output=f"o{n:02}") for n in range(12)]
    choice = choose(item(PHOTO, *more), rules_of("google", config()))
    assert [each.output for each in choice.pictures[1:]] == [f"o{n:02}" for n in range(10)]
    assert [(each.rule, each.picture.output) for each in choice.held if each.picture] == [
        ("many", "o10"),
        ("many", "o11"),
    ]


def test_a_picture_that_the_order_does_not_name_is_left_out_without_a_word() -> None:
    assert chosen("google", PHOTO, DRAWN, STUDIO, pictures=["restyled:studio/square", "photo"]) == (
        ["restyled studio/square", "photo"],
        {},
    )


def test_the_order_is_by_entry_and_then_by_style_output_and_address() -> None:
    pictures = [
        picture("restyled", name, style=style, output=output)
        for name, style, output in [("4", "winter", "wide"), ("3", "summer", "wide"), ("2", "winter", "square")]
    ]
    order = [each.uri[-5:] for each in ranked(pictures, ["restyled:winter/wide", "restyled"])]
    assert order == ["4.jpg", "3.jpg", "2.jpg"]


def test_a_file_goes_once() -> None:
    twin = replace(STUDIO, output="wide")
    assert chosen("csv", twin, STUDIO)[0] == ["restyled studio/square"]


def test_a_photo_that_was_not_read_is_taken_at_its_word() -> None:
    unread = Picture("photo", "https://x.example/1", "https://x.example/1")
    assert chosen("google", unread) == (["photo"], {})


@pytest.mark.parametrize("channel", CHANNELS)
def test_no_channel_takes_a_picture_with_a_fault(channel: str) -> None:
    names, held = chosen(channel, replace(STUDIO, rule="marking", fault="lost"))
    assert names == [] and held["restyled studio/square"] == "marking: lost"
    assert held["product"] == "main: none of its pictures can be used"


@pytest.mark.parametrize(
    ("role", "from_photo", "said", "is_right"),
    [
        ("generated", False, "trainedAlgorithmicMedia", True),
        ("generated", False, "compositeWithTrainedAlgorithmicMedia", False),
        ("generated", False, "", False),
        ("generated", False, "digitalCapture", False),
        ("restyled", False, "trainedAlgorithmicMedia", True),
        ("restyled", False, "compositeWithTrainedAlgorithmicMedia", False),
        ("restyled", True, "compositeWithTrainedAlgorithmicMedia", True),
        ("restyled", True, "trainedAlgorithmicMedia", True),
        ("restyled", True, "", False),
    ],
)
def test_the_mark_of_ai_media_is_what_the_picture_is(role: str, from_photo: bool, said: str, is_right: bool) -> None:
    assert (marking_fault(role, from_photo, said) == "") is is_right
