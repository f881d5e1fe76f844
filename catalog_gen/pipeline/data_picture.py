"""The data report as one picture: kinds, colours, sizes, grounds, and photos that are worth a look."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from catalog_gen.errors import Unavailable
from catalog_gen.pipeline.data_report import CLEAR, ON_WHITE, DataReport, Measured

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

BARS = 16
PAIRS = 6
EXAMPLES = 12
INK, FAINT, BAR, MARK = "#333333", "#8a8a8a", "#4c78a8", "#d62728"
LABEL = 22  # characters of a name that are shown


def draw_report(report: DataReport, measured: Measured, file: Path) -> None:
    """Write the picture as PNG, by a temporary name.

    Raises Unavailable when matplotlib is not installed or the file cannot be written.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        hint = "Install it with: pip install 'catalog-gen[train]'."
        raise Unavailable("the picture of the data needs matplotlib", hint=hint) from error
    figure = Figure(figsize=(16, 10), dpi=100, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    _title(figure, report)
    parts: Any = figure.subfigures(2, 1, height_ratios=(1.3, 1), hspace=0.03)
    kinds, colours, sizes, grounds = parts[0].subplots(1, 4)
    _bars(kinds, report.kinds, "kinds")
    _bars(colours, report.colours, "colours", own_colours=True)
    _sizes(sizes, report, measured)
    _grounds(grounds, report, measured)
    left, right = parts[1].subfigures(1, 2, width_ratios=(1, 1.1))
    _pairs(left, report, measured)
    _off_white(right, report, measured)
    part = file.with_name(f".{file.name}.part")
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing")  # names in any script; boxes do
            figure.savefig(part, format="png")
        part.replace(file)
    except OSError as error:
        raise Unavailable(f"cannot be written ({error.strerror or error})", where=str(file)) from error


def _title(figure: Figure, report: DataReport) -> None:
    unusable = f", {sum(report.unreadable.values()):,} unusable" if report.unreadable else ""
    dropped = f", {report.dropped:,} duplicates left out" if report.dropped else ""
    split = f"{report.train:,} to learn from, {report.held_out:,} held out{dropped}"
    figure.suptitle(f"{report.photos:,} photos{unusable}: {split}", fontsize=15, color=INK)


def _bars(axes: Axes, counts: dict[str, int], what: str, *, own_colours: bool = False) -> None:
    """The most frequent values; each bar in the colour that its name is, where it is one."""
    shown = dict(list(counts.items())[:BARS])
    rest = sum(counts.values()) - sum(shown.values())
    tints = [_tint(name) if own_colours else BAR for name in shown]
    places = np.arange(len(shown))
    axes.barh(places, list(shown.values()), color=tints, edgecolor=FAINT, linewidth=0.5)
    axes.set_yticks(places, [_short(name) for name in shown], parse_math=False)  # a name may hold a dollar sign
    axes.set_ylim(BARS - 0.5, -0.5)
    more = f"; {len(counts) - len(shown):,} others: {rest:,} photos" if len(counts) > BARS else ""
    _dress(axes, f"{len(counts):,} {what}{more}" if counts else f"no {what}", "photos")


def _sizes(axes: Axes, report: DataReport, measured: Measured) -> None:
    """How large the side is that is scaled to the training size."""
    sides = measured.found.sides
    scaled = sides.max(axis=1) if report.fit == "letterbox" else sides.min(axis=1)
    low, high = min(int(scaled.min()), report.size), max(int(scaled.max()), report.size)
    axes.hist(scaled, bins=np.geomspace(low * 0.9, high * 1.1, 32).tolist(), color=BAR)
    axes.set_xscale("log")
    ticks = np.unique(np.geomspace(low, high, 4).round().astype(int)).tolist()
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.minorticks_off()
    axes.axvline(report.size, color=MARK, linewidth=1.5, label=f"trained at {report.size} px")
    axes.legend(frameon=False, fontsize=9)
    side = "longer" if report.fit == "letterbox" else "shorter"
    _dress(axes, f"{report.scaled_up:,} photos are scaled up", f"{side} side, px", "photos")


def _grounds(axes: Axes, report: DataReport, measured: Measured) -> None:
    white = measured.found.white
    axes.hist(white * 100, bins=np.linspace(0, 100, 21).tolist(), color=BAR)
    axes.axvline(ON_WHITE * 100, color=MARK, linewidth=1.5, label=f"on white: above {ON_WHITE:.0%}")
    axes.axvline(CLEAR * 100, color=MARK, linewidth=1.5, linestyle=":", label=f"clear of the edge: above {CLEAR:.0%}")
    axes.legend(frameon=False, fontsize=9, loc="center left")
    _dress(axes, f"{100 * report.on_white:.3g} % of the photos are on white", "white share of the border, %", "photos")


def _pairs(figure: SubFigure, report: DataReport, measured: Measured) -> None:
    """Some near-duplicates side by side, those across the split first."""
    pairs = example_pairs(measured, PAIRS)
    across = f", {report.pairs_across:,} across the split" if report.held_out else ""
    figure.suptitle(f"near-duplicates: {report.duplicate_pairs:,} pairs{across}", fontsize=12, color=INK)
    pictures, captions = [], []
    for first, second in pairs:
        pictures.append(np.concatenate([measured.found.photos[first], measured.found.photos[second]], axis=1))
        sides = [measured.side_of(at) for at in (first, second)]
        skus = [_short(measured.found.kept[at].sku, 10) for at in (first, second)]
        captions.append("\n".join(f"{sku} {side}" for sku, side in zip(skus, sides, strict=True)))
    _thumbnails(figure, pictures, captions, columns=PAIRS // 2)


def _off_white(figure: SubFigure, report: DataReport, measured: Measured) -> None:
    """Photos that are not on white, from the least white to the most."""
    white = measured.found.white
    off = np.flatnonzero(white <= ON_WHITE)
    ordered = off[np.argsort(white[off], kind="stable")]
    chosen = ordered[np.linspace(0, len(ordered) - 1, min(EXAMPLES, len(ordered))).astype(int)]
    figure.suptitle(f"not on white: {len(off):,} photos", fontsize=12, color=INK)
    captions = [f"{_short(measured.found.kept[at].sku, 10)}: {100 * white[at]:.0f} %" for at in chosen]
    _thumbnails(figure, [measured.found.photos[at] for at in chosen], captions, columns=EXAMPLES // 2)


def example_pairs(measured: Measured, count: int) -> list[tuple[int, int]]:
    """Return up to `count` near-duplicate pairs as positions, those across the split first, each group once."""
    groups = measured.duplicates.groups()
    chosen: list[tuple[bool, int, int]] = []
    for group in np.flatnonzero(np.bincount(groups, minlength=1) > 1):
        members = np.flatnonzero(groups == group)
        held, learnt = members[measured.held_out[members]], members[~measured.held_out[members]]
        if len(held) and len(learnt):
            chosen.append((False, int(learnt[0]), int(held[0])))
        else:
            chosen.append((True, int(members[0]), int(members[1])))
    return [(first, second) for _, first, second in sorted(chosen)[:count]]


def _thumbnails(
    figure: SubFigure, pictures: Sequence[npt.NDArray[np.uint8]], captions: Sequence[str], columns: int
) -> None:
    places: Any = figure.subplots(2, columns, squeeze=False)
    for at, axes in enumerate(places.flat):
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_color("#dddddd")
        axes.set_visible(at < len(pictures))
        if at < len(pictures):
            axes.imshow(pictures[at], interpolation="antialiased")
            axes.set_title(captions[at], fontsize=8, color=INK, parse_math=False)


def _dress(axes: Axes, title: str, x_label: str, y_label: str = "") -> None:
    axes.set_title(title, fontsize=11, color=INK)
    axes.set_xlabel(x_label, color=FAINT)
    axes.set_ylabel(y_label, color=FAINT)
    axes.tick_params(labelsize=9, color=FAINT)
    axes.spines[["top", "right"]].set_visible(False)


def _tint(name: str) -> str:
    from matplotlib.colors import is_color_like

    words = name.lower().split()
    known = [word for word in ("".join(words), *words) if word.isalpha() and is_color_like(word)]
    return known[0] if known else "#dddddd"


def _short(text: str, length: int = LABEL) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
