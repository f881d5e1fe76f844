from __future__ import annotations

import io
import sys
import threading
import time

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from catalog_gen.encode import MAX_XMP, SUFFIX, ImageFormat, encode_image
from catalog_gen.photos import open_photo

FORMATS: list[ImageFormat] = ["webp", "jpeg", "png"]


def picture(height: int = 64, width: int = 64) -> NDArray[np.uint8]:
    """A smooth coloured disc on white: what an encoder is made for."""
    y, x = np.mgrid[0:height, 0:width]
    distance = np.hypot((y - height / 2) / height, (x - width / 2) / width)[..., None]
    colour = np.stack([200 - x / width * 80, 40 + y / height * 120, 90 + 0 * x], axis=-1)
    return np.where(distance < 0.35, colour, 255.0).astype(np.uint8)


@pytest.mark.parametrize("image_format", FORMATS)
class TestEveryFormat:
    def test_the_pixels_come_back(self, image_format: ImageFormat) -> None:
        rgb = picture(48, 80)
        data = encode_image(rgb, image_format, 90)
        with Image.open(io.BytesIO(data)) as image:
            assert image.format == image_format.upper()
            assert image.mode == "RGB"
            assert image.size == (80, 48)
        error = np.asarray(open_photo(data)).astype(float) - rgb
        assert np.sqrt((error**2).mean()) < (0.001 if image_format == "png" else 6)

    def test_the_same_pixels_give_the_same_bytes(self, image_format: ImageFormat) -> None:
        rgb = picture()
        first = encode_image(rgb, image_format, 90, b"<x/>")
        assert encode_image(rgb.copy(), image_format, 90, b"<x/>") == first
        assert encode_image(np.asfortranarray(rgb), image_format, 90, b"<x/>") == first
        assert encode_image(rgb, image_format, 90, b"<y/>") != first

    def test_threads_give_the_same_bytes(self, image_format: ImageFormat) -> None:
        pictures = [np.roll(picture(), shift, axis=1) for shift in range(24)]
        alone = [encode_image(rgb, image_format, 90) for rgb in pictures]
        together: list[bytes] = [b""] * len(pictures)

        def work(start: int) -> None:
            for index in range(start, len(pictures), 4):
                together[index] = encode_image(pictures[index], image_format, 90)

        threads = [threading.Thread(target=work, args=(start,)) for start in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert together == alone

    def test_the_packet_is_inside(self, image_format: ImageFormat) -> None:
        packet = "<x>" + "ü" * 1_000 + "</x>"
        data = encode_image(picture(), image_format, 90, packet.encode())
        assert packet.encode() in data
        assert np.array_equal(open_photo(data), open_photo(encode_image(picture(), image_format, 90)))

    def test_the_largest_packet_fits_and_a_larger_one_is_refused(self, image_format: ImageFormat) -> None:
        assert b"x" * MAX_XMP in encode_image(picture(), image_format, 90, b"x" * MAX_XMP)
        with pytest.raises(ValueError, match="65503 bytes"):
            encode_image(picture(), image_format, 90, b"x" * (MAX_XMP + 1))

    @pytest.mark.parametrize(
        "wrong",
        [
            np.zeros((64, 64), np.uint8),
            np.zeros((64, 64, 4), np.uint8),
            np.zeros((3, 64, 64), np.uint8),
            np.zeros((64, 64, 3), np.float32),
            np.zeros((0, 64, 3), np.uint8),
        ],
    )
    def test_other_arrays_are_refused(self, image_format: ImageFormat, wrong: NDArray[np.uint8]) -> None:
        with pytest.raises(ValueError, match="a picture is"):
            encode_image(wrong, image_format, 90)


@pytest.mark.parametrize("image_format", ["webp", "jpeg"])
def test_quality_trades_bytes_for_detail(image_format: ImageFormat) -> None:
    noisy = picture(128, 128) // 2 + np.random.default_rng(1).integers(0, 90, (128, 128, 3), dtype=np.uint8)
    sizes = [len(encode_image(noisy, image_format, quality)) for quality in (20, 60, 95)]
    assert sizes == sorted(sizes)
    assert sizes[0] * 2 < sizes[2]


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(ValueError, match="'gif' is not one of webp, jpeg, png"):
        encode_image(picture(), "gif", 90)  # type: ignore[arg-type]


def test_every_format_has_a_suffix() -> None:
    assert [SUFFIX[image_format] for image_format in FORMATS] == ["webp", "jpg", "png"]


def test_encoding_lets_other_threads_run() -> None:
    """Encoder threads are for nothing if the interpreter's lock is held while a picture is encoded."""
    large = np.random.default_rng(2).integers(0, 255, (2_000, 2_000, 3), dtype=np.uint8)
    switch = sys.getswitchinterval()
    done = threading.Event()
    worker = threading.Thread(target=lambda: (encode_image(large, "webp", 90), done.set()))
    worker.start()
    longest, last = 0.0, time.perf_counter()
    started = last
    while not done.is_set():
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    worker.join()
    assert last - started > 20 * switch
    assert longest < (last - started) / 2
