"""The batch engine: every batch goes through every stage once, memory stays bounded, failures end it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from catalog_gen.pipeline.engine import Pipeline, Stage


def batches(count: int, size: int = 3) -> Iterator[list[int]]:
    for start in range(count):
        yield list(range(start * size, (start + 1) * size))


def test_every_row_goes_through_every_stage_once() -> None:
    seen: list[int] = []
    lock = threading.Lock()

    def keep(batch: list[int]) -> list[int]:
        with lock:
            seen.extend(batch)
        return batch

    stages = [
        Stage("add", lambda batch: [row + 1 for row in batch], threads=3),
        Stage("double", lambda batch: [row * 2 for row in batch], threads=2),
        Stage("keep", keep),
    ]
    times = Pipeline(batches(50), stages).run()
    assert sorted(seen) == [(row + 1) * 2 for row in range(150)]
    assert {name: spent.rows for name, spent in times.items()} == {"claim": 150, "add": 150, "double": 150, "keep": 150}


def test_a_slow_stage_holds_the_source_back() -> None:
    """At most: one batch in each queue, one in each stage, one in the source's hand."""
    ahead = 0
    most = 0

    def source() -> Iterator[list[int]]:
        nonlocal ahead, most
        for batch in batches(30, 1):
            ahead += 1
            most = max(most, ahead)
            yield batch

    def slow(batch: list[int]) -> list[int]:
        nonlocal ahead
        time.sleep(0.005)
        ahead -= 1
        return batch

    Pipeline(source(), [Stage("pass", lambda batch: batch), Stage("slow", slow)], depth=1).run()
    assert most <= 5


def test_stages_overlap() -> None:
    both = threading.Barrier(2, timeout=10)

    def meet(batch: list[int]) -> list[int]:
        both.wait()  # only passes when another stage works at the same moment
        return batch

    Pipeline(batches(2, 1), [Stage("first", _only_on(1, meet)), Stage("second", _only_on(0, meet))]).run()


def _only_on(row: int, run: Callable[[list[int]], list[int]]) -> Callable[[list[int]], list[int]]:
    return lambda batch: run(batch) if batch[0] == row else batch


@pytest.mark.parametrize("place", ["source", "first", "last"])
def test_the_first_exception_ends_the_run_and_is_raised(place: str) -> None:
    def source() -> Iterator[list[int]]:
        for number, batch in enumerate(batches(1_000_000, 1)):
            if place == "source" and number == 5:
                raise RuntimeError("source")
            yield batch

    def failing(name: str) -> Stage[int]:
        def run(batch: list[int]) -> list[int]:
            if place == name and batch[0] == 5:
                raise RuntimeError(name)
            return batch

        return Stage(name, run, threads=2)

    before = threading.active_count()
    with pytest.raises(RuntimeError, match=place):
        Pipeline(source(), [failing("first"), failing("last")]).run()
    assert threading.active_count() == before


def test_an_empty_source_ends_at_once() -> None:
    times = Pipeline(iter([]), [Stage("only", lambda batch: batch)]).run()
    assert times["only"].batches == 0
