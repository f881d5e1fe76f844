"""The facts of a night, counted while its rows go by: one document that the page, the JSON and the mail agree on."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from catalog_gen.report.night_rows import Row, reason_groups
from catalog_gen.report.night_scores import Scores, quantiles, score_facts

FORMAT, VERSION = "catalog-gen-night", 1

OUTCOMES = ("generated", "restyled", "needs_review", "failed", "skipped", "elsewhere", "unfinished")
MADE = ("generated", "restyled")
REFUSED = frozenset({"failed", "skipped", "elsewhere"})
MAX_LISTED = 500  # rows without a picture that the page lists; the JSON and the CSV have all of them


@dataclass(frozen=True)
class Ledger:
    """A run as the ledger has it, in plain values. Times are UTC, ISO 8601; `seconds` None while it runs."""

    id: str
    job: str
    state: str
    started_at: str
    finished_at: str | None
    seconds: float | None
    host: str
    user: str
    version: str
    exit_code: int | None
    message: str
    images_per_second: float | None
    counts: Mapping[str, int]
    timings: Mapping[str, float]
    models: Sequence[tuple[str, str]] = ()
    request: Sequence[tuple[str, str]] = ()
    threshold: float | None = None


@dataclass(frozen=True)
class Price:
    """What an hour of the machine costs; None: it is not known."""

    per_hour: float | None
    currency: str

    def of(self, seconds: float | None) -> float | None:
        """Return the cost of so many seconds."""
        if self.per_hour is None or seconds is None:
            return None
        return round(self.per_hour * seconds / 3600, 4)


@dataclass
class Tally:
    """Counts a run's rows as they go by; holds numbers, the first rows without a picture, and no picture."""

    outcomes: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)
    examples: dict[tuple[str, str], str] = field(default_factory=dict)
    refused: list[Row] = field(default_factory=list)
    scores: Scores = field(default_factory=Scores)
    pictures: int = 0
    _rows: Counter[tuple[str, str]] = field(default_factory=Counter)  # (category, outcome)
    _by_category: dict[str, Scores] = field(default_factory=lambda: defaultdict(Scores))

    def add(self, row: Row) -> None:
        """Count a row, once."""
        outcome = row.outcome or "unfinished"
        self.outcomes[outcome] += 1
        self._rows[row.category, outcome] += 1
        for group in reason_groups(row.reason):
            self.reasons[outcome, group] += 1
            self.examples.setdefault((outcome, group), row.sku)
        if outcome in REFUSED and len(self.refused) < MAX_LISTED:
            self.refused.append(row)
        for picture in row.pictures:
            self.pictures += 1
            self.states[picture.state] += 1
            self.scores.add(picture.scores)
            self._by_category[row.category].add(picture.scores)

    def categories(self) -> list[dict[str, Any]]:
        """Return each category's rows by outcome and the spread of its main score, most rows first."""
        name = self.scores.primary()
        found = []
        for category in {category for category, _ in self._rows}:
            counts = {outcome: self._rows[category, outcome] for outcome in OUTCOMES if self._rows[category, outcome]}
            values = self._by_category[category].of(name) if category in self._by_category else ()
            spread = {name: quantiles(values)} if len(values) else {}  # type: ignore[arg-type]
            found.append({"category": category, "rows": sum(counts.values()), **counts, "scores": spread})
        return sorted(found, key=lambda each: (-each["rows"], each["category"]))


def night_facts(
    run: Ledger,
    tally: Tally,
    *,
    nights: Sequence[tuple[Ledger, float | None]],
    earlier: tuple[Scores, Iterable[tuple[str, str, int]]],
    price: Price,
) -> dict[str, Any]:
    """Return the document of a night, JSON-ready.

    nights: the runs of the same job before this one, oldest first, each with the mean of its main score. earlier: of
    the last of these, all scores, and (outcome, reason, rows) of the rows that had a reason.
    """
    before, reasons_before = earlier
    primary = tally.scores.primary()
    mean = float(tally.scores.of(primary).mean()) if primary else None
    limits = {} if run.threshold is None else {"similarity": run.threshold}
    rows = sum(tally.outcomes.values())
    made = sum(tally.outcomes[name] for name in (*MADE, "needs_review"))
    counted = {name: tally.outcomes[name] for name in OUTCOMES}
    history = [_night(ledger, ledger.counts, score, price) for ledger, score in nights]
    history.append(_night(run, counted | {"claimed": rows - counted["unfinished"]}, mean, price) | {"this": True})
    return {
        "format": FORMAT,
        "version": VERSION,
        "run": _run(run),
        "asked": {name.removeprefix("plan_"): n for name, n in run.counts.items() if name.startswith("plan_")},
        "rows": rows,
        "outcomes": counted,
        "made": made,
        "pictures": tally.pictures,
        "states": dict(tally.states.most_common()),
        "ladder": {name: n for name, n in run.counts.items() if name.startswith("ladder_")},
        "reasons": _reasons(tally, reasons_before),
        "stages": _stages(run, price),
        "cost": _cost(run, price, tally.pictures),
        "score": primary,
        "scores": score_facts(tally.scores, before, limits),
        "categories": tally.categories(),
        "nights": history,
        "usual": _usual(history[:-1]),
    }


def headline(facts: Mapping[str, Any]) -> str:
    """Return the night in one sentence."""
    counts, rows = facts["outcomes"], facts["rows"]
    if not rows:
        return "No row was asked for."
    drafts = sum(counts[name] for name in MADE)
    pictures = f" ({facts['pictures']:,} pictures)" if facts["pictures"] != facts["made"] else ""
    parts = [f"{_rows(rows)} asked for, {facts['made']:,} made{pictures}: {drafts:,} drafts"]
    parts.append(f"{counts['needs_review']:,} for a person to look at")
    names = {"failed": "failed", "skipped": "skipped", "unfinished": "not reached"}
    rest = [f"{counts[name]:,} {words}" for name, words in names.items() if counts[name]]
    if counts["elsewhere"]:
        rest.append(f"{counts['elsewhere']:,} settled elsewhere meanwhile")
    return ", ".join(parts) + (f"; {', '.join(rest)}." if rest else "; none failed.")


def _rows(count: int) -> str:
    return f"{count:,} row{'' if count == 1 else 's'}"


def _run(run: Ledger) -> dict[str, Any]:
    names = ("id", "job", "state", "started_at", "finished_at", "seconds", "host", "user", "version", "exit_code")
    more = ("message", "images_per_second", "threshold")
    said = {name: getattr(run, name) for name in (*names, *more)}
    return said | {"models": dict(run.models), "request": dict(run.request), "counts": dict(run.counts)}


def _night(run: Ledger, counts: Mapping[str, int], score: float | None, price: Price) -> dict[str, Any]:
    return {
        "run": run.id,
        "started_at": run.started_at,
        "state": run.state,
        "exit_code": run.exit_code,
        "claimed": counts.get("claimed", 0),
        "drafts": sum(counts.get(name, 0) for name in MADE),
        "needs_review": counts.get("needs_review", 0),
        "failed": counts.get("failed", 0),
        "seconds": run.seconds,
        "images_per_second": run.images_per_second,
        "score": None if score is None else round(score, 4),
        "cost": price.of(run.seconds),
        "this": False,
    }


def _reasons(tally: Tally, before: Iterable[tuple[str, str, int]]) -> list[dict[str, Any]]:
    then: Counter[tuple[str, str]] = Counter()
    for outcome, reason, rows in before:
        for group in reason_groups(reason):
            then[outcome, group] += rows
    now = sorted(tally.reasons.items(), key=lambda each: (-each[1], each[0]))
    return [
        {
            "outcome": outcome,
            "reason": group,
            "rows": rows,
            "before": then[outcome, group],
            "example": tally.examples[outcome, group],
        }
        for (outcome, group), rows in now
    ]


def _stages(run: Ledger, price: Price) -> list[dict[str, Any]]:
    busy = sum(run.timings.values())
    total = price.of(run.seconds)
    return [
        {
            "stage": name,
            "seconds": seconds,
            "share": round(seconds / busy, 4) if busy else 0.0,
            "cost": None if total is None or not busy else round(total * seconds / busy, 4),
        }
        for name, seconds in run.timings.items()
    ]


def _cost(run: Ledger, price: Price, pictures: int) -> dict[str, Any]:
    total = price.of(run.seconds)
    each = None if total is None or not pictures else round(1000 * total / pictures, 4)
    return {"per_hour": price.per_hour, "currency": price.currency, "total": total, "per_thousand_pictures": each}


def _usual(nights: Sequence[Mapping[str, Any]]) -> dict[str, float] | None:
    """The medians of the nights that claimed a row; None when there are none."""
    worked = [night for night in nights if night["claimed"]]
    if not worked:
        return None
    names = ("claimed", "drafts", "needs_review", "failed", "seconds", "images_per_second", "score", "cost")
    found: dict[str, float] = {"nights": len(worked)}
    for name in names:
        values = [night[name] for night in worked if night[name] is not None]
        if values:
            found[name] = float(median(values))
    shares = [night["needs_review"] / night["claimed"] for night in worked]
    return found | {"review_share": round(float(median(shares)), 4)}
