"""Deciding on pictures from the command line: approve (and write the URL to the shop's own table), or reject."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from catalog_gen.catalog.assets import live_asset, set_state
from catalog_gen.catalog.database import Database
from catalog_gen.catalog.source import open_source
from catalog_gen.config import Settings


@dataclass
class Decisions:
    """What came of a list of skus: `decided`, `written` to the shop's table, `missing` a live picture."""

    state: str
    decided: list[str] = field(default_factory=list)
    written: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def describe(self) -> str:
        lines = [f"{len(self.decided)} {self.state}"]
        if self.written:
            lines.append(f"  {len(self.written)} URLs written to the shop's table")
        lines += [f"  {sku}: no live picture" for sku in self.missing]
        return "\n".join(lines)


def approve(settings: Settings, database: Database, skus: Sequence[str]) -> Decisions:
    """Approve the live pictures of `skus`; with `catalog.writeback`, write each URL where the shop's row has no image.

    The state first, the URL after it: a crash between the two is mended by approving again, which changes nothing else.
    """
    decisions = _decide(database, skus, "approved", "")
    if settings.catalog.writeback:
        source = open_source(settings, database)
        try:
            for sku in decisions.decided:
                asset = live_asset(database, sku)
                if asset is not None and source.write_image(sku, asset.uri):
                    decisions.written.append(sku)
        finally:
            source.close()
    return decisions


def reject(database: Database, skus: Sequence[str], reason: str) -> Decisions:
    """Reject the live pictures of `skus`: the products lack a picture again, and the next run draws another."""
    return _decide(database, skus, "rejected", reason)


def _decide(database: Database, skus: Sequence[str], state: str, reason: str) -> Decisions:
    decisions = Decisions(state)
    for sku in dict.fromkeys(skus):
        asset = live_asset(database, sku)
        if asset is None:
            decisions.missing.append(sku)
            continue
        set_state(database, asset.id, state, reason)
        decisions.decided.append(sku)
    return decisions
