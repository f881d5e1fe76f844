"""Pictures for the page: scaled to the few widths it uses, and the last ones kept, up to a number of bytes."""

from __future__ import annotations

import hashlib
import io
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from catalog_gen.errors import UsageError
from catalog_gen.photos import open_photo

WIDTHS = (96, 240, 480, 960, 1_920)  # px; any other width asked for would be a way to fill the cache with copies
QUALITY = 88
PHOTO_SECONDS = 600.0  # a shop may change the photo behind an address; a page may show the old one for so long
_SIGNATURES = ((b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"))


@dataclass(frozen=True)
class Picture:
    """An image's bytes with their media type. `tag` changes whenever the bytes do."""

    data: bytes
    media_type: str
    tag: str


class PictureCache:
    """The most recently used pictures, `limit` bytes of them at most. Safe in threads."""

    def __init__(self, limit: int) -> None:
        self._limit, self._size = limit, 0
        self._kept: OrderedDict[str, tuple[Picture, float]] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """Bytes kept now."""
        return self._size

    def get(self, key: str) -> Picture | None:
        with self._lock:
            found = self._kept.get(key)
            if found is None:
                return None
            if found[1] < time.monotonic():
                self._drop(key)
                return None
            self._kept.move_to_end(key)
            return found[0]

    def put(self, key: str, picture: Picture, seconds: float) -> None:
        """Keep `picture` for so long at most; one that is larger than the whole cache is not kept."""
        if len(picture.data) > self._limit:
            return
        with self._lock:
            if key in self._kept:
                self._drop(key)
            self._kept[key] = (picture, time.monotonic() + seconds)
            self._size += len(picture.data)
            while self._size > self._limit:
                self._drop(next(iter(self._kept)))

    def _drop(self, key: str) -> None:
        self._size -= len(self._kept.pop(key)[0].data)


class Scaler:
    """Serves stored pictures and photos at the widths of the page."""

    def __init__(self, cache_bytes: int) -> None:
        self.cache = PictureCache(cache_bytes)

    def image(self, asset_id: str, width: int, read: Callable[[str], bytes]) -> Picture:
        """Return a stored picture: `width` pixels wide, or as it is stored where that is 0 or it has no more.

        Raises UsageError for a width that the page does not use, and what `read` raises.
        """
        return self._cached(f"image {asset_id}", width, float("inf"), lambda: _own(read(asset_id), width))

    def photo(self, sku: str, width: int, read: Callable[[str], bytes]) -> Picture:
        """Return a photo of the shop, always encoded anew: nothing that a feed links to is passed on as it is."""
        return self._cached(f"photo {sku}", width, PHOTO_SECONDS, lambda: _scaled(read(sku), width or WIDTHS[-1]))

    def _cached(self, name: str, width: int, seconds: float, make: Callable[[], Picture]) -> Picture:
        if width and width not in WIDTHS:
            raise UsageError(
                f"{width} is no width of the desk's pictures", hint=f"Widths: {', '.join(map(str, WIDTHS))}."
            )
        key = f"{width} {name}"
        picture = self.cache.get(key)
        if picture is None:
            picture = make()
            self.cache.put(key, picture, seconds)
        return picture


def _own(data: bytes, width: int) -> Picture:
    media_type = sniff(data)
    if media_type and (not width or _width(data) <= width):
        return Picture(data, media_type, hashlib.sha256(data).hexdigest()[:32])
    return _scaled(data, width or WIDTHS[-1])


def _scaled(data: bytes, width: int) -> Picture:
    image = open_photo(data)
    height = max(1, round(image.height * min(1.0, width / image.width)))
    if image.width > width:
        image = image.resize((width, height), reducing_gap=2.0)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY, subsampling=0)
    scaled = buffer.getvalue()
    return Picture(scaled, "image/jpeg", hashlib.sha256(scaled).hexdigest()[:32])


def sniff(data: bytes) -> str:
    """Return the media type that the bytes themselves show, of those the storage holds; "" for anything else."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for start, kind in _SIGNATURES if data.startswith(start)), "")


def _width(data: bytes) -> int:
    from PIL import Image

    with Image.open(io.BytesIO(data), formats=("WEBP", "JPEG", "PNG")) as image:
        return image.width
