"""What past decisions teach: the reasons that are given most, and where a category's threshold would have stood better.

Shown to people, never applied.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import sqlalchemy as sa

from catalog_gen.catalog import tables
from catalog_gen.catalog.database import Database

LATEST = 5_000  # rejections that reasons are counted in
MOST_DECIDED = 20_000  # pictures, the latest decided ones, that advice looks at
LEAST_GAIN = 0.3  # of Youden's index: less is what chance gives with a few dozen pictures

asset, decision, run = tables.asset, tables.decision, tables.run


@dataclass(frozen=True)
class Advice:
    """What a category's `gate.min_similarity` could be, going by decisions on its generated pictures.

    decided, rejected: pictures. now: the mean of the thresholds they were judged by; None where no run tells.
    suggested: the threshold that would have told rejected from approved ones best; None where none tells them apart.
    catches: rejected pictures below it; costs: approved ones below it.
    """

    category: str
    decided: int
    rejected: int
    now: float | None
    suggested: float | None
    catches: int
    costs: int


def rejection_reasons(database: Database, *, limit: int = 12) -> list[tuple[str, int]]:
    """Return the reasons given most in the latest 5,000 rejections that stand, with how often."""
    latest = (
        sa.select(decision.c.reason)
        .where(decision.c.action.in_(("reject", "again")), decision.c.undone_by.is_(None), decision.c.reason != "")
        .order_by(decision.c.decided_at.desc(), decision.c.id.desc())
        .limit(LATEST)
        .subquery()
    )
    count = sa.func.count()
    query = sa.select(latest.c.reason, count).group_by(latest.c.reason).order_by(count.desc(), latest.c.reason)
    with database.read() as connection:
        return [(reason, number) for reason, number in connection.execute(query.limit(limit))]


def threshold_advice(database: Database, *, fewest: int = 20) -> list[Advice]:
    """Return advice for each category with at least `fewest` decided pictures, by category.

    The threshold with the largest share of rejected pictures below it less the share of approved ones below it
    (Youden, "Index for rating diagnostic tests", Cancer 1950); of equals, the lowest. A picture counts by the last
    decision on it that stands.
    """
    by_category: defaultdict[str, list[_Judged]] = defaultdict(list)
    for category, judged in _decided(database):
        by_category[category].append(judged)
    return [
        _advise(category, pictures) for category, pictures in sorted(by_category.items()) if len(pictures) >= fewest
    ]


@dataclass(frozen=True)
class _Judged:
    similarity: float
    rejected: bool
    threshold: float | None


def _decided(database: Database) -> list[tuple[str, _Judged]]:
    query = (
        sa.select(decision.c.asset_id, decision.c.action, asset.c.category, asset.c.scores, asset.c.run_id)
        .join(asset, asset.c.id == decision.c.asset_id)
        .where(decision.c.action != "undo", decision.c.undone_by.is_(None), asset.c.kind == "generated")
        .order_by(decision.c.decided_at.desc(), decision.c.id.desc())
        .limit(MOST_DECIDED)
    )
    found: dict[str, tuple[str, _Judged]] = {}
    with database.read() as connection:
        models = {row.id: row.models for row in connection.execute(sa.select(run.c.id, run.c.models))}
        for asset_id, action, category, scores, run_id in connection.execute(query):
            similarity = scores.get("similarity")
            if asset_id not in found and isinstance(similarity, int | float):
                threshold = models.get(run_id, {}).get("threshold")
                known = float(threshold) if isinstance(threshold, int | float) else None
                found[asset_id] = (category, _Judged(float(similarity), action != "approve", known))
    return list(found.values())


def _advise(category: str, pictures: Sequence[_Judged]) -> Advice:
    rejected = sorted(one.similarity for one in pictures if one.rejected)
    approved = sorted(one.similarity for one in pictures if not one.rejected)
    known = [one.threshold for one in pictures if one.threshold is not None]
    now = round(sum(known) / len(known), 4) if known else None
    suggested, catches, costs = _best_cut(rejected, approved)
    return Advice(category, len(pictures), len(rejected), now, suggested, catches, costs)


def _best_cut(rejected: Sequence[float], approved: Sequence[float]) -> tuple[float | None, int, int]:
    """Return (threshold, rejected below it, approved below it); the threshold lies between two similarities."""
    values = sorted({*rejected, *approved})
    best = LEAST_GAIN
    found: tuple[float | None, int, int] = (None, 0, 0)
    if not rejected or not approved:
        return found
    below_rejected = below_approved = 0
    for low, high in pairwise(values):
        while below_rejected < len(rejected) and rejected[below_rejected] <= low:
            below_rejected += 1
        while below_approved < len(approved) and approved[below_approved] <= low:
            below_approved += 1
        gain = below_rejected / len(rejected) - below_approved / len(approved)
        if gain > best:
            best, found = gain, (round((low + high) / 2, 4), below_rejected, below_approved)
    return found
