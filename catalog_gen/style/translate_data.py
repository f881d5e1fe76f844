"""What a translation learns from: two sides of pictures, paired by name, by an edge filter, or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from catalog_gen.errors import UsageError
from catalog_gen.photo_cache import CachedPhotos, Fit, cached_photos
from catalog_gen.training_data import TrainRow, Unreadable, split

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".avif", ".gif", ".tif", ".tiff", ".bmp")

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Side:
    """Pictures of one look: a name and (S, S, 3) uint8 pixels each, and which are learnt from or held out."""

    names: list[str]
    pixels: npt.NDArray[np.uint8]  # (N, S, S, 3), memory-mapped
    train: Indices
    held_out: Indices

    def load(self, chosen: Indices, device: str) -> Tensor:
        """Return the chosen pictures, (B, 3, S, S) float32 in [0, 1]."""
        pixels = torch.from_numpy(np.ascontiguousarray(self.pixels[chosen])).to(device)
        return pixels.permute(0, 3, 1, 2).float().div_(255)


@dataclass(frozen=True)
class TranslateData:
    """Two sides. Where `paired`, pictures of one place belong together. source None: the target's own outlines.

    left_out: files that cannot be read, or that have no partner on the other side. key: names what is learnt from.
    """

    source: Side | None
    target: Side
    paired: bool
    left_out: list[Unreadable] = field(default_factory=list)
    key: str = ""


@dataclass(frozen=True)
class Reading:
    """How pictures are read: as squares of `size` px, decoded once and kept in `cache`."""

    size: int
    cache: Path
    fit: Fit = "letterbox"
    held_out: int = 100
    seed: int = 0


def list_pictures(folder: Path, flag: str) -> list[Path]:
    """Return the folder's picture files by name; raises UsageError naming `flag` when there are none."""
    where = f"{flag} {folder}"
    try:
        files = sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES)
    except OSError as error:
        raise UsageError(f"the folder cannot be listed ({error.strerror or error})", where=where) from error
    if not files:
        raise UsageError("no pictures in the folder", where=where, hint=f"Known: {', '.join(SUFFIXES)}.")
    return files


def read_pairs(source: Sequence[Path], target: Sequence[Path], reading: Reading) -> TranslateData:
    """Return the pairs of files whose names, without their endings, are equal. Raises UsageError when there are none.

    Files without a partner, a second file of the same name, and pairs with an unreadable side are left out and listed.
    """
    left_out: list[Unreadable] = []
    a, b = _by_name(source, left_out), _by_name(target, left_out)
    left_out += [Unreadable(name, str(a[name]), "no partner among the targets") for name in sorted(a.keys() - b.keys())]
    left_out += [Unreadable(name, str(b[name]), "no partner among the sources") for name in sorted(b.keys() - a.keys())]
    names = sorted(a.keys() & b.keys())
    if not names:
        raise UsageError(
            f"none of {len(a)} and {len(b)} pictures have the same name", hint="A pair is a/NAME.jpg and b/NAME.jpg."
        )
    first, second = _read([a[name] for name in names], reading), _read([b[name] for name in names], reading)
    left_out += _unreadable(first, a, names) + _unreadable(second, b, names)
    both = sorted(set(first.kept) & set(second.kept))
    if not both:
        raise UsageError(f"no pair has two readable pictures; the last: {left_out[-1].reason}")
    kept = [names[at] for at in both]
    train, held = _split(kept, reading)
    sides = [Side(kept, _only(each, both), train, held) for each in (first, second)]
    return TranslateData(sides[0], sides[1], True, left_out, _key(reading, kept))


def read_outlines(photos: Sequence[Path], reading: Reading) -> TranslateData:
    """Return photos as targets, whose sources are their own outlines (`edges.outline`), made as they are shown."""
    target, left_out = _read_side(photos, reading)
    return TranslateData(None, target, True, left_out, _key(reading, target.names))


def read_sides(source: Sequence[Path], target: Sequence[Path], reading: Reading) -> TranslateData:
    """Return two sides that nobody has paired. Raises UsageError when a file is on both, or a side has none to read."""
    both = {file.resolve() for file in source} & {file.resolve() for file in target}
    if both:
        raise UsageError(f"{len(both)} pictures are on both sides", where=str(min(both)), hint="Tell the sides apart.")
    first, lost = _read_side(source, reading)
    second, lost_too = _read_side(target, reading)
    return TranslateData(first, second, False, lost + lost_too, _key(reading, [*first.names, "", *second.names]))


def jitter(images: Sequence[Tensor], rng: torch.Generator, shift: int, flip: bool) -> list[Tensor]:
    """Return each (B, 3, S, S) moved by up to `shift` px in both directions and, half the time, mirrored.

    Pictures of one place in the batch are treated alike in all of `images`, so pairs stay pairs. What comes in from
    outside repeats the border.
    """
    count, _, size, _ = images[0].shape
    offsets = torch.randint(0, 2 * shift + 1, (count, 2), generator=rng).tolist()
    mirrored = (torch.rand(count, generator=rng) < 0.5).tolist()
    moved = []
    for each in images:
        padded = F.pad(each, (shift,) * 4, mode="replicate") if shift else each
        parts = [padded[i, :, y : y + size, x : x + size] for i, (y, x) in enumerate(offsets)]
        turned = zip(parts, mirrored, strict=True)
        moved.append(torch.stack([part.flip(2) if flip and turn else part for part, turn in turned]))
    return moved


def _read(files: Sequence[Path], reading: Reading) -> CachedPhotos:
    return cached_photos(files, reading.size, reading.cache, fit=reading.fit)


def _read_side(files: Sequence[Path], reading: Reading) -> tuple[Side, list[Unreadable]]:
    found = _read(files, reading)
    left_out = [Unreadable(files[at].stem, str(files[at]), reason) for at, reason in found.unreadable]
    if not found.kept:
        what = f"none of {len(files)} pictures can be read; the first: {left_out[0].reason}"
        raise UsageError(what, where=str(files[0].parent))
    names = [files[at].stem for at in found.kept]
    train, held = _split(names, reading)
    return Side(names, found.photos, train, held), left_out


def _by_name(files: Sequence[Path], left_out: list[Unreadable]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for file in sorted(files):
        if file.stem in found:
            reason = f"a second picture of this name, beside {found[file.stem].name}"
            left_out.append(Unreadable(file.stem, str(file), reason))
        else:
            found[file.stem] = file
    return found


def _unreadable(found: CachedPhotos, files: dict[str, Path], names: Sequence[str]) -> list[Unreadable]:
    return [Unreadable(names[at], str(files[names[at]]), reason) for at, reason in found.unreadable]


def _only(found: CachedPhotos, wanted: Sequence[int]) -> npt.NDArray[np.uint8]:
    """Return the pictures of the files at `wanted`; the map itself where that is all of them."""
    if len(wanted) == len(found.kept):
        return found.photos
    place = {at: i for i, at in enumerate(found.kept)}
    return found.photos[[place[at] for at in wanted]]


def _split(names: Sequence[str], reading: Reading) -> tuple[Indices, Indices]:
    """Return the places of what is learnt from, and of what is held out: a picture's side follows from its name."""
    rows = [TrainRow(name, "", "", "", Path(name)) for name in names]
    held = {row.sku for row in split(rows, reading.held_out, reading.seed)[1]}
    out = np.array([name in held for name in names], bool)
    return np.flatnonzero(~out), np.flatnonzero(out)


def _key(reading: Reading, names: Sequence[str]) -> str:
    text = "\n".join([f"{reading.size} {reading.fit} {reading.held_out} {reading.seed}", *names])
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
