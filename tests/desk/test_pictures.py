"""Pictures on their way to the browser: through the storage, at the width asked for, and never in anybody's way."""

from __future__ import annotations

import io
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from desk_fixtures import Shop, desk, drawn
from PIL import Image
from starlette.testclient import TestClient

from catalog_gen.desk.parts import STORAGE_THREADS
from catalog_gen.desk.pictures import Picture, PictureCache
from catalog_gen.storage import LocalStorage


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def test_a_picture_as_it_is_stored(small: Shop, asker: TestClient) -> None:
    asset = small.add("a")
    answer = asker.get(f"/image/{asset}")
    assert answer.content == drawn(1) and answer.headers["content-type"] == "image/webp"
    assert answer.headers["cache-control"] == "private, max-age=86400"
    again = asker.get(f"/image/{asset}", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(("width", "expected"), [(96, 96), (240, 240), (960, 300), (0, 300)])
def test_a_picture_is_never_wider_than_it_is(small: Shop, asker: TestClient, width: int, expected: int) -> None:
    asset = small.add("a", size=300)
    answer = asker.get(f"/image/{asset}?w={width}")
    assert opened(answer.content).size == (expected, expected)
    assert answer.headers["content-type"] == ("image/jpeg" if expected < 300 else "image/webp")
    middle = opened(answer.content).convert("RGB").getpixel((expected // 2, expected // 2))
    assert all(abs(one - other) < 6 for one, other in zip(middle, (37, 91, 53), strict=True))  # `drawn(1)`'s colour


def test_a_picture_that_is_gone_or_damaged_is_told(small: Shop, asker: TestClient, tmp_path: Path) -> None:
    gone, damaged = small.add("a"), small.add("b")
    files = sorted((tmp_path / "pictures").rglob("*.webp"))
    for file in files:
        if file.read_bytes() == drawn(2):
            file.write_bytes(b"something else")
        else:
            file.unlink()
    assert asker.get(f"/image/{gone}").json() == {"error": "the picture is missing"}
    answer = asker.get(f"/image/{damaged}")
    assert answer.status_code == 404 and answer.json()["error"].startswith("the picture is damaged")
    assert str(tmp_path) not in answer.text


def test_the_shop_s_photo_is_found_by_its_sku(small: Shop, asker: TestClient, tmp_path: Path) -> None:
    photo = tmp_path / "shoe.png"
    photo.write_bytes(drawn(7, 600, "PNG"))
    small.add("a/b c", image=str(photo))
    answer = asker.get("/photo", params={"sku": "a/b c", "w": 480})
    assert answer.status_code == 200 and opened(answer.content).size == (480, 480)
    assert answer.headers["content-type"] == "image/jpeg"  # whatever it was: nothing of a feed is passed on as it is


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", "not an image"),
        (b"root:x:0:0:root", "not an image"),
        (b"", "empty"),
        (drawn(1, 300, "PNG")[:400], "damaged"),
        (None, "cannot be read"),
    ],
)
def test_a_photo_that_is_none(small: Shop, asker: TestClient, tmp_path: Path, content: bytes | None, told: str) -> None:
    photo = tmp_path / "photo"
    if content is not None:
        photo.write_bytes(content)
    small.add("a", image=str(photo))
    answer = asker.get("/photo?sku=a&w=480")
    assert answer.status_code == 404 and told in answer.json()["error"]
    assert "root:" not in answer.text and str(tmp_path) not in answer.text


def test_a_product_without_a_photo(small: Shop, asker: TestClient) -> None:
    small.add("a")
    assert asker.get("/photo?sku=a").json() == {"error": "a has no photo in the catalogue"}


def test_a_storage_that_hangs_leaves_the_pages_alone(
    small: Shop, asker: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More pictures are asked for than there are threads for them; the queue and the audit answer meanwhile."""
    assets = [small.add(f"p{number}") for number in range(STORAGE_THREADS * 2)]
    free, hanging = threading.Event(), threading.Semaphore(0)
    real = LocalStorage.get

    def hang(self: LocalStorage, uri: str) -> bytes:
        hanging.release()
        assert free.wait(60)
        return real(self, uri)

    monkeypatch.setattr(LocalStorage, "get", hang)
    with ThreadPoolExecutor(len(assets)) as threads:
        waiting = [threads.submit(asker.get, f"/image/{asset}") for asset in assets]
        try:
            for _ in range(STORAGE_THREADS):
                assert hanging.acquire(timeout=30)
            assert asker.get("/api/queue").json()["total"] == len(assets)
            assert asker.get("/audit").status_code == 200
            assert not any(answer.done() for answer in waiting)
        finally:
            free.set()
        assert [answer.result().status_code for answer in waiting] == [200] * len(assets)


def test_the_cache_holds_so_many_bytes_and_no_more() -> None:
    cache = PictureCache(100)
    for name in "abcd":
        cache.put(name, Picture(b"x" * 30, "image/png", name), 60)
    assert cache.size == 90 and cache.get("a") is None
    assert cache.get("b") is not None  # now the one used last
    cache.put("e", Picture(b"x" * 60, "image/png", "e"), 60)
    assert cache.size == 90 and [name for name in "bcde" if cache.get(name)] == ["b", "e"]
    cache.put("f", Picture(b"x" * 101, "image/png", "f"), 60)
    assert cache.get("f") is None and cache.size == 90
    cache.put("b", Picture(b"x", "image/png", "b2"), 60)
    assert cache.size == 61
    cache.put("g", Picture(b"x", "image/png", "g"), -1)
    assert cache.get("g") is None and cache.size == 61


def test_a_picture_is_read_once_and_then_kept(small: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    asset = small.add("a", size=300)
    reads = []
    real = LocalStorage.get
    monkeypatch.setattr(LocalStorage, "get", lambda self, uri: (reads.append(uri), real(self, uri))[1])
    with desk(small) as asker:
        first = asker.get(f"/image/{asset}?w=96").content
        assert asker.get(f"/image/{asset}?w=96").content == first
    assert len(reads) == 1
