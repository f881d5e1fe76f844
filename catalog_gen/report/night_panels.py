"""The night's page above its pictures: the sentence, the figures, the reasons, the nights before, the scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from catalog_gen.report.charts import Chart, Series, bar, histogram, lines, stacked_bars
from catalog_gen.report.night_facts import MAX_LISTED, headline
from catalog_gen.report.night_rows import Row
from catalog_gen.report.night_scores import kind_of
from catalog_gen.report.page import escape

Facts = Mapping[str, Any]

MAX_REASONS, MAX_CATEGORIES = 40, 200
STATE_WORDS = {"finished": "finished", "partial": "stopped early", "failed": "failed", "died": "died"}
OUTCOME_WORDS = {
    "generated": "draft",
    "restyled": "draft",
    "needs_review": "for review",
    "failed": "failed",
    "skipped": "skipped",
    "elsewhere": "made elsewhere",
    "unfinished": "not reached",
}


def head(facts: Facts) -> str:
    """Return the page's header: what night it was, how it ended, its sentence and its figures."""
    run = facts["run"]
    words = STATE_WORDS.get(run["state"], "is still running: figures as they are now")
    message = f"<p class='message'>{escape(run['message'])}</p>" if run["message"] else ""
    request = "".join(f"<li><b>{escape(name)}</b> {escape(value)}</li>" for name, value in run["request"].items())
    models = "".join(f"<li><b>{escape(name)}</b> {escape(value)}</li>" for name, value in run["models"].items())
    details = (
        f'<ul class="made"><li><b>run</b> {escape(run["id"])}</li><li><b>on</b> {escape(run["host"])}, '
        f"version {escape(run['version'])}</li>{request}{models}</ul>"
    )
    return (
        f'<header><p class="job"><span class="ended {escape(run["state"])}">{words}</span> {escape(run["job"])}</p>'
        f"<h1>{escape(night_name(run))}</h1>"
        f'<p class="headline">{escape(headline(facts))}</p>{message}<dl class="tiles">{_tiles(facts)}</dl>'
        f"{details}</header>"
    )


def panels(facts: Facts, listed: Sequence[Row]) -> str:
    """Return every panel that has something to say, as one block of sections."""
    parts = [_reasons(facts), *_scores(facts), *_nights(facts), _stages(facts), _categories(facts), _asked(facts)]
    return f'<div class="panels">{"".join(parts)}</div>{_listed(facts, listed)}'


def night_name(run: Mapping[str, Any]) -> str:
    """Return what a run is called in a headline: when it began, in the ledger's time."""
    began = datetime.fromisoformat(run["started_at"])
    return f"{began:%A}, {began.day} {began:%B %Y}, {began:%H:%M} UTC"


def _tiles(facts: Facts) -> str:
    counts, usual, run = facts["outcomes"], facts["usual"] or {}, facts["run"]
    drafts = counts["generated"] + counts["restyled"]
    share = f"{_percent(counts['needs_review'], facts['rows'])} of the rows"
    tiles = [
        ("Asked for", f"{facts['rows']:,}", "rows", _usually(usual, "claimed")),
        ("Drafts", f"{drafts:,}", "nothing speaks against them", _usually(usual, "drafts")),
        ("For review", f"{counts['needs_review']:,}", share, _usual_share(usual)),
        ("Failed", f"{counts['failed']:,}", _percent(counts["failed"], facts["rows"]), _usually(usual, "failed")),
    ]
    rest = counts["skipped"] + counts["elsewhere"] + counts["unfinished"]
    if rest:
        words = ("skipped", "elsewhere", "unfinished")
        said = ", ".join(f"{counts[name]:,} {OUTCOME_WORDS[name]}" for name in words if counts[name])
        tiles.append(("Without a picture", f"{rest:,}", said, ""))
    if run["seconds"] is not None:
        rate = run["images_per_second"]
        speed = f"{rate:,.1f} pictures a second" if rate else ""
        before = duration(usual["seconds"]) if "seconds" in usual else ""
        tiles.append(("Took", duration(run["seconds"]), speed, f"usually {before}" if before else ""))
    tiles.append(_cost_tile(facts))
    return "".join(
        f'<div class="{_tone(label, value)}"><dt>{label}</dt><dd>{escape(value)}'
        f'<small>{escape(said)}</small><small class="usual">{escape(before)}</small></dd></div>'
        for label, value, said, before in tiles
    )


def _cost_tile(facts: Facts) -> tuple[str, str, str, str]:
    cost, usual = facts["cost"], facts["usual"] or {}
    if cost["per_hour"] is None:
        return "Cost", "not known", "report.cost_per_hour is not set", ""
    if cost["total"] is None:
        return "Cost", "not known", "the run has not ended", ""
    each = "" if cost["per_thousand_pictures"] is None else f"{money(cost, 'per_thousand_pictures')} for 1,000 pictures"
    before = f"usually {usual['cost']:,.2f}" if "cost" in usual else ""
    return "Cost", money(cost, "total"), each, before


def money(cost: Facts, name: str) -> str:
    """Return an amount of the cost section with its currency."""
    amount = cost[name]
    digits = 2 if amount >= 0.1 or not amount else 4
    return f"{amount:,.{digits}f} {cost['currency']}".strip()


def duration(seconds: float) -> str:
    """Return seconds as a person says them: `14 min`, `1 h 20 min`, `55 s`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 100 else f"{minutes} min"


def _tone(label: str, value: str) -> str:
    if value == "0":
        return "quiet"
    return {"Drafts": "draft", "For review": "needs_review", "Failed": "failed"}.get(label, "")


def _usually(usual: Mapping[str, float], name: str) -> str:
    return f"usually {usual[name]:,.0f}" if name in usual else ""


def _usual_share(usual: Mapping[str, float]) -> str:
    return f"usually {usual['review_share']:.0%}".replace("%", " %") if usual else ""


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "0 %"


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
        '<div class="wide"><table><thead><tr><th scope="col">Reason</th><th scope="col">So it was</th>'
        f'<th scope="col" class="number">Rows</th>{before}</tr></thead><tbody>{rows}</tbody></table></div>{note}'
    )
    return _panel("Why", "What stood in the rows' way; a row may have several reasons.", table, "broad")


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
    places = [_short_night(night["started_at"], nights) for night in nights]
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


def _short_night(started_at: str, nights: Sequence[Facts]) -> str:
    began = datetime.fromisoformat(started_at)
    days = {night["started_at"][:10] for night in nights}
    return f"{began.day} {began:%b}" if len(days) == len(nights) else f"{began.day} {began:%b} {began:%H:%M}"


def _stages(facts: Facts) -> str:
    stages = facts["stages"]
    if not any(stage["seconds"] for stage in stages):
        return ""
    priced = any(stage["cost"] is not None for stage in stages)
    most = max(stage["share"] for stage in stages)
    rows = "".join(
        f'<tr><th scope="row">{escape(stage["stage"].replace("_", " "))}</th>'
        f'<td class="number">{duration_fine(stage["seconds"])}{bar(stage["share"] / most, "now")}</td>'
        f'<td class="number soft">{100 * stage["share"]:.1f} %</td>'
        + (f'<td class="number">{stage["cost"]:,.4f}</td>' if priced else "")
        + "</tr>"
        for stage in stages
    )
    price = f'<th scope="col" class="number">{escape(facts["cost"]["currency"])}</th>' if priced else ""
    table = (
        '<table><thead><tr><th scope="col">Stage</th><th scope="col" class="number">Busy</th>'
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
            f'<td class="number">{_percent(review, each["rows"])}'
            f"{bar(review / each['rows'], 'needs_review')}</td>"
            f'<td class="number">{each.get("failed", 0):,}</td><td class="number">{middle}</td></tr>'
        )
    more = len(categories) - MAX_CATEGORIES
    note = f'<p class="soft">{more:,} more categories are in the JSON.</p>' if more > 0 else ""
    label = f"median {kind_of(name).label.split(' of ')[0].split(',')[0]}" if name else "score"
    table = (
        '<div class="wide tall" tabindex="0" role="group" aria-label="Categories"><table><thead><tr>'
        '<th scope="col">Category</th><th scope="col" class="number">Rows</th>'
        '<th scope="col" class="number">For review</th><th scope="col" class="number">Failed</th>'
        f'<th scope="col" class="number">{escape(label)}</th></tr></thead><tbody>{rows}</tbody></table></div>{note}'
    )
    return _panel("Categories", f"{len(categories):,} of them, most rows first.", table, "broad")


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


def _panel(title: str, about: str, inner: str, name: str = "") -> str:
    said = f" <span>{escape(about)}</span>" if about else ""
    return _section(f'<p class="title"><b>{escape(title)}</b>{said}</p>{inner}', name)


def _section(inner: str, name: str = "") -> str:
    return f'<section class="panel {name}">{inner}</section>'
