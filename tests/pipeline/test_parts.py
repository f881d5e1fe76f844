"""Retries, stop requests, deadlines, prompts and seeds."""

from __future__ import annotations

import contextlib
import os
import signal
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from catalog_gen.catalog.model import Product
from catalog_gen.config import PromptConfig
from catalog_gen.errors import TemporaryFailure, TransientError, Unavailable, UsageError
from catalog_gen.pipeline.deadline import deadline_from
from catalog_gen.pipeline.prompting import product_prompt
from catalog_gen.pipeline.retry import Retry
from catalog_gen.pipeline.signals import Stopped, StopRequest, Wording, stop_on_signals
from catalog_gen.pipeline.work import derive_seed, text_hash


class Flaky:
    def __init__(self, failures: int, error: Exception) -> None:
        self.failures, self.error, self.calls = failures, error, 0

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.failures:
            raise self.error
        return "done"


def test_a_transient_failure_is_tried_again_with_growing_pauses() -> None:
    pauses: list[float] = []
    flaky = Flaky(3, TransientError("hiccup"))
    assert Retry(3, 1.0, pauses.append)("writing", flaky) == "done"
    assert flaky.calls == 4
    assert all(2**tried / 2 <= pause <= 2**tried for tried, pause in enumerate(pauses))


def test_retries_run_out_with_one_clear_line() -> None:
    flaky = Flaky(9, TransientError("connection refused", where="db"))
    with pytest.raises(TemporaryFailure, match="writing still fails after 3 tries: db: connection refused"):
        Retry(2, 0.0, lambda pause: None)("writing", flaky)
    assert flaky.calls == 3


def test_a_terminal_failure_is_not_tried_again() -> None:
    flaky = Flaky(1, Unavailable("disk full"))
    with pytest.raises(Unavailable):
        Retry(5, 0.0, lambda pause: None)("writing", flaky)
    assert flaky.calls == 1


def test_the_first_signal_asks_and_the_second_leaves() -> None:
    left: list[int] = []
    stop = StopRequest()
    before = signal.getsignal(signal.SIGTERM)
    with stop_on_signals(stop, left.append):
        assert not stop.asked()
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.asked() and stop.reason == "signal SIGTERM" and not left
        os.kill(os.getpid(), signal.SIGINT)
        assert left == [128 + signal.SIGINT]
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_signal_after_a_deadline_does_not_leave_at_once() -> None:
    left: list[int] = []
    stop = StopRequest()
    with stop_on_signals(stop, left.append):
        stop.ask("deadline")
        os.kill(os.getpid(), signal.SIGTERM)
        assert not left
        os.kill(os.getpid(), signal.SIGTERM)
        assert left


def test_a_signal_is_heard_at_once_where_nothing_is_lost(caplog: pytest.LogCaptureFixture) -> None:
    stop, done = StopRequest(), []
    with stop_on_signals(stop, wording=Wording("finishing the step", "the checkpoint stays")):
        with stop.at_once():
            done.append("before")
        with pytest.raises(Stopped, match="signal SIGTERM"), stop.at_once():
            os.kill(os.getpid(), signal.SIGTERM)
            done.append("never")
        assert done == ["before"] and stop.asked()
        with pytest.raises(Stopped), stop.at_once():
            done.append("never")
    assert caplog.messages == ["SIGTERM: stopping; once more stops at once"]


def test_a_stop_that_is_swallowed_or_asked_for_within_ends_the_block() -> None:
    stop = StopRequest()
    swallowed = contextlib.suppress(BaseException)
    with stop_on_signals(stop), pytest.raises(Stopped, match="signal SIGINT"), stop.at_once(), swallowed:
        os.kill(os.getpid(), signal.SIGINT)
    stop = StopRequest()
    with pytest.raises(Stopped, match="deadline"), stop.at_once():
        stop.ask("deadline")


def test_signals_are_answered_in_the_command_s_words(caplog: pytest.LogCaptureFixture) -> None:
    left: list[int] = []
    with stop_on_signals(StopRequest(), left.append, Wording("finishing the step", "the checkpoint stays")):
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
    assert left == [128 + signal.SIGTERM]
    assert caplog.messages == [
        "SIGTERM: finishing the step; once more stops at once",
        "SIGTERM again: stopping at once; the checkpoint stays",
    ]


BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    "now, clock, expected",
    [
        (datetime(2026, 11, 24, 2, 0, tzinfo=BERLIN), "05:30", datetime(2026, 11, 24, 5, 30, tzinfo=BERLIN)),
        (datetime(2026, 11, 24, 23, 0, tzinfo=BERLIN), "5:30", datetime(2026, 11, 25, 5, 30, tzinfo=BERLIN)),
        (datetime(2026, 11, 24, 5, 30, tzinfo=BERLIN), "05:30", datetime(2026, 11, 25, 5, 30, tzinfo=BERLIN)),
        # The night in which clocks go back an hour: the wall clock decides, so it is seven and a half hours.
        (datetime(2026, 10, 24, 23, 0, tzinfo=BERLIN), "05:30", datetime(2026, 10, 25, 5, 30, tzinfo=BERLIN)),
    ],
)
def test_a_deadline_is_the_next_time_the_clock_shows_it(now: datetime, clock: str, expected: datetime) -> None:
    assert deadline_from(clock, None, now) == expected


def test_the_earlier_bound_wins() -> None:
    now = datetime(2026, 11, 24, 2, 0, tzinfo=BERLIN)
    found = deadline_from("05:30", 10, now)
    assert found is not None and (found - now).total_seconds() == 600
    assert deadline_from(None, None, now) is None


@pytest.mark.parametrize("clock", ["25:00", "5", "05:60", "half past five", "", "05:30:00"])
def test_what_is_no_time_of_day_is_refused(clock: str) -> None:
    with pytest.raises(UsageError, match="--deadline"):
        deadline_from(clock, None)


def test_the_seed_follows_from_the_row_and_the_model_alone() -> None:
    base = ("sku", text_hash("a red shoe"), "gan", 0, 0)
    seed = derive_seed(*base)
    assert seed == derive_seed(*base) and 0 <= seed < 2**63
    others = [("sku2", *base[1:]), ("sku", text_hash("b"), *base[2:]), (*base[:2], "g2", 0, 0), (*base[:3], 1, 0)]
    assert len({seed, *(derive_seed(*other) for other in others), derive_seed(*base[:4], 1)}) == 6


def test_a_prompt_follows_the_configuration() -> None:
    product = Product("1", "Blue shirt", "Shirts", {"baseColour": "Blue", "gender": "Men", "year": "2012"})
    assert product_prompt(product, PromptConfig()) == "Blue shirt, Shirts, Men"
    assert product_prompt(product, PromptConfig(attributes=("year",), exclude=())) == "Blue shirt, Shirts, 2012"
    template = PromptConfig(template="{title} for {gender}, {usage}")
    assert product_prompt(product, template) == "Blue shirt for Men"
    assert product_prompt(Product("1", "", "", {}), PromptConfig()) == ""
