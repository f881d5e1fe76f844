"""A finished picture into its channel's file: the best quality that keeps within the byte limit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from catalog_gen.encode import encode_image
from catalog_gen.errors import RowError
from catalog_gen.style.template_config import Output


def encode_output(output: Output, rgb: NDArray[np.uint8], xmp: bytes = b"") -> bytes:
    """Return the picture (H, W, 3) as a file of at most `output.max_bytes`, its XMP inside.

    At `output.quality` where that fits, else at the highest quality down to `output.min_quality` that does (found by
    halving, so at most seven encodings). Raises RowError when none does, or the picture is not of the output's size.
    """
    if rgb.shape != (output.height, output.width, 3):
        raise RowError(f"the picture is {rgb.shape[1]}x{rgb.shape[0]}, not {output.width}x{output.height}")
    data = encode_image(rgb, output.format, output.quality, xmp)
    if len(data) <= output.max_bytes:
        return data
    low, high, best, smallest = output.min_quality, output.quality - 1, b"", len(data)
    while output.format != "png" and low <= high:
        middle = (low + high + 1) // 2
        data = encode_image(rgb, output.format, middle, xmp)
        smallest = min(smallest, len(data))
        if len(data) <= output.max_bytes:
            best, low = data, middle + 1
        else:
            high = middle - 1
    if best:
        return best
    lowest = "as PNG" if output.format == "png" else f"at quality {output.min_quality}"
    raise RowError(
        f"{output.name}: {smallest:,} bytes {lowest}, over {output.max_bytes:,}",
        hint="Raise max_bytes, or lower min_quality or the size, in template.toml.",
    )
