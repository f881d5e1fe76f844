"""What a night's page tells in figures: the reasons, the scores, the nights before, time and cost, the categories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from catalog_gen.report.charts import Chart, Series, bar, histogram, lines, stacked_bars
from catalog_gen.report.night_facts import MAX_LISTED
from catalog_gen.report.night_head import OUTCOME_WORDS, duration, percent
from catalog_gen.report.night_rows import Row
from catalog_gen.report.night_scores import kind_of
from catalog_gen.report.page import escape

Facts = Mapping[str, Any]

MAX_REASONS, MAX_CATEGORIES = 40, 200


def panels(facts: Facts, listed: Sequence[Row]) -> str:
    """Return every panel that has something to say, as one block of sections."""
    parts = [_reasons(facts), *_scores(facts), *_nights(facts), _stages(facts), _categories(facts), _asked(facts)]
    return f'<div class="panels">{"".join(parts)}</div>{_listed(facts, listed)}'


def _reasons(facts: Facts) -> str:
    reasons = facts["reasons"]
    if not reasons:
        return _panel("Why", "No row has a reason: nothing was refused and nothing failed.", "")
    most = max(each["rows"] for each in reasons)
    had = any(night["claimed"] for night in facts["nights"][:-1])
    rows = "".join(
        f'<tr><th scope="row"><bdi>{escape(each["reason"])}</bdi></th>'
        f'<td class="{each["outcome"]}"><span class="state">{OUTCOME_WORDS[each["outcome"]]}</span></td>'
        f'<td class="number">{each["rows"]:,}{bar(each["rows"] / most, each["outcome"])}</td>'
        + (f'<td class="number soft">{each["before"]:,}</td>' if had else "")
        + "</tr>"
        for each in reasons[:MAX_REASONS]
    )
    before = '<th scope="col" class="number">night before</th>' if had else ""
    more = len(reasons) - MAX_REASONS
    note = f'<p class="soft">{more:,} more kinds of reasons are in the JSON.</p>' if more > 0 else ""
    table = (
        '<div class="wide tall" tabindex="0" role="group" aria-label="Reasons"><table><thead><tr>'
        '<th scope="col">Reason</th><th scope="col">Outcome</th>'
        f'<th scope="col" class="number">Rows</th>{before}</tr></thead><tbody>{rows}</tbody></table></div>{note}'
    )
    return _panel("Why", "What stood in the rows' way; a row may have several reasons.", table)


def _scores(facts: Facts) -> list[str]:
    found = []
    minor = ("similarity_mean", "similarity_worst")
    for score in facts["scores"]:
        if score["name"] in minor:
            continue
        now, before = score["now"], score["before"]
        digits = score["digits"]
        series = [Series("now", "this night", now["histogram"])]
        if before:
            series.append(Series("before", "the night before", before["histogram"]))
        about = (
            f"Half of {now['pictures']:,} pictures are {_above(score)} {now['p50']:.{digits}f}, one in ten "
            f"{_below(score)} {now['p10' if score['better'] == 'higher' else 'p90']:.{digits}f}; {score['better']} is"
            " better."
        )
        chart = Chart(f"score-{score['name']}", score["label"], about, digits)
        found.append(_section(histogram(chart, score["start"], score["step"], series, limit=score["limit"])))
    return found


def _above(score: Facts) -> str:
    return "above" if score["better"] == "higher" else "below"


def _below(score: Facts) -> str:
    return "below" if score["better"] == "higher" else "above"


def _nights(facts: Facts) -> list[str]:
    nights = facts["nights"]
    if len(nights) < 2:
        return [_panel("Nights before", "This is the first run of its job: nothing to compare it with yet.", "")]
    places = [_short_night(night["started_at"]) for night in nights]
    outcomes = [
        Series("draft", "drafts", [night["drafts"] for night in nights]),
        Series("needs_review", "for review", [night["needs_review"] for night in nights]),
        Series("failed", "failed", [night["failed"] for night in nights]),
    ]
    chart = Chart("nights", "Rows by night", f"This night and the {len(nights) - 1:,} before, by what came of them.")
    found = [_section(stacked_bars(chart, places, outcomes, now=len(nights) - 1))]
    shares = [
        Series("needs_review", "for review, %", [_share(night, "needs_review") for night in nights]),
        Series("failed", "failed, %", [_share(night, "failed") for night in nights]),
    ]
    about = "Of the rows that each night claimed, in percent."
    found.append(_section(lines(Chart("shares", "Share for review and failed", about, 1), places, shares)))
    scores = [night["score"] for night in nights]
    if facts["score"] and sum(score is not None for score in scores) > 1:
        kind = kind_of(facts["score"])
        chart = Chart("trend", f"{kind.label}: mean by night", f"{kind.better.capitalize()} is better.", kind.digits)
        limit = facts["run"]["threshold"] if facts["score"] == "similarity" else None
        found.append(_section(lines(chart, places, [Series("now", "mean", scores)], limit=limit)))
    return found


def _share(night: Facts, name: str) -> float | None:
    return 100 * night[name] / night["claimed"] if night["claimed"] else None


def _short_night(started_at: str) -> str:
    began = datetime.fromisoformat(started_at)
    return f"{began.day} {began:%b}, {began:%H:%M}"


def _stages(facts: Facts) -> str:
    stages = facts["stages"]
    if not any(stage["seconds"] for stage in stages):
        return ""
    digits = 2 if (facts["cost"]["total"] or 0) >= 1 else 4
    priced = any(stage["cost"] is not None for stage in stages)
    most = max(stage["share"] for stage in stages)
    rows = "".join(
        f'<tr><th scope="row">{escape(stage["stage"].replace("_", " "))}</th>'
        f'<td class="number">{duration_fine(stage["seconds"])}{bar(stage["share"] / most, "now")}</td>'
        f'<td class="number soft">{100 * stage["share"]:.1f} %</td>'
        + (f'<td class="number">{stage["cost"]:,.{digits}f}</td>' if priced else "")
        + "</tr>"
        for stage in stages
    )
    price = f'<th scope="col" class="number">{escape(facts["cost"]["currency"])}</th>' if priced else ""
    table = (
        '<table class="stages"><thead><tr><th scope="col">Stage</th><th scope="col" class="number">Busy</th>'
        f'<th scope="col" class="number">Share</th>{price}</tr></thead><tbody>{rows}</tbody></table>'
    )
    cost = (
        f"The machine costs {facts['cost']['per_hour']:g} {facts['cost']['currency']} an hour; the run's cost is"
        " divided by busy time."
        if priced
        else "What a stage costs is not known: report.cost_per_hour is not set."
    )
    return _panel("Time and cost", f"Seconds at work, summed over a stage's threads. {cost}", table)


def duration_fine(seconds: float) -> str:
    """Return seconds to a tenth where that matters."""
    return f"{seconds:.1f} s" if seconds < 100 else duration(seconds)


def _categories(facts: Facts) -> str:
    categories, name = facts["categories"], facts["score"]
    if not categories:
        return ""
    digits, most = kind_of(name).digits, max(each["rows"] for each in categories)
    rows = ""
    for each in categories[:MAX_CATEGORIES]:
        spread = each["scores"].get(name)
        middle = f"{spread['p50']:.{digits}f}" if spread else "–"
        review = each.get("needs_review", 0)
        rows += (
            f'<tr><th scope="row"><bdi>{escape(each["category"]) or "No category"}</bdi></th>'
            f'<td class="number">{each["rows"]:,}{bar(each["rows"] / most, "now")}</td>'
            f'<td class="number">{percent(review, each["rows"])}'
            f"{bar(review / each['rows'], 'needs_review')}</td>"
            f'<td class="number">{each.get("failed", 0):,}</td><td class="number">{middle}</td></tr>'
        )
    more = len(categories) - MAX_CATEGORIES
    note = f'<p class="soft">{more:,} more categories are in the JSON.</p>' if more > 0 else ""
    label = f"median {kind_of(name).short}" if name else "score"
    table = (
        '<div class="wide tall" tabindex="0" role="group" aria-label="Categories"><table><thead><tr>'
        '<th scope="col">Category</th><th scope="col" class="number">Rows</th>'
        '<th scope="col" class="number">For review</th><th scope="col" class="number">Failed</th>'
        f'<th scope="col" class="number">{escape(label)}</th></tr></thead><tbody>{rows}</tbody></table></div>{note}'
    )
    return _panel("Categories", f"{len(categories):,} of them, most rows first.", table)


def _asked(facts: Facts) -> str:
    words = {
        "planned": "rows were planned",
        "pictures": "pictures for them",
        "has_asset": "rows left out: they have a picture from an earlier run",
        "up_to_date": "rows left out: every output is up to date",
        "no_source": "rows left out: nothing approved to restyle",
        "exhausted": "rows left out: they failed too often",
        "skipped": "rows skipped: no words to draw from, or unusable",
        "has_image": "skus asked for have an image of their own",
        "unknown_skus": "skus asked for are unknown",
        "unusable_rows": "rows of the shop's table cannot be addressed",
    }
    lines_ = [f"<li><b>{count:,}</b> {words.get(name, name)}</li>" for name, count in facts["asked"].items() if count]
    ladder = facts["ladder"]
    if ladder.get("ladder_rows"):
        lines_.append(
            f"<li><b>{ladder['ladder_rows']:,}</b> rows were drawn again for a better likeness,"
            f" {ladder.get('ladder_saved', 0):,} of them were good enough then</li>"
        )
    return _panel("What was asked", "", f"<ul>{''.join(lines_)}</ul>") if lines_ else ""


def _listed(facts: Facts, listed: Sequence[Row]) -> str:
    """The rows that got no picture, each with its reason."""
    if not listed:
        return ""
    counts = facts["outcomes"]
    total = counts["failed"] + counts["skipped"] + counts["elsewhere"]
    rows = "".join(
        f'<tr><th scope="row"><bdi>{escape(row.sku)}</bdi></th><td><bdi>{escape(row.title)}</bdi></td>'
        f'<td class="{row.outcome}"><span class="state">{OUTCOME_WORDS[row.outcome]}</span></td>'
        f"<td><bdi>{escape(row.reason)}</bdi></td></tr>"
        for row in listed
    )
    note = f" The first {MAX_LISTED:,} are here; the CSV and the JSON have all of them." if total > len(listed) else ""
    table = (
        '<div class="wide tall" tabindex="0" role="group" aria-label="Rows without a picture"><table><thead><tr>'
        '<th scope="col">Sku</th><th scope="col">Product</th><th scope="col">What came of it</th>'
        f'<th scope="col">Why</th></tr></thead><tbody>{rows}</tbody></table></div>'
    )
    return (
        f'<details class="rows" {"open" if total <= 20 else ""}><summary>Rows without a picture: {total:,}.{note}'
        f"</summary>{table}</details>"
    )


def _panel(title: str, about: str, inner: str) -> str:
    said = f" <span>{escape(about)}</span>" if about else ""
    return _section(f'<p class="title"><b>{escape(title)}</b>{said}</p>{inner}')


def _section(inner: str) -> str:
    return f'<section class="panel">{inner}</section>'
