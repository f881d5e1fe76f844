"""A reviewer's process for the tests: decides on pictures as it finds them, and undoes now and then, until told to end.

Run as: decision_worker.py URL REVIEWER SEED COUNT. Says "deciding" before the first, and at the end what came of each.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections import Counter
from uuid import UUID

from catalog_fixtures import imported

from catalog_gen.catalog.database import Database, open_database
from catalog_gen.catalog.decisions import Decided, Decision, decide, last_decision, undo
from catalog_gen.catalog.review import ReviewFilter, review_page
from catalog_gen.errors import TransientError

EVERY = ReviewFilter(state=())


def main(url: str, reviewer: str, seed: int, count: int) -> None:
    database = open_database(url)
    chance = random.Random(seed)
    sys.stdout.write("deciding\n")
    sys.stdout.flush()
    results: Counter[str] = Counter()
    for _ in range(count):
        if chance.random() < 0.25:
            results[f"undo {take_back(database, reviewer).result}"] += 1
        else:
            results[decide_once(database, reviewer, chance).result] += 1
    sys.stdout.write(json.dumps(results) + "\n")


def take_back(database: Database, reviewer: str) -> Decided:
    last = last_decision(database, reviewer)
    name = last.id if last else None
    return again(lambda: undo(database, reviewer=reviewer, source="desk", decision_id=name))


def decide_once(database: Database, reviewer: str, chance: random.Random) -> Decided:
    picture = chance.choice(review_page(database, imported(database), EVERY, limit=200).items).asset
    action = chance.choice(["approve", "reject", "again"])
    name = UUID(int=chance.getrandbits(128)).hex
    decision = Decision(name, picture.id, action, version=picture.version, reason="no")  # type: ignore[arg-type]
    return again(lambda: decide(database, [decision], reviewer=reviewer, source="desk")[0])


def again(function) -> Decided:  # type: ignore[no-untyped-def]
    for _ in range(50):
        try:
            return function()
        except TransientError:
            time.sleep(0.02)
    return function()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
