"""Deciding on pictures from the command line: approve (and write the URL to the shop's own table), reject, again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from uuid import uuid4

from catalog_gen.catalog.assets import live_assets
from catalog_gen.catalog.database import Database
from catalog_gen.catalog.decisions import Action, Decided, Decision, Wish, decide, last_decision, undo
from catalog_gen.catalog.model import APPROVED_STATES, NO_WISH
from catalog_gen.catalog.runs import user_name
from catalog_gen.catalog.source import open_source
from catalog_gen.config import Settings
from catalog_gen.pipeline.export_addresses import Addresses
from catalog_gen.pipeline.retry import Retry
from catalog_gen.storage import open_storage


@dataclass(frozen=True)
class Ask:
    """What is to become of the live pictures of `skus`: the generated ones, or of a style the restyled ones."""

    skus: Sequence[str]
    action: Action
    reason: str = ""
    style: str = ""
    wish: Wish = NO_WISH


@dataclass
class Decisions:
    """What came of a list of skus: each picture's decision, `written` URLs, skus `missing` a live picture."""

    decided: list[Decided] = field(default_factory=list)
    written: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        """Whether something that was asked did not come to be."""
        return bool(self.missing) or any(one.result not in ("done", "already") for one in self.decided)

    def describe(self) -> str:
        """Return the counts, and a line for each that did not come to be."""
        counts = {result: sum(one.result == result for one in self.decided) for result in ("done", "already")}
        lines = [f"{counts['done']} decided" + (f", {counts['already']} were already" if counts["already"] else "")]
        if self.written:
            lines.append(f"  {len(self.written)} URLs written to the shop's table")
        lines += [f"  {one.told}" for one in self.decided if one.result not in counts]
        lines += [f"  {sku}: no live picture" for sku in self.missing]
        return "\n".join(lines)


def reviewer_name(settings: Settings) -> str:
    """Return the name that this process's decisions are recorded under."""
    return settings.review.reviewer or user_name()


def retry_of(settings: Settings) -> Retry:
    """Return what tries a decision again; their ids make that harmless."""
    return Retry(settings.job.retries, settings.job.retry_seconds)


def decide_skus(settings: Settings, database: Database, ask: Ask) -> Decisions:
    """Carry out `ask`. An approved generated picture's URL is written where the shop's row has no image, with
    `catalog.writeback`: the state first, the URL after it, so that approving again mends a crash between the two.
    """
    kind = "restyled" if ask.style else "generated"
    reviewer, retry = reviewer_name(settings), retry_of(settings)
    result = Decisions()
    for sku in dict.fromkeys(ask.skus):
        found = live_assets(database, sku, kind, ask.style)
        if not found:
            result.missing.append(sku)
        wanted = [Decision(uuid4().hex, one.id, ask.action, reason=ask.reason, wish=ask.wish) for one in found]
        result.decided += retry("deciding", partial(decide, database, wanted, reviewer=reviewer, source="command"))
    if ask.action == "approve":
        result.written = write_back(settings, database, result.decided)
    return result


def undo_decision(settings: Settings, database: Database, decision_id: str | None) -> Decided:
    """Take back the decision named, or this reviewer's last; named before it is tried, so that trying again is safe."""
    reviewer = reviewer_name(settings)
    if decision_id is None:
        last = last_decision(database, reviewer)
        decision_id = None if last is None else last.id
    return retry_of(settings)(
        "undoing", lambda: undo(database, reviewer=reviewer, source="command", decision_id=decision_id)
    )


def write_back(settings: Settings, database: Database, decided: Sequence[Decided]) -> list[str]:
    """Write the URLs of the generated pictures among these that are approved to the shop's table, if the configuration
    asks for that: the public ones, where `export.public_url` is set. Return the skus of the rows that lacked an image
    and have one now.
    """
    if not settings.catalog.writeback:
        return []
    assets = [one.asset for one in decided if one.decision.action == "approve" and one.asset is not None]
    approved = [asset for asset in assets if asset.live and asset.state in APPROVED_STATES]
    source = open_source(settings, database)
    addresses = Addresses(settings, open_storage(settings.storage.url, settings.storage.options))
    try:
        generated = [asset for asset in approved if asset.kind == "generated"]
        return [
            asset.sku for asset in generated if source.write_image(asset.sku, addresses.picture(asset.uri) or asset.uri)
        ]
    finally:
        source.close()
