"""Pixels to files: WebP, JPEG or PNG, the same bytes for the same pixels, with their XMP inside.

Pixels are taken as sRGB, which is what a file without a colour profile means on the web. Pillow's encoders release the
interpreter's lock, so threads encode at once.
"""

from __future__ import annotations

import io
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

ImageFormat = Literal["webp", "jpeg", "png"]
SUFFIX: dict[str, str] = {"webp": "webp", "jpeg": "jpg", "png": "png"}
# libwebp's effort: 4 (its default) saves 2 % of the bytes and costs a third of the speed at 64 px.
WEBP_METHOD = 2
MAX_XMP = 65_502  # bytes that one JPEG segment holds; XMP in several is not read everywhere
_JPEG_XMP = b"http://ns.adobe.com/xap/1.0/\x00"


def encode_image(rgb: NDArray[np.uint8], image_format: ImageFormat, quality: int, xmp: bytes = b"") -> bytes:
    """Return the picture as a file's bytes, which depend on nothing but the arguments and the encoder's version.

    rgb: (H, W, 3) uint8. quality: 1 to 100, for WebP and JPEG; PNG is lossless. xmp: a packet to embed, or none.
    Raises ValueError for another shape, type or format, or a packet over 65,502 bytes.
    """
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or not rgb.size:
        raise ValueError(f"a picture is (H, W, 3) uint8, not {rgb.shape} {rgb.dtype}")
    if len(xmp) > MAX_XMP:
        raise ValueError(f"the XMP packet has {len(xmp)} bytes, over {MAX_XMP}")
    image = Image.fromarray(np.ascontiguousarray(rgb))
    buffer = io.BytesIO()
    if image_format == "webp":
        image.save(buffer, "WEBP", quality=quality, method=WEBP_METHOD, xmp=xmp)
    elif image_format == "jpeg":
        # No chroma subsampling: at these sizes it halves the colour's detail to save a tenth of the bytes.
        image.save(buffer, "JPEG", quality=quality, subsampling=0, optimize=True, extra=_jpeg_segment(xmp))
    elif image_format == "png":
        image.save(buffer, "PNG", pnginfo=_png_text(xmp))
    else:
        raise ValueError(f"{image_format!r} is not one of {', '.join(SUFFIX)}")
    return buffer.getvalue()


def _jpeg_segment(xmp: bytes) -> bytes:
    """An APP1 segment, as part 3 of the XMP specification places it; older Pillow writes none by itself."""
    if not xmp:
        return b""
    body = _JPEG_XMP + xmp
    return b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body


def _png_text(xmp: bytes) -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    if xmp:
        info.add_itxt("XML:com.adobe.xmp", xmp.decode("utf-8"), zip=False)
    return info
