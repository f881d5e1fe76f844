"""An evaluation for people: a table for the terminal, the same in Markdown, and one picture."""

from __future__ import annotations

import csv
import json
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from catalog_gen.errors import Unavailable
from catalog_gen.report.night_tables import safe_cell
from catalog_gen.report.tables import aligned

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Document = Mapping[str, Any]
Pixels = npt.NDArray[np.uint8]

NOTHING = "-"
CATEGORIES_CSV = "categories.csv"
BETTER = {"up": "higher", "down": "lower", "one": "near 1"}
INK, DRAWN, REAL, MEAN, EARLIER = "#222222", "#2f6db3", "#5b8c5a", "#c9c3b8", "#9db8d6"
MEAN_LABEL = "mean picture"
COLUMNS = 5  # of the picture's bar charts
SHOWN = 6  # pictures a line of the strip
CHART, PAIR = 1.35, 1.75  # inches: heights of a line of charts and of a line of pictures
ROOM = 1.6  # a bar longer than this many times the drawn and the real one is cut: it would hide their difference


@dataclass(frozen=True)
class Strip:
    """Pictures beside photos, (N, S, S, 3) each; `prompts` is empty when the pictures are not of these rows."""

    prompts: Sequence[str]
    photos: Pixels
    pictures: Pixels


def table(document: Document) -> str:
    """Return the evaluation as an aligned table under a line that says what was measured, notes below."""
    return "\n".join([headline(document), "", aligned(_cells(document), right=_RIGHT), "", *_wrapped(document)])


def markdown(document: Document) -> str:
    """Return the same as a Markdown page."""
    head, *rows = _cells(document)
    marks = ["---:" if index in _RIGHT else "---" for index in range(len(head))]
    lines = [f"| {' | '.join(cells)} |" for cells in (head, marks, *rows)]
    remarks = [f"- {note.replace('*', chr(92) + '*')}" for note in document["notes"]]
    table_text = "\n".join(lines).replace(" * ", " \\* ").replace(" *|", " \\*|")
    return "\n".join(["# Evaluation", "", headline(document), "", table_text, "", *remarks, ""])


def headline(document: Document) -> str:
    """Return in a line what was measured on what."""
    each = document["candidates"]
    how = "" if each is None else ", one picture each" if each == 1 else f", best of {each} by CLIP"
    truncation = document.get("truncation", 1.0)
    how += f", truncation {truncation:g}" if truncation not in (None, 1.0) else ""
    return (
        f"{name_of(document)}: {document['rows']:,} held-out rows{how}, seen at {document['view']} px;"
        f" {document['training_photos']:,} training photos; {document['features']}"
    )


def name_of(document: Document) -> str:
    """Return what was measured: the bundle, and the upscaler where there is one; or the folder."""
    name = f"{document['name']} ({document['hash'][:12]})" if document["hash"] else str(document["name"])
    label, _, digest = str(document.get("upscaler", "")).rpartition("@")
    return f"{name} enlarged by {label} ({digest[:12]})" if label else name


def write_evaluation(out: Path, document: Document, strip: Strip) -> None:
    """Write evaluation.json, evaluation.md and evaluation.png to the folder `out`, and categories.csv if there are any.

    Raises Unavailable when matplotlib is not installed.
    """
    out.mkdir(parents=True, exist_ok=True)
    figure = draw_evaluation(document, strip)
    (out / "evaluation.json").write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (out / "evaluation.md").write_text(markdown(document), encoding="utf-8")
    figure.savefig(out / "evaluation.png", dpi=110, facecolor="white")
    if document.get("categories"):
        write_categories(out / CATEGORIES_CSV, document["categories"])


def write_categories(out: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write what was read off pictures and photos of each category as CSV (RFC 4180); what is not known is empty."""
    with out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(rows[0])
        writer.writerows([safe_cell("" if value is None else value) for value in row.values()] for row in rows)


def draw_evaluation(document: Document, strip: Strip) -> Figure:
    """Return the figure: one small bar chart a metric, each on its own scale, and pictures beside their photos."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise Unavailable(
            "evaluation needs the package matplotlib", hint="Install it with: pip install 'catalog-gen[train]'."
        ) from error
    metrics = [row for row in document["metrics"] if row["pictures"]]
    lines, strips = -(-len(metrics) // COLUMNS), -(-len(strip.pictures) // SHOWN)
    heights = [0.7 + CHART * lines, 0.35 + PAIR * strips]
    figure = Figure(figsize=(14, sum(heights)))
    FigureCanvasAgg(figure)
    parts = figure.subfigures(2, 1, squeeze=False, height_ratios=heights)
    upper, lower = parts.flat
    upper.suptitle(textwrap.fill(headline(document), 170), fontsize=10, color=INK, x=0.02, ha="left")
    upper.subplots_adjust(left=0.075, right=0.985, top=1 - 0.75 / heights[0], bottom=0.03, hspace=0.6, wspace=0.5)
    for axes, row in zip(upper.subplots(lines, COLUMNS, squeeze=False).flat, metrics, strict=False):
        _bars(axes, row)
    for axes in upper.axes[len(metrics) :]:
        axes.set_axis_off()
    lower.subplots_adjust(
        left=0.01, right=0.99, top=1 - 0.4 / heights[1], bottom=0.45 / heights[1], hspace=0.38, wspace=0.08
    )
    named = bool(strip.prompts)
    lower.suptitle(
        "left: a held-out photo, right: what was drawn from its words" if named else "left: photos, right: pictures",
        fontsize=10,
        color=INK,
        x=0.02,
        ha="left",
    )
    cells = lower.subplots(strips, SHOWN, squeeze=False).flat
    for axes in cells:
        axes.set_axis_off()
    for index, axes in enumerate(list(lower.axes)[: len(strip.pictures)]):
        gap = np.full((strip.photos.shape[1], 2, 3), 255, np.uint8)
        axes.imshow(np.hstack([strip.photos[index], gap, strip.pictures[index]]), interpolation="nearest")
        if named:
            axes.set_title(
                textwrap.fill(strip.prompts[index], 38, max_lines=3), fontsize=7, color=INK, y=-0.06, va="top"
            )
    return figure


def _bars(axes: Axes, row: Mapping[str, Any]) -> None:
    sides = [("drawn", row["pictures"], DRAWN), ("earlier", row.get("earlier"), EARLIER)]
    sides += [("real", row["real"], REAL), (MEAN_LABEL, row["mean_picture"], MEAN)]
    shown = [(label, side, colour) for label, side, colour in sides if side]
    scale = row["scale"]
    values = [side["value"] * scale for _, side, _ in shown]
    top = max([abs(side["value"]) * scale for label, side, _ in shown if label != MEAN_LABEL] + [1e-9]) * ROOM
    ends = [min(value, top) for value in values]
    axes.barh(range(len(shown)), ends, color=[colour for _, _, colour in shown], height=0.72)
    for place, (_, side, _) in enumerate(shown):
        if side["low"] is not None and side["high"] > side["low"] and side["low"] * scale < top:
            axes.plot([side["low"] * scale, min(side["high"] * scale, top)], [place] * 2, color=INK, linewidth=1.2)
    for place, (value, (_, side, _)) in enumerate(zip(values, shown, strict=True)):
        edge = min(max(value, (side["high"] if side["high"] is not None else side["value"]) * scale, 0), top)
        said = f"{value:,.{row['digits']}f}"
        if value > top:  # the bar is cut: say so in it
            axes.text(0.97 * top, place, f"cut: {said}", va="center", ha="right", fontsize=7.5, color=INK)
        else:
            axes.text(edge + 0.03 * top, place, said, va="center", fontsize=7.5, color=INK)
    axes.set_xlim(min(0, *values), 1.3 * top)
    axes.set_yticks(range(len(shown)), [label for label, _, _ in shown], fontsize=7.5)
    axes.set_xticks([])
    axes.invert_yaxis()
    axes.set_title(f"{row['title']}  ({BETTER[row['better']]} is better)", fontsize=8, color=INK, loc="left")
    axes.spines[["top", "right", "bottom"]].set_visible(False)


_RIGHT = frozenset({1, 2, 3, 4, 6})


def _cells(document: Document) -> list[tuple[str, ...]]:
    earlier = "earlier" in document
    head = ("metric", "pictures", "95 %", "real photos", "mean picture", "to real photos")
    rows = [head + (("earlier", "to earlier") if earlier else ())]
    for row in document["metrics"]:
        cells = [f"{row['title']} ({BETTER[row['better']]})", _value(row, "pictures"), _interval(row)]
        cells += [_value(row, "real"), _value(row, "mean_picture"), row["verdict"]]
        if earlier:
            cells += [_value(row, "earlier"), row["change"]]
        rows.append(tuple(cells))
    return rows


def _value(row: Mapping[str, Any], side: str) -> str:
    found = row.get(side)
    return NOTHING if found is None else f"{found['value'] * row['scale']:,.{row['digits']}f}"


def _interval(row: Mapping[str, Any]) -> str:
    found = row["pictures"]
    if found is None or found["low"] is None:
        return NOTHING
    low, high = (f"{found[end] * row['scale']:,.{row['digits']}f}" for end in ("low", "high"))
    return f"{low} to {high}"


def _wrapped(document: Document) -> list[str]:
    return [textwrap.fill(note, 120, subsequent_indent="  ") for note in document["notes"]]
