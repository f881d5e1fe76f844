"""metrics.jsonl: everything that was measured while training, one JSON object a line, and never out of order."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TextIO

from catalog_gen.errors import UsageError

METRICS = "metrics.jsonl"

Kind = Literal["loss", "measure", "note"]
Line = dict[str, Any]  # {"images": int, "kind": Kind, name: value, ...}; null stands for what is no finite number


class History:
    """The file, open for appending. `resume_at` is the image count of the checkpoint that the training goes on from.

    Lines beyond it belong to steps that a crash lost, and are cut; None starts an empty file.
    Raises UsageError when the file is not one that this class wrote.
    """

    def __init__(self, path: Path, resume_at: int | None) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._keep([] if resume_at is None else read_history(path), resume_at or 0)

    def append(self, images_seen: int, kind: Kind, values: Mapping[str, float | str]) -> None:
        """Write one line, through to the operating system: a killed process loses nothing."""
        line = {"images": images_seen, "kind": kind, **{name: _plain(value) for name, value in values.items()}}
        self._file.write(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")
        self._file.flush()

    @property
    def closed(self) -> bool:
        return self._file.closed

    def close(self) -> None:
        self._file.close()

    def _keep(self, lines: list[Line], until: int) -> TextIO:
        """Replace the file, by a temporary name, with those of `lines` that lie within `until`; return it open."""
        part = self.path.with_name(f".{self.path.name}.part")
        kept = (json.dumps(line, ensure_ascii=False) + "\n" for line in lines if line["images"] <= until)
        part.write_text("".join(kept), encoding="utf-8")
        part.replace(self.path)
        return self.path.open("a", encoding="utf-8")


def read_history(path: Path) -> list[Line]:
    """Return the file's lines; none when there is no file. A last line that a crash tore is left out.

    Raises UsageError when any other line cannot be read.
    """
    if not path.exists():
        return []
    *whole, _ = path.read_bytes().split(b"\n")  # what follows the last line's end is nothing, or torn
    found: list[Line] = []
    for number, raw in enumerate(whole, 1):
        try:
            line = json.loads(raw)
        except ValueError:
            line = None
        if not isinstance(line, dict) or not isinstance(line.get("images"), int) or "kind" not in line:
            raise UsageError(
                "this is no line of a training's history", where=f"{path}:{number}", hint="Move the file away."
            )
        found.append(line)
    return found


def _plain(value: float | str) -> float | str | None:
    """JSON knows no NaN and no infinity: they become null, and a curve has a gap there."""
    if isinstance(value, str):
        return value
    return float(value) if math.isfinite(value) else None
