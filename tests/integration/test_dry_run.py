"""What a dry run says that a night will cost."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest

from catalog_gen.pipeline import dry_run
from catalog_gen.pipeline.dry_run import Cost, estimate
from catalog_gen.pipeline.fill_missing import FillRequest
from catalog_gen.pipeline.models import cores
from integration.shop import Shop

COST = Cost(candidate=0.5, words=0.25, enlarging=1.0, encoding=2.0, size=100.0, beside=False)


def test_models_and_encoding_share_the_cores_or_go_on_side_by_side() -> None:
    assert COST.row(4) == 0.25 + 4 * 0.5 + 1.0 + 2.0
    assert replace(COST, beside=True).row(4) == 3.25
    assert replace(COST, beside=True, encoding=7.0).row(4) == 7.0


def test_finishing_a_picture_counts(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*_: Any) -> bytes:
        time.sleep(0.05)
        return b"x" * 1000

    monkeypatch.setattr(dry_run, "encode_image", slow)
    database = shop.database()
    found = estimate(shop.settings, database, FillRequest())
    database.dispose()
    assert found.plan.planned == 60
    assert found.bytes == 60_000
    assert found.seconds >= 60 * 0.05 / cores()


def test_the_rows_that_are_measured_come_from_all_over_the_catalogue(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[list[str]] = []
    measure = dry_run._measure

    def watched(settings: Any, models: Any, words: list[str]) -> Cost:
        drawn.append(words)
        return measure(settings, models, words)

    monkeypatch.setattr(dry_run, "_measure", watched)
    database = shop.database()
    for _ in range(2):
        estimate(shop.settings, database, FillRequest())
    database.dispose()
    numbers = sorted(int(words.split(" no ")[1].split(",")[0]) for words in drawn[0])
    assert len(set(numbers)) == dry_run.SAMPLED and numbers[-1] - numbers[0] > 30
    assert drawn[0] == drawn[1]
