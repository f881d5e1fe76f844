"""Killing a run at random moments, many times, and looking at what is left.

Each life of the worker is a forked process that runs the whole job from its lock to its last record, and is killed with
SIGKILL at a random time after its run began; the next life takes over. At the end one life is left alone, and then
every row must have exactly one live picture, stored whole.

    PYTHONPATH=tests python -m integration.torture --kills 50 --rows 6000 --gan gan-64 \\
        --database sqlite:////tmp/torture.sqlite3 --pictures /tmp/torture-pictures
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa

from catalog_gen.catalog import tables
from catalog_gen.config import Settings, load_settings
from integration.shop import Shop


@dataclass
class Torture:
    """What happened: how many lives were cut short, while how many rows were done, and how many ran to their end."""

    killed: int = 0
    ended_before: int = 0
    progress: list[int] = field(default_factory=list)
    interrupted_claims: int = 0


def torture(shop: Shop, kills: int, seed: int, longest: float) -> Torture:
    """Kill `kills` lives within `longest` seconds each, then let one finish. The parent must not have used torch."""
    chance = random.Random(seed)
    result = Torture()
    while result.killed < kills:
        life = _fork(shop)
        _wait_for_its_run(shop, life)
        time.sleep(chance.uniform(0, longest))
        os.kill(life, signal.SIGKILL)
        _, status = os.waitpid(life, 0)
        if os.WIFSIGNALED(status):
            result.killed += 1
        else:
            result.ended_before += 1
            if result.ended_before > kills:
                raise AssertionError("the lives end before they are killed: give more rows")
        claimed = sa.select(sa.func.count()).where(tables.work.c.state == "claimed")
        result.interrupted_claims += bool(shop.rows(claimed)[0][0])
        result.progress.append(len(shop.live()))  # fails if any product has two
    last = _fork(shop)
    _, status = os.waitpid(last, 0)
    assert os.waitstatus_to_exitcode(status) == 0, "the last life ends well"
    return result


def _wait_for_its_run(shop: Shop, life: int) -> None:
    """Return when the process has a run in the ledger: models load for seconds, and nothing can be lost in them."""
    mine = sa.select(tables.run.c.id).where(tables.run.c.pid == life)
    while not shop.rows(mine) and os.waitid(os.P_PID, life, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        time.sleep(0.05)


def _fork(shop: Shop) -> int:
    child = os.fork()
    if child:
        return child
    code = 70
    try:
        code = shop.fill().exit_code
    finally:
        sys.stdout.flush()
        os._exit(code)


def main() -> None:
    default = Settings()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", required=True)
    parser.add_argument("--pictures", required=True)
    parser.add_argument("--gan", required=True)
    parser.add_argument("--upscale", default=default.upscale.model, help="'' for none")
    parser.add_argument("--size", type=int, default=default.upscale.size, help="px that pictures are enlarged to")
    parser.add_argument("--ladder", type=int, default=default.gan.ladder)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--rows", type=int, default=6000)
    parser.add_argument("--longest", type=float, default=3.0, help="seconds")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    flags = {
        "database.url": given.database,
        "storage.url": str(Path(given.pictures).absolute()),
        "gan.model": given.gan,
        "gan.candidates": 1,
        "gan.ladder": given.ladder,
        "upscale.model": given.upscale,
        "upscale.size": given.size,
        "job.page_rows": 16,
    }
    shop = Shop(load_settings(None, env={}, use_default_file=False, flags=flags))
    database = shop.database()
    database.upgrade()
    database.dispose()
    shop.add(given.rows)
    result = torture(shop, given.kills, given.seed, given.longest)
    shop.check_promises(given.rows)
    sys.stdout.write(
        f"{result.killed} kills ({result.interrupted_claims} with rows under a lease, {result.ended_before} runs ended "
        f"first), rows done after each: {result.progress}; then all {given.rows} rows have exactly one live picture\n"
    )


if __name__ == "__main__":
    main()
