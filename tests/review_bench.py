"""`python -m review_bench`: how long the queue and decisions take with very many pictures, on both databases.

Every figure is the median and the worst of some calls in one process, the database's own cache warm. On SQLite, which
works inside this process, the time that it computed is beside it: that does not count what else the machine does.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from uuid import uuid4

import psycopg

from catalog_gen.catalog.audit import audit
from catalog_gen.catalog.database import Database, open_database
from catalog_gen.catalog.decisions import Decision, decide, undo
from catalog_gen.catalog.review import (
    ReviewFilter,
    facets,
    history,
    rejection_reasons,
    review_page,
    threshold_advice,
)
from catalog_gen.catalog.source import open_source
from catalog_gen.config import Settings
from many_assets import fill
from postgres_server import PostgresServer, find_binaries

CALLS = 15
EVERY = ReviewFilter(state=())
FILTERS = {
    "for review, by doubt": ReviewFilter(),
    "every state, newest": replace(EVERY, order="newest"),
    "every state, by sku": replace(EVERY, order="sku"),
    "a rare category": replace(EVERY, category="Category 44"),
    "a reason": ReviewFilter(reason_kind="fault"),
    "a style": replace(EVERY, kind="restyled", style="festive"),
    "a run": replace(EVERY, run="20260101T020007.000-abcdef"),
    "a word that many have": replace(EVERY, text="cotton"),
    "a word that none has": replace(EVERY, text="nothing of the kind"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--assets", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--database", nargs="+", default=["sqlite", "postgres"])
    given = parser.parse_args()
    for kind in given.database:
        for number in given.assets:
            with new_database(kind) as database:
                started = time.perf_counter()
                fill(database, number, decisions=number // 5)
                say(f"\n{kind}, {number:,} pictures (made in {time.perf_counter() - started:.0f} s)\n")
                measure(database)


@contextmanager
def new_database(kind: str) -> Iterator[Database]:
    """An empty database of its own, gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        server = None
        url = f"sqlite:///{folder}/bench.sqlite3"
        if kind == "postgres":
            binaries = find_binaries()
            if binaries is None:
                sys.exit("PostgreSQL is not installed (Debian: apt-get install postgresql)")
            server = PostgresServer(binaries, settings={"shared_buffers": "256MB", "fsync": "on"})
            server.start()
            with psycopg.connect(server.url(), autocommit=True) as connection:
                connection.execute("CREATE DATABASE bench")
            url = server.url("bench")
        database = open_database(url)
        try:
            database.upgrade()
            yield database
        finally:
            database.dispose()
            if server is not None:
                server.remove()


def measure(database: Database) -> None:
    """Print what each call takes."""
    source = open_source(Settings(), database)
    for name, filter in FILTERS.items():
        clock(f"page of 50: {name}", lambda: review_page(database, source, filter))  # noqa: B023
        clock(f"facets: {name}", lambda: facets(database, filter))  # noqa: B023
    cursor = review_page(database, source, EVERY, limit=1_000).next
    for _ in range(4):
        cursor = review_page(database, source, EVERY, limit=1_000, after=cursor).next
    clock("page of 50, after 5,000", lambda: review_page(database, source, EVERY, after=cursor))
    pictures = [item.asset for item in review_page(database, source, ReviewFilter(), limit=CALLS * 4).items]
    place = count()

    def next_decision(action: str) -> Decision:
        picture = pictures[next(place)]
        return Decision(uuid4().hex, picture.id, action, version=picture.version, reason="no")  # type: ignore[arg-type]

    clock("approve", lambda: decide(database, [next_decision("approve")], reviewer="ann", source="desk"))
    clock("reject", lambda: decide(database, [next_decision("reject")], reviewer="ann", source="desk"))
    clock("undo", lambda: undo(database, reviewer="ann", source="desk"))
    clock("audit, 100 rows", lambda: audit(database))
    clock("reasons given most", lambda: rejection_reasons(database))
    clock("threshold advice", lambda: threshold_advice(database))
    clock("history of a product", lambda: history(database, pictures[0].sku))


def clock(name: str, call: Callable[[], object]) -> None:
    """Call it some times; print the median and the worst in milliseconds, and the median of what was computed here."""
    taken, computed = [], []
    for _ in range(CALLS):
        started, working = time.perf_counter(), time.process_time()
        call()
        taken.append((time.perf_counter() - started) * 1_000)
        computed.append((time.process_time() - working) * 1_000)
    middle, here = statistics.median(taken), statistics.median(computed)
    say(f"  {name:<42} {middle:7.1f} ms, worst {max(taken):7.1f} ms, computed here {here:7.1f} ms\n")


def say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
