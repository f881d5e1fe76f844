"""Where the world finds a picture: storage and photos under public addresses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from catalog_gen.config import load_settings
from catalog_gen.pipeline.export_addresses import Addresses
from catalog_gen.storage import open_storage

NAME = f"ab/cd/{'abcd' * 16}.webp"


def addresses(**flags: Any) -> Addresses:
    settings = load_settings(
        None, env={}, use_default_file=False, flags={k.replace("__", "."): v for k, v in flags.items()}
    )
    return Addresses(
        settings,
        open_storage(settings.storage.url, {"key": "k", "secret": "s"} if "s3" in settings.storage.url else {}),
    )


@pytest.mark.parametrize(
    ("storage", "uri", "url"),
    [
        ("/srv/a b", f"file:///srv/a%20b/{NAME}", f"https://cdn.example.com/p/{NAME}"),
        ("/srv/a", f"file:///srv/ab/{NAME}", ""),  # a folder whose name begins alike is another
        ("/srv/a", f"s3://srv/a/{NAME}", ""),
        ("s3://shop/x", f"s3://shop/x/{NAME}", f"https://cdn.example.com/p/{NAME}"),
        ("s3://shop/x", f"s3://other/x/{NAME}", ""),
    ],
)
def test_a_stored_picture_has_an_address_below_the_public_one(storage: str, uri: str, url: str) -> None:
    assert addresses(storage__url=storage, export__public_url="https://cdn.example.com/p/").picture(uri) == url
    assert addresses(storage__url=storage).picture(uri) == ""


@pytest.mark.parametrize(
    ("photos", "image", "url"),
    [
        ("", "https://shop.example.com/1.jpg?v=2", "https://shop.example.com/1.jpg?v=2"),
        ("", "//shop.example.com/1.jpg", "https://shop.example.com/1.jpg"),
        ("/srv/photos", "sub/größe 1.jpg", "https://i.example.com/sub/gr%C3%B6%C3%9Fe%201.jpg"),
        ("/srv/photos/", "/srv/photos/1.jpg", "https://i.example.com/1.jpg"),
        ("/srv/photos", "/srv/photos2/1.jpg", ""),
        ("/srv/photos", "/srv/photos/../secret.jpg", ""),
        ("/srv/photos", "../secret.jpg", ""),
        ("s3://shop/photos", "1.jpg", "https://i.example.com/1.jpg"),
        ("s3://shop/photos", "s3://shop/photos/1.jpg", "https://i.example.com/1.jpg"),
        ("s3://shop/photos", "s3://shop/private/1.jpg", ""),
        ("s3://shop/photos", "/etc/1.jpg", ""),
    ],
)
def test_a_photo_has_an_address_where_it_lies_below_the_photos(
    photos: str, image: str, url: str, tmp_path: Path
) -> None:
    flags = {"storage__url": str(tmp_path), "restyle__photos": photos}
    assert addresses(**flags, export__photo_url="https://i.example.com").photo(image) == url
    if not image.startswith(("https:", "//")):
        assert addresses(**flags).photo(image) == ""
