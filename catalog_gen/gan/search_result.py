"""What came of a search over settings: a table of its trials, and a picture of it."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from catalog_gen.gan.alarms import BEST_BY
from catalog_gen.training.extras import needs

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RESULT = "search.json"
PICTURE = "search.png"

COLUMNS = 4
PANEL = (3.4, 2.6)  # inches
WIDE = 20.0  # values whose largest is this many times the smallest are drawn on a logarithmic axis
COLOURS = {"complete": "#2b6cb0", "pruned": "#8a94a6", "failed": "#c53030"}


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
    logarithmic: frozenset[str] = frozenset()  # settings that were drawn by their logarithm

    @property
    def best(self) -> TrialRow | None:
        """The complete trial with the lowest value; None when there is none."""
        return min(self.complete, key=lambda pair: pair[1], default=(None, 0.0))[0]

    @property
    def complete(self) -> list[tuple[TrialRow, float]]:
        """The complete trials with their values."""
        return [(row, row.value) for row in self.trials if row.state == "complete" and row.value is not None]

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
    at = {row.number: float(row.number) for row in result.trials}
    _scatter(axis, result, at)
    complete = result.complete
    if complete:
        lowest = list(accumulate((value for _, value in complete), min))
        numbers = [row.number for row, _ in complete] + [result.trials[-1].number]
        axis.step(numbers, [*lowest, lowest[-1]], where="post", color="black", linewidth=1.2, label="best so far")
    axis.xaxis.get_major_locator().set_params(integer=True)  # type: ignore[call-arg]
    axis.set_xlabel("trial", fontsize=8)
    axis.set_ylabel(f"{result.metric} (lower is better)", fontsize=8)
    if result.trials:
        axis.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))


def _draw_setting(axis: Axes, result: SearchResult, key: str) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter

    given = {row.number: row.params[key] for row in result.trials if key in row.params}
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in given.values()):
        log = key in result.logarithmic
        _scatter(axis, result, {number: float(value) for number, value in given.items()}, log=log)
        if log:
            axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.xaxis.set_major_formatter("{x:g}")
            axis.xaxis.set_minor_formatter(NullFormatter())
    else:
        words = sorted({_word(value) for value in given.values()})
        _scatter(axis, result, {number: float(words.index(_word(value))) for number, value in given.items()})
        axis.set_xticks(range(len(words)), words, rotation=15 if len(words) > 2 else 0)
        axis.set_xlim(-0.5, len(words) - 0.5)
    axis.set_title(key, fontsize=9, loc="left")


def _scatter(axis: Axes, result: SearchResult, at: dict[int, float], *, log: bool = False) -> None:
    """Draw each trial at its place on x: complete ones at their value, the others, which have none, at the top."""
    chosen = [(at[row.number], value) for row, value in result.complete if row.number in at]
    if chosen:
        x, y = zip(*chosen, strict=True)
        axis.scatter(x, y, marker="o", c=COLOURS["complete"], s=26, label="complete", zorder=3)
    values = [value for _, value in chosen]
    if values and min(values) > 0 and max(values) / min(values) > WIDE:
        axis.set_yscale("log")  # one bad trial must not press the good ones flat
    for state, marker, height in (("pruned", "v", 0.96), ("failed", "x", 0.89)):
        places = [at[row.number] for row in result.trials if row.state == state and row.number in at]
        if places:
            top = axis.get_xaxis_transform()
            axis.scatter(
                places, [height] * len(places), marker=marker, c=COLOURS[state], s=24, label=state, transform=top
            )
    best = result.best
    if best is not None and best.number in at:
        axis.scatter([at[best.number]], [min(values)], s=90, facecolors="none", edgecolors="black", zorder=4)
    axis.margins(y=0.22)
    if log:
        axis.set_xscale("log")
    low, high = min(at.values(), default=0.0), max(at.values(), default=0.0)
    if high > low:  # stated, because the marks at the top have no say in it
        room = (high / low) ** 0.05 if log else 0.05 * (high - low)
        axis.set_xlim((low / room, high * room) if log else (low - room, high + room))
    axis.tick_params(labelsize=8)
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)


def _word(value: Any) -> str:
    return ", ".join(f"{part:g}" for part in value) if isinstance(value, tuple | list) else str(value)
