"""For the catalogue's tests: no run outlives its test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from catalog_fixtures import ALIVE, die


@pytest.fixture(autouse=True)
def _no_run_outlives_its_test() -> Iterator[None]:
    yield
    for run_id in list(ALIVE):
        die(run_id)
