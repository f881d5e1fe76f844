"""Photographs from outside: what a good one means in pixels, and how every damaged one is refused."""

from __future__ import annotations

import io
import os
import random
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from catalog_gen.errors import PhotoError
from catalog_gen.photos import MAX_BYTES, border_whiteness, crop, letterbox, open_photo, read_photo

RED, GREEN, BLUE, WHITE = (220, 30, 30), (30, 200, 40), (20, 40, 210), (255, 255, 255)


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    data = io.BytesIO()
    image.save(data, format=format, **options)
    return data.getvalue()


def two_colours(left: tuple[int, int, int] = RED, right: tuple[int, int, int] = BLUE) -> Image.Image:
    image = Image.new("RGB", (64, 32), left)
    image.paste(right, (32, 0, 64, 32))
    return image


def rotated(format: str) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6  # "rotate by 90 degrees clockwise to show"
    return encoded(two_colours(), format, exif=exif)


def grey(values: np.ndarray, format: str, **options: Any) -> bytes:
    return encoded(Image.fromarray(values), format, **options)


def ramp(top: float, dtype: str) -> np.ndarray:
    return np.tile(np.linspace(0, top, 64), (32, 1)).astype(dtype)


def png16_rgb() -> bytes:
    """A 16-bit RGB PNG, which Pillow reads and cannot write."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    pixels = b"".join(
        b"\0" + struct.pack(">3H", *(v * 257 for v in RED)) * 32 + struct.pack(">3H", *(v * 257 for v in BLUE)) * 32
        for _ in range(32)
    )
    header = struct.pack(">IIBBBBB", 64, 32, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")


def bomb() -> bytes:
    """A PNG that says it is 60,000 x 60,000 pixels (10 GB), in 100 bytes."""
    data = encoded(Image.new("RGB", (32, 32)), "PNG")
    header = b"IHDR" + struct.pack(">II", 60_000, 60_000) + data[24:29]
    return data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]


# name -> (file, expected size, colour at the left (or top), colour at the right (or bottom))
GOOD: dict[str, tuple[Callable[[], bytes], tuple[int, int], tuple[int, int, int], tuple[int, int, int]]] = {
    "JPEG": (lambda: encoded(two_colours(), "JPEG", quality=95), (64, 32), RED, BLUE),
    "CMYK JPEG": (lambda: encoded(two_colours().convert("CMYK"), "JPEG", quality=95), (64, 32), RED, BLUE),
    "grey JPEG": (lambda: encoded(two_colours(WHITE, (0, 0, 0)).convert("L"), "JPEG"), (64, 32), WHITE, (0, 0, 0)),
    "EXIF-rotated JPEG": (lambda: rotated("JPEG"), (32, 64), RED, BLUE),
    "EXIF-rotated WebP": (lambda: rotated("WEBP"), (32, 64), RED, BLUE),
    "EXIF-rotated PNG": (lambda: rotated("PNG"), (32, 64), RED, BLUE),
    "16-bit RGB PNG": (png16_rgb, (64, 32), RED, BLUE),
    "16-bit grey PNG": (lambda: grey(ramp(65535, "uint16"), "PNG"), (64, 32), (0, 0, 0), WHITE),
    "dark 16-bit grey PNG": (lambda: grey(ramp(250, "uint16"), "PNG"), (64, 32), (0, 0, 0), (1, 1, 1)),
    "16-bit grey PNG with a transparent value": (
        lambda: grey(ramp(65535, "uint16"), "PNG", transparency=1),
        (64, 32),
        (0, 0, 0),
        WHITE,
    ),
    "float TIFF from 0 to 1": (lambda: grey(ramp(1, "float32"), "TIFF"), (64, 32), (0, 0, 0), WHITE),
    "32-bit TIFF": (lambda: grey(ramp(60_000, "int32"), "TIFF"), (64, 32), (0, 0, 0), (233, 233, 233)),
    "animated GIF": (
        lambda: encoded(two_colours(), "GIF", save_all=True, append_images=[two_colours(GREEN, GREEN)]),
        (64, 32),
        RED,
        BLUE,
    ),
    "animated WebP": (
        lambda: encoded(two_colours(), "WEBP", save_all=True, append_images=[two_colours(GREEN, GREEN)], quality=95),
        (64, 32),
        RED,
        BLUE,
    ),
    "palette PNG": (lambda: encoded(two_colours().quantize(4), "PNG"), (64, 32), RED, BLUE),
    "bilevel PNG": (lambda: encoded(two_colours(WHITE, (0, 0, 0)).convert("1"), "PNG"), (64, 32), WHITE, (0, 0, 0)),
    "JPEG in a PNG's name": (lambda: encoded(two_colours(), "JPEG", quality=95), (64, 32), RED, BLUE),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_good_photo_is_the_same_pixels_whatever_its_file(name: str) -> None:
    make, size, first, last = GOOD[name]
    photo = open_photo(make())
    assert (photo.mode, photo.size) == ("RGB", size)
    assert np.abs(np.subtract(photo.getpixel((1, 1)), first)).max() <= 12
    assert np.abs(np.subtract(photo.getpixel((size[0] - 2, size[1] - 2)), last)).max() <= 12


@pytest.mark.parametrize("format", ["PNG", "WEBP"])
def test_transparency_is_laid_on_white(format: str) -> None:
    image = two_colours().convert("RGBA")
    image.paste((0, 0, 0, 0), (0, 0, 20, 32))
    photo = open_photo(encoded(image, format, lossless=True))
    assert photo.getpixel((5, 5)) == WHITE
    assert photo.getpixel((60, 5)) == BLUE


def test_a_transparent_palette_colour_is_laid_on_white() -> None:
    image = two_colours().quantize(4)
    photo = open_photo(encoded(image, "PNG", transparency=image.getpixel((0, 0))))
    assert photo.getpixel((5, 5)) == WHITE
    assert np.abs(np.subtract(photo.getpixel((60, 5)), BLUE)).max() <= 12


BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "zero bytes": (lambda: b"", "the file is empty"),
    "text renamed .jpg": (lambda: b"<html>404 Not Found</html>", "not an image of a known format"),
    "an SVG": (lambda: b'<svg xmlns="http://www.w3.org/2000/svg"/>', "not an image of a known format"),
    "PostScript": (lambda: encoded(two_colours(), "EPS"), "not an image of a known format"),
    "truncated JPEG": (lambda: encoded(Image.effect_noise((64, 64), 90), "JPEG")[:900], "damaged"),
    "truncated PNG": (lambda: encoded(Image.effect_noise((64, 64), 90), "PNG")[:900], "damaged"),
    "truncated WebP": (lambda: encoded(Image.effect_noise((64, 64), 90).convert("RGB"), "WEBP")[:900], "damaged"),
    "a header only": (lambda: encoded(two_colours(), "PNG")[:33], "not an image of a known format"),
    "a decompression bomb": (bomb, "over 64 megapixels"),
    "a bomb below Pillow's own limit": (lambda: encoded(Image.new("1", (9_000, 8_000)), "PNG"), "9000x8000 is over 64"),
    "a tracking pixel": (lambda: encoded(Image.new("RGB", (1, 1)), "GIF"), "1x1 is too small"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_photo_is_refused_with_a_short_reason(name: str, tmp_path: Path) -> None:
    make, reason = BAD[name]
    path = tmp_path / "photo.jpg"
    path.write_bytes(make())
    with pytest.raises(PhotoError) as caught:
        open_photo(path)
    assert reason in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_photo_a_folder_and_a_pipe_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    for name, reason in {"none.jpg": "No such file", "": "is not a file", "pipe.jpg": "is not a file"}.items():
        with pytest.raises(PhotoError, match=reason):
            open_photo(tmp_path / name)


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "huge.jpg").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(PhotoError, match="over 100 MB"):
        read_photo(tmp_path / "huge.jpg")


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_damage_anywhere_is_a_photo_error_or_a_photo() -> None:
    """Nothing but PhotoError leaves, whatever is wrong with the bytes: fixed seed, 3,000 damaged files."""
    chance = random.Random(11)
    files = [make() for make, *_ in GOOD.values()] + [encoded(two_colours(), "AVIF"), encoded(two_colours(), "TIFF")]
    refused = 0
    for _ in range(3_000):
        data = bytearray(chance.choice(files))
        for _ in range(chance.randint(1, 5)):
            at = chance.randrange(min(len(data), chance.choice([64, 400, len(data)])))
            if chance.random() < 0.8:
                data[at] = chance.randrange(256)
            else:
                data = data[: at + 1]
        try:
            assert open_photo(bytes(data)).mode == "RGB"
        except PhotoError:
            refused += 1
    assert refused > 500


def test_letterbox_centres_on_white_and_keeps_proportions() -> None:
    square = letterbox(two_colours(), 64)
    assert square.size == (64, 64)
    assert square.getpixel((32, 4)) == WHITE
    assert square.getpixel((32, 59)) == WHITE
    assert square.getpixel((4, 32)) == RED
    assert letterbox(Image.new("RGB", (1000, 16), RED), 64).getpixel((32, 31)) == RED


@pytest.mark.parametrize("size", [(60, 20), (20, 60)])
def test_a_crop_is_the_square_in_the_middle(size: tuple[int, int]) -> None:
    """Three squares in a line, the middle one half red and half blue: it alone is left, in its own place."""
    wide = size[0] > size[1]
    image = Image.new("RGB", size, GREEN)
    image.paste(RED, (20, 0, 40, 20) if wide else (0, 20, 20, 40))
    image.paste(BLUE, (30, 0, 40, 20) if wide else (10, 20, 20, 40))
    same = np.asarray(crop(image, 20))
    assert same.shape == (20, 20, 3)
    assert (same[:, :10] == RED).all() and (same[:, 10:] == BLUE).all()
    half = np.asarray(crop(image, 10)).astype(int)
    assert np.abs(half[:, :2] - RED).max() <= 4 and np.abs(half[:, 8:] - BLUE).max() <= 4  # the filter overshoots a bit


def test_border_whiteness_counts_a_frame() -> None:
    """64 x 64: the frame is two pixels wide and has 64 * 64 - 60 * 60 = 496 pixels."""
    image = Image.new("RGB", (64, 64), WHITE)
    image.paste(RED, (2, 2, 62, 62))
    assert border_whiteness(image) == 1.0
    image.paste(RED, (0, 62, 64, 64))  # the lower edge: 128 of them
    assert border_whiteness(image) == pytest.approx(368 / 496)
    assert border_whiteness(Image.new("RGB", (40, 30), (250, 250, 250))) == 1.0
    assert border_whiteness(Image.new("RGB", (40, 30), (255, 255, 249))) == 0.0
