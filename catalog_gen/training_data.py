"""What both trainers learn from: products with a prompt and a photo, split once, decoded once.

The photos are kept as one memory-mapped array beside the checkpoints, so a second training, a resumed one, and the
GAN after the CLIP never decode a JPEG again.
"""

from __future__ import annotations

import csv
import hashlib
import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from catalog_gen.errors import ConfigError, Unavailable
from catalog_gen.photo_cache import Fit, cached_photos

logger = logging.getLogger(__name__)

HELD_OUT_SHARE = 5  # never hold out more than one row in five


@dataclass(frozen=True)
class TrainRow:
    """One product to learn from: the prompt that CLIP reads, its plain kind and colour, and its photo."""

    sku: str
    prompt: str
    category: str
    colour: str
    image: Path


@dataclass(frozen=True)
class HeldOut:
    """Which rows a training leaves out: those whose `sku_hash` with `seed` is at most `up_to` (hex; empty: none).

    It says of every sku, also of one that comes later or that a filter has left out, on which side it is.
    """

    seed: int = 0
    up_to: str = ""

    def __contains__(self, row: TrainRow) -> bool:
        return sku_hash(row.sku, self.seed) <= self.up_to

    def __str__(self) -> str:
        return f"{self.seed}:{self.up_to[:12]}"


@dataclass(frozen=True)
class Unreadable:
    """A photo that cannot be used, and why."""

    sku: str
    path: str
    reason: str

    @property
    def kind(self) -> str:
        """The reason without its particulars, for counting: `damaged`, `too small to show a product`, ..."""
        if self.reason.startswith("damaged"):
            return "damaged"
        words = self.reason.split()
        return " ".join(words[2:] if words and _is_size(words[0]) else words)


@dataclass(frozen=True)
class PhotoSet:
    """Rows whose photos can be used. Of each of `kept`, in order:

    photos: read-only memory map (N, S, S, 3) uint8 RGB. sides: (N, 2) int64, width and height in px before scaling.
    white: (N,) float64, how much of the photo's border is white (`photos.border_whiteness`).
    """

    kept: list[TrainRow]
    photos: npt.NDArray[np.uint8]
    sides: npt.NDArray[np.int64]
    white: npt.NDArray[np.float64]
    unreadable: list[Unreadable]


def sku_hash(sku: str, seed: int) -> str:
    """Return the hash (64 hex digits) by whose order rows are held out."""
    return hashlib.sha256(f"{seed}:{sku}".encode()).hexdigest()


def most_held_out(rows: int, held_out: int) -> int:
    """Return how many of so many rows are held out when `held_out` are asked for: at most one in five."""
    return min(held_out, rows // HELD_OUT_SHARE)


def hold_out(rows: Sequence[TrainRow], held_out: int = 1000, seed: int = 0) -> HeldOut:
    """Return the rule that leaves out `held_out` of the rows, or one in five where they are few."""
    first = sorted(sku_hash(row.sku, seed) for row in rows)[: most_held_out(len(rows), held_out)]
    return HeldOut(seed, first[-1] if first else "")


def split_by(rows: Sequence[TrainRow], rule: HeldOut) -> tuple[list[TrainRow], list[TrainRow]]:
    """Return (train, held_out) as the rule says, each in the order of `rows`."""
    sides: tuple[list[TrainRow], list[TrainRow]] = ([], [])
    for row in rows:
        sides[row in rule].append(row)
    return sides


def split(rows: Sequence[TrainRow], held_out: int = 1000, seed: int = 0) -> tuple[list[TrainRow], list[TrainRow]]:
    """Return (train, held_out), each in the order of `rows`.

    A row's side follows from its sku and the seed alone, so a catalogue that grows keeps most of its split. At most one
    row in five is held out, however small the catalogue is.
    """
    return split_by(rows, hold_out(rows, held_out, seed))


def pick_varied(rows: Sequence[TrainRow], count: int = 64) -> list[int]:
    """Return up to `count` positions in `rows`: the most frequent kinds first, one of each colour in turn."""
    groups: dict[str, list[int]] = {}
    for index, row in enumerate(rows):
        groups.setdefault(row.category, []).append(index)
    for members in groups.values():  # unlike colours first within a kind
        seen: dict[str, int] = {}
        ranks: dict[int, int] = {}
        for index in members:
            ranks[index] = seen[rows[index].colour] = seen.get(rows[index].colour, -1) + 1
        members.sort(key=lambda index: (ranks[index], index))
    ordered = sorted(groups.values(), key=len, reverse=True)
    chosen: list[int] = []
    quota = max(1, count // 16)
    for members in ordered[:16]:  # sixteen kinds, each a run of neighbours on the sheet
        chosen += members[:quota]
    taken = set(chosen)
    rest = [index for members in ordered for index in members if index not in taken]
    return (chosen + rest)[:count]


def read_photos(
    rows: Sequence[TrainRow], size: int, cache_dir: Path, workers: int = 2, fit: Fit = "letterbox"
) -> PhotoSet:
    """Return the rows' photos as squares of `size` px, decoded once and kept in `cache_dir`.

    fit: `letterbox` lays the whole photo on white; `crop` takes the largest square in its middle.
    Raises ConfigError when no photo at all can be read, Unavailable when `cache_dir` cannot be written.
    """
    cached = cached_photos([row.image for row in rows], size, cache_dir, workers, fit)
    unreadable = [Unreadable(rows[at].sku, str(rows[at].image), reason) for at, reason in cached.unreadable]
    if not cached.kept:
        first = f"; the first: {unreadable[0].reason}" if unreadable else ""
        raise ConfigError(f"none of the {len(rows)} photos can be read{first}", hint="Check the image paths.")
    return PhotoSet([rows[at] for at in cached.kept], cached.photos, cached.sides, cached.white, unreadable)


def load_photos(
    rows: Sequence[TrainRow], size: int, cache_dir: Path, workers: int = 2, fit: Fit = "letterbox"
) -> tuple[npt.NDArray[np.uint8], list[tuple[str, str]], list[TrainRow]]:
    """Return (photos, unreadable, kept) as `read_photos` finds them; unreadable photos are (sku, reason).

    Raises what `read_photos` raises.
    """
    found = read_photos(rows, size, cache_dir, workers, fit)
    if found.unreadable:
        logger.warning("%d photos left out: %s", len(found.unreadable), describe_kinds(found.unreadable))
    return found.photos, [(each.sku, each.reason) for each in found.unreadable], found.kept


def describe_kinds(unreadable: Iterable[Unreadable]) -> str:
    """Return how many photos have which reason, the most frequent first: `3 damaged, 1 the file is empty`."""
    kinds = Counter(each.kind for each in unreadable)
    return ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common())


def write_unreadable(file: Path, unreadable: Sequence[Unreadable]) -> None:
    """Write the list as CSV (sku, path, reason); without an entry, remove an earlier one. Raises Unavailable."""
    try:
        if not unreadable:
            file.unlink(missing_ok=True)
            return
        with file.open("w", encoding="utf-8", errors="backslashreplace", newline="") as text:
            writer = csv.writer(text)
            writer.writerow(("sku", "path", "reason"))
            writer.writerows(astuple(each) for each in unreadable)
    except OSError as error:
        raise Unavailable(f"cannot be written ({error.strerror or error})", where=str(file)) from error


def _is_size(word: str) -> bool:
    """Whether `word` is like 12x8."""
    width, times, height = word.partition("x")
    return bool(times) and width.isdigit() and height.isdigit()
