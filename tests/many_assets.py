"""A database with very many pictures in it, rows only: for benchmarks, and for whoever wants to see a long queue."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from catalog_gen.catalog import tables
from catalog_gen.catalog.database import Database
from catalog_gen.catalog.statements import chunks

CATEGORIES = 45  # as the fashion set has
RUNS = 30
STYLES = ("winter", "festive")
STATES = ("draft", "needs_review", "approved", "rejected", "published")
SHARES = (40, 30, 20, 5, 5)
KINDS = ("similarity", "duplicate", "fault", "cut-out")
FIRST = datetime(2026, 1, 1, tzinfo=UTC)


def fill(database: Database, count: int, *, decisions: int = 0, seed: int = 0) -> None:
    """Put `count` pictures, and the products they stand for, into an empty database; and decisions on some of them."""
    rows = list(_pictures(count, random.Random(seed)))
    skus = sorted({row["sku"] for row in rows})
    with database.transaction() as connection:
        for some in chunks(skus, 5_000):
            connection.execute(sa.insert(tables.product), [_product(sku) for sku in some])
        for some_rows in chunks(rows, 5_000):
            connection.execute(sa.insert(tables.asset), list(some_rows))
        for some_rows in chunks(rows[:decisions], 5_000):
            connection.execute(sa.insert(tables.decision), [_decision(row) for row in some_rows])
    if database.is_postgres:  # as the server itself does when it is left alone
        with database.engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT").execute(sa.text("VACUUM ANALYZE"))


def _product(sku: str) -> dict[str, Any]:
    times = {"created_at": FIRST, "updated_at": FIRST}
    return {"sku": sku, "title": f"Product {sku}", "category": "", "attributes": {}, "row_hash": "", **times}


def _pictures(count: int, chance: random.Random) -> Iterator[dict[str, Any]]:
    for number in range(count):
        restyled = number % 4 == 3
        sku = f"{number - number % 4 if restyled else number:08d}"
        [state] = chance.choices(STATES, SHARES)
        kind = chance.choice(KINDS) if state == "needs_review" else ""
        digest = hashlib.sha256(str(number).encode()).hexdigest()
        category = f"Category {int(chance.paretovariate(0.7)) % CATEGORIES:02d}"
        words = " ".join(chance.choices(("red", "blue", "men", "women", "casual", "cotton", "sports", "summer"), k=8))
        yield {
            "id": digest[:32],
            "sku": sku,
            "kind": "restyled" if restyled else "generated",
            "style": chance.choice(STYLES) if restyled else "",
            "variant": "square" if restyled else "",
            "uri": f"file:///srv/shop/pictures/{digest[:2]}/{digest[2:4]}/{digest}.webp",
            "sha256": digest,
            "bytes": 2_000,
            "width": 64,
            "height": 64,
            "format": "webp",
            "prompt": f"Product {sku}, {words}",
            "prompt_hash": digest,
            "seed": number,
            "attempt": 0,
            "candidates": 4,
            "clip_hash": digest,
            "gan_hash": digest,
            "scores": {"similarity": round(chance.uniform(0, 0.8), 4), "similarity_mean": 0.4},
            "settings": {"device": "cpu", "dtype": "bf16", "chunk": 32, "candidate": 1, "quality": 90},
            "phash": digest[:16],
            "colours": digest + digest + digest,
            "state": state,
            "reason": f"{kind} {number % 1000}" if kind else "",
            "live": state != "rejected",
            "run_id": f"20260101T0200{number * RUNS // count:02d}.000-abcdef",
            "source_asset_id": None,
            "input_hash": digest,
            "created_at": FIRST + timedelta(seconds=number),
            "category": category,
            "doubt": chance.uniform(0.5, 1) if kind else chance.uniform(0, 0.5),
            "reason_kind": kind,
        }


def _decision(row: dict[str, Any]) -> dict[str, Any]:
    rejected = row["state"] == "rejected"
    return {
        "id": row["sha256"][32:],
        "asset_id": row["id"],
        "sku": row["sku"],
        "action": "reject" if rejected else "approve",
        "reason": f"reason {len(row['prompt']) % 7}" if rejected else "",
        "from_state": "needs_review",
        "to_state": "rejected" if rejected else "approved",
        "from_version": 1,
        "to_version": 2,
        "reviewer": "ann",
        "source": "desk",
        "decided_at": row["created_at"],
        "details": {},
    }
