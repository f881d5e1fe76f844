"""What came of a run, for the terminal and the ledger."""

from __future__ import annotations

from dataclasses import dataclass

from catalog_gen.catalog.model import RunState

OUTCOMES = ("generated", "needs_review", "failed", "lost", "released")


@dataclass
class RunSummary:
    """What came of a run: the same numbers that its ledger row holds."""

    run_id: str
    state: RunState
    exit_code: int
    counts: dict[str, int]
    planned: dict[str, int]
    timings: dict[str, float]  # busy seconds by stage, summed over its threads
    seconds: float
    images_per_second: float
    message: str

    def describe(self) -> str:
        """Return what a person wants to know, in a few lines."""
        made, review = self.counts["generated"], self.counts["needs_review"]
        lines = [
            f"run {self.run_id}: {self.state}{f' ({self.message})' if self.message else ''}",
            f"  pictures stored: {made + review} ({made} drafts, {review} for review)",
            "  " + ", ".join(f"{self.counts[name]} {name}" for name in ("failed", "released", "lost")),
            "  " + ", ".join(f"{count} {name}" for name, count in self.planned.items() if count or name == "planned"),
            f"  {self.seconds:.0f} s, {self.images_per_second:.1f} pictures drawn a second",
        ]
        return "\n".join(lines)
