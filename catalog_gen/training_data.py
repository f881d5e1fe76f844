"""What both trainers learn from: products with a prompt and a photo, split once, decoded once.

The photos are kept as one memory-mapped array beside the checkpoints, so a second training, a resumed one, and the
GAN after the CLIP never decode a JPEG again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from catalog_gen.errors import ConfigError, PhotoError
from catalog_gen.photos import letterbox, open_photo

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


def split(rows: Sequence[TrainRow], held_out: int = 1000, seed: int = 0) -> tuple[list[TrainRow], list[TrainRow]]:
    """Return (train, held_out), each in the order of `rows`.

    A row's side follows from its sku and the seed alone, so a catalogue that grows keeps most of its split. At most one
    row in five is held out, however small the catalogue is.
    """
    count = min(held_out, len(rows) // HELD_OUT_SHARE)
    ranked = sorted(range(len(rows)), key=lambda i: hashlib.sha256(f"{seed}:{rows[i].sku}".encode()).digest())
    chosen = set(ranked[:count])
    train = [row for i, row in enumerate(rows) if i not in chosen]
    return train, [row for i, row in enumerate(rows) if i in chosen]


def load_photos(
    rows: Sequence[TrainRow], size: int, cache_dir: Path, workers: int = 2
) -> tuple[npt.NDArray[np.uint8], list[tuple[str, str]], list[TrainRow]]:
    """Return (photos, unreadable, kept): the rows' photos letterboxed on white.

    photos: read-only memory map (len(kept), size, size, 3) uint8 RGB, in the order of `kept`.
    unreadable: (sku, reason) of every row whose photo could not be used.
    The array is cached under a key of the skus, the photos' sizes and times of change, and `size`.
    Raises ConfigError when no photo at all can be read.
    """
    key = _cache_key(rows, size)
    array_file, index_file = cache_dir / f"photos-{size}-{key}.npy", cache_dir / f"photos-{size}-{key}.json"
    if not index_file.exists():
        cache_dir.mkdir(parents=True, exist_ok=True)
        _decode_all(rows, size, array_file, index_file, workers)
    index: dict[str, Any] = json.loads(index_file.read_text("utf-8"))
    kept = [rows[i] for i in index["kept"]]
    unreadable = [(str(sku), str(reason)) for sku, reason in index["unreadable"]]
    if not kept:
        first = f"; the first: {unreadable[0][1]}" if unreadable else ""
        raise ConfigError(f"none of the {len(rows)} photos can be read{first}", hint="Check the image paths.")
    photos: npt.NDArray[np.uint8] = np.load(array_file, mmap_mode="r")
    return photos[: len(kept)], unreadable, kept


def _cache_key(rows: Sequence[TrainRow], size: int) -> str:
    digest = hashlib.sha256(f"photos 1 {size}".encode())
    for row in rows:
        try:
            stat = row.image.stat()
            stamp = f"{stat.st_size} {stat.st_mtime_ns}"
        except OSError:
            stamp = "missing"
        digest.update(f"\n{row.sku}\t{row.image}\t{stamp}".encode())
    return digest.hexdigest()[:16]


def _decode_all(rows: Sequence[TrainRow], size: int, array_file: Path, index_file: Path, workers: int) -> None:
    def decode(row: TrainRow) -> npt.NDArray[np.uint8] | str:
        try:
            return np.asarray(letterbox(open_photo(row.image), size))
        except PhotoError as error:
            return error.what

    kept: list[int] = []
    unreadable: list[tuple[str, str]] = []
    part = _temporary(array_file)
    photos = np.lib.format.open_memmap(part, mode="w+", dtype=np.uint8, shape=(max(1, len(rows)), size, size, 3))
    try:
        with ThreadPoolExecutor(max_workers=max(1, workers)) as pool:
            decoded = pool.map(decode, rows)
            for i, photo in enumerate(tqdm(decoded, total=len(rows), desc=f"photos {size} px", unit="photo")):
                if isinstance(photo, str):
                    unreadable.append((rows[i].sku, photo))
                else:
                    photos[len(kept)] = photo
                    kept.append(i)
        photos.flush()
        part.replace(array_file)
    finally:
        part.unlink(missing_ok=True)
    for sku, reason in unreadable[:20]:
        logger.warning("photo of %s left out: %s", sku, reason)
    note = _temporary(index_file)  # written last: the index is what says that the array is whole
    note.write_text(json.dumps({"kept": kept, "unreadable": unreadable}), encoding="utf-8")
    note.replace(index_file)


def _temporary(target: Path) -> Path:
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.stem}-", suffix=target.suffix)
    os.close(handle)
    return Path(name)
