"""The queue of pictures to look at: filtered, in an order, page by page; and what past decisions teach."""

from __future__ import annotations

import base64
import binascii
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal, get_args

import sqlalchemy as sa

from catalog_gen.catalog import tables
from catalog_gen.catalog.advice import Advice, rejection_reasons, threshold_advice
from catalog_gen.catalog.asset_rows import read_assets
from catalog_gen.catalog.database import Database
from catalog_gen.catalog.history import Event, history
from catalog_gen.catalog.model import ASSET_STATES, DEAD_STATES, Asset, Product
from catalog_gen.catalog.source import CatalogSource
from catalog_gen.catalog.text import clean
from catalog_gen.catalog.wishes import PendingWish, pending_wishes
from catalog_gen.errors import UsageError

__all__ = [
    "Advice",
    "Event",
    "Order",
    "ReviewFilter",
    "ReviewItem",
    "ReviewPage",
    "facets",
    "history",
    "rejection_reasons",
    "review_page",
    "threshold_advice",
]

Order = Literal["doubt", "newest", "oldest", "sku"]
MOST_A_PAGE = 1_000
FACETS = ("state", "kind", "style", "category", "reason_kind")
MAX_TEXT = 300  # characters to look for: prompts have no more
MOST_OF_A_FACET = 200  # values: a catalogue may have a category for each of its products

asset = tables.asset


@dataclass(frozen=True)
class ReviewFilter:
    """Which pictures, and in what order. Empty fields filter nothing, an empty `state` is every state.

    text: in the sku or the prompt; SQLite knows upper and lower case of ASCII letters only.
    """

    state: tuple[str, ...] = ("needs_review",)
    kind: str = ""
    style: str = ""
    category: str = ""
    reason_kind: str = ""
    run: str = ""
    text: str = ""
    order: Order = "doubt"


@dataclass(frozen=True)
class ReviewItem:
    """A picture with what a reviewer needs beside it. `product` is None when its row has left the catalogue.

    wish: what the next drawing of the product is asked to be. source: the picture that a restyled one was made from.
    """

    asset: Asset
    product: Product | None
    wish: PendingWish | None
    source: Asset | None


@dataclass(frozen=True)
class ReviewPage:
    """A page of the queue. `next` leads to the page after it; None on the last. `total`: of the whole filter."""

    items: list[ReviewItem]
    next: str | None
    total: int


def review_page(
    database: Database, source: CatalogSource, filter: ReviewFilter, *, after: str | None = None, limit: int = 50
) -> ReviewPage:
    """Return the pictures that stand for their products (of the rejected and failed ones, all) that match `filter`.

    after: the `next` of the page before; what was decided meanwhile moves no other picture from its page. limit: 1 to
    1,000. Raises UsageError for an unknown state or order, a text longer than a prompt, and for an `after` that is none
    of this order.
    """
    filter = _checked(filter)
    if not 1 <= limit <= MOST_A_PAGE:
        raise UsageError(f"a page has 1 to {MOST_A_PAGE} pictures, not {limit}")
    order = _order(filter.order)
    place = None if after is None else order.place(after)
    with database.read() as connection:
        ids = [id for _, id in _next(connection, filter, order, place, limit + 1)]
        total = _count(connection, filter)
        found = read_assets(connection, ids[:limit])
    assets = [found[id] for id in ids[:limit]]
    following = order.cursor(assets[-1]) if len(ids) > limit else None
    return ReviewPage(_items(database, source, assets), following, total)


def facets(database: Database, filter: ReviewFilter) -> dict[str, list[tuple[str, int]]]:
    """Return how many pictures have each state, kind, style, category and reason kind, the most frequent first.

    Each is counted under the rest of the filter, so that it says what choosing another value would show. Of more than
    200 values, the most frequent. Raises UsageError as `review_page` does.
    """
    filter = _checked(filter)
    columns = [_state(filter), asset.c.live, *(asset.c[name] for name in FACETS[1:])]
    wide = replace(filter, kind="", style="", category="", reason_kind="")
    counted: dict[str, Counter[str]] = {name: Counter() for name in FACETS}
    wanted = {name: _wanted(filter, name) for name in FACETS}
    with database.read() as connection:
        query = sa.select(*columns, sa.func.count()).where(*_fields(connection, wide)).group_by(*columns)
        for state, live, *others, count in connection.execute(query):
            if not live and state not in DEAD_STATES:
                continue  # another picture took its place
            values = (state, *others)
            misses = [name for name, value in zip(FACETS, values, strict=True) if not wanted[name](value)]
            for name, value in zip(FACETS, values, strict=True):
                if not misses or misses == [name]:
                    counted[name][value] += count
    return {
        name: sorted(values.items(), key=lambda item: (-item[1], item[0]))[:MOST_OF_A_FACET]
        for name, values in counted.items()
    }


def _checked(filter: ReviewFilter) -> ReviewFilter:
    """Return the filter without what no database can hold, and so nothing in it can match."""
    if len(filter.text) > MAX_TEXT:
        raise UsageError(f"the text to look for is longer than {MAX_TEXT} characters")
    texts = ("kind", "style", "category", "reason_kind", "run", "text")
    cleaned: dict[str, Any] = {name: clean(getattr(filter, name)) for name in texts}
    return replace(filter, **cleaned)


def _wanted(filter: ReviewFilter, name: str) -> Callable[[str], bool]:
    if name == "state":
        states = _states(filter)
        return lambda value: value in states
    asked = getattr(filter, name)
    return lambda value: not asked or value == asked


@dataclass(frozen=True)
class _Order:
    """An order of the queue: by a column and then by id, both ascending or both descending."""

    name: str
    column: sa.Column[Any]
    descending: bool

    def sorting(self) -> list[sa.ColumnElement[Any]]:
        keys = (self.column, asset.c.id)
        return [key.desc() for key in keys] if self.descending else [key.asc() for key in keys]

    def beyond(self, place: tuple[Any, str]) -> sa.ColumnElement[bool]:
        """Return the condition that a row comes after `place`."""
        own = sa.tuple_(self.column, asset.c.id)
        other = sa.tuple_(sa.literal(place[0], self.column.type), sa.literal(place[1]))
        return own < other if self.descending else own > other

    def cursor(self, last: Asset) -> str:
        value = getattr(last, self.column.name)
        plain = value.isoformat() if isinstance(value, datetime) else value
        return base64.urlsafe_b64encode(json.dumps([self.name, plain, last.id]).encode()).decode().rstrip("=")

    def place(self, cursor: str) -> tuple[Any, str]:
        """Return where a page begins. Raises UsageError for a cursor of another order, and for what is none."""
        try:
            padded = cursor + "=" * (-len(cursor) % 4)
            name, value, id = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
            value = datetime.fromisoformat(value) if self.column is asset.c.created_at else value
            wanted = float if self.column is asset.c.doubt else datetime if self.column is asset.c.created_at else str
            if name == self.name and isinstance(value, wanted) and isinstance(id, str):
                return clean(value) if isinstance(value, str) else value, clean(id)
        except (binascii.Error, UnicodeError, ValueError, TypeError):
            pass  # said below, as one that was changed on its way
        raise UsageError("this page's address is none of this queue in this order", hint="Begin at the first page.")


_ORDERS = {
    "doubt": _Order("doubt", asset.c.doubt, True),
    "newest": _Order("newest", asset.c.created_at, True),
    "oldest": _Order("oldest", asset.c.created_at, False),
    "sku": _Order("sku", asset.c.sku, False),
}


def _order(name: str) -> _Order:
    if name not in _ORDERS:
        raise UsageError(f"there is no order {name!r}", hint=f"Orders: {', '.join(get_args(Order))}.")
    return _ORDERS[name]


def _states(filter: ReviewFilter) -> tuple[str, ...]:
    for state in filter.state:
        if state not in ASSET_STATES:
            raise UsageError(f"there is no state {state!r}", hint=f"States: {', '.join(ASSET_STATES)}.")
    return tuple(dict.fromkeys(filter.state)) or ASSET_STATES


def _next(
    connection: sa.Connection, filter: ReviewFilter, order: _Order, place: tuple[Any, str] | None, count: int
) -> list[tuple[Any, str]]:
    """Return (key, id) of the next pictures: those of each state come off the index in order, and are merged here."""
    states = _states(filter)
    found: list[tuple[Any, str]] = []
    for some in [states] if filter.text else [(state,) for state in states]:
        query = sa.select(order.column, asset.c.id).where(*_conditions(connection, filter, some))
        if place is not None:
            query = query.where(order.beyond(place))
        rows = connection.execute(query.order_by(*order.sorting()).limit(count))
        found += [(key, id) for key, id in rows]
    return sorted(found, reverse=order.descending)[:count]


def _count(connection: sa.Connection, filter: ReviewFilter) -> int:
    query = sa.select(sa.func.count()).select_from(asset).where(*_conditions(connection, filter, _states(filter)))
    return int(connection.execute(query).scalar_one())


def _conditions(connection: sa.Connection, filter: ReviewFilter, states: Sequence[str]) -> list[sa.ColumnElement[bool]]:
    """Return what a row must fulfil: what is dead is never live, and of the rest only what is live is shown."""
    column = _state(filter)
    shown = [
        sa.and_(column.in_(some), asset.c.live == live)
        for live, some in (
            (True, [state for state in states if state not in DEAD_STATES]),
            (False, [state for state in states if state in DEAD_STATES]),
        )
        if some
    ]
    return [sa.or_(*shown), *_fields(connection, filter)]


def _state(filter: ReviewFilter) -> sa.ColumnElement[str]:
    """Return the state, as a mere value where a text is looked for.

    Then every row is looked at anyway, and to walk an index whole is quicker than to look up its rows state by state.
    """
    return sa.func.coalesce(asset.c.state, "") if filter.text else asset.c.state


def _fields(connection: sa.Connection, filter: ReviewFilter) -> list[sa.ColumnElement[bool]]:
    wanted = (
        (asset.c.kind, filter.kind),
        (asset.c.style, filter.style),
        (asset.c.category, filter.category),
        (asset.c.reason_kind, filter.reason_kind),
        (asset.c.run_id, filter.run),
    )
    conditions: list[sa.ColumnElement[bool]] = [column == value for column, value in wanted if value]
    if filter.text:
        # SQLite's LIKE is blind to the case of ASCII letters, and lower() no better but slower.
        plain = connection.dialect.name == "sqlite"
        for_text = [
            column.contains(filter.text, autoescape=True) if plain else column.icontains(filter.text, autoescape=True)
            for column in (asset.c.sku, asset.c.prompt)
        ]
        conditions.append(sa.or_(*for_text))
    return conditions


def _items(database: Database, source: CatalogSource, assets: Sequence[Asset]) -> list[ReviewItem]:
    skus = sorted({one.sku for one in assets})
    products = source.fetch(skus)
    wishes = pending_wishes(database, skus)
    with database.read() as connection:
        sources = read_assets(connection, sorted({one.source_asset_id for one in assets if one.source_asset_id}))
    return [
        ReviewItem(one, products.get(one.sku), wishes.get(one.sku), sources.get(one.source_asset_id or ""))
        for one in assets
    ]
