"""Importing feeds with photos: found, checked, kept inside their folder, and never lost by a feed that has none."""

from __future__ import annotations

from pathlib import Path

import pytest
from feed_fixtures import counts, feed, photo, rejects, stored

from catalog_gen.catalog import feed_photos
from catalog_gen.catalog.database import Database
from catalog_gen.catalog.importer import ImportRequest, import_file
from catalog_gen.errors import UsageError


def test_photos_are_found_by_sku(database: Database, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    for name in ("a.jpg", "b.JPEG", "c.png", "c.webp", "d.txt", "e e.webp", "aa.jpg"):
        if not name.endswith(".txt"):
            photo(folder / name)
    (folder / "d.txt").write_text("d")
    (folder / "f.jpg").mkdir()
    path = feed(tmp_path, "sku,title\na,A\nb,B\nc,C\nd,D\ne e,E\nf,F\n")
    result = import_file(database, path, ImportRequest(images=folder))
    images = {sku: row.image and Path(row.image).name for sku, row in stored(database).items()}
    assert images == {"a": "a.jpg", "b": "b.JPEG", "c": "c.png", "d": None, "e e": "e e.webp", "f": None}
    assert (result.photos_ok, result.photos_bad) == (4, 0)
    assert all(len(row.image_sha256) == 64 for row in stored(database).values() if row.image)
    assert all(Path(row.image).is_absolute() for row in stored(database).values() if row.image)


def test_a_damaged_photo_is_reported_and_its_row_imported(database: Database, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    photo(folder / "good.jpg")
    (folder / "text.jpg").write_text("not a picture")
    (folder / "empty.png").write_bytes(b"")
    (folder / "cut.jpg").write_bytes((folder / "good.jpg").read_bytes()[:400])
    path = feed(tmp_path, "sku,title\ngood,A\ntext,B\nempty,C\ncut,D\n")
    result = import_file(database, path, ImportRequest(images=folder))
    assert counts(result) == (4, 0, 0, 0)
    assert (result.photos_ok, result.photos_bad) == (1, 3)
    assert {sku for sku, row in stored(database).items() if row.image} == {"good"}
    found = [(row["line"], row["sku"], row["kind"], row["reason"]) for row in rejects(result)]
    assert found[0] == ("3", "text", "photo", "not an image of a known format")
    assert found[1] == ("4", "empty", "photo", "the file is empty")
    assert found[2][:3] == ("5", "cut", "photo")
    assert "3 unusable" in result.summary()


IMAGE_CELLS: dict[str, tuple[str, str | None, str]] = {
    "a URL": ("https://shop.example/a.jpg", "https://shop.example/a.jpg", ""),
    "a URL without its scheme": ("//cdn.example/a.jpg", "//cdn.example/a.jpg", ""),
    "in a bucket": ("s3://bucket/a.jpg", "s3://bucket/a.jpg", ""),
    "beside the feed": ("pictures/a.jpg", "pictures/a.jpg", ""),
    "a roundabout way": ("pictures/../pictures/a.jpg", "pictures/a.jpg", ""),
    "outside": ("../outside.jpg", None, "points outside"),
    "absolute and outside": ("/etc/hostname", None, "points outside"),
    "missing": ("pictures/none.jpg", None, "cannot be read (No such file"),
    "a folder": ("pictures", None, "is not a file"),
    "an endless name": ("x" * 5000, None, "File name too long"),
    "empty": ("", None, ""),
}


@pytest.mark.parametrize("case", IMAGE_CELLS)
def test_image_columns(database: Database, tmp_path: Path, case: str) -> None:
    cell, expected, reason = IMAGE_CELLS[case]
    photo(tmp_path / "outside.jpg")
    photo(tmp_path / "shop" / "pictures" / "a.jpg")
    path = feed(tmp_path / "shop", f"sku,title,image_url\na,A,{cell}\n")
    result = import_file(database, path)
    image = stored(database)["a"].image
    local = expected is not None and "//" not in expected
    assert image == (str(tmp_path / "shop" / str(expected)) if local else expected)
    assert counts(result) == (1, 0, 0, 0)
    assert result.photos_bad == (1 if reason else 0)
    if reason:
        assert reason in rejects(result)[0]["reason"]


def test_an_image_column_beside_a_folder(database: Database, tmp_path: Path) -> None:
    photo(tmp_path / "photos" / "front.jpg")
    photo(tmp_path / "photos" / "b.jpg")
    path = feed(tmp_path, "sku,title,bild\na,A,front.jpg\nb,B,\n")
    import_file(database, path, ImportRequest(images=tmp_path / "photos", image_column="bild"))
    assert [Path(row.image).name for row in stored(database).values()] == ["front.jpg", "b.jpg"]


def test_a_feed_without_images_keeps_those_of_an_earlier_import(database: Database, tmp_path: Path) -> None:
    folder = photo(tmp_path / "photos" / "a.jpg").parent
    path = feed(tmp_path, "sku,title\na,A\nb,B\n")
    import_file(database, path, ImportRequest(images=folder))
    before = stored(database)["a"]
    assert counts(import_file(database, path)) == (0, 0, 2, 0)
    assert counts(import_file(database, feed(tmp_path, "sku,title\na,New words\nb,B\n"))) == (0, 1, 1, 0)
    after = stored(database)["a"]
    assert (after.title, after.image, after.image_sha256) == ("New words", before.image, before.image_sha256)


def test_with_images_the_feed_has_the_last_word(database: Database, tmp_path: Path) -> None:
    folder = photo(tmp_path / "photos" / "a.jpg").parent
    photo(folder / "b.jpg")
    path = feed(tmp_path, "sku,title\na,A\nb,B\n")
    request = ImportRequest(images=folder)
    import_file(database, path, request)
    before = stored(database)
    assert counts(import_file(database, path, request)) == (0, 0, 2, 0)
    photo(folder / "a.jpg", (10, 200, 10))
    (folder / "b.jpg").unlink()
    assert counts(import_file(database, path, request)) == (0, 2, 0, 0)
    after = stored(database)
    assert after["a"].image == before["a"].image
    assert after["a"].image_sha256 != before["a"].image_sha256
    assert after["b"].image is None


def test_a_known_photo_is_not_decoded_again(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = photo(tmp_path / "photos" / "a.jpg").parent
    path = feed(tmp_path, "sku,title\na,A\n")
    opened: list[int] = []
    real = feed_photos.open_photo
    monkeypatch.setattr(feed_photos, "open_photo", lambda data: opened.append(1) or real(data))
    for _ in range(2):
        assert import_file(database, path, ImportRequest(images=folder)).photos_ok == 1
    assert len(opened) == 1


def test_a_missing_folder_of_photos_is_refused(database: Database, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--images .*none: the folder cannot be listed"):
        import_file(database, feed(tmp_path, "sku,title\na,A\n"), ImportRequest(images=tmp_path / "none"))
