"""An alarm: what a training's figures say has gone wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

OnAlarm = Literal["stop", "rollback", "log"]


@dataclass(frozen=True)
class Alarm:
    """One alarm: what kind, when, and one line with the figures and what to do.

    final: no later step makes it good, so that a training which goes on would only waste its time.
    """

    kind: Literal["collapse", "divergence", "memorisation", "forgetting"]
    images_seen: int
    message: str
    final: bool = False
