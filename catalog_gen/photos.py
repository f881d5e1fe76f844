"""Opening photographs that come from outside: any format, any size, any damage; never a surprise.

Everything that reads a photo (import, training, tests of the quality gate) comes through here, so that a photo means
the same pixels everywhere: first frame, EXIF orientation applied, 8-bit sRGB-like RGB, transparency laid on white.
"""

from __future__ import annotations

import io
import stat
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from catalog_gen.errors import PhotoError

MAX_PIXELS = 64_000_000  # Google Merchant Center's limit; a decompression bomb is far beyond it
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "TIFF", "BMP", "JPEG2000", "PPM")  # no EPS: it runs a program
MAX_BYTES = 100_000_000  # six times what Google Merchant Center takes
MIN_SIDE = 16  # smaller is a tracking pixel or a placeholder, not a photo
WHITE = 250  # of 255, in every channel: what JPEG leaves of a white ground
BORDER = 32  # the border is this part of the shorter side wide

# What Pillow has to say about a stranger's metadata helps nobody, and `catch_warnings` is not safe across threads.
warnings.filterwarnings("ignore", module=r"PIL\.")


def open_photo(source: Path | bytes) -> Image.Image:
    """Return the photo as an RGB image, fully decoded.

    Raises PhotoError with a short reason when the file is missing, empty, truncated, too large to be decoded safely
    (over `MAX_PIXELS`, checked before any pixel is decoded), too small to show a product, or not an image at all.
    """
    where = "photo" if isinstance(source, bytes) else str(source)
    data = source if isinstance(source, bytes) else read_photo(source)
    if not data:
        raise PhotoError("the file is empty", where=where)
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _check_size(image, where)
            image.load()
            upright = ImageOps.exif_transpose(image)
    except PhotoError:
        raise
    except UnidentifiedImageError as error:
        raise PhotoError("not an image of a known format", where=where) from error
    except Image.DecompressionBombError as error:
        raise PhotoError(f"over {MAX_PIXELS // 1_000_000} megapixels", where=where) from error
    except MemoryError:
        raise
    except Exception as error:
        # Fuzzing Pillow's decoders met OSError, ValueError, SyntaxError, TypeError, RuntimeError and struct.error.
        raise PhotoError(f"damaged ({error})", where=where) from error
    return _to_rgb(upright)


def read_photo(path: Path) -> bytes:
    """Return the file's bytes. Raises PhotoError when it cannot be read, is no regular file, or is over `MAX_BYTES`."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # a pipe would block, a device never end
            raise PhotoError("is not a file", where=str(path))
        if status.st_size > MAX_BYTES:
            raise PhotoError(f"over {MAX_BYTES // 1_000_000} MB", where=str(path), hint="Scale it down.")
        return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise PhotoError(f"cannot be read ({getattr(error, 'strerror', None) or error})", where=str(path)) from error


def _check_size(image: Image.Image, where: str) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise PhotoError(
            f"{width}x{height} is over {MAX_PIXELS // 1_000_000} megapixels",
            where=where,
            hint="Scale it down.",
        )
    if min(width, height) < MIN_SIDE:
        raise PhotoError(f"{width}x{height} is too small to show a product", where=where)


def _to_rgb(upright: Image.Image) -> Image.Image:
    if upright.mode.startswith("I;16") or upright.mode in ("I", "F"):
        # Pillow clips such greys at 255 on convert("RGB"); scale by the range that the values stand in instead.
        _, high = upright.getextrema()
        top = float(high) if isinstance(high, int | float) and high > 0 else 1.0
        full = 65535.0 if upright.mode.startswith("I;16") else next((n for n in (1.0, 255.0, 65535.0) if top <= n), top)
        upright = upright.convert("F").point(lambda value: value * (255.0 / full)).convert("L")
        upright.info.pop("transparency", None)  # a 16-bit value, that no 8-bit picture can have
    if upright.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in upright.info:
        layers = upright.convert("RGBA")
        white = Image.new("RGBA", layers.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, layers).convert("RGB")
    return upright.convert("RGB")


def letterbox(image: Image.Image, size: int, *, fill: tuple[int, int, int] = (255, 255, 255)) -> Image.Image:
    """Return `image` scaled to fit a square of `size` pixels, centred on `fill` (white, as studio photos are)."""
    scale = size / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    resized = image.resize((width, height), Image.Resampling.LANCZOS)
    square = Image.new("RGB", (size, size), fill)
    square.paste(resized, ((size - width) // 2, (size - height) // 2))
    return square


def crop(image: Image.Image, size: int) -> Image.Image:
    """Return the largest square in the middle of `image`, scaled to `size` pixels: no bars, and the ends are lost."""
    side = min(image.size)
    left, top = ((whole - side) // 2 for whole in image.size)
    square = image.crop((left, top, left + side, top + side))  # before: what is cut off must not bleed in
    return square.resize((size, size), Image.Resampling.LANCZOS)


def border_whiteness(image: Image.Image) -> float:
    """Return the share (0 to 1) of an RGB image's border that is white: every channel at least `WHITE`.

    The border is a frame as wide as 1/`BORDER` of the shorter side, at least one pixel.
    """
    width, height = image.size
    depth = max(1, min(image.size) // BORDER)
    frame = [
        (0, 0, width, depth),
        (0, height - depth, width, height),
        (0, depth, depth, height - depth),
        (width - depth, depth, width, height - depth),
    ]
    strips = [np.asarray(image.crop(box)).reshape(-1, 3) for box in frame]
    return float((np.concatenate(strips).min(axis=1) >= WHITE).mean())
