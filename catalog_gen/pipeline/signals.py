"""Stopping in good order: the first Ctrl-C or SIGTERM drains, the second stops at once; a deadline drains too."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

log = logging.getLogger(__name__)


class Stopped(BaseException):
    """A signal fell within `StopRequest.at_once`. No failure, so nothing that catches Exception may hold it up."""


class StopRequest:
    """Set once, with the reason; read by the stages between pieces of work.

    Asked, nothing more is claimed. In a hurry (a signal), rows that are not drawn yet go back as well; without one
    (a deadline, which is asked for in time), what is claimed is finished.
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        self._hurry = threading.Event()
        self.reason = ""
        self.interrupts = False  # whether a signal raises Stopped where it falls

    def ask(self, reason: str, *, hurry: bool = True) -> None:
        """Ask for a stop; the first reason stays, and a later hurry counts."""
        if not self._event.is_set():
            self.reason = reason
            self._event.set()
        if hurry:
            self._hurry.set()

    def asked(self) -> bool:
        return self._event.is_set()

    def in_a_hurry(self) -> bool:
        return self._hurry.is_set()

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Within the block a signal raises Stopped: for work in the main thread that nobody misses when it is lost.

        One that came before raises too, at the latest at the end of the block.
        """
        self._leave_if_asked()
        self.interrupts = True
        try:
            yield
        finally:
            self.interrupts = False
        self._leave_if_asked()

    def _leave_if_asked(self) -> None:
        if self.asked():
            raise Stopped(self.reason)


@dataclass(frozen=True)
class Wording:
    """What a command says of itself at the first signal, and at the second."""

    first: str = "finishing what is drawn, then stopping"
    second: str = "the next run takes back what was claimed"


FILLING = Wording()
TRAINING = Wording("stopping after this step, and saving", "the last checkpoint stays")


@contextmanager
def stop_on_signals(
    stop: StopRequest, leave: Callable[[int], None] = os._exit, wording: Wording = FILLING
) -> Iterator[None]:
    """Within the block, SIGINT and SIGTERM ask `stop` to drain; a second one leaves with 128 + its number.

    Outside the main thread (where Python allows no handlers) the block changes nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    received: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        received.append(number)
        if len(received) > 1:
            log.warning("%s again: stopping at once; %s", name, wording.second)
            leave(128 + number)
            return
        first = "stopping" if stop.interrupts else wording.first
        log.warning("%s: %s; once more stops at once", name, first)
        stop.ask(f"signal {name}")
        if stop.interrupts:
            raise Stopped(stop.reason)

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
