"""The ledger and the catalogue's state as text for a terminal, or as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict, is_dataclass
from datetime import datetime
from typing import Any

_COLUMNS = ("run", "job", "state", "started (UTC)", "minutes", "claimed", "drafts", "review", "failed", "images/s")


def runs_table(runs: Sequence[Any], *, as_json: bool = False) -> str:
    """Return past runs as an aligned table, or as JSON lines with everything that the ledger holds."""
    if as_json:
        return "\n".join(json.dumps(_plain(run), default=str, ensure_ascii=False) for run in runs)
    if not runs:
        return "no runs yet"
    return aligned([_COLUMNS, *(_row(run) for run in runs)])


def status_table(counts: Mapping[str, int], *, as_json: bool = False) -> str:
    """Return the catalogue's counts, one a line, or as one JSON object."""
    if as_json:
        return json.dumps(dict(counts))
    return aligned([(name.replace("_", " "), f"{count:,}") for name, count in counts.items()], right={1})


def _row(run: Any) -> tuple[str, ...]:
    counts = run.counts
    minutes = f"{(run.finished_at - run.started_at).total_seconds() / 60:.1f}" if run.finished_at else ""
    rate = f"{run.images_per_second:.1f}" if run.images_per_second else ""
    state = f"{run.state} ({run.exit_code})" if run.exit_code else run.state
    numbers = (str(counts.get(name, "")) for name in ("claimed", "generated", "needs_review", "failed"))
    return (run.id, run.job, state, _time(run.started_at), minutes, *numbers, rate)


def aligned(rows: Sequence[tuple[str, ...]], right: Set[int] = frozenset(range(4, 10))) -> str:
    """Return `rows` of equal length as columns two spaces apart, those in `right` flush right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = (
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"


def _plain(run: Any) -> dict[str, Any]:
    return asdict(run) if is_dataclass(run) and not isinstance(run, type) else dict(run)
