"""What came of a run, for the terminal and the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from catalog_gen.catalog.model import RunState

RESTYLE_OUTCOMES = ("restyled", "needs_review", "failed", "skipped", "lost", "released")
OUTCOMES = ("generated", "needs_review", "failed", "lost", "released")


@dataclass
class RunSummary:
    """What came of a run: the same numbers that its ledger row holds."""

    run_id: str
    state: RunState
    exit_code: int
    counts: dict[str, int]  # rows by outcome, and what the ladder did beside them
    planned: dict[str, int]
    timings: dict[str, float]  # busy seconds by stage, summed over its threads
    seconds: float
    images_per_second: float
    message: str

    outcomes: ClassVar[tuple[str, ...]] = OUTCOMES

    def describe(self) -> str:
        """Return what a person wants to know, in a few lines."""
        made, review = self.counts["generated"], self.counts["needs_review"]
        lines = [
            f"run {self.run_id}: {self.state}{f' ({self.message})' if self.message else ''}",
            f"  pictures stored: {made + review} ({made} drafts, {review} for review)",
            "  " + ", ".join(f"{self.counts[name]} {name}" for name in ("failed", "released", "lost")),
            "  " + ", ".join(f"{count} {name}" for name, count in self.planned.items() if count or name == "planned"),
            *self._ladder(),
            f"  {self.seconds:.0f} s, {self.images_per_second:.1f} pictures drawn a second",
        ]
        return "\n".join(lines)

    def _ladder(self) -> list[str]:
        rows, pictures, saved = (self.counts[name] for name in ("ladder_rows", "ladder_pictures", "ladder_saved"))
        if not rows:
            return []
        spent = f"{pictures} more pictures, {self.timings['climb']:.0f} s"
        return [f"  the ladder: {rows} rows drawn again ({spent}), {saved} of them good enough then"]


class RestyleSummary(RunSummary):
    """What came of a restyling run."""

    outcomes = RESTYLE_OUTCOMES

    def describe(self) -> str:
        made, review = self.counts["restyled"], self.counts["needs_review"]
        return "\n".join(
            [
                f"run {self.run_id}: {self.state}{f' ({self.message})' if self.message else ''}",
                f"  products restyled: {made + review} ({made} drafts, {review} for review), "
                f"{self.counts['pictures']} pictures stored",
                "  " + ", ".join(f"{self.counts[name]} {name}" for name in ("failed", "skipped", "released", "lost")),
                "  " + ", ".join(f"{n} {name}" for name, n in self.planned.items() if n or name == "planned"),
                f"  {self.seconds:.0f} s, {self.images_per_second:.1f} pictures a second",
            ]
        )
