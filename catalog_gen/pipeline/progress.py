"""How a run shows where it is: a bar on a terminal, plain lines in a log, JSON objects for machines."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

from tqdm import tqdm

log = logging.getLogger("catalog_gen.progress")

LOG_EVERY_SECONDS = 15.0
ProgressStyle = Literal["bar", "lines", "none"]


class Progress:
    """Counts rows towards `total` and shows rate and remaining time.

    `style` is `bar` (tqdm on stderr), `lines` (a log line every `LOG_EVERY_SECONDS`) or `none`.
    """

    def __init__(
        self,
        total: int,
        style: ProgressStyle,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.total, self.style, self.done = total, style, 0
        self._clock = clock
        self._started = self._last_line = clock()
        self._bar = tqdm(total=total, unit="row", dynamic_ncols=True, smoothing=0.1) if style == "bar" else None
        self._tally: Counter[str] = Counter()

    def advance(self, counts: Counter[str]) -> None:
        """Add a recorded batch's outcomes."""
        self._tally.update(counts)
        rows = sum(counts.values()) - counts["released"]
        self.done += rows
        if self._bar is not None:
            self._bar.update(rows)
            self._bar.set_postfix(review=self._tally["needs_review"], failed=self._tally["failed"])
        elif self.style == "lines" and self._clock() - self._last_line >= LOG_EVERY_SECONDS:
            self._last_line = self._clock()
            log.info(self._line())

    def _line(self) -> str:
        elapsed = max(self._clock() - self._started, 1e-9)
        rate = self.done / elapsed
        left = (self.total - self.done) / rate if rate else float("inf")
        share = 100 * self.done / self.total if self.total else 100.0
        return (
            f"{self.done} of {self.total} rows ({share:.0f} %), {rate:.1f} rows/s, "
            f"{_clock_text(left)} left, {self._tally['needs_review']} for review, {self._tally['failed']} failed"
        )

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()


def _clock_text(seconds: float) -> str:
    if seconds == float("inf"):
        return "unknown time"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC, ISO 8601), level, logger, message, and the exception where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


class _BarSafeHandler(logging.StreamHandler):  # type: ignore[type-arg]  # generic only in the type stubs
    """Writes log lines above a tqdm bar instead of through it."""

    def emit(self, record: logging.LogRecord) -> None:
        tqdm.write(self.format(record), file=sys.stderr)


def set_up_logging(*, as_json: bool, verbose: bool = False) -> ProgressStyle:
    """Send the package's log to stderr; return the progress style that suits it (a bar only on a terminal)."""
    handler = _BarSafeHandler()
    if as_json:
        handler.setFormatter(JsonFormatter())
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%Y-%m-%d %H:%M:%S"))
    root = logging.getLogger("catalog_gen")
    root.handlers[:] = [handler]
    root.setLevel(logging.DEBUG if verbose else logging.INFO)
    root.propagate = False
    return "lines" if as_json or not sys.stderr.isatty() else "bar"
