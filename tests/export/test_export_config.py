"""The section `[export]`: what it refuses, and the defaults of each channel."""

from __future__ import annotations

from typing import Any

import pytest

from catalog_gen.config import load_settings
from catalog_gen.errors import ConfigError
from export.export_fixtures import config


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("export.public_url", "http://cdn.example.com", "https://cdn.example.com/pictures"),
        ("export.public_url", "https://user@cdn.example.com/p", "without user, query and fragment"),
        ("export.public_url", "https://cdn.example.com/p?sig=1", "without user, query and fragment"),
        ("export.public_url", "https://cdn.example.com/größe", "ASCII"),
        ("export.product_url", "https://shop.example.com/p", "{sku} or {handle}"),
        ("export.google.pictures", ["photos"], "restyled:STYLE/OUTPUT"),
        ("export.google.pictures", [], "at least 1 item"),
        ("export.shopify.white_main", 1.5, "less than or equal to 1"),
        ("export.currency", "Euro", "pattern"),
        ("export.fields", {"colour": "baseColour"}, "'colour' is none of description, link"),
        ("export.google.generated_mian", True, "Did you mean export.google.generated_main?"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_key(key: str, value: Any, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(None, env={}, use_default_file=False, flags={key: value})
    assert key.partition("[")[0] in str(caught.value) and said in str(caught.value)


def test_one_key_of_a_channel_leaves_its_others_as_they_are() -> None:
    plain = config(plain={"min_side": 10}).channel("parquet")
    assert (plain.min_side, plain.generated_main, plain.overlays) == (10, True, "any")
    google = config(google={"min_side": 10}).channel("google")
    assert (google.min_side, google.generated_main, google.overlays, google.white_main) == (10, False, "none", 0.9)


def test_an_address_ends_without_a_slash() -> None:
    assert config(public_url="https://cdn.example.com/p/").public_url == "https://cdn.example.com/p"
