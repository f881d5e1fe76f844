"""The page where pictures are decided one after another; its script asks for the pictures and sends the decisions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from catalog_gen.desk.model import KINDS, STATES, Query
from catalog_gen.desk.parts import Desk, desk_of, for_viewers, render
from catalog_gen.desk.requests import params_of, query_of

# Shown until people have rejected often enough to have reasons of their own.
USUAL_REASONS = (
    "not the product",
    "wrong colour",
    "wrong shape",
    "blurred or smeared",
    "too like another",
    "bad cut-out",
)
MAX_REASONS = 8  # each has a digit of the keyboard
REASON_KINDS = {
    "similarity": "does not match its words",
    "fault": "broken picture",
    "duplicate": "like another picture",
    "few-photos": "a kind the generator hardly knows",
    "cut-out": "cut-out in doubt",
    "source": "its source was rejected",
    "person": "a person's reason",
    "other": "other",
}
FACETS = (
    ("state", "State"),
    ("category", "Category"),
    ("reason_kind", "Why it is here"),
    ("kind", "Kind"),
    ("style", "Template"),
)


@for_viewers
async def review(request: Request) -> Response:
    """The desk itself."""
    desk, query = desk_of(request), query_of(request.query_params)
    values = await filter_values(desk, query)
    return render(request, "review.html", values | {"reasons": await reasons(desk)})


async def filter_values(desk: Desk, query: Query) -> dict[str, Any]:
    """Return what the bar of filters shows: every field with its values and how many pictures each would leave."""
    facets = await desk.ask(desk.service.facets, query)
    fields = []
    for name, label in FACETS:
        chosen = getattr(query, name)
        counts = [(value, count) for value, count in facets.get(name, []) if value]
        if chosen and chosen not in dict(counts):
            counts.insert(0, (chosen, 0))
        options = [(value, _label(name, value), count) for value, count in counts]
        fields.append({"name": name, "label": label, "chosen": chosen, "options": options})
    address = urlencode(params_of(query))
    return {"query": query, "fields": fields, "narrowed": list(_narrowed(query)), "address": address}


async def reasons(desk: Desk) -> list[str]:
    """Return the reasons to choose from: the most used ones first, then usual ones."""
    used = await desk.ask(desk.service.reasons)
    return list(dict.fromkeys([*used, *USUAL_REASONS]))[:MAX_REASONS]


def _narrowed(query: Query) -> Iterator[tuple[str, str, str]]:
    """Yield what the query narrows by: (label, value, the address's parameters without it)."""
    labels = {**dict(FACETS), "run": "Run", "text": "Sku or words"}
    for name, value in params_of(query).items():
        if name != "order":
            yield (
                labels[name],
                _label(name, value),
                urlencode(params_of(replace(query, **{name: getattr(Query(), name)}))),
            )


def _label(field: str, value: str) -> str:
    names: Mapping[str, Mapping[str, str]] = {"state": STATES, "kind": KINDS, "reason_kind": REASON_KINDS}
    return names.get(field, {}).get(value, value)
