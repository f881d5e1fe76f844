"""Calls that may hang, side by side, each in a thread of its own that is left behind when time is up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from catalog_gen.pipeline.signals import StopRequest

Result = TypeVar("Result")

_POLL_SECONDS = 0.05  # how soon a signal ends the wait


@dataclass
class Call(Generic[Result]):
    """What became of one call: its result, or the problem that it met; neither while it is still under way."""

    result: Result | None = None
    problem: Exception | None = None


def call_within(
    seconds: float, functions: Mapping[str, Callable[[], Result]], stop: StopRequest
) -> dict[str, Call[Result]]:
    """Call every function at once; return what became of each, at the latest when time is up or `stop` is asked.

    A call that has not ended then has a TimeoutError for its problem. Its thread does not keep the program alive.
    Where `stop` is asked already, nothing is called.
    """
    if stop.asked():
        return {name: Call(problem=TimeoutError(f"cut short by {stop.reason}")) for name in functions}
    calls: dict[str, Call[Result]] = {name: Call() for name in functions}
    threads = {
        name: threading.Thread(target=_run, args=(function, calls[name]), name=name, daemon=True)
        for name, function in functions.items()
    }
    until = time.monotonic() + seconds
    for thread in threads.values():
        thread.start()
    for name, thread in threads.items():
        while thread.is_alive() and time.monotonic() < until and not stop.asked():
            thread.join(_POLL_SECONDS)  # a join with a timeout lets the main thread run signal handlers
        if thread.is_alive():
            why = f"cut short by {stop.reason}" if stop.asked() else f"given up after {seconds:g} s"
            calls[name] = Call(problem=TimeoutError(why))  # the thread keeps the old one, and nobody reads it
    return calls


def _run(function: Callable[[], Result], call: Call[Result]) -> None:
    try:
        call.result = function()
    except Exception as error:  # it is the caller's, who reads it in `problem`
        call.problem = error
