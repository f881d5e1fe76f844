"""Finding pictures that look like another product's, without loading the catalogue.

Two 64-bit hashes at a Hamming distance of at most 3 agree on one of their four 16-bit bands (the pigeonhole principle;
Manku, Jain and Das Sarma, "Detecting near-duplicates for web crawling", WWW 2007), so an index on the bands finds all
candidates. Silhouettes of one kind of product share bands by the thousand, though: of each band's value only
`MAX_A_BUCKET` pictures are looked at. The whole hash is indexed as a fifth band, so that exact copies are found
even where every band is common.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from zlib import crc32

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from catalog_gen.catalog import tables
from catalog_gen.catalog.database import Database
from catalog_gen.catalog.statements import among, chunks

MAX_A_BUCKET = 64
MAX_DISTANCE = 3  # what the bands can promise
COLOUR_TOLERANCE = 16  # of 255; calibrated with the hash in quality/phash.py, and a test compares the two

asset, phash = tables.asset, tables.phash

Picture = tuple[str, str, str]
"""(sku, perceptual hash as 16 hex digits, colour layout as hex bytes)."""

_BITS = np.array([value.bit_count() for value in range(256)], dtype=np.uint8)


def buckets(phash_hex: str) -> list[int]:
    """Return the five index entries of a perceptual hash: (band number << 32) + value. None for an empty hash."""
    if not phash_hex:
        return []
    value = int(phash_hex, 16)
    bands = [(band << 32) | (value >> (16 * band) & 0xFFFF) for band in range(4)]
    return [*bands, (4 << 32) | crc32(value.to_bytes(8, "big"))]


def near_duplicates(
    database: Database,
    pictures: Sequence[Picture],
    *,
    distance: int = MAX_DISTANCE,
    colour_tolerance: int = COLOUR_TOLERANCE,
) -> list[str | None]:
    """Return for each picture the sku of another product whose live picture looks the same, or None.

    The same: hashes at most `distance` (0 to 3) bits apart, and no number of their colour layouts further apart than
    `colour_tolerance` (0 to 255); pictures without a colour layout are told apart by their hashes alone.
    Earlier pictures of the same call count too, so the second of two twins is the one that is named. The nearest is
    returned; of equals, the smallest sku.
    """
    if not 0 <= distance <= MAX_DISTANCE:
        raise ValueError(f"distance must be 0 to {MAX_DISTANCE}")
    wanted = {bucket for _, hash_hex, _ in pictures for bucket in buckets(hash_hex)}
    known = _candidates(database, sorted(wanted))
    by_bucket: defaultdict[int, list[Picture]] = defaultdict(list)
    for candidate in known:
        _file(by_bucket, candidate, wanted)
    found: list[str | None] = []
    for picture in pictures:
        others = {other for bucket in buckets(picture[1]) for other in by_bucket[bucket] if other[0] != picture[0]}
        found.append(_nearest(picture, sorted(others), distance, colour_tolerance))
        _file(by_bucket, picture, wanted)
    return found


def _file(by_bucket: defaultdict[int, list[Picture]], picture: Picture, wanted: set[int]) -> None:
    for bucket in buckets(picture[1]):
        if bucket in wanted:
            by_bucket[bucket].append(picture)


def _candidates(database: Database, wanted: Sequence[int]) -> set[Picture]:
    found: set[Picture] = set()
    # Both parts of the index (bucket, asset_id) serve: the window counts along it, and reads nothing else.
    place = sa.func.row_number().over(partition_by=phash.c.bucket, order_by=phash.c.asset_id)
    for some in chunks(wanted, 10_000):  # one query for a batch of 2,000 pictures
        with database.read() as connection:
            inside = among(connection, phash.c.bucket, some)
            counted = sa.select(phash.c.asset_id, place.label("place")).where(inside).subquery()
            ids = sa.select(counted.c.asset_id).where(counted.c.place <= MAX_A_BUCKET).distinct()
            query = sa.select(asset.c.sku, asset.c.phash, asset.c.colours).where(asset.c.id.in_(ids), asset.c.live)
            found.update((sku, hash_hex, colours) for sku, hash_hex, colours in connection.execute(query))
    return found


def _nearest(picture: Picture, others: Sequence[Picture], distance: int, tolerance: int) -> str | None:
    if not others:
        return None
    distances = _distances(picture[1], (other[1] for other in others))
    near = np.flatnonzero(distances <= distance)
    for index in near[np.argsort(distances[near], kind="stable")]:
        if _same_colours(picture[2], others[index][2], tolerance):
            return others[int(index)][0]
    return None


def _distances(hash_hex: str, others: Iterable[str]) -> npt.NDArray[np.int64]:
    value = np.frombuffer(bytes.fromhex(hash_hex), dtype=np.uint8)
    matrix = np.frombuffer(bytes.fromhex("".join(others)), dtype=np.uint8).reshape(-1, 8)
    distances: npt.NDArray[np.int64] = _BITS[matrix ^ value].sum(axis=1, dtype=np.int64)
    return distances


def _same_colours(first: str, second: str, tolerance: int) -> bool:
    if not first or len(first) != len(second):
        return True
    pair = [np.frombuffer(bytes.fromhex(colours), dtype=np.uint8).astype(np.int16) for colours in (first, second)]
    return int(np.abs(pair[0] - pair[1]).max()) <= tolerance
