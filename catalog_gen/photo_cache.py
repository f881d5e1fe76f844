"""Photos decoded once: one memory-mapped array a size, and an index that says whose photos it holds.

Other files, or more of them, make another array; it copies what an array of the same size holds and decodes the rest.
An array that stays behind takes its place on the disk until a person removes it and its index; nothing needs it then.

The array is written first, under another name, and the index last: an index is there only when its array is whole, so
a full disk or a killed process costs the work and never leaves half a cache. One process at a time writes; the others
wait for what it makes.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from catalog_gen.errors import PhotoError, Unavailable
from catalog_gen.photos import border_whiteness, crop, letterbox, open_photo

Fit = Literal["letterbox", "crop"]


@dataclass(frozen=True)
class CachedPhotos:
    """Some files' photos.

    photos: read-only memory map (K, S, S, 3) uint8 RGB. kept: of each photo, the position of its file in the request.
    unreadable: (position, reason) of every other file. sides: (K, 2) int64, width and height in px before scaling.
    white: (K,) float64, the share of the photo's own border that is white (`photos.border_whiteness`).
    """

    photos: npt.NDArray[np.uint8]
    kept: list[int]
    unreadable: list[tuple[int, str]]
    sides: npt.NDArray[np.int64]
    white: npt.NDArray[np.float64]


class _Decoded(NamedTuple):
    pixels: npt.NDArray[np.uint8]
    sides: tuple[int, int]
    white: float


_Results = Generator[_Decoded | str, None, None]  # a file's photo, or why there is none


@dataclass(frozen=True)
class _Index:
    """What an array holds. stamps: one a file, readable or not; the rest as in `CachedPhotos`."""

    stamps: list[str]
    kept: list[int]
    unreadable: list[tuple[int, str]]
    sides: list[tuple[int, int]]
    white: list[float]


def cached_photos(
    files: Sequence[Path], size: int, folder: Path, workers: int = 2, fit: Fit = "letterbox"
) -> CachedPhotos:
    """Return the photos in `files`, as squares of `size` px, from the cache in `folder`; decoded where it lacks them.

    fit: `letterbox` lays the whole photo on white, `crop` takes the square in its middle.
    A file that was changed is decoded anew, and so is one that could not be read when another array was written.
    Photos that arrays in the folder hold are taken from them.
    Raises Unavailable when the folder cannot be written.
    """
    stamps = [_stamp(file) for file in files]
    name = f"photos-{size}-{fit}"
    target = folder / f"{name}-{hashlib.sha256(' '.join(stamps).encode()).hexdigest()[:16]}.npy"
    need = f"{len(files):,} photos of {size} px take {len(files) * size * size * 3 / 1e6:,.0f} MB."
    try:
        if (found := _open(target)) is not None:
            return found
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder / f".{name}.lock"):
            for stale in folder.glob(f"{name}-*.part"):
                stale.unlink()  # of a process that was killed: nobody else is writing now
            if (found := _open(target)) is not None:
                return found
            if (view := _view(folder, name, stamps)) is not None:
                return view
            known = _known(folder, name, set(stamps))
            missing = [file for file, stamp in zip(files, stamps, strict=True) if stamp not in known]
            return _write(target, size, stamps, _copied(stamps, known, _decode(missing, size, workers, fit)))
    except OSError as error:
        what = f"the decoded photos cannot be kept ({error.strerror or error})"
        raise Unavailable(what, where=str(folder), hint=need) from error


def _stamp(file: Path) -> str:
    try:
        status = file.stat()
        state = f"{status.st_size} {status.st_mtime_ns}"
    except (OSError, ValueError):
        state = "missing"
    return hashlib.sha256(f"2 {file}\t{state}".encode(errors="surrogateescape")).hexdigest()[:24]


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # given back by the system when the process dies
        yield


def _open(array_file: Path) -> CachedPhotos | None:
    index = _read_index(array_file.with_suffix(".json"))
    if index is None or not array_file.exists():  # a person may have removed the larger of the two alone
        return None
    photos: npt.NDArray[np.uint8] = np.load(array_file, mmap_mode="r")[: len(index.kept)]
    sides = np.array(index.sides, np.int64).reshape(-1, 2)
    return CachedPhotos(photos, index.kept, index.unreadable, sides, np.array(index.white, np.float64))


def _read_index(file: Path) -> _Index | None:
    try:
        values: dict[str, Any] = json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return None
    values["unreadable"] = [(int(at), str(reason)) for at, reason in values["unreadable"]]
    return _Index(**values)


def _view(folder: Path, name: str, stamps: Sequence[str]) -> CachedPhotos | None:
    """Return the files' photos as a part of an array that holds them as a run of neighbours, or None."""
    wanted = set(stamps)
    for index, array_file in _arrays(folder, name):
        if not wanted <= set(index.stamps):
            continue
        found: dict[str, int | str] = {index.stamps[at]: reason for at, reason in index.unreadable}
        found |= {index.stamps[at]: place for place, at in enumerate(index.kept)}
        places = [found[stamp] for stamp in stamps]
        chosen = np.array([place for place in places if isinstance(place, int)], np.int64)
        whole = _open(array_file)
        if whole is None or not len(chosen) or (np.diff(chosen) != 1).any():
            continue
        part = slice(int(chosen[0]), int(chosen[-1]) + 1)
        kept = [at for at, place in enumerate(places) if isinstance(place, int)]
        unreadable = [(at, place) for at, place in enumerate(places) if isinstance(place, str)]
        return CachedPhotos(whole.photos[part], kept, unreadable, whole.sides[part], whole.white[part])
    return None


def _known(folder: Path, name: str, wanted: set[str]) -> dict[str, tuple[CachedPhotos, int]]:
    """Return where the wanted photos are decoded already, by their stamps: an array and a place in it."""
    known: dict[str, tuple[CachedPhotos, int]] = {}
    for index, array_file in _arrays(folder, name):
        places = {index.stamps[at]: place for place, at in enumerate(index.kept)}
        new = wanted & places.keys() - known.keys()
        if new and (array := _open(array_file)) is not None:
            known |= {stamp: (array, places[stamp]) for stamp in new}
    return known


def _arrays(folder: Path, name: str) -> Iterator[tuple[_Index, Path]]:
    for file in sorted(folder.glob(f"{name}-*.json")):
        if (index := _read_index(file)) is not None:
            yield index, file.with_suffix(".npy")


def _copied(stamps: Sequence[str], known: Mapping[str, tuple[CachedPhotos, int]], others: _Results) -> _Results:
    """Yield what is known of each file, and the next of the `others` where nothing is."""
    with closing(others):
        for stamp in stamps:
            if stamp not in known:
                yield next(others)
                continue
            array, place = known[stamp]
            width, height = (int(side) for side in array.sides[place])
            yield _Decoded(array.photos[place], (width, height), float(array.white[place]))


def _decode(files: Sequence[Path], size: int, workers: int, fit: Fit) -> _Results:
    """Yield each file's photo, or why there is none, in order."""
    scale = crop if fit == "crop" else letterbox

    def decode(file: Path) -> _Decoded | str:
        try:
            photo = open_photo(file)
        except PhotoError as error:
            return error.what
        return _Decoded(np.asarray(scale(photo, size)), photo.size, border_whiteness(photo))

    pool = ThreadPoolExecutor(max_workers=max(1, workers))
    try:
        yield from tqdm(pool.map(decode, files), total=len(files), desc=f"photos {size} px", unit="photo")
    finally:
        pool.shutdown(cancel_futures=True)


def _write(target: Path, size: int, stamps: list[str], results: _Results) -> CachedPhotos:
    """Write the array, then its index, and return what they hold.

    Plain writes and no writable memory map: on a full disk the first fail with an error, the second kills the process.
    """
    index = _Index(stamps, [], [], [], [])
    part, note = target.with_suffix(".npy.part"), target.with_suffix(".json.part")
    shape = (max(1, len(stamps)), size, size, 3)
    target.with_suffix(".json").unlink(missing_ok=True)  # of an array that a person removed
    try:
        with part.open("wb") as file, closing(results):
            header = {"descr": "|u1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            whole = file.tell() + int(np.prod(shape, dtype=np.int64))
            for at, result in enumerate(results):
                if isinstance(result, str):
                    index.unreadable.append((at, result))
                    continue
                file.write(result.pixels.tobytes())
                index.kept.append(at)
                index.sides.append(result.sides)
                index.white.append(round(result.white, 4))
            file.truncate(whole)  # the places of unreadable photos, at the end: never looked at
            _settle(file)
        with note.open("w", encoding="utf-8") as text:
            json.dump(asdict(index), text)
            _settle(text)
        part.replace(target)
        note.replace(target.with_suffix(".json"))
    finally:
        part.unlink(missing_ok=True)
        note.unlink(missing_ok=True)
    written = _open(target)
    assert written is not None
    return written


def _settle(file: IO[Any]) -> None:
    file.flush()
    os.fsync(file.fileno())
