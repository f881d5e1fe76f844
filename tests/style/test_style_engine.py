"""An engine is found by its name, and a look must be one."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from catalog_gen.errors import ConfigError
from catalog_gen.style.engine import Look, engine_hash, open_engine
from catalog_gen.style.gatys import GatysEngine
from catalog_gen.style.statistics import StatisticsEngine


@dataclass(frozen=True)
class Config:
    engine: str
    bundle: str = ""
    features: str = "lite0"
    product_strength: float = 0.05


def test_engines_open_by_name() -> None:
    statistics, gatys = open_engine(Config("statistics")), open_engine(Config("gatys"))
    assert isinstance(statistics, StatisticsEngine) and statistics.name == "statistics"
    assert isinstance(gatys, GatysEngine) and not gatys.settings.texture_product
    textured = open_engine(Config("gatys", product_strength=0.5))
    assert isinstance(textured, GatysEngine) and textured.settings.texture_product
    assert len({statistics.hash, gatys.hash, textured.hash}) == 3


@pytest.mark.parametrize("name, said", [("statistic", "mean 'statistics'"), ("xyz", "Known: gatys, fast, arbitrary")])
def test_an_unknown_engine_is_named_with_what_is_near(name: str, said: str) -> None:
    with pytest.raises(ConfigError, match="no style engine") as caught:
        open_engine(Config(name))
    assert said in str(caught.value) and caught.value.exit_code == 78


@pytest.mark.parametrize("weights", [(0.5,), (0.7, 0.7), (1.5, -0.5), ()])
def test_weights_that_do_not_fit_are_refused(weights: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="weights"):
        Look((torch.zeros(3, 4, 4), torch.zeros(3, 4, 4)), weights)


def test_the_hash_is_of_all_that_is_given() -> None:
    first = engine_hash("a", 1, {"x": 1}, "w")
    assert first == engine_hash("a", 1, {"x": 1}, "w")
    others = [
        engine_hash("b", 1, {"x": 1}, "w"),
        engine_hash("a", 2, {"x": 1}, "w"),
        engine_hash("a", 1, {"x": 2}, "w"),
    ]
    assert len({first, *others, engine_hash("a", 1, {"x": 1}, "v")}) == 5
