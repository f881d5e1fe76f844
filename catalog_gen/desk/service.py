"""What the desk needs from the rest of the program: one object, so that the pages know no database and no storage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

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


class DeskService(Protocol):
    """Every method may be called from several threads at once and raises the errors of `catalog_gen.errors`.

    UsageError means that what was asked for is not there, or makes no sense.
    """

    def queue(self, query: Query, *, after: str | None = None, limit: int = 50) -> Queue:
        """Return a page of the pictures that match."""

    def facets(self, query: Query) -> dict[str, list[tuple[str, int]]]:
        """Return (value, pictures) of each field to narrow by, under the rest of the query."""

    def reasons(self) -> list[str]:
        """Return the reasons for rejecting that are used most, the most used first."""

    def card(self, asset_id: str) -> Card:
        """Return one picture."""

    def detail(self, asset_id: str) -> Detail:
        """Return one picture with the product's others and its decisions."""

    def decide(self, verdicts: Sequence[Verdict], reviewer: str) -> list[Ruled]:
        """Record verdicts in their order; one that comes too late changes nothing and is told as "changed"."""

    def undo(self, reviewer: str, decision_id: str) -> Ruled:
        """Take a decision back, whoever made it; the undo is recorded as the reviewer's."""

    def prefer(self, asset_id: str, reviewer: str) -> Ruled:
        """Let a rejected picture stand again, instead of the one that does by now."""

    def audit(self, query: AuditQuery, limit: int = 100) -> list[AuditLine]:
        """Return decisions, newest first."""

    def last(self, reviewer: str) -> AuditLine | None:
        """Return the reviewer's latest decision that is not undone, if there is one."""

    def advice(self) -> list[AdviceLine]:
        """Return what the decisions say about each category's threshold."""

    def image(self, asset_id: str) -> bytes:
        """Return a stored picture's file. The bytes behind an id never change."""

    def photo(self, sku: str) -> bytes:
        """Return the file of the catalogue's own photo of a product: whatever the shop's address holds."""

    def draws(self) -> list[Draw]:
        """Return the pictures asked for at once, the latest first."""
