"""The HTML part of a mail: one table with its styles inline, because mail programs drop style sheets."""

from __future__ import annotations

from html import escape

from catalog_gen.notify.news import News

FONT = "font-family:-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif"
GREEN, AMBER, RED, GREY = "#1a7f4b", "#9a6700", "#b42318", "#57606a"
FAINT = "opacity:.7"  # of the text's own colour, which a dark mail program turns round
LINE = "border-top:1px solid #d0d7de;border-top-color:rgba(128,128,128,.4)"  # the second where it is understood
BIG = ("pictures stored", "products restyled", "for review", "failed")
SAID = ("state", "exit code", "why")  # in the heading already, the last one where it fits there


def mail_page(news: News) -> str:
    """Return the news as an HTML page of a mail; everything in it is escaped."""
    facts = news.facts()
    numbers = [(label, value) for label, value in facts if label in BIG]
    said = (*BIG, *SAID) if " ".join(news.line.split()) in news.title() else (*BIG, *SAID[:-1])
    rest = [(label, value) for label, value in facts if label not in said]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">'
        f"<title>{escape(news.title())}</title></head>"
        f'<body style="margin:0;padding:24px 12px;{FONT};font-size:15px;line-height:1.5">'
        '<div role="main" style="max-width:600px;margin:0 auto">'
        '<table role="presentation" width="100%" cellspacing="0" cellpadding="0">'
        f"{_row(_heading(news))}{_row(_numbers(numbers)) if numbers else ''}{_row(_table(rest))}"
        f"{_row(_reasons(news)) if news.reasons else ''}"
        f"{_row(_paragraph(news.remark)) if news.remark else ''}{_row(_link(news.link)) if news.link else ''}"
        "</table></div></body></html>"
    )


def _row(content: str) -> str:
    return f'<tr><td style="padding:0 0 20px">{content}</td></tr>'


def _heading(news: News) -> str:
    colour, word = _verdict(news)
    return (
        f'<span style="display:inline-block;background:{colour};color:#fff;padding:2px 12px;border-radius:12px;'
        f'font-size:13px;font-weight:600">{escape(word)}</span>'
        f'<h1 style="margin:10px 0 0;font-size:20px;line-height:1.35;font-weight:600">{escape(news.title())}</h1>'
    )


def _verdict(news: News) -> tuple[str, str]:
    if news.is_test:
        return GREY, "Test"
    if news.exit_code is None:
        return RED, "The run died"
    words = {0: (GREEN, "All done"), 3: (AMBER, "Done, some rows failed"), 4: (AMBER, "Stopped in good order")}
    return words.get(news.exit_code, (RED, f"Failed, exit code {news.exit_code}"))


def _numbers(numbers: list[tuple[str, str]]) -> str:
    cells = "".join(
        '<td style="padding:0 28px 0 0;vertical-align:top">'
        f'<div style="font-size:28px;line-height:1.2;font-weight:600">{escape(value)}</div>'
        f'<div style="font-size:13px;{FAINT}">{escape(label)}</div></td>'
        for label, value in numbers
    )
    return f'<table role="presentation" cellspacing="0" cellpadding="0"><tr>{cells}</tr></table>'


def _table(facts: list[tuple[str, str]]) -> str:
    label_style = f"{LINE};padding:6px 0;vertical-align:top;text-align:left;width:34%;font-weight:400"
    value_style = f"{LINE};padding:6px 0 6px 12px;vertical-align:top;overflow-wrap:anywhere;word-break:break-word"
    rows = "".join(
        f'<tr><th scope="row" style="{label_style}"><span style="{FAINT}">{escape(label)}</span></th>'
        f'<td style="{value_style}">{escape(value)}</td></tr>'
        for label, value in facts
    )
    style = "border-collapse:collapse;table-layout:fixed"
    return f'<table width="100%" cellspacing="0" cellpadding="0" style="{style}">{rows}</table>'


def _reasons(news: News) -> str:
    items = "".join(f"<li>{count:,} &times; {escape(reason)}</li>" for reason, count in news.reasons)
    return (
        '<h2 style="margin:0 0 4px;font-size:15px;font-weight:600">Why rows failed</h2>'
        f'<ul style="margin:0;padding:0 0 0 20px">{items}</ul>'
    )


def _paragraph(text: str) -> str:
    return f'<p style="margin:0">{escape(text)}</p>'


def _link(url: str) -> str:
    return f'<a href="{escape(url)}" style="color:inherit;overflow-wrap:anywhere">{escape(url)}</a>'
