"""Who has which pictures on their screen, so that several reviewers at once are not shown the same ones.

A courtesy and not a lock: it lives in memory, it ends after two minutes without a sign of life, and whoever decides
first decides. What keeps decisions apart are the versions of the pictures.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

HOLD_SECONDS = 120.0


@dataclass
class _Hold:
    screen: str
    name: str
    until: float


class Looking:
    """Which screen shows which pictures. A screen is one tab of one session."""

    def __init__(self) -> None:
        self._holds: dict[str, _Hold] = {}
        self._lock = threading.Lock()

    def held_by_others(self, assets: Iterable[str], screen: str) -> dict[str, str]:
        """Return (asset, name of who looks at it) for those that another screen shows."""
        now = time.monotonic()
        with self._lock:
            found = {asset: self._holds.get(asset) for asset in assets}
        return {
            asset: hold.name for asset, hold in found.items() if hold and hold.screen != screen and hold.until > now
        }

    def hold(self, assets: Sequence[str], screen: str, name: str) -> None:
        """Note that `screen` shows these pictures, unless another one does."""
        now = time.monotonic()
        with self._lock:
            self._holds = {asset: hold for asset, hold in self._holds.items() if hold.until > now}
            for asset in assets:
                if asset not in self._holds or self._holds[asset].screen == screen:
                    self._holds[asset] = _Hold(screen, name, now + HOLD_SECONDS)

    def alive(self, screen: str) -> None:
        """Somebody still works at this screen: what it shows stays with it for another while."""
        until = time.monotonic() + HOLD_SECONDS
        with self._lock:
            for hold in self._holds.values():
                if hold.screen == screen:
                    hold.until = until

    def leave(self, screen: str) -> None:
        """This screen shows nothing any more."""
        with self._lock:
            self._holds = {asset: hold for asset, hold in self._holds.items() if hold.screen != screen}

    def let_go(self, assets: Iterable[str]) -> None:
        """These were decided: nobody has to keep away from them any more."""
        with self._lock:
            for asset in assets:
                self._holds.pop(asset, None)
