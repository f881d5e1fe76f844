"""Alarms on series of figures worked out by hand."""

from __future__ import annotations

import json
import math

import pytest

from catalog_gen.gan.alarms import Alarms
from catalog_gen.gan.config import WatchConfig

CONFIG = WatchConfig(collapse=0.5, memorised=0.25, diverged=100.0)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_one_loss_that_is_not_finite_is_a_divergence(value: float) -> None:
    alarm = Alarms(CONFIG).check_losses(3200, {"d": 0.5, "adversarial": value})
    assert alarm is not None and alarm.kind == "divergence" and alarm.images_seen == 3200
    assert "adversarial" in alarm.message and "3,200" in alarm.message and "d =" not in alarm.message


@pytest.mark.parametrize("value", [101.0, -101.0])
def test_a_finite_spike_must_last_three_checks(value: float) -> None:
    alarms = Alarms(CONFIG)
    assert alarms.check_losses(1, {"d": value}) is None
    assert alarms.check_losses(2, {"d": value}) is None
    assert alarms.check_losses(3, {"d": 100.0}) is None, "the bound itself is allowed, and the count starts anew"
    assert alarms.check_losses(4, {"d": value}) is None
    assert alarms.check_losses(5, {"d": value}) is None
    alarm = alarms.check_losses(6, {"d": value})
    assert alarm is not None and alarm.kind == "divergence" and f"d = {value:g}" in alarm.message


@pytest.mark.parametrize("name", ["variety", "coverage"])
def test_collapse_is_a_fall_below_half_of_the_best(name: str) -> None:
    alarms = Alarms(CONFIG)
    assert [alarms.check_measure(i, {name: value}) for i, value in enumerate([0.3, 0.4, 0.2])] == [None] * 3
    alarm = alarms.check_measure(4000, {name: 0.19})
    assert alarm is not None and alarm.kind == "collapse"
    assert all(word in alarm.message for word in (name, "0.19", "0.4", "50%", "4,000"))


def test_the_first_pictures_cannot_collapse() -> None:
    alarms = Alarms(CONFIG)
    assert alarms.check_measure(1, {"variety": 0.9}) is None
    assert alarms.check_measure(2, {"variety": 0.1}) is None, "one measure before is too few"
    assert alarms.check_measure(3, {"variety": 0.1}) is not None


def test_nan_is_no_measure() -> None:
    alarms = Alarms(CONFIG)
    for step, value in enumerate([0.4, math.nan, math.nan]):
        assert alarms.check_measure(step, {"variety": value, "memorised": math.nan}) is None
    assert alarms.check_measure(3, {"variety": 0.1}) is None, "only one measure came before"


def test_memorisation() -> None:
    alarms = Alarms(CONFIG)
    assert alarms.check_measure(1, {"memorised": 0.25, "variety": 0.4}) is None
    alarm = alarms.check_measure(2, {"memorised": 0.31, "variety": 0.4})
    assert alarm is not None and alarm.kind == "memorisation" and "31%" in alarm.message and "25%" in alarm.message


def test_the_best_is_the_lowest_kid() -> None:
    alarms = Alarms(CONFIG)
    found = [alarms.keeps({"kid": kid}) for kid in (math.nan, 0.09, 0.09, 0.1, math.nan, 0.05)]
    assert found == [False, True, False, False, False, True]
    assert not alarms.keeps({"variety": 1.0})
    assert alarms.best == 0.05


def test_a_resumed_training_remembers() -> None:
    before, after = Alarms(CONFIG), Alarms(CONFIG)
    before.keeps({"kid": 0.05})
    for step in (1, 2):
        before.check_losses(step, {"d": 1e4})
        before.check_measure(step, {"variety": 0.4})
    after.load_state_dict(json.loads(json.dumps(before.state_dict())))
    assert not after.keeps({"kid": 0.06})
    assert after.check_losses(3, {"d": 1e4}) is not None
    assert after.check_measure(3, {"variety": 0.1}) is not None
    assert before.state_dict()["spikes"] == 2, "the saved state is the other's own"
