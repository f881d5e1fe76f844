"""When a run must be over: `--deadline 05:30` or `--max-minutes`, whichever comes first."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from catalog_gen.errors import UsageError


def deadline_from(clock: str | None, minutes: float | None, now: datetime | None = None) -> datetime | None:
    """Return the aware moment by which the run must be over, or None for no bound.

    clock: HH:MM local time, the next time that the clock shows it. minutes: from `now`.
    Raises UsageError for a text that is no time of day.
    """
    now = now or datetime.now().astimezone()
    bounds = []
    if clock is not None:
        match = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)", clock.strip())
        if match is None:
            raise UsageError(f"{clock!r} is not a time of day", where="--deadline", hint="Give HH:MM, such as 05:30.")
        # Through naive local time, so that a night with a clock change still ends when the wall clock says so.
        local = now.replace(tzinfo=None)
        moment = local.replace(hour=int(match[1]), minute=int(match[2]), second=0, microsecond=0)
        if moment <= local:
            moment += timedelta(days=1)
        bounds.append(
            moment.astimezone()
            if now.tzinfo is None or now.tzinfo == local.astimezone().tzinfo
            else moment.replace(tzinfo=now.tzinfo)
        )
    if minutes is not None:
        bounds.append(now + timedelta(minutes=minutes))
    return min(bounds, default=None)
