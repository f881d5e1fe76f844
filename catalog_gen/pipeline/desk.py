"""The review desk over a real catalogue: what its pages ask, answered from the database and the storage."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import cast
from uuid import uuid4

from catalog_gen.catalog import decisions, review
from catalog_gen.catalog.assets import assets_of, get_asset, live_assets
from catalog_gen.catalog.database import Database
from catalog_gen.catalog.decisions import AuditRow, Decided, Decision, Wish
from catalog_gen.catalog.model import PictureSource
from catalog_gen.catalog.review import Order, ReviewFilter
from catalog_gen.catalog.source import CatalogSource, open_source
from catalog_gen.config import Settings
from catalog_gen.desk.model import (
    AdviceLine,
    AuditLine,
    AuditQuery,
    Card,
    Detail,
    Draw,
    Query,
    Queue,
    Ruled,
    Verdict,
)
from catalog_gen.errors import UsageError
from catalog_gen.pipeline.approval import write_back
from catalog_gen.pipeline.desk_cards import CardMaker
from catalog_gen.pipeline.desk_draws import Drawer
from catalog_gen.pipeline.restyle_source import SourceReader
from catalog_gen.storage import Storage, open_storage

SHOWN_DECISIONS = 50  # of a product, on a picture's page
COUNTED_SECONDS = 10.0
MOST_COUNTED = 100  # filters whose counts are kept
UNDECIDED = ("needs_review", "draft")
SOURCE = "desk"
BETTER = "another picture of it is better"


class CatalogueDesk:
    """What `catalog_gen.desk.service.DeskService` asks for. One instance serves all threads; `close` it at the end."""

    def __init__(self, settings: Settings, database: Database, *, flags: Sequence[str] = ()) -> None:
        """`flags`: those of the command line that lead a run beside the desk to the same catalogue.

        Raises what opening the catalogue and the storage raises.
        """
        self._settings, self._database = settings, database
        self._source: CatalogSource = open_source(settings, database)
        self._storage: Storage = open_storage(settings.storage.url, settings.storage.options)
        self._photos = SourceReader(settings, self._storage)
        self._cards = CardMaker(database, self._source)
        self._drawer = Drawer(database, flags)
        self._counted: dict[Query, tuple[float, dict[str, list[tuple[str, int]]]]] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        self._drawer.stop()
        self._source.close()

    def queue(self, query: Query, *, after: str | None = None, limit: int = 50) -> Queue:
        page = review.review_page(self._database, self._source, _filter(query), after=after, limit=limit)
        return Queue(self._cards.of([item.asset for item in page.items]), page.next, page.total)

    def facets(self, query: Query) -> dict[str, list[tuple[str, int]]]:
        """Counting very many pictures takes a while: the numbers may be some seconds old."""
        now = time.monotonic()
        with self._lock:
            self._counted = {kept: entry for kept, entry in self._counted.items() if entry[0] > now}
            if query in self._counted:
                return self._counted[query][1]
        found = review.facets(self._database, _filter(query))
        with self._lock:
            if len(self._counted) < MOST_COUNTED:
                self._counted[query] = (time.monotonic() + COUNTED_SECONDS, found)
        return found

    def reasons(self) -> list[str]:
        return [reason for reason, _ in review.rejection_reasons(self._database)]

    def card(self, asset_id: str) -> Card:
        return self._cards.of([get_asset(self._database, asset_id)])[0]

    def detail(self, asset_id: str) -> Detail:
        asset = get_asset(self._database, asset_id)
        others = [one for one in reversed(assets_of(self._database, asset.sku)) if one.id != asset_id]
        card, *cards = self._cards.of([asset, *others])
        return Detail(card, cards, self.audit(AuditQuery(sku=asset.sku), SHOWN_DECISIONS))

    def decide(self, verdicts: Sequence[Verdict], reviewer: str) -> list[Ruled]:
        """As the protocol says; an approved picture's URL is written to the shop's table where that is configured."""
        wanted = [_decision(verdict) for verdict in verdicts]
        decided = decisions.decide(self._database, wanted, reviewer=reviewer, source=SOURCE)
        write_back(self._settings, self._database, decided)
        for verdict, one in zip(verdicts, decided, strict=True):
            if verdict.now and verdict.action == "again" and one.result == "done" and one.asset is not None:
                self._drawer.add(one.asset)
        return self._ruled(decided)

    def undo(self, reviewer: str, decision_id: str) -> Ruled:
        undone = decisions.undo(self._database, reviewer=reviewer, source=SOURCE, decision_id=decision_id)
        return self._ruled([undone])[0]

    def prefer(self, asset_id: str, reviewer: str) -> Ruled:
        """In two recorded steps: what stands in its place is rejected, its own rejection undone."""
        asset = get_asset(self._database, asset_id)
        rows = decisions.audit(self._database, asset_id=asset_id, limit=1)
        if asset.live or not rows or rows[0].to_version != asset.version or rows[0].action not in ("reject", "again"):
            card = self._cards.of([asset])[0]
            return Ruled("", "refused", f"{asset.sku}: no decision stands in this picture's way", card)
        standing = live_assets(self._database, asset.sku, asset.kind, asset.style)
        for one in standing:
            if one.variant == asset.variant:
                verdict = Verdict(uuid4().hex, one.id, "reject", one.version, BETTER)
                rejected = self.decide([verdict], reviewer)[0]
                if rejected.result != "done":
                    return rejected
        return self.undo(reviewer, rows[0].id)

    def audit(self, query: AuditQuery, limit: int = 100) -> list[AuditLine]:
        rows = decisions.audit(
            self._database,
            sku=query.sku or None,
            reviewer=query.reviewer or None,
            before=query.before,
            limit=limit,
        )
        return [_line(row) for row in rows]

    def last(self, reviewer: str) -> AuditLine | None:
        row = decisions.last_decision(self._database, reviewer)
        return None if row is None else _line(row)

    def advice(self) -> list[AdviceLine]:
        return [AdviceLine(**vars(one)) for one in review.threshold_advice(self._database)]

    def image(self, asset_id: str) -> bytes:
        return self._storage.get(get_asset(self._database, asset_id).uri)

    def photo(self, sku: str) -> bytes:
        product = self._source.fetch([sku]).get(sku)
        if product is None or not product.image:
            raise UsageError(f"{sku} has no photo in the catalogue")
        return self._photos.read(PictureSource(sku, product.image, ""))[0]

    def draws(self) -> list[Draw]:
        return self._drawer.draws()

    def _ruled(self, decided: Sequence[Decided]) -> list[Ruled]:
        found = [one.asset for one in decided if one.asset is not None]
        cards = {card.id: card for card in self._cards.of(found)}
        return [
            Ruled(one.decision.id, one.result, one.told, cards.get(one.asset.id) if one.asset else None)
            for one in decided
        ]


def _filter(query: Query) -> ReviewFilter:
    states: tuple[str, ...] = UNDECIDED if query.state == "undecided" else (query.state,) if query.state else ()
    return ReviewFilter(
        state=states,
        kind=query.kind,
        style=query.style,
        category=query.category,
        reason_kind=query.reason_kind,
        run=query.run,
        text=query.text,
        order=cast(Order, query.order),
    )


def _decision(verdict: Verdict) -> Decision:
    wish = Wish(verdict.words, verdict.candidates) if verdict.action == "again" else Wish()
    return Decision(verdict.id, verdict.asset, verdict.action, verdict.version, verdict.reason, wish=wish)


def _line(row: AuditRow) -> AuditLine:
    return AuditLine(
        id=row.id,
        asset=row.asset_id,
        sku=row.sku,
        action=row.action,
        reason=row.reason,
        before=row.from_state,
        after=row.to_state,
        reviewer=row.reviewer,
        source=row.source,
        at=row.decided_at,
        undone=row.undone_by is not None,
    )
