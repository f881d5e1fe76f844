"""When a run must be over: `--deadline 05:30` or `--max-minutes`, whichever comes first."""

from __future__ import annotations

import os
import re
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from catalog_gen.errors import UsageError


def deadline_from(clock: str | None, minutes: float | None, now: datetime | None = None) -> datetime | None:
    """Return the aware moment by which the run must be over, or None for no bound.

    clock: HH:MM local time, the next time that the clock shows it. minutes: from `now`.
    Raises UsageError for a text that is no time of day.
    """
    now = now or datetime.now(_local_zone())
    bounds = []
    if clock is not None:
        match = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)", clock.strip())
        if match is None:
            raise UsageError(f"{clock!r} is not a time of day", where="--deadline", hint="Give HH:MM, such as 05:30.")
        # Wall-clock arithmetic (aware datetimes of one zone ignore its offsets), so that a night in which the clocks
        # change still ends when the clock on the wall says so.
        moment = now.replace(hour=int(match[1]), minute=int(match[2]), second=0, microsecond=0, fold=0)
        if moment <= now:
            moment += timedelta(days=1)
        bounds.append(moment)
    if minutes is not None:
        bounds.append(now + timedelta(minutes=minutes))
    return min(bounds, default=None)


def _local_zone() -> tzinfo:
    """Return the machine's zone with its rules where they can be found, else with today's offset."""
    try:
        name = os.environ.get("TZ", "").lstrip(":") or Path("/etc/localtime").resolve().as_posix().split("zoneinfo/")[1]
        return ZoneInfo(name)
    except (IndexError, OSError, ValueError, ZoneInfoNotFoundError):
        zone = datetime.now().astimezone().tzinfo
        assert zone is not None, "astimezone() always names a zone"
        return zone
