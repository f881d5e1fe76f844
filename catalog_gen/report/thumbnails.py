"""Thumbnails that fit: a page of any number of pictures stays below a number of bytes.

A picture small enough goes in as it is stored. A larger one is scaled down and encoded as WebP until it is within its
share of what is left of the budget; the smallest are a few kilobytes.
"""

from __future__ import annotations

import base64
import io
import math
from dataclasses import dataclass

from PIL import Image

from catalog_gen.photos import open_photo

BUDGET = 19_000_000  # bytes of a page's pictures, as base64; what it says of them takes some 5 MB more
FULL = 2_000  # pictures that the budget is for; a larger page gets as much for each
SMALLEST = 96  # pixels
MOST_AT_ONCE = 250_000  # bytes: one picture of a page of few
QUALITY, LAST_QUALITY = 80, 55  # of WebP
_AS_STORED = {b"RIFF": "image/webp", b"\xff\xd8\xff": "image/jpeg", b"\x89PNG": "image/png"}
_BASE64 = 4 / 3


@dataclass
class Thumbnails:
    """Makes a page's thumbnails, at most `count` of them, the longer side at most `pixels`."""

    pixels: int
    count: int
    budget: float = 0.0  # bytes as base64, for all of them; 0: `BUDGET`, more only for more than `FULL` pictures
    used: int = 0
    made: int = 0
    _fitted: float = math.inf  # pixels of the last picture that had to be scaled: where the next one begins

    def __post_init__(self) -> None:
        self.budget = self.budget or BUDGET * max(1.0, self.count / FULL)

    def make(self, data: bytes) -> str:
        """Return a picture as a data URI. Raises PhotoError for one that cannot be shown."""
        image = open_photo(data)
        share = self._share()
        self.made += 1
        kind = next((kind for magic, kind in _AS_STORED.items() if data.startswith(magic)), "")
        if kind and max(image.size) <= self.pixels and len(data) <= share:
            return self._uri(kind, data)
        return self._uri("image/webp", self._smaller(image, said_by(data), share))

    def _share(self) -> float:
        left = max(1, self.count - self.made)
        return min(MOST_AT_ONCE, (self.budget - self.used) / left / _BASE64)

    def _smaller(self, image: Image.Image, xmp: bytes, share: float) -> bytes:
        pixels = min(self.pixels, max(image.size), math.ceil(min(self._fitted, self.pixels) * 1.2))
        while True:
            small = image.copy()
            small.thumbnail((pixels, pixels), Image.Resampling.LANCZOS, reducing_gap=3.0)
            data = _webp(small, QUALITY, xmp)
            if len(data) <= share:
                self._fitted = pixels
                return data
            if pixels <= SMALLEST:
                return _webp(small, LAST_QUALITY, xmp)
            # A file grows with its area: the next guess is mostly the last one.
            pixels = max(SMALLEST, int(pixels * min(0.9, math.sqrt(0.95 * share / len(data)))))

    def _uri(self, kind: str, data: bytes) -> str:
        text = base64.b64encode(data).decode()
        self.used += len(text)
        return f"data:{kind};base64,{text}"


def said_by(data: bytes) -> bytes:
    """Return the XMP packet of a picture, b"" without one: a copy must go on saying what it is."""
    with Image.open(io.BytesIO(data)) as image:
        xmp = image.info.get("xmp", b"")
    return xmp if isinstance(xmp, bytes) else str(xmp).encode()


def _webp(image: Image.Image, quality: int, xmp: bytes) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=quality, method=4, xmp=xmp)
    return buffer.getvalue()
