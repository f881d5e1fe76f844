"""Files within a channel's byte limit, at the best quality that keeps it."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from catalog_gen.encode import encode_image
from catalog_gen.errors import RowError
from catalog_gen.style.outputs import encode_output
from catalog_gen.style.template_config import Output

RGB = np.random.default_rng(0).integers(0, 255, (96, 96, 3), dtype=np.uint8)


def output(**values: object) -> Output:
    return Output(**{"name": "square", "aspect": "1:1", "width": 96, "height": 96, "quality": 90, **values})  # type: ignore[arg-type]


@pytest.mark.parametrize("image_format", ["jpeg", "webp"])
def test_the_quality_is_the_best_that_fits(image_format: str) -> None:
    sizes = {q: len(encode_image(RGB, image_format, q)) for q in range(30, 91)}  # type: ignore[arg-type]
    limit = sizes[70]
    data = encode_output(output(format=image_format, max_bytes=limit, min_quality=30), RGB)
    assert len(data) <= limit
    assert len(data) == max(size for size in sizes.values() if size <= limit)
    assert Image.open(io.BytesIO(data)).size == (96, 96)


def test_with_room_the_quality_is_as_said() -> None:
    assert encode_output(output(), RGB) == encode_image(RGB, "jpeg", 90)


@pytest.mark.parametrize("image_format, told", [("jpeg", "at quality 60"), ("png", "as PNG")])
def test_what_cannot_fit_is_a_failed_row_with_its_size(image_format: str, told: str) -> None:
    with pytest.raises(RowError, match=f"square: .* bytes {told}, over 2,000"):
        encode_output(output(format=image_format, max_bytes=2_000), RGB)


def test_the_limit_counts_the_metadata() -> None:
    xmp = b"x" * 3_000
    bare = len(encode_image(RGB, "jpeg", 90))
    data = encode_output(output(max_bytes=bare + 100), RGB, xmp)
    assert xmp in data
    assert len(data) <= bare + 100


def test_another_size_is_refused() -> None:
    with pytest.raises(RowError, match="96x96, not 100x100"):
        encode_output(output(width=100, height=100), RGB)
