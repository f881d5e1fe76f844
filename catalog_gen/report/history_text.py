"""A product's history for a terminal: what stands for it now, and all that happened, oldest first.

The words come from feeds: what could move the cursor or colour the terminal is taken out.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from catalog_gen.report.night_scores import kind_of
from catalog_gen.report.page import printable

Document = Mapping[str, Any]

WIDTH = 110
_AT = 18  # characters of the column of times


def history_text(document: Document) -> str:
    """Return the history, as `pipeline.show` gives it, as text."""
    return "\n".join(printable(line) for line in _lines(document))


def _lines(document: Document) -> Iterator[str]:
    product = document["product"]
    yield f"{document['sku']}  {product['title'] if product else 'this product has left the catalogue'}"
    if product:
        said = [product["category"], *(f"{name} {value}" for name, value in product["attributes"].items() if value)]
        yield from _wrapped("  ", ", ".join(part for part in said if part))
        yield f"  its own image: {product['image'] or 'none'}"
    wish = document["wish"]
    if wish:
        asked = [f'from the words "{wish["words"]}"' if wish["words"] else "", _candidates(wish["candidates"])]
        what = ", ".join(part for part in asked if part) or "with another seed"
        yield f"  the next drawing is asked for {what} (by {wish['requested_by']})"
    if not document["events"]:
        yield "  nothing was ever recorded of it"
    else:
        yield ""
    for event in document["events"]:
        head, *details = _event(event)
        first, *more = _wrapped("", head, WIDTH - _AT)
        yield f"{event['at'][:16].replace('T', ' '):<{_AT}}{first}"
        for line in [*more, *(line for detail in details for line in _wrapped("  ", detail, WIDTH - _AT))]:
            yield " " * _AT + line


def _event(event: Document) -> Iterator[str]:
    if event["kind"] == "run":
        outcome = (event["outcome"] or "not reached").replace("_", " ")
        yield f"run {event['run']} ({event['job']}): {outcome}"
        if event["reason"]:
            yield event["reason"]
    elif event["kind"] == "decision":
        yield from _decision(event)
    else:
        yield from _picture(event["picture"])


def _decision(event: Document) -> Iterator[str]:
    what = f"undid {event['undoes']}" if event["action"] == "undo" else event["action"]
    undone = ", undone since" if event["undone_by"] else ""
    yield (
        f"{event['reviewer']} ({event['source']}): {what} of picture {event['asset'][:8]},"
        f" {event['from_state']} -> {event['to_state']}{undone}"
    )
    if event["reason"]:
        yield event["reason"]


def _picture(picture: Document) -> Iterator[str]:
    look = " ".join(part for part in (picture["style"], picture["variant"]) if part)
    state = picture["state"].replace("_", " ") + ("" if picture["live"] else ", not live")
    yield f"picture {picture['id'][:8]}, {picture['kind']}{f' {look}' if look else ''}: {state}"
    if picture["reason"]:
        yield picture["reason"]
    scores = [
        f"{kind_of(name).short} {value:.{kind_of(name).digits}f}"
        for name, value in picture["scores"].items()
        if isinstance(value, int | float)
    ]
    if picture["prompt"]:
        yield f'from the words "{picture["prompt"]}"'
    made = [f"{label} {value}" for label, value in picture["made_with"].items()]
    if picture["kind"] == "generated":
        made = [
            f"seed {picture['seed']}",
            f"attempt {picture['attempt'] + 1}",
            _candidates(picture["candidates"]),
            *made,
        ]
    yield "; ".join(scores)
    yield "; ".join(made)
    yield f"{picture['width']} x {picture['height']} {picture['format']}, {picture['bytes']:,} bytes, {picture['uri']}"


def _candidates(count: int | None) -> str:
    return "" if count is None else f"{count} candidate{'' if count == 1 else 's'}"


def _wrapped(indent: str, text: str, width: int = WIDTH) -> list[str]:
    return textwrap.wrap(
        text, width, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    ) or [indent]
