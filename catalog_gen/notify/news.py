"""What is told of a run's end, as values, as a few lines of text, and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from catalog_gen import __version__
from catalog_gen.errors import EXIT_OK, EXIT_PARTIAL

OUTCOMES = ("generated", "restyled", "needs_review", "failed", "skipped", "lost", "released")
"""What can come of a claimed row; `counts` holds other numbers beside them."""
NO_TROUBLE = frozenset({EXIT_OK, EXIT_PARTIAL})
NOT_STARTED, TEST = "not started", "test"
TITLE_LIMIT = 160

Fact = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class News:
    """How a run ended. `task` and `style` name the job; `line` says why, where there is something to say.

    A run that could not start has no `run_id`. `counts` are rows by outcome and what the job counts beside them;
    `timings` busy seconds by stage; `lacking` rows of the catalogue without a picture, where that is known; `reasons`
    why rows failed, most frequent first.
    """

    task: str
    state: str  # finished, partial, failed, died, not started; test
    exit_code: int | None  # None: nobody knows, the run died
    started_at: datetime  # aware
    ended_at: datetime
    host: str
    line: str = ""
    style: str = ""
    run_id: str = ""
    version: str = __version__
    counts: Mapping[str, int] = field(default_factory=dict)
    planned: Mapping[str, int] = field(default_factory=dict)
    timings: Mapping[str, float] = field(default_factory=dict)
    images_per_second: float = 0.0
    lacking: int | None = None
    reasons: tuple[tuple[str, int], ...] = ()
    link: str = ""
    remark: str = ""  # of the telling itself, such as a report too large to attach

    @property
    def job(self) -> str:
        return f"{self.task} {self.style}".rstrip()

    @property
    def is_test(self) -> bool:
        return self.state == TEST

    @property
    def trouble(self) -> bool:
        """Whether somebody should look: any exit code but 0 and 4 (stopped in good order; the next run goes on)."""
        return self.exit_code not in NO_TROUBLE

    @property
    def seconds(self) -> float:
        return max((self.ended_at - self.started_at).total_seconds(), 0.0)

    @property
    def rows(self) -> dict[str, int]:
        """Rows by outcome."""
        return {name: self.counts[name] for name in OUTCOMES if name in self.counts}

    @property
    def stored(self) -> int:
        """Rows that got their pictures."""
        return sum(self.counts.get(name, 0) for name in ("generated", "restyled", "needs_review"))

    def title(self) -> str:
        """Return what happened in one line, the subject of a mail."""
        if self.is_test:
            return "a test message of catalog-gen; nothing has happened"
        if self.state == NOT_STARTED:
            said = f"{self.job} could not start: {self.line}"
        elif self.state in ("failed", "died"):
            said = f"{self.job} {self.state}" + (f": {self.line}" if self.line else "")
        else:
            parts = [self.line, self._made()] if self.state == "partial" else [self._made(), self.line]
            said = f"{self.job}: " + "; ".join(part for part in parts if part)
        said = " ".join(said.split())
        return said if len(said) <= TITLE_LIMIT else said[: TITLE_LIMIT - 1] + "…"

    def _made(self) -> str:
        if not self.counts.get("claimed"):
            return "" if self.state == "partial" else "nothing to do"
        stored = f"{self.stored:,} {'products restyled' if self.task == 'restyle' else 'pictures stored'}"
        return f"{stored}, {self.counts.get('needs_review', 0):,} of them for review"

    def facts(self) -> list[Fact]:
        """Return what a person wants to know as (label, value), the most important first."""
        facts: list[Fact] = []
        if not self.is_test:
            code = "unknown" if self.exit_code is None else str(self.exit_code)
            facts += [("state", self.state), ("exit code", code)]
        if self.line:
            facts.append(("why", self.line))
        if self.counts:
            facts += self._count_facts()
        if self.lacking is not None:
            facts.append(("rows without a picture", f"{self.lacking:,}"))
        if self.run_id:
            facts += [("took", _duration(self.seconds)), ("pictures a second", f"{self.images_per_second:,.1f}")]
            facts.append(("run", self.run_id))
        facts += [("ended", f"{self.ended_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"), ("machine", self.host)]
        return [*facts, ("catalog-gen", self.version)]

    def _count_facts(self) -> list[Fact]:
        counts = self.counts
        stored = [("pictures stored", self.stored)]
        if self.task == "restyle":
            stored = [("products restyled", self.stored), ("pictures stored", counts.get("pictures", 0))]
        always = [*stored, ("for review", counts.get("needs_review", 0)), ("failed", counts.get("failed", 0))]
        labels = {"skipped": "skipped", "released": "given back", "lost": "done by another worker"}
        rest = [(label, counts[name]) for name, label in labels.items() if counts.get(name)]
        return [(label, f"{number:,}") for label, number in [*always, *rest]]

    def body(self) -> str:
        """Return facts, reasons and remark as plain text."""
        facts = self.facts()
        width = max(len(label) for label, _ in facts)
        lines = [f"{label:<{width}}  {value}" for label, value in facts]
        if self.reasons:
            lines += ["", "Why rows failed:", *(f"{count:,} x {reason}" for reason, count in self.reasons)]
        return "\n".join([*lines, *(["", self.remark] if self.remark else [])])

    def text(self) -> str:
        """Return title, body and link as plain text."""
        return "\n\n".join(part for part in (self.title(), self.body(), self.link) if part)

    def payload(self) -> dict[str, Any]:
        """Return everything as JSON-ready values; times are UTC in ISO 8601, durations seconds."""
        return {
            "format": "catalog-gen-run",
            "version": 1,
            "event": "test" if self.is_test else "run",
            "text": self.text(),
            "title": self.title(),
            "job": self.task,
            "style": self.style,
            "run": self.run_id or None,
            "state": self.state,
            "exit_code": self.exit_code,
            "trouble": self.trouble,
            "message": self.line,
            "host": self.host,
            "catalog_gen": self.version,
            "started_at": _iso(self.started_at),
            "ended_at": _iso(self.ended_at),
            "seconds": round(self.seconds, 3),
            "counts": dict(self.counts),
            "planned": dict(self.planned),
            "stage_seconds": dict(self.timings),
            "images_per_second": self.images_per_second,
            "rows_lacking_picture": self.lacking,
            "failed_because": [{"reason": reason, "rows": count} for reason, count in self.reasons],
            "link": self.link,
        }


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
