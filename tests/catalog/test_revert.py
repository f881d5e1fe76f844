"""Reverting a run brings back what was live before it, in whatever order runs are reverted."""

from __future__ import annotations

import itertools

import pytest
from catalog_fixtures import die, reject, rows_of, start
from restyle_fixtures import approved, begin, run_once, scope, standing, work

from catalog_gen.catalog import assets, runs, tables
from catalog_gen.catalog.database import Database
from catalog_gen.catalog.decisions import undo
from catalog_gen.catalog.restyling import RestyleScope
from catalog_gen.catalog.revert import revert
from catalog_gen.errors import TemporaryFailure, UsageError

SKU = "sku-00000"


def square(version: int) -> RestyleScope:
    return scope(square=f"s{version}")


def test_what_was_live_before_stands_again(database: Database) -> None:
    approved(database, 3)
    first = run_once(database, scope())
    second = run_once(database, scope(square="s2", wide="w1"), limit=2)
    result = revert(database, second)
    assert (result.retired, result.restored) == (2, 2)
    assert set(standing(database).values()) == {first} and len(standing(database)) == 6
    before = rows_of(database, tables.asset, "id", "live", "retired_by")
    again = revert(database, second)
    assert (again.retired, again.restored) == (0, 0)
    assert rows_of(database, tables.asset, "id", "live", "retired_by") == before


def test_a_first_run_leaves_nothing_and_can_be_done_again(database: Database) -> None:
    approved(database, 2)
    first = run_once(database, scope())
    assert revert(database, first).retired == 4 and standing(database) == {}
    again = run_once(database, scope())
    assert set(standing(database).values()) == {again}
    assert revert(database, first).retired == 0 and set(standing(database).values()) == {again}


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
def test_runs_reverted_in_any_order(database: Database, order: tuple[int, ...]) -> None:
    """The picture that stands is always the latest run's that has not been reverted."""
    approved(database, 1)
    ids = [run_once(database, square(version)) for version in range(3)]
    left = list(ids)
    for index in order:
        revert(database, ids[index])
        revert(database, ids[index])
        left.remove(ids[index])
        assert list(standing(database).values()) == left[-1:]


def test_a_rejected_picture_does_not_come_back(database: Database) -> None:
    approved(database, 1)
    run_once(database, square(1))
    [old] = assets.live_assets(database, SKU, "restyled", "winter")
    reject(database, old.id, "crooked")
    second = run_once(database, square(2))
    assert revert(database, second).restored == 0
    assert standing(database) == {}


def test_a_rejection_that_is_undone_stands_in_the_chain_again(database: Database) -> None:
    approved(database, 1)
    first = run_once(database, square(1))
    [old] = assets.live_assets(database, SKU, "restyled", "winter")
    reject(database, old.id)
    second = run_once(database, square(2))
    assert undo(database, reviewer="ann", source="desk").result == "changed"  # another picture stands there
    revert(database, second)
    assert standing(database) == {}
    assert undo(database, reviewer="ann", source="desk").result == "done"
    assert list(standing(database).values()) == [first]
    third = run_once(database, square(3))
    revert(database, third)
    assert list(standing(database).values()) == [first]


def test_every_change_of_what_stands_is_a_new_version(database: Database) -> None:
    approved(database, 1)
    run_once(database, square(1))
    second = run_once(database, square(2))
    versions = {
        asset.retired_by: asset.version for asset in assets.assets_of(database, SKU) if asset.kind != "generated"
    }
    assert versions == {second: 2, None: 1}
    revert(database, second)
    revert(database, second)
    again = {asset.live: asset.version for asset in assets.assets_of(database, SKU) if asset.kind != "generated"}
    assert again == {True: 3, False: 2}


def test_a_run_at_work_is_not_reverted_and_one_that_died_is(database: Database) -> None:
    approved(database, 2)
    run_id, _ = begin(database, scope())
    work(database, run_id, scope())
    with pytest.raises(TemporaryFailure, match="still at work"):
        revert(database, run_id)
    assert len(standing(database)) == 4
    die(run_id)
    assert revert(database, run_id[:-2]).retired == 4
    assert runs.get_run(database, run_id).state == "died"


def test_only_restyling_can_be_reverted(database: Database) -> None:
    with pytest.raises(UsageError, match="is a fill-missing run"):
        revert(database, start(database))
    with pytest.raises(UsageError, match="there is no run"):
        revert(database, "nope")
