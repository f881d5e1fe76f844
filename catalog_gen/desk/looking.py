"""Who has which pictures on their screen, so that several reviewers at once are not shown the same ones.

A courtesy and not a lock: it lives in memory, it ends after two minutes without a sign of life, and whoever decides
first decides. What keeps decisions apart are the versions of the pictures.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass

HOLD_SECONDS = 120.0


@dataclass
class _Hold:
    name: str
    until: float


class Looking:
    """Which picture is on whose screen, by the reviewer's name: one person's two windows do not keep each other out."""

    def __init__(self) -> None:
        self._holds: dict[str, _Hold] = {}
        self._lock = threading.Lock()

    def held_by_others(self, assets: Iterable[str], name: str) -> dict[str, str]:
        """Return (asset, name of who looks at it) for those that somebody else has on their screen."""
        now = time.monotonic()
        with self._lock:
            found = {asset: self._holds.get(asset) for asset in assets}
        return {asset: hold.name for asset, hold in found.items() if hold and hold.name != name and hold.until > now}

    def hold(self, assets: Iterable[str], name: str) -> None:
        """Note that these pictures are on the screen of `name`, but for those that are on somebody else's.

        A picture that is decided is not let go of: another's page that was read a moment before would show it again.
        """
        now = time.monotonic()
        with self._lock:
            self._holds = {asset: hold for asset, hold in self._holds.items() if hold.until > now}
            for asset in assets:
                if asset not in self._holds or self._holds[asset].name == name:
                    self._holds[asset] = _Hold(name, now + HOLD_SECONDS)

    def alive(self, name: str) -> None:
        """`name` still works: what is on their screen stays theirs for another while."""
        until = time.monotonic() + HOLD_SECONDS
        with self._lock:
            for hold in self._holds.values():
                if hold.name == name:
                    hold.until = until

    def leave(self, name: str) -> None:
        """`name` has closed the page: everything is free for others."""
        with self._lock:
            self._holds = {asset: hold for asset, hold in self._holds.items() if hold.name != name}
