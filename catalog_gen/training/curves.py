"""A training's history as one picture: small multiples of losses, rates and measures, with the alarms marked."""

from __future__ import annotations

import math
import textwrap
import warnings
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from catalog_gen.training.extras import needs
from catalog_gen.training.history import Kind, Line, read_history

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]

COLUMNS = 4
PANEL = (3.4, 2.2)  # inches
NOTE_LINE = 0.2  # inches a line of the notes' text
NOTE_WIDTH = 220  # characters a line of it
MARK_EVERY = 0.05  # notes nearer to each other than this share of the axis have one number between them
SMOOTH = 12  # points on either side that a smoothed loss is the median of, at most
DIRECTION = {
    **dict.fromkeys(("kid", "fd", "fid", "memorised"), "lower"),
    **dict.fromkeys(("precision", "recall", "density", "coverage", "variety"), "higher"),
    **dict.fromkeys(("photo_r1", "photo_r10", "photo_mrr", "score_r1", "score_r10", "score_mrr"), "higher"),
    **dict.fromkeys(("photo_median_rank", "score_median_rank"), "lower"),
}
COLOURS = {"loss": "#2b6cb0", "lr": "#6b46c1", "measure": "#b7521e"}
NOTE_COLOUR = "#c53030"


def draw_curves(metrics_jsonl: Path, out_png: Path, title: str = "", best_by: str = "") -> None:
    """Draw the history `metrics_jsonl` to `out_png`, by a temporary name.

    Each loss has its curve, smoothed over the raw one; learning rates (names ending in `lr`) share a panel; each
    measure has its points, and the best of `best_by`, which checkpoints are chosen by, is ringed. Notes are numbered
    lines through every panel, told below. Raises UsageError for a file that is no history, Unavailable without
    matplotlib.
    """
    lines = read_history(metrics_jsonl)
    losses, measures = _series(lines, "loss"), _series(lines, "measure")
    rates = {name: losses.pop(name) for name in list(losses) if name.endswith("lr")}
    notes = [(int(line["images"]), str(line.get("text", ""))) for line in lines if line["kind"] == "note"]
    told = [row for number, note in enumerate(notes, 1) for row in _told(number, *note)]

    figure, axes = _sheet(len(losses) + bool(rates) + len(measures), told, title or metrics_jsonl.parent.name)
    places = iter(axes)
    for name, (images, values) in losses.items():
        _draw_loss(next(places), name, images, values)
    if rates:
        _draw_rates(next(places), rates)
    for name, (images, values) in measures.items():
        _draw_measure(next(places), name, images, values, ringed=name == best_by)
    end = max((int(line["images"]) for line in lines), default=0)
    for axis in axes:
        axis.set_xlim(0, max(1, end) * 1.02)
        _mark(axis, [at for at, _ in notes])
    if not axes:
        figure.text(0.5, 0.5, "nothing measured yet", ha="center")
    part = out_png.with_name(f".{out_png.name}.part")
    figure.savefig(part, format="png")
    part.replace(out_png)


def _sheet(panels: int, told: Sequence[str], title: str) -> tuple[Figure, list[Axes]]:
    """Return a figure of `panels` empty panels under a title, with the lines `told` below them."""
    with needs("matplotlib"):
        from matplotlib.figure import Figure  # drawn by Agg, as every figure that no window has
        from matplotlib.ticker import FuncFormatter

    rows = max(1, math.ceil(panels / COLUMNS))
    head, foot = 0.5, 0.35 + NOTE_LINE * len(told)  # inches
    height = rows * PANEL[1] + head + foot
    figure = Figure(figsize=(COLUMNS * PANEL[0], height), dpi=110)
    figure.set_layout_engine(
        "constrained", rect=(0, foot / height, 1, 1 - (head + foot) / height), wspace=0.04, hspace=0.06
    )
    figure.text(0.01, 1 - 0.3 / height, title, fontsize=12, weight="bold", va="center")
    for place, row in enumerate(told):
        figure.text(0.01, (foot - 0.2 - NOTE_LINE * place) / height, row, fontsize=8, color=NOTE_COLOUR, va="center")
    axes = [figure.add_subplot(rows, COLUMNS, place + 1) for place in range(panels)]
    for place, axis in enumerate(axes):
        axis.xaxis.set_major_formatter(FuncFormatter(_in_thousands))
        axis.tick_params(labelsize=8)
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
        if place + COLUMNS >= panels:
            axis.set_xlabel("images", fontsize=8)
    return figure, axes


def _series(lines: Sequence[Line], kind: Kind) -> dict[str, tuple[Floats, Floats]]:
    """Return (images, values) of each number in the lines of `kind`, in order of first appearance; null is NaN."""
    found: dict[str, tuple[list[float], list[float]]] = {}
    for line in lines:
        if line["kind"] != kind:
            continue
        for name, value in line.items():
            if name not in ("images", "kind") and not isinstance(value, str):
                images, values = found.setdefault(name, ([], []))
                images.append(line["images"])
                values.append(math.nan if value is None else value)
    return {name: (np.array(images, float), np.array(values, float)) for name, (images, values) in found.items()}


def smoothed(values: Floats, width: int) -> Floats:
    """Return the centred moving median over `width` (odd) points, fewer at the ends; blind to NaN and to a spike."""
    if not np.isfinite(values).any():
        return values
    padded = np.pad(values, width // 2, constant_values=np.nan)
    with warnings.catch_warnings():  # a window of nothing but NaN is NaN, and no more need be said
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.asarray(np.nanmedian(np.lib.stride_tricks.sliding_window_view(padded, width), axis=1), float)


def loss_limits(values: Floats) -> tuple[float, float]:
    """Return the range to show: all of it, but for spikes, which leave the panel and press nothing else flat."""
    known = values[np.isfinite(values)]
    if not known.size:
        return 0.0, 1.0
    low, high = np.quantile(known, [0.05, 0.95])
    reach = high - low
    low, high = max(known.min(), low - reach), min(known.max(), high + reach)
    room = 0.05 * max(high - low, 1e-3 * abs(high), 1e-9)
    return float(low - room), float(high + room)


def _draw_loss(axis: Axes, name: str, images: Floats, values: Floats) -> None:
    axis.plot(images, values, color=COLOURS["loss"], alpha=0.25, linewidth=0.8)
    axis.plot(images, smoothed(values, 1 + 2 * min(SMOOTH, len(values) // 20)), color=COLOURS["loss"], linewidth=1.6)
    axis.set_ylim(*loss_limits(values))
    axis.set_title(f"loss: {name}", fontsize=9, loc="left")


def _draw_rates(axis: Axes, rates: dict[str, tuple[Floats, Floats]]) -> None:
    for (name, (images, values)), style in zip(rates.items(), cycle(["-", "--", ":", "-."]), strict=False):
        axis.plot(images, values, style, color=COLOURS["lr"], linewidth=1.4, label=name)
    axis.set_ylim(bottom=0)
    axis.yaxis.set_major_formatter("{x:.2g}")
    axis.set_title("learning rate", fontsize=9, loc="left")
    if len(rates) > 1:
        axis.legend(fontsize=7, frameon=False)


def _draw_measure(axis: Axes, name: str, images: Floats, values: Floats, *, ringed: bool) -> None:
    axis.plot(images, values, "o-", color=COLOURS["measure"], linewidth=1.4, markersize=3.5)
    axis.margins(y=0.1)
    title = f"{name} ({DIRECTION[name]} is better)" if name in DIRECTION else name
    if ringed and np.isfinite(values).any():
        best = int(np.nanargmax(values) if DIRECTION.get(name) == "higher" else np.nanargmin(values))
        axis.plot(images[best], values[best], "o", markersize=9, markerfacecolor="none", color="black")
        title = f"{name}, best {values[best]:.3g} at {_in_thousands(images[best])}"
    axis.set_title(title, fontsize=9, loc="left")


def _mark(axis: Axes, notes: Sequence[int]) -> None:
    """Draw each note as a line, numbered at the top; those too near to each other share one label."""
    groups: list[list[int]] = []  # numbers of the notes that one label tells
    for number, at in enumerate(notes, 1):
        axis.axvline(at, color=NOTE_COLOUR, linewidth=0.9, linestyle="--", alpha=0.8)
        if groups and at - notes[groups[-1][0] - 1] < MARK_EVERY * axis.get_xlim()[1]:
            groups[-1].append(number)
        else:
            groups.append([number])
    for group in groups:
        label = f"{group[0]}-{group[-1]}" if len(group) > 1 else f"{group[0]}"
        axis.annotate(
            label, (notes[group[-1] - 1], 1), (2, -1), xycoords=("data", "axes fraction"), textcoords="offset points",
            fontsize=7, color=NOTE_COLOUR, va="top",
        )  # fmt: skip


def _told(number: int, images_seen: int, text: str) -> list[str]:
    return textwrap.wrap(f"{number}  at {images_seen:,}: {text}", NOTE_WIDTH, subsequent_indent="    ")


def _in_thousands(value: float, _: int | None = None) -> str:
    if value >= 1e6:
        return f"{value / 1e6:g}M"
    return f"{value / 1e3:g}k" if value >= 1e3 else f"{value:g}"
