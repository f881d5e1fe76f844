"""Which rows a bundle's training left out: as the bundle says, or, where it does not, as its training split them."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence

from catalog_gen.bundles import Bundle
from catalog_gen.catalog.database import Database
from catalog_gen.config import Settings
from catalog_gen.errors import BundleError, UsageError
from catalog_gen.pipeline.training_source import training_rows
from catalog_gen.training_data import HeldOut, TrainRow, hold_out

log = logging.getLogger(__name__)

KEY = "held_out_rule"  # of a bundle's config
HELD_OUT = 1000  # of a bundle that does not say how many rows it left out
_HASH = re.compile(r"[0-9a-f]{64}|")


def stated_rule(bundle: Bundle) -> HeldOut | None:
    """Return the rule that the bundle states, None when it is older than rules. Raises BundleError for half a rule."""
    stated = bundle.config.get(KEY)
    if stated is None:
        return None
    seed, up_to = (stated.get(name) if isinstance(stated, dict) else None for name in ("seed", "up_to"))
    if not isinstance(seed, int) or not isinstance(up_to, str) or not _HASH.fullmatch(up_to):
        raise BundleError(f"its {KEY} is not a seed and a hash", where=str(bundle.path), hint="Copy the bundle again.")
    return HeldOut(seed, up_to)


def derived_rule(bundle: Bundle, rows: Sequence[TrainRow], count: int | None = None) -> HeldOut:
    """Return the rule of a training of `bundle` on all these rows. count: None takes what the bundle says, or 1,000.

    It is that of the bundle's own training where `rows` are those that it was made from, all of them.
    """
    seed = int(bundle.config.get("training", {}).get("seed", 0))
    return hold_out(rows, count or int(bundle.config.get("held_out", HELD_OUT)), seed)


def rule_before(settings: Settings, database: Database, start: Bundle | None) -> HeldOut | None:
    """Return which rows the bundle that a training starts from was not shown, None when there is no such bundle.

    Where it does not say, they are derived from the whole catalogue, with a warning.
    """
    if start is None:
        return None
    rule = stated_rule(start)
    if rule is None:
        rule = derived_rule(start, training_rows(settings, database, ()))
        log.warning(
            "the bundle %s does not say which rows it left out: taken for those of a training on all rows", start.name
        )
    return rule


def evaluated_rule(bundle: Bundle, rows: Sequence[TrainRow], count: int | None = None) -> HeldOut:
    """Return the stated rule, or the derived one. Raises UsageError for a count beside a stated rule."""
    rule = stated_rule(bundle)
    if rule is None:
        return derived_rule(bundle, rows, count)
    if count is not None:
        raise UsageError(
            f"the bundle {bundle.name} says itself which rows it left out",
            where=f"--held-out {count}",
            hint="Leave it out; --rows says how many of them to measure on.",
        )
    return rule
