"""What the matte's prior learns from: real products cut out by their colours, then bleached towards their ground.

Only what the colours alone tell beyond doubt is learnt from, and never what a prior told.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter
from tqdm import tqdm

from catalog_gen.errors import PhotoError, Unavailable, UsageError
from catalog_gen.photos import open_photo
from catalog_gen.style.ground import Floats, estimate_ground
from catalog_gen.style.matte import cut_out_with, reduced
from catalog_gen.style.studio import SIDE

log = logging.getLogger(__name__)

Bytes = npt.NDArray[np.uint8]
_VERSION = 1  # of the labels
_BLEACHED, _REGROUNDED, _SHADED, _CLIPPED = 0.65, 0.25, 0.25, 0.3  # shares of the examples
_LEAST, _MOST = 0.015, 0.5  # what bleaching leaves of the difference from the ground
_QUALITY = (72, 97)  # of JPEG


@dataclass(frozen=True)
class Labelled:
    """Products on an even ground. rgba: (N, SIDE, SIDE, 4) uint8, alpha last; grounds: (N, 3) uint8; skus: N names."""

    rgba: Bytes
    grounds: Bytes
    skus: list[str]


@dataclass(frozen=True)
class Example:
    """picture: (SIDE, SIDE, 3) uint8; alpha: (SIDE, SIDE) float32 in [0, 1]; ground: (3,) float32 in [0, 1]."""

    picture: Bytes
    alpha: Floats
    ground: Floats


def labelled_photos(photos: Sequence[tuple[str, Path]], folder: Path) -> Labelled:
    """Return those of `photos` (sku, file) whose product the colours alone tell beyond doubt; kept in `folder`.

    Raises UsageError when there is none, Unavailable when the folder cannot be written.
    """
    key = hashlib.sha256(json.dumps([_VERSION, [_stamp(sku, file) for sku, file in photos]]).encode()).hexdigest()[:16]
    pixels, index = folder / f"labels-{key}.rgba", folder / f"labels-{key}.json"
    try:
        if not index.exists():
            _write_labels(photos, pixels, index)
        known = json.loads(index.read_text("utf-8"))
        if not known["skus"]:
            raise UsageError(
                f"none of {len(photos):,} photos shows a product clearly on a plain ground",
                hint="Give more photos: --photos N, or rows with photos of products on white: --where FIELD=VALUE.",
            )
        shape = (len(known["skus"]), SIDE, SIDE, 4)
        rgba: Bytes = np.memmap(pixels, np.uint8, "r", shape=shape)
    except OSError as error:
        need = f"{len(photos):,} photos take up to {len(photos) * SIDE * SIDE * 4 / 1e6:,.0f} MB."
        what = f"the labelled photos cannot be kept ({error.strerror or error})"
        raise Unavailable(what, where=str(folder), hint=need) from error
    return Labelled(rgba, np.array(known["grounds"], np.uint8), known["skus"])


def _stamp(sku: str, file: Path) -> list[str | int]:
    status = file.stat()
    return [sku, str(file), status.st_size, status.st_mtime_ns]


def _write_labels(photos: Sequence[tuple[str, Path]], pixels: Path, index: Path) -> None:
    """Write the pixels, and last the index, that says that they are whole."""
    skus: list[str] = []
    grounds: list[list[int]] = []
    part = pixels.with_name(f".{pixels.name}.part")
    with part.open("wb") as file:
        for sku, path in tqdm(photos, desc="labels", unit="photo"):
            try:
                found = label(open_photo(path))
            except PhotoError as error:
                log.warning("%s is left out: %s", sku, error.what)
                continue
            if found is not None:
                file.write(found[0].tobytes())
                skus.append(sku)
                grounds.append([int(level) for level in found[1]])
    part.replace(pixels)
    part = index.with_name(f".{index.name}.part")
    part.write_text(json.dumps({"skus": skus, "grounds": grounds}), "utf-8")
    part.replace(index)


def label(photo: Image.Image) -> tuple[Bytes, Bytes] | None:
    """Return the photo on an even ground with its alpha, (SIDE, SIDE, 4), and the ground (3,); None where in doubt."""
    small = reduced(photo, SIDE)
    found = cut_out_with(Image.fromarray(_to_bytes(small * 255)), None)
    if found.kind != "studio" or found.fault or found.doubt:
        return None
    ground = estimate_ground(small).colour
    mean = _to_bytes(ground.mean(axis=(0, 1), dtype=np.float64) * 255)
    height, width = small.shape[:2]
    window = np.s_[(SIDE - height) // 2 :, (SIDE - width) // 2 :]
    rgba = np.zeros((SIDE, SIDE, 4), np.uint8)
    rgba[..., :3] = mean
    rgba[window][:height, :width, :3] = _to_bytes((small - ground) * 255 + mean)
    rgba[window][:height, :width, 3] = _to_bytes(found.alpha * 255)
    return rgba, mean


def example(labelled: Labelled, index: int, rng: np.random.Generator) -> Example:
    """Return a product to learn from: more often than not bleached, sometimes moved, on another ground, with shadow."""
    rgb, alpha, ground = _opened(labelled, index)
    if rng.random() < _REGROUNDED:
        rgb, ground = _regrounded(rgb, alpha, ground, rng)
    if rng.random() < _BLEACHED:
        rgb = _bleached(rgb, alpha, ground, rng)
    if rng.random() < _SHADED:
        rgb = _shaded(rgb, alpha, rng)
    picture, levels = Image.fromarray(_to_bytes(rgb)), Image.fromarray(_to_bytes(alpha * 255))
    if rng.random() < 0.5:
        picture, levels = (image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for image in (picture, levels))
    if rng.random() < 0.6:
        picture, levels = _moved(picture, levels, ground, rng)
    if rng.random() < 0.7:
        picture = _as_jpeg(picture, rng)
    return _example(picture, levels, ground)


def bleached_example(labelled: Labelled, index: int, rng: np.random.Generator) -> Example:
    """Return a product that is bleached, as JPEG and otherwise as it was: to measure on, as its alpha is known."""
    rgb, alpha, ground = _opened(labelled, index)
    picture = _as_jpeg(Image.fromarray(_to_bytes(_bleached(rgb, alpha, ground, rng))), rng)
    return _example(picture, Image.fromarray(_to_bytes(alpha * 255)), ground)


def _opened(labelled: Labelled, index: int) -> tuple[Floats, Floats, Floats]:
    """Return colours (SIDE, SIDE, 3) in levels, alpha (SIDE, SIDE) in [0, 1], and the ground (3,) in levels."""
    rgba = labelled.rgba[index].astype(np.float32)
    return rgba[..., :3], rgba[..., 3] / np.float32(255), labelled.grounds[index].astype(np.float32)


def _example(picture: Image.Image, levels: Image.Image, ground: Floats) -> Example:
    return Example(np.asarray(picture), np.asarray(levels, np.float32) / np.float32(255), ground / np.float32(255))


def _regrounded(rgb: Floats, alpha: Floats, ground: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return the picture on another ground, and its colour: half of the time a little darker, half any but dark."""
    if rng.random() < 0.5:
        wanted = ground + rng.uniform(-40, 0) + rng.uniform(-8, 8, 3)
    else:
        wanted = rng.uniform(70, 255) + rng.uniform(-25, 25, 3)
    other = np.clip(wanted, 0, 255).astype(np.float32)
    return rgb + (other - ground) * (1 - alpha[..., None]), other


def _bleached(rgb: Floats, alpha: Floats, ground: Floats, rng: np.random.Generator) -> Floats:
    """Return the picture with its product, or a smooth region of it, nearer to the ground's colour."""
    kept = np.float32(np.exp(rng.uniform(np.log(_LEAST), np.log(_MOST))))
    share: Floats = np.full(alpha.shape, kept)
    if rng.random() < 0.5:
        share = 1 - (1 - kept) * _region(rng)
    apart = (rgb - ground) * share[..., None]
    if rng.random() < _CLIPPED:  # what a camera blows out is gone, not small
        lost = np.float32(rng.uniform(0, 6)) * (share < 0.7)[..., None]
        apart = np.sign(apart) * np.maximum(np.abs(apart) - lost, 0)
    bleached: Floats = np.where(alpha[..., None] > 0.02, ground + apart, rgb)
    return bleached


def _region(rng: np.random.Generator) -> Floats:
    """Return (SIDE, SIDE) in [0, 1]: 1 inside of some blotches, with edges that are soft or less so."""
    side = int(rng.choice([3, 5, 9]))
    coarse = Image.fromarray(rng.standard_normal((side, side)).astype(np.float32))
    field = np.asarray(coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    inside = Image.fromarray((field > np.quantile(field, rng.uniform(0.1, 0.8))).astype(np.uint8) * 255)
    return np.asarray(inside.filter(ImageFilter.GaussianBlur(rng.uniform(0.4, 6))), np.float32) / np.float32(255)


def _shaded(rgb: Floats, alpha: Floats, rng: np.random.Generator) -> Floats:
    """Return the picture with a soft shadow of its product on the ground."""
    aside, below = int(rng.integers(-14, 15)), int(rng.integers(-2, 13))
    shift = (1, 0, -aside, 0, 1, -below)
    moved = Image.fromarray(_to_bytes(alpha * 255)).transform((SIDE, SIDE), Image.Transform.AFFINE, shift)
    cast = np.asarray(moved.filter(ImageFilter.GaussianBlur(rng.uniform(2, 9))), np.float32) / np.float32(255)
    strength = np.float32(rng.uniform(0.02, 0.35))
    shaded: Floats = rgb * (1 - strength * cast * (1 - alpha))[..., None]
    return shaded


def _moved(
    picture: Image.Image, levels: Image.Image, ground: Floats, rng: np.random.Generator
) -> tuple[Image.Image, Image.Image]:
    """Return both larger or smaller by up to a third, and elsewhere; what comes into view is ground."""
    zoom = rng.uniform(0.7, 1.25)
    corner = SIDE / 2 * (1 - 1 / zoom) + rng.uniform(-25, 25, 2)
    affine = (1 / zoom, 0, corner[0], 0, 1 / zoom, corner[1])
    fill = tuple(int(level) for level in _to_bytes(ground))
    how = (Image.Transform.AFFINE, affine, Image.Resampling.BILINEAR)
    return picture.transform((SIDE, SIDE), *how, fillcolor=fill), levels.transform((SIDE, SIDE), *how, fillcolor=0)


def _as_jpeg(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    stored = io.BytesIO()
    picture.save(stored, "JPEG", quality=int(rng.integers(*_QUALITY)))
    return Image.open(stored).convert("RGB")


def _to_bytes(levels: npt.NDArray[np.floating]) -> Bytes:
    whole: Bytes = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
    return whole
