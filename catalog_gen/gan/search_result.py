"""What came of a search over settings: a table of its trials, and a picture of it."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from catalog_gen.gan.alarms import BEST_BY
from catalog_gen.gan.extras import needs

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RESULT = "search.json"
PICTURE = "search.png"

COLUMNS = 4
PANEL = (3.4, 2.6)  # inches
WIDE = 20.0  # values whose largest is this many times the smallest are drawn on a logarithmic axis
MARKS = {"complete": ("o", "#2b6cb0"), "pruned": ("v", "#a0aec0"), "failed": ("x", "#c53030")}


@dataclass(frozen=True)
class TrialRow:
    """One trial. `value` is what it ended with; of a pruned one, what it had when it was ended; else None."""

    number: int
    state: Literal["complete", "pruned", "failed", "interrupted"]
    params: dict[str, Any]
    value: float | None
    seconds: float | None  # unknown where the process was killed
    reason: str = ""  # why it failed


@dataclass(frozen=True)
class SearchResult:
    """All trials in their order. `finished` is False when the search was stopped before the last one."""

    trials: tuple[TrialRow, ...]
    finished: bool
    metric: str = BEST_BY

    @property
    def best(self) -> TrialRow | None:
        """The complete trial with the lowest value; None when there is none."""
        complete = [row for row in self.trials if row.state == "complete" and row.value is not None]
        return min(complete, key=lambda row: row.value or 0.0, default=None)

    def write(self, folder: Path) -> None:
        """Write search.json and search.png, each by a temporary name. Raises Unavailable without matplotlib."""
        best = None if self.best is None else asdict(self.best)
        rows = [asdict(row) for row in self.trials]
        text = json.dumps({"metric": self.metric, "finished": self.finished, "best": best, "trials": rows}, indent=2)
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f".{RESULT}.part"
        part.write_text(text + "\n", encoding="utf-8")
        part.replace(folder / RESULT)
        _draw(self, folder / PICTURE)


def _draw(result: SearchResult, out_png: Path) -> None:
    """Draw the value by trial with the best so far, and the value against each setting."""
    with needs("matplotlib"):
        from matplotlib.figure import Figure

    keys = list(dict.fromkeys(key for row in result.trials for key in row.params))
    rows = 1 + math.ceil(len(keys) / COLUMNS)
    figure = Figure(figsize=(COLUMNS * PANEL[0], rows * PANEL[1] + 0.4), dpi=110, layout="constrained")
    best = result.best
    title = f"search: {sum(row.state != 'interrupted' for row in result.trials)} trials"
    if best is not None:
        title += f", best {result.metric} {best.value:.4g} in trial {best.number}"
    figure.suptitle(title, fontsize=12, weight="bold", x=0.01, ha="left")
    grid = figure.add_gridspec(rows, COLUMNS)
    _draw_trials(figure.add_subplot(grid[0, :]), result)
    for place, key in enumerate(keys):
        _draw_setting(figure.add_subplot(grid[1 + place // COLUMNS, place % COLUMNS]), result, key)
    part = out_png.with_name(f".{out_png.name}.part")
    figure.savefig(part, format="png")
    part.replace(out_png)


def _draw_trials(axis: Axes, result: SearchResult) -> None:
    from matplotlib.ticker import MaxNLocator

    drawn = [row for row in result.trials if row.value is not None]
    for state, (marker, colour) in MARKS.items():
        chosen = [row for row in drawn if row.state == state]
        x, y = [row.number for row in chosen], [row.value or 0.0 for row in chosen]
        if chosen:
            axis.scatter(x, y, marker=marker, c=colour, s=28, label=state, zorder=3)
    failed = [row.number for row in result.trials if row.state == "failed"]
    if failed:  # they have no value: marked along the lower edge
        marker, colour = MARKS["failed"]
        along_the_edge = axis.get_xaxis_transform()
        heights = [0.03] * len(failed)
        axis.scatter(failed, heights, marker=marker, c=colour, s=28, label="failed", zorder=3, transform=along_the_edge)
    complete = [(row.number, row.value) for row in drawn if row.state == "complete"]
    lowest = [min(value for _, value in complete[: i + 1] if value is not None) for i in range(len(complete))]
    if complete:
        end = max(row.number for row in result.trials)
        numbers = [number for number, _ in complete] + [end]
        axis.step(numbers, [*lowest, lowest[-1]], where="post", color="black", linewidth=1.2, label="best so far")
    _scale(axis, [row.value for row in drawn if row.value is not None])
    axis.margins(y=0.12)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set_xlabel("trial", fontsize=8)
    axis.set_ylabel(f"{result.metric} (lower is better)", fontsize=8)
    _tidy(axis)
    if result.trials:
        axis.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))


def _draw_setting(axis: Axes, result: SearchResult, key: str) -> None:
    rows = [row for row in result.trials if row.value is not None and key in row.params]
    values = [row.params[key] for row in rows]
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    words = [] if numeric else sorted({_word(value) for value in values})
    at = [float(value) if numeric else float(words.index(_word(value))) for value in values]
    for state, (marker, colour) in MARKS.items():
        chosen = [i for i, row in enumerate(rows) if row.state == state]
        heights = [rows[i].value or 0.0 for i in chosen]
        axis.scatter([at[i] for i in chosen], heights, marker=marker, c=colour, s=22, zorder=3)
    best = result.best
    if best is not None and best.value is not None and best in rows:
        axis.scatter([at[rows.index(best)]], [best.value], s=90, facecolors="none", edgecolors="black", zorder=4)
    if words:
        axis.set_xticks(range(len(words)), words, rotation=15 if len(words) > 2 else 0)
        axis.set_xlim(-0.5, len(words) - 0.5)
    elif at and min(at) > 0 and max(at) / min(at) >= 5:
        axis.set_xscale("log")
        axis.xaxis.set_minor_formatter("")
    _scale(axis, [row.value for row in rows if row.value is not None])
    axis.margins(y=0.12)
    axis.set_title(key, fontsize=9, loc="left")
    _tidy(axis)


def _scale(axis: Axes, values: Sequence[float]) -> None:
    """One bad trial must not press the good ones flat."""
    if values and min(values) > 0 and max(values) / min(values) > WIDE:
        axis.set_yscale("log")


def _tidy(axis: Axes) -> None:
    axis.tick_params(labelsize=8)
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)


def _word(value: Any) -> str:
    return ", ".join(f"{part:g}" for part in value) if isinstance(value, tuple | list) else str(value)
