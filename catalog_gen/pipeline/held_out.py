"""Which rows a bundle's training left out: as the bundle says, or, where it does not, as its training split them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from catalog_gen.bundles import Bundle
from catalog_gen.errors import BundleError, UsageError
from catalog_gen.training_data import HeldOut, TrainRow, hold_out

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
