"""`python -m desk_bench`: how quickly the review desk answers over very many pictures, and the memory that it needs.

The command itself serves in a process of its own, and is asked over HTTP on loopback, one request at a time. Every
figure is the median and the worst of some calls, and the processor's time that the desk needed for one (on PostgreSQL,
without the server's): what is left of the median when other programs leave the machine alone.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import numpy as np
import sqlalchemy as sa
from PIL import Image

from catalog_gen.catalog import tables
from catalog_gen.catalog.database import Database
from catalog_gen.storage import open_storage
from many_assets import fill
from review_bench import new_database

CALLS = 15
SIZE = 1_080  # px of the pictures that are scaled
READY = "The review desk is at "
PAGES = {
    "page: review": "/",
    "page: sheet": "/grid",
    "page: sheet of a category": "/grid?category=Category+01",
    "page: sheet of every state": "/grid?state=&order=newest",
    "page: sheet, a word": "/grid?text=cotton",
    "page: audit": "/audit",
    "page: thresholds": "/thresholds",
    "queue, 24 pictures": "/api/queue?limit=24",
    "queue, 24 pictures, kept apart": "/api/queue?limit=24&hold=1",
    "queue, 500 names": "/api/queue?limit=500&brief=1",
}


@dataclass
class Served:
    """The desk in its process: a client with a session, and the process's id."""

    client: httpx.Client
    token: str
    process: int

    def post(self, address: str, body: Any) -> Any:
        headers = {"Origin": str(self.client.base_url).rstrip("/"), "X-CSRF-Token": self.token}
        answer = self.client.post(address, json=body, headers=headers)
        answer.raise_for_status()
        return answer.json()["ruled"]

    def seconds(self) -> float:
        """The processor's time that the process has used, user and system."""
        fields = Path(f"/proc/{self.process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self, name: str) -> float:
        """MB that the process holds (VmRSS), or has held at most (VmHWM)."""
        status = Path(f"/proc/{self.process}/status").read_text(encoding="ascii")
        found = re.search(rf"^{name}:\s+(\d+) kB", status, re.MULTILINE)
        assert found is not None, "Linux has it"
        return int(found[1]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--assets", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--database", nargs="+", default=["sqlite", "postgres"])
    given = parser.parse_args()
    for kind in given.database:
        for number in given.assets:
            with new_database(kind) as database, tempfile.TemporaryDirectory() as folder:
                fill(database, number, decisions=number // 5)
                with_files = store_pictures(database, folder)
                say(f"\n{kind}, {number:,} pictures\n")
                url = database.url.render_as_string(hide_password=False)
                with served(url, folder) as desk:
                    measure(desk, with_files)


def store_pictures(database: Database, folder: str) -> list[str]:
    """Give some pictures real files; return their ids. Noise: the hardest to scale and to encode."""
    storage = open_storage(folder)
    with database.transaction() as connection:
        ids = list(connection.execute(sa.select(tables.asset.c.id).limit(CALLS)).scalars())
        for number, asset_id in enumerate(ids):
            pixels = np.random.default_rng(number).integers(0, 256, (SIZE, SIZE, 3), np.uint8)
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
            uri = storage.put(buffer.getvalue(), "jpg").uri
            connection.execute(sa.update(tables.asset).where(tables.asset.c.id == asset_id).values(uri=uri))
    return ids


@contextmanager
def served(url: str, folder: str) -> Iterator[Served]:
    flags = ["--database", url, "--storage", folder]
    command = [sys.executable, "-m", "catalog_gen", "serve", "--port", "0", *flags]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        with httpx.Client(base_url=line.removeprefix(READY).split()[0], timeout=60) as client:
            page = client.get("/")
            yield Served(client, page.text.split('name="csrf" content="')[1].split('"')[0], process.pid)
    finally:
        process.terminate()
        process.wait(30)


def measure(desk: Served, with_files: Sequence[str]) -> None:
    """Print what each request takes, and the memory before and after all of them."""
    say(f"  memory after the first page {desk.memory('VmRSS'):.0f} MB\n")
    for name, address in PAGES.items():
        clock(desk, name, [lambda: get(desk, address)] * CALLS)  # noqa: B023
    cards = desk.client.get("/api/queue?limit=400").json()["cards"]
    clock(desk, "page: one picture", [lambda card=card: get(desk, f"/picture/{card['id']}") for card in cards[:CALLS]])
    decide(desk, cards)
    for width in (96, 960):
        images = [lambda one=one: get(desk, f"/image/{one}?w={width}") for one in with_files]  # noqa: B023
        clock(desk, f"picture of {SIZE} px, scaled to {width}", images)
        clock(desk, f"picture of {SIZE} px, scaled to {width} before", images)
    say(f"  memory at the end {desk.memory('VmRSS'):.0f} MB, at most {desk.memory('VmHWM'):.0f} MB\n")


def decide(desk: Served, cards: Sequence[dict[str, Any]]) -> None:
    bodies = [
        {"id": uuid4().hex, "asset": card["id"], "version": card["version"], "action": "reject", "reason": "odd"}
        for card in cards
    ]
    ones, many = bodies[:CALLS], bodies[CALLS:]
    clock(desk, "decision", [lambda one=one: desk.post("/api/decisions", {"decisions": [one]}) for one in ones])
    clock(desk, "undo", [lambda one=one: desk.post("/api/undo", {"decisions": [one["id"]]}) for one in ones])
    fifties = [many[start : start + 50] for start in range(0, len(many) - 49, 50)]
    clock(
        desk, "50 decisions", [lambda some=some: desk.post("/api/decisions", {"decisions": some}) for some in fifties]
    )


def get(desk: Served, address: str) -> None:
    desk.client.get(address).raise_for_status()


def clock(desk: Served, name: str, calls: Sequence[Callable[[], object]]) -> None:
    """Make the calls and print the median and the worst in milliseconds."""
    taken, used = [], desk.seconds()
    for call in calls:
        started = time.perf_counter()
        call()
        taken.append((time.perf_counter() - started) * 1_000)
    used = (desk.seconds() - used) / len(calls) * 1_000
    say(f"  {name:<42} {statistics.median(taken):7.1f} ms, worst {max(taken):7.1f} ms, processor {used:6.1f} ms\n")


def say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
