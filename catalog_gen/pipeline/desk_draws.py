"""Drawing "now": runs of `fill-missing` and `restyle` that the review desk starts beside itself, one at a time.

Each is the ordinary command in a process of its own, so that models and their memory come and go with it, and so that
whatever goes wrong there leaves the desk alone. What waits meanwhile for the same job goes into the next run together:
most of a short run's time is loading the models.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from catalog_gen.catalog.assets import live_assets
from catalog_gen.catalog.database import Database
from catalog_gen.catalog.model import Asset
from catalog_gen.desk.model import Draw
from catalog_gen.errors import CatalogGenError, TemporaryFailure

MOST_WAITING = 200
MOST_A_RUN = 50
MOST_KEPT = 100  # of those that are done, to be told
STOP_SECONDS = 20.0  # a run that is asked to stop finishes what it draws


@dataclass(frozen=True)
class _Job:
    """What one run can do together: `arguments` of the command, without the skus."""

    arguments: tuple[str, ...]
    kind: str
    style: str


class Drawer:
    """Draws pictures at once. `flags` are the command's own that lead to this database and this storage."""

    def __init__(self, database: Database, flags: Sequence[str]) -> None:
        self._database, self._flags = database, tuple(flags)
        self._draws: dict[str, Draw] = {}
        self._waiting: deque[tuple[str, _Job]] = deque()
        self._child: subprocess.Popen[str] | None = None
        self._stopped = False
        self._change = threading.Condition()
        self._thread: threading.Thread | None = None

    def add(self, asset: Asset) -> Draw:
        """Draw anew what the rejected `asset` leaves empty. Raises TemporaryFailure when too much waits already."""
        with self._change:
            same = [draw for draw in self._draws.values() if (draw.sku, draw.style) == (asset.sku, asset.style)]
            for draw in same:
                if draw.state == "waiting":
                    return draw
            if len(self._waiting) >= MOST_WAITING:
                raise TemporaryFailure(
                    f"{MOST_WAITING} pictures are waiting to be drawn", hint="Let the next run do it."
                )
            draw = Draw(asset.id, asset.sku, asset.style, "waiting")
            self._draws[draw.id] = draw
            self._waiting.append((draw.id, _job_of(asset)))
            self._forget()
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="desk-draws", daemon=True)
                self._thread.start()
            self._change.notify_all()
            return draw

    def draws(self) -> list[Draw]:
        """Return what was asked for, the latest first."""
        with self._change:
            return list(reversed(self._draws.values()))

    def stop(self) -> None:
        """Draw nothing more; a run that is under way records what it has and ends."""
        with self._change:
            self._stopped = True
            child = self._child
            self._change.notify_all()
        if child is not None and child.poll() is None:
            child.terminate()
            try:
                child.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
        if self._thread is not None:
            self._thread.join(STOP_SECONDS)

    def _work(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._waiting or self._stopped)
                if self._stopped:
                    return
                job = self._waiting[0][1]
                together = [one for one, its in self._waiting if its == job][:MOST_A_RUN]
                self._waiting = deque(entry for entry in self._waiting if entry[0] not in together)
                draws = [self._set(one, state="drawing") for one in together]
            self._run(job, draws)

    def _run(self, job: _Job, draws: Sequence[Draw]) -> None:
        command = [sys.executable, "-m", "catalog_gen", *job.arguments, "--allow-parallel", *self._flags]
        command += [f"--sku={draw.sku}" for draw in draws]
        try:
            code, said = self._call(command)
            live = {draw.id: self._newest(job, draw) for draw in draws}
        except (OSError, CatalogGenError) as error:
            why = str(error)
            self._finish(draws, lambda _: ("failed", why, ""))
            return
        told = said or f"the run ended with {code}"
        self._finish(draws, lambda draw: ("done", "", live[draw.id]) if live[draw.id] else ("failed", told, ""))

    def _call(self, command: Sequence[str]) -> tuple[int, str]:
        """Run the command; return its exit code and the last line that it wrote."""
        with self._change:
            if self._stopped:
                return 0, "the desk was stopped"
            child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                errors="replace",
            )  # fmt: skip
            self._child = child
        assert child.stdout is not None
        lines = deque((line.strip() for line in child.stdout if line.strip()), maxlen=1)
        return child.wait(), lines[0] if lines else ""

    def _newest(self, job: _Job, draw: Draw) -> str:
        """Return the picture that stands in the place of the rejected one now, or ""."""
        found = live_assets(self._database, draw.sku, job.kind, job.style)
        return found[-1].id if found else ""

    def _finish(self, draws: Sequence[Draw], outcome: Callable[[Draw], tuple[str, str, str]]) -> None:
        with self._change:
            for draw in draws:
                state, told, asset = outcome(draw)
                self._set(draw.id, state=state, told=told, asset=asset)

    def _set(self, draw_id: str, **changes: object) -> Draw:
        self._draws[draw_id] = replace(self._draws[draw_id], **changes)  # type: ignore[arg-type]
        return self._draws[draw_id]

    def _forget(self) -> None:
        over = [one for one, draw in self._draws.items() if draw.state in ("done", "failed")][:-MOST_KEPT]
        for one in over:
            del self._draws[one]


def _job_of(asset: Asset) -> _Job:
    if asset.kind == "generated":
        return _Job(("fill-missing",), asset.kind, "")
    photos = () if asset.source_asset_id else ("--include-photos",)
    return _Job(("restyle", f"--style={asset.style}", *photos), asset.kind, asset.style)
