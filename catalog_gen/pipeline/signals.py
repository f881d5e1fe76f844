"""Stopping in good order: the first Ctrl-C or SIGTERM drains, the second stops at once; a deadline drains too."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

log = logging.getLogger(__name__)


class StopRequest:
    """Set once, with the reason; read by the stages between pieces of work.

    Asked, nothing more is claimed. In a hurry (a signal), rows that are not drawn yet go back as well; without one
    (a deadline, which is asked for in time), what is claimed is finished.
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        self._hurry = threading.Event()
        self.reason = ""

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
def stop_on_signals(stop: StopRequest, leave: Callable[[int], None] = os._exit) -> Iterator[None]:
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
            log.warning("%s again: stopping at once; the next run takes back what was claimed", name)
            leave(128 + number)
            return
        log.warning("%s: finishing what is drawn, then stopping; once more stops at once", name)
        stop.ask(f"signal {name}")

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
