"""What there is already of a template's outputs: what stands, and what people refused."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa

from catalog_gen.catalog import tables
from catalog_gen.catalog.database import Database
from catalog_gen.catalog.statements import among, chunks

asset, decision = tables.asset, tables.decision


@dataclass
class Made:
    """The pictures of one place (sku, style, output), told by the hashes of what they were made from.

    live: of the one that stands. refused: of the latest one, if a person rejected it and did not ask for another.
    rejected: how many a person rejected, whether asked for again or not.
    """

    live: str | None = None
    refused: str | None = None
    rejected: Counter[str] = field(default_factory=Counter)

    def settles(self, input_hash: str) -> bool:
        """Whether nothing is to be made from this input: it is made, or nobody wants it."""
        return input_hash in (self.live, self.refused)


def made_outputs(connection: sa.Connection, style: str, skus: Sequence[str]) -> dict[str, dict[str, Made]]:
    """Return what there is of `style`, by sku and then by output."""
    found: defaultdict[str, dict[str, Made]] = defaultdict(dict)
    last: dict[str, Made] = {}  # by the id of a place's latest picture, where a person rejected it
    for some in chunks(skus):
        columns = (asset.c.id, asset.c.sku, asset.c.variant, asset.c.input_hash, asset.c.live)
        query = sa.select(*columns, asset.c.state, asset.c.reason_kind).where(
            among(connection, asset.c.sku, some), asset.c.kind == "restyled", asset.c.style == style
        )
        latest: dict[tuple[str, str], str] = {}
        for id, sku, variant, made_from, live, state, kind in connection.execute(
            query.order_by(asset.c.created_at, asset.c.id)
        ):
            made = found[sku].setdefault(variant, Made())
            last.pop(latest.get((sku, variant), ""), None)
            latest[sku, variant], made.refused = id, None
            if live:
                made.live = made_from
            elif state == "rejected" and kind != "source":  # one that went with its source was refused by nobody
                made.rejected[made_from] += 1
                made.refused = made_from
                last[id] = made
    _let_again(connection, last)
    return dict(found)


def _let_again(connection: sa.Connection, refused: dict[str, Made]) -> None:
    """Where the rejection asked for another picture, another is wanted."""
    for some in chunks(sorted(refused)):
        query = sa.select(decision.c.asset_id).where(
            among(connection, decision.c.asset_id, some), decision.c.action == "again", decision.c.undone_by.is_(None)
        )
        for asset_id in connection.execute(query).scalars():
            refused[asset_id].refused = None


def read_made_outputs(database: Database, style: str, skus: Sequence[str]) -> dict[str, dict[str, Made]]:
    """Return `made_outputs` as they are now."""
    with database.read() as connection:
        return made_outputs(connection, style, skus)
