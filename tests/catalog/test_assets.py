"""Stored pictures: their states, near-duplicates, counts and samples."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from catalog_fixtures import JOB, generated, imported, insert_products, make_products, picture, reject, rows_of, start

from catalog_gen.catalog import assets, queue, tables
from catalog_gen.catalog.database import Database
from catalog_gen.catalog.decisions import undo
from catalog_gen.catalog.duplicates import MAX_A_BUCKET, buckets
from catalog_gen.catalog.model import NewAsset, Outcome, Product
from catalog_gen.errors import UsageError
from catalog_gen.quality.phash import is_near_duplicate

WHITE, GREY, RED = "ff" * 48, "f8" * 48, "ff0000" * 16
BASE = 0x0123456789ABCDEF


def flipped(*bits: int) -> str:
    return f"{BASE ^ sum(1 << bit for bit in bits):016x}"


def record(database: Database, *pictures: NewAsset) -> str:
    """Put the pictures' products in and record the pictures; return the run."""
    insert_products(database, [Product(asset.sku, "t", f"cat-{asset.sku}") for asset in pictures])
    run_id = start(database)
    claimed = queue.claim(database, imported(database), run_id, JOB, len(pictures), 60)
    assert len(claimed) == len(pictures)
    result = queue.record(database, run_id, JOB, [Outcome(asset.sku, "generated", asset=asset) for asset in pictures])
    assert result.lost == []
    return run_id


def test_near_duplicates_of_other_products_are_found(database: Database) -> None:
    record(database, picture("old", phash=flipped(), colours=WHITE))
    asked = [
        ("exact", flipped(), WHITE),
        ("three-bits", flipped(0, 20, 40), WHITE),
        ("spread", flipped(1, 17, 33), GREY),
        ("far", flipped(2, 3, 18, 50), RED),
        ("other-colour", flipped(), RED),
        ("no-colours", flipped(60), ""),
        ("old", flipped(), WHITE),
        ("no-hash", "", WHITE),
    ]
    # Each alone: pictures of one call would find each other.
    found = {item[0]: assets.near_duplicates(database, [item])[0] for item in asked}
    assert found == {
        "exact": "old",
        "three-bits": "old",
        "spread": "old",
        "far": None,
        "other-colour": None,
        "no-colours": "old",
        "old": None,
        "no-hash": None,
    }
    assert assets.near_duplicates(database, [asked[1]], distance=2) == [None]
    assert assets.near_duplicates(database, [asked[4]], colour_tolerance=255) == ["old"]
    assert assets.near_duplicates(database, [asked[2]], colour_tolerance=5) == [None]
    assert assets.near_duplicates(database, []) == []


def test_what_looks_the_same_is_what_the_quality_gate_says(database: Database) -> None:
    rng = np.random.default_rng(3)
    layout = rng.integers(20, 235, size=192)
    record(database, picture("old", phash=flipped(), colours=layout.astype(np.uint8).tobytes().hex()))
    seen = set()
    for _ in range(60):
        bits = rng.permutation(64)[: rng.integers(0, 6)]
        other = (flipped(*(int(bit) for bit in bits)), (layout + rng.integers(-17, 18, size=192) * rng.integers(0, 2)))
        colours = other[1].astype(np.uint8).tobytes().hex()
        expected = is_near_duplicate(flipped(), layout.astype(np.uint8).tobytes().hex(), other[0], colours)
        assert assets.near_duplicates(database, [("new", other[0], colours)]) == ["old" if expected else None]
        seen.add(expected)
    assert seen == {True, False}


def test_the_second_twin_of_a_batch_is_named(database: Database) -> None:
    batch = [("a", flipped(), WHITE), ("b", flipped(5), WHITE), ("c", "f" * 16, WHITE), ("d", flipped(5), WHITE)]
    assert assets.near_duplicates(database, batch) == [None, "a", None, "b"]


def test_every_pair_within_three_bits_shares_a_bucket() -> None:
    rng = np.random.default_rng(0)
    for bits in [*itertools.combinations(range(0, 64, 9), 3), *(rng.permutation(64)[:3] for _ in range(500))]:
        assert set(buckets(flipped())) & set(buckets(flipped(*(int(bit) for bit in bits))))
    assert len(set(buckets("0" * 16))) == 5


def test_a_common_silhouette_hides_no_exact_copy_and_stays_bounded(database: Database) -> None:
    number = MAX_A_BUCKET * 3
    # All share three bands; only the low band, and with it the whole hash, tells them apart.
    hashes = [f"{(BASE & ~0xFFFF) | (index * 64):016x}" for index in range(number)]
    record(database, *(picture(f"sku-{index:05d}", phash=hashes[index], colours=WHITE) for index in range(number)))
    asked = [("new", hashes[index], WHITE) for index in range(number)]
    found = [assets.near_duplicates(database, [item])[0] for item in asked[::7]]
    assert found == [f"sku-{index:05d}" for index in range(0, number, 7)]


def test_rejecting_makes_room_and_leaves_the_duplicate_search(database: Database) -> None:
    first = picture("a", phash=flipped(), colours=WHITE)
    record(database, first)
    rejected = reject(database, first.id, "not a\nshoe")
    assert (rejected.live, rejected.state, rejected.reason) == (False, "rejected", "not a shoe")
    assert assets.live_asset(database, "a") is None
    assert assets.near_duplicates(database, [("b", flipped(), WHITE)]) == [None]
    assert undo(database, reviewer="ann", source="desk").result == "done"
    assert assets.near_duplicates(database, [("b", flipped(), WHITE)]) == ["a"]
    with pytest.raises(UsageError, match="no asset 'nothing'"):
        assets.get_asset(database, "nothing")


def test_an_asset_comes_back_as_it_was_recorded(database: Database) -> None:
    original = picture("ä/👟", phash=flipped(), colours=WHITE, settings={"device": "cpu", "chunk": 32})
    run_id = record(database, original)
    found = assets.live_asset(database, "ä/👟")
    assert found is not None and found == assets.get_asset(database, original.id)
    assert replace(found, created_at=None) == type(found)(**vars(original), run_id=run_id, live=True)
    assert assets.live_asset(database, "ä/👟", kind="restyled") is None


def test_status_adds_up(database: Database) -> None:
    insert_products(database, [*make_products(10), Product("own", "x", image="u")])
    source = imported(database)
    before = assets.status_counts(database, source)
    assert (before["products"], before["have_image"], before["lack_picture"]) == (11, 1, 10)
    run_id = start(database, limit=6)
    queue.claim(database, source, run_id, JOB, 5, 60)
    review = picture("sku-00002", state="needs_review")
    outcomes = [
        generated("sku-00000"),
        generated("sku-00001"),
        Outcome("sku-00002", "needs_review", "dim", asset=review),
        Outcome("sku-00003", "failed", "no"),
    ]
    queue.record(database, run_id, JOB, outcomes)
    reject(database, outcomes[0].asset.id)  # type: ignore[union-attr]
    after = assets.status_counts(database, source)
    assert {key: value for key, value in after.items() if value} == {
        "products": 11,
        "have_image": 1,
        "have_asset": 2,
        "lack_picture": 8,
        "queued": 1,
        "claimed": 1,
        "failed": 1,
        "asset_draft": 1,
        "asset_needs_review": 1,
        "asset_rejected": 1,
    }


def test_a_sample_is_fair_repeatable_and_ordered(database: Database) -> None:
    pictures = [picture(f"s{index:02d}", scores={"similarity": index / 10}) for index in range(20)]
    run_id = record(database, *pictures)
    source = imported(database)
    everything = list(assets.sample_assets(database, source, run_id, 100))
    assert [item.asset.sku for item in everything] == [asset.sku for asset in pictures]  # their categories' order
    some = list(assets.sample_assets(database, source, run_id, 7))
    assert some == list(assets.sample_assets(database, source, run_id, 7))
    assert {item.asset.sha256 for item in some} == set(sorted(asset.sha256 for asset in pictures)[:7])
    assert all(item.product is not None and item.category == f"cat-{item.asset.sku}" for item in some)
    with database.transaction() as connection:
        connection.execute(tables.product.delete())
    assert [item.product for item in assets.sample_assets(database, source, run_id, 2)] == [None, None]
    assert list(assets.sample_assets(database, source, "no-run", 5)) == []


def test_the_longest_texts_fit_the_indexes(database: Database) -> None:
    """In characters of four bytes, of which no two rows of two are alike: nothing of it compresses."""
    numbers = iter(range(0x20000, 0x2A000))

    def long(count: int) -> str:
        return "".join(chr(next(numbers)) for _ in range(count))

    asset = picture(long(200), prompt=long(300), category=long(5_000))
    record(database, asset)
    [(sku, prompt, category)] = rows_of(database, tables.asset, "sku", "prompt", "category")
    assert (sku, prompt, category) == (asset.sku, asset.prompt, asset.category[:100])


def test_hashes_are_indexed_for_live_generated_pictures_only(database: Database) -> None:
    record(database, picture("a", phash=flipped()), picture("b", phash=""))
    assert len(rows_of(database, tables.phash, "asset_id")) == 5
