"""Decisions, and what they teach, as text for a terminal or as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from catalog_gen.report.tables import aligned

_AUDIT = ("when (UTC)", "who", "through", "what", "sku", "from", "to", "id", "why")
_ADVICE = ("category", "decided", "rejected", "threshold", "better", "would catch", "would cost")
_SHOWN = 60  # characters of a text that people wrote


def audit_table(rows: Sequence[Any], *, as_json: bool = False) -> str:
    """Return decisions as an aligned table, or as JSON lines with everything that is recorded."""
    if as_json:
        return "\n".join(json.dumps(asdict(row), default=str, ensure_ascii=False) for row in rows)
    if not rows:
        return "no decisions yet"
    return aligned([_AUDIT, *(_audit_row(row) for row in rows)], right=frozenset())


def _audit_row(row: Any) -> tuple[str, ...]:
    why = row.reason if not row.undoes else f"undoes {row.undoes}"
    why = f"(undone) {why}".strip() if row.undone_by else why
    when = f"{row.decided_at:%Y-%m-%d %H:%M:%S}"
    cells = (when, row.reviewer, row.source, row.action, row.sku, row.from_state, row.to_state, row.id, why)
    return tuple(_printable(cell) for cell in cells)


def advice_table(advice: Sequence[Any], reasons: Sequence[tuple[str, int]], *, as_json: bool = False) -> str:
    """Return thresholds by category and the reasons given most, as text or as one JSON object."""
    if as_json:
        told = {"thresholds": [asdict(one) for one in advice], "reasons": [list(reason) for reason in reasons]}
        return json.dumps(told, ensure_ascii=False)
    if not advice and not reasons:
        return "too few decisions to learn from yet"
    lines = [aligned([_ADVICE, *(_advice_row(one) for one in advice)], right=frozenset(range(1, 7)))] if advice else []
    if reasons:
        counted = [(f"{count:,}", _printable(reason)) for reason, count in reasons]
        lines += ["reasons given most:", aligned(counted, right={0})]
    return "\n".join(lines)


def _advice_row(one: Any) -> tuple[str, ...]:
    now = "" if one.now is None else f"{one.now:.3f}"
    suggested = "none" if one.suggested is None else f"{one.suggested:.3f}"
    catches = "" if one.suggested is None else f"{one.catches} rejected"
    costs = "" if one.suggested is None else f"{one.costs} approved"
    name = _printable(one.category) or "(none)"
    return (name, str(one.decided), str(one.rejected), now, suggested, catches, costs)


def _printable(text: str) -> str:
    """Return what people wrote without what moves a terminal's cursor, and not longer than a column may be."""
    line = "".join(character if character.isprintable() else " " for character in text)
    return line if len(line) <= _SHOWN else line[: _SHOWN - 1] + "…"
