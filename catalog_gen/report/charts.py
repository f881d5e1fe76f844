"""Charts as inline SVG: no script, no library, colours from the page's style so that they follow light and dark.

Each is a `<figure>` with a caption, a drawing that a screen reader meets as one picture with a name and a description,
and its numbers as a table that can be unfolded. Nothing is told by colour alone: legends and tables name everything.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from catalog_gen.report.page import escape

WIDTH, HEIGHT = 420, 190
LEFT, RIGHT, TOP, BOTTOM = 40, 8, 10, 26
INNER, TALL = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM


@dataclass(frozen=True)
class Series:
    """One kind of value of a chart: its style class, its name, and a value for each place (None: there is none)."""

    name: str
    label: str
    values: Sequence[float | None]


@dataclass(frozen=True)
class Chart:
    """What every chart has: an id that is unique in the page, its title, what it shows in a sentence."""

    id: str
    title: str
    about: str
    digits: int = 0


def stacked_bars(chart: Chart, places: Sequence[str], series: Sequence[Series], *, now: int | None = None) -> str:
    """Return bars of stacked series, one a place; the place `now` is marked.

    A place's name ends at a comma on the axis, and is whole everywhere else.
    """
    totals = [sum(each.values[place] or 0 for each in series) for place in range(len(places))]
    top, ticks = _scale(0, max([*totals, 1]))
    step = INNER / len(places)
    wide = min(30.0, step * 0.72)
    drawn = _grid(0, top, ticks, chart.digits)
    for place, name in enumerate(places):
        left, base = LEFT + step * (place + 0.5) - wide / 2, 0.0
        for each in series:
            value = each.values[place] or 0
            if value:
                y, height = _y(base + value, 0, top), value / top * TALL
                tip = f"{name}: {each.label} {_number(value, chart.digits)}"
                drawn += _rect(left, y, wide, max(height - 0.6, 0.6), each.name, tip)
            base += value
        if place == now:
            drawn += f'<path class="now" d="M{left:.1f} {HEIGHT - BOTTOM + 3.5:.1f}h{wide:.1f}"/>'
    drawn += _places(places, step)
    rows = [[name, *(_cell(each.values[place], chart.digits) for each in series)] for place, name in enumerate(places)]
    return _figure(chart, drawn, series, ["", *(each.label for each in series)], rows)


def lines(chart: Chart, places: Sequence[str], series: Sequence[Series], *, limit: float | None = None) -> str:
    """Return a line a series over the places; `limit` is drawn across."""
    known = [value for each in series for value in each.values if value is not None]
    known += [limit] if limit is not None else []
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    room = (high - low) * 0.15 or abs(high) * 0.1 or 1.0
    bottom = 0.0 if low >= 0 > low - room else low - room
    top, ticks = _scale(bottom, high + room)
    bottom = ticks[0]
    drawn = _grid(bottom, top, ticks, chart.digits)
    step = INNER / len(places)
    if limit is not None:
        drawn += _limit(f"M{LEFT} {_y(limit, bottom, top):.1f}h{INNER}")
    for each in series:
        path, dots, pen = "", "", "M"
        for place, value in enumerate(each.values):
            if value is None:  # a gap is a gap
                pen = "M"
                continue
            x, y = LEFT + step * (place + 0.5), _y(value, bottom, top)
            path, pen = f"{path}{pen}{x:.1f} {y:.1f}", "L"
            tip = escape(f"{places[place]}: {each.label} {_number(value, chart.digits)}")
            dots += f'<circle class="dot {each.name}" cx="{x:.1f}" cy="{y:.1f}" r="3.2"><title>{tip}</title></circle>'
        drawn += f'<path class="line {each.name}" d="{path}"/>{dots}'
    drawn += _places(places, step)
    rows = [[name, *(_cell(each.values[place], chart.digits) for each in series)] for place, name in enumerate(places)]
    return _figure(chart, drawn, series, ["", *(each.label for each in series)], rows, limit)


def histogram(chart: Chart, start: float, step: float, series: Sequence[Series], *, limit: float | None = None) -> str:
    """Return a histogram of shares in percent: the first series as bars, the others as outlines over the same bins."""
    count = len(series[0].values)
    shares = [_percent(each.values) for each in series]
    top, ticks = _scale(0, max(max(share, default=0) for share in shares) or 1)
    wide = INNER / count
    drawn = _grid(0, top, ticks, 0, "%")
    for place, percent in enumerate(shares[0]):
        if percent:
            low, high = start + step * place, start + step * (place + 1)
            tip = f"{low:.{chart.digits}f} to {high:.{chart.digits}f}: {_cell(series[0].values[place], 0)}"
            x, y = LEFT + wide * place + 0.5, _y(percent, 0, top)
            drawn += _rect(x, y, max(wide - 1, 0.8), HEIGHT - BOTTOM - y, series[0].name, tip)
    for each, share in zip(series[1:], shares[1:], strict=True):
        path = f"M{LEFT} {HEIGHT - BOTTOM}" + "".join(f"V{_y(one, 0, top):.1f}h{wide:.2f}" for one in share)
        drawn += f'<path class="outline {each.name}" d="{path}V{HEIGHT - BOTTOM}"/>'
    end = start + step * count
    if limit is not None and start <= limit <= end:
        drawn += _limit(f"M{LEFT + (limit - start) / (end - start) * INNER:.1f} {TOP}v{TALL}")
    drawn += _axis(start, end, chart.digits)
    rows = [
        [
            f"{start + step * place:.{chart.digits}f} to {start + step * (place + 1):.{chart.digits}f}",
            *(_cell(each.values[place], 0) for each in series),
        ]
        for place in range(count)
    ]
    return _figure(chart, drawn, series, [chart.title, *(each.label for each in series)], rows, limit)


def bar(share: float, name: str = "") -> str:
    """Return a bar for a table's cell, `share` (0 to 1) of the cell wide; the cell's text says the number."""
    width = max(0.0, min(1.0, share)) * 100
    return f'<svg class="bar" aria-hidden="true"><rect class="{name}" width="{width:.1f}%" height="100%" rx="2"/></svg>'


def _figure(
    chart: Chart,
    drawn: str,
    series: Sequence[Series],
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    limit: float | None = None,
) -> str:
    keys = "".join(f'<li class="{each.name}">{escape(each.label)}</li>' for each in series)
    keys += "" if limit is None else f'<li class="limit">threshold {_number(limit, chart.digits)}</li>'
    legend = f'<ul class="legend">{keys}</ul>' if len(series) > 1 or limit is not None else ""
    titles = "".join(f'<th scope="col">{escape(title)}</th>' for title in head)
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in row[1:])}</tr>'
        for row in rows
    )
    return (
        f"<figure><figcaption><b>{escape(chart.title)}</b> <span>{escape(chart.about)}</span></figcaption>"
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="{chart.id}-t {chart.id}-d">'
        f'<title id="{chart.id}-t">{escape(chart.title)}</title><desc id="{chart.id}-d">{escape(chart.about)}</desc>'
        f"{drawn}</svg>{legend}<details><summary>Numbers</summary>"
        f'<div class="wide"><table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table></div>'
        "</details></figure>"
    )


def _scale(low: float, high: float) -> tuple[float, list[float]]:
    """Return the top of an axis that holds `low` to `high`, and three to six round ticks from its bottom to there."""
    width = (high - low) / 4 or 1.0
    magnitude = 10.0 ** math.floor(math.log10(width))
    step = next(factor * magnitude for factor in (1, 2, 2.5, 5, 10) if factor * magnitude >= width * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return last * step, [tick * step for tick in range(first, last + 1)]


def _y(value: float, low: float, high: float) -> float:
    return TOP + TALL * (1 - (value - low) / (high - low))


def _digits(ticks: Sequence[float], most: int) -> int:
    """Return how few decimals tell the ticks exactly, at most `most`."""
    exact = (n for n in range(most) if all(math.isclose(tick, round(tick, n), abs_tol=1e-12) for tick in ticks))
    return next(exact, most)


def _grid(low: float, high: float, ticks: Sequence[float], digits: int, unit: str = "") -> str:
    drawn, needed = "", _digits(ticks, digits + 2)
    for tick in ticks:
        y = _y(tick, low, high)
        drawn += f'<path class="grid" d="M{LEFT} {y:.1f}h{INNER}"/>'
        said = _short(tick, needed) + unit
        drawn += f'<text class="y" x="{LEFT - 5}" y="{y + 3.5:.1f}">{said}</text>'
    return drawn


def _places(places: Sequence[str], step: float) -> str:
    every = math.ceil(len(places) / 7)
    last = len(places) - 1
    return "".join(
        f'<text class="x" x="{LEFT + step * (place + 0.5):.1f}" y="{HEIGHT - 8}">{escape(name.split(",")[0])}</text>'
        for place, name in enumerate(places)
        if (last - place) % every == 0
    )


def _axis(start: float, end: float, digits: int) -> str:
    _, ticks = _scale(start, end)
    drawn, needed = "", _digits(ticks, digits)
    for tick in ticks:
        x = LEFT + (tick - start) / (end - start) * INNER
        if LEFT - 0.1 <= x <= WIDTH - RIGHT + 0.1:
            side = " end" if x > WIDTH - RIGHT - 14 else ""
            drawn += f'<text class="x{side}" x="{x:.1f}" y="{HEIGHT - 8}">{_short(tick, needed)}</text>'
    return drawn


def _limit(path: str) -> str:
    return f'<path class="limit" d="{path}"/>'


def _rect(x: float, y: float, width: float, height: float, name: str, tip: str) -> str:
    return (
        f'<rect class="{name}" x="{x:.2f}" y="{y:.2f}" width="{width:.2f}" height="{height:.2f}">'
        f"<title>{escape(tip)}</title></rect>"
    )


def _percent(values: Sequence[float | None]) -> list[float]:
    total = sum(value or 0 for value in values)
    return [100 * (value or 0) / total if total else 0.0 for value in values]


def _short(value: float, digits: int) -> str:
    if abs(value) >= 10_000:
        return f"{value / 1000:g}k"
    return f"{value:,.{digits}f}" if digits else f"{value:,.0f}"


def _number(value: float, digits: int) -> str:
    return f"{value:,.{digits}f}"


def _cell(value: float | None, digits: int) -> str:
    return "–" if value is None else _number(value, digits)
