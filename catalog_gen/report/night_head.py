"""The head of a night's page: which night it was, how it ended, its one sentence and its figures."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from catalog_gen.report.night_facts import headline
from catalog_gen.report.page import escape

Facts = Mapping[str, Any]

STATE_WORDS = {"finished": "finished", "partial": "stopped early", "failed": "failed", "died": "died"}
OUTCOME_WORDS = {
    "generated": "draft",
    "restyled": "draft",
    "needs_review": "for review",
    "failed": "failed",
    "skipped": "skipped",
    "elsewhere": "settled elsewhere",
    "unfinished": "not reached",
}


def head(facts: Facts) -> str:
    """Return the page's header: what night it was, how it ended, its sentence and its figures."""
    run = facts["run"]
    words = STATE_WORDS.get(run["state"], "is still running: figures as they are now")
    ended = "partial" if run["state"] == "finished" and run["exit_code"] else escape(run["state"])
    message = f"<p class='message'>{escape(run['message'])}</p>" if run["message"] else ""
    go = '<p class="go"><a href="#pictures">Look at the pictures ↓</a></p>' if facts["pictures"] else ""
    request = "".join(f"<li><b>{escape(name)}</b> {escape(value)}</li>" for name, value in run["request"].items())
    models = "".join(f"<li><b>{escape(name)}</b> {escape(value)}</li>" for name, value in run["models"].items())
    details = (
        f'<ul class="made"><li><b>run</b> {escape(run["id"])}</li><li><b>on</b> {escape(run["host"])}, '
        f"version {escape(run['version'])}</li>{request}{models}</ul>"
    )
    return (
        f'<header><p class="job"><span class="ended {ended}">{words}</span> {escape(run["job"])}</p>'
        f"<h1>{escape(night_name(run))}</h1>"
        f'<p class="headline">{escape(headline(facts))}</p>{message}{go}<dl class="tiles">{_tiles(facts)}</dl>'
        f"{details}</header>"
    )


def night_name(run: Mapping[str, Any]) -> str:
    """Return what a run is called in a headline: when it began, in the ledger's time."""
    began = datetime.fromisoformat(run["started_at"])
    return f"{began:%A}, {began.day} {began:%B %Y}, {began:%H:%M} UTC"


def _tiles(facts: Facts) -> str:
    counts, usual, run = facts["outcomes"], facts["usual"] or {}, facts["run"]
    drafts = counts["generated"] + counts["restyled"]
    failed = f"{percent(counts['failed'], facts['rows'])} of the rows" if counts["failed"] else "none"
    share = f"{percent(counts['needs_review'], facts['rows'])} of the rows"
    tiles = [
        ("Asked for", f"{facts['rows']:,}", "rows", _usually(usual, "claimed")),
        ("Drafts", f"{drafts:,}", "nothing speaks against them", _usually(usual, "drafts")),
        ("For review", f"{counts['needs_review']:,}", share, _usual_share(usual)),
        ("Failed", f"{counts['failed']:,}", failed, _usually(usual, "failed")),
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
    digits = 2 if amount >= 0.01 or not amount else 4
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


def percent(part: float, whole: float) -> str:
    """Return a share for people."""
    return f"{100 * part / whole:.1f} %" if whole else "0 %"
