"""Where a row's image is, what stands for its bytes, and what keeps it from being read."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from catalog_gen.catalog.model import PictureSource
from catalog_gen.config import Settings
from catalog_gen.errors import PhotoError, RowError, TransientError
from catalog_gen.pipeline.restyle_source import SourceReader, photo_name
from catalog_gen.storage import open_storage


def reader(tmp_path: Path, photos: str = "") -> SourceReader:
    settings = Settings.model_validate({"restyle": {"photos": photos}, "storage": {"url": str(tmp_path / "pictures")}})
    return SourceReader(settings, open_storage(settings.storage.url))


@pytest.mark.parametrize(
    ("image", "photos", "expected"),
    [
        ("/a/b c.jpg", "/base", Path("/a/b c.jpg")),
        ("b.jpg", "", Path("b.jpg")),
        ("x/b.jpg", "/base", Path("/base/x/b.jpg")),
        ("x/b.jpg", "s3://shop/photos/", "s3://shop/photos/x/b.jpg"),
        ("/a/b.jpg", "s3://shop/photos", Path("/a/b.jpg")),
        ("file:///a/b%20c.jpg", "", Path("/a/b c.jpg")),
        ("https://cdn.shop/b.jpg?v=2", "/base", "https://cdn.shop/b.jpg?v=2"),
        ("//cdn.shop/b.jpg", "/base", "https://cdn.shop/b.jpg"),
    ],
)
def test_where_an_image_is(tmp_path: Path, image: str, photos: str, expected: Any) -> None:
    assert reader(tmp_path, photos).address(image) == expected


def test_what_stands_for_a_photo(tmp_path: Path) -> None:
    read, file = reader(tmp_path), tmp_path / "a.jpg"
    assert read.key("anything", "cafe") == "cafe"
    missing = read.key(str(file), None)
    file.write_bytes(b"one")
    os.utime(file, (5, 5))
    first = read.key(str(file), None)
    assert first == read.key(file.as_uri(), None) != missing
    file.write_bytes(b"two")
    os.utime(file, (6, 6))
    assert read.key(str(file), None) not in (first, missing)
    assert read.key("https://a/b.jpg?v=1", None) != read.key("https://a/b.jpg?v=2", None)


def test_a_file_is_read_with_its_hash(tmp_path: Path) -> None:
    file = tmp_path / "a.jpg"
    file.write_bytes(b"photo")
    expected = hashlib.sha256(b"photo").hexdigest()
    assert reader(tmp_path).read(PictureSource("s", str(file), "k")) == (b"photo", expected)
    with pytest.raises(RowError, match="changed since it was imported"):
        reader(tmp_path).read(PictureSource("s", str(file), "k", sha256="0" * 64))


@pytest.mark.parametrize(
    ("uri", "kind", "words"),
    [
        ("/no/such.jpg", PhotoError, "cannot be read"),
        ("nosuch://bucket/a.jpg", PhotoError, "cannot be addressed"),
        ("memory://none/a.jpg?token=secret", PhotoError, "is missing"),
    ],
)
def test_what_keeps_a_photo_from_being_read(tmp_path: Path, uri: str, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words) as raised:
        reader(tmp_path).read(PictureSource("s", uri, "k"))
    assert "secret" not in str(raised.value)


def test_a_network_that_fails_is_worth_another_try(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec

    def refuse(*_: Any, **__: Any) -> None:
        raise ConnectionResetError("reset by peer")

    monkeypatch.setattr(fsspec, "open", refuse)
    with pytest.raises(TransientError, match="reset by peer"):
        reader(tmp_path).read(PictureSource("s", "memory://a/b.jpg", "k"))


@pytest.mark.parametrize(
    ("uri", "name"),
    [("/shop/a b.jpg", "a b.jpg"), ("https://cdn/x/a%20b.jpg?sig=1", "a b.jpg"), ("s3://bucket/a.png", "a.png")],
)
def test_a_photo_is_named_without_its_folders(uri: str, name: str) -> None:
    assert photo_name(uri) == name
