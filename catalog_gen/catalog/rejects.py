"""The rejects file: every row or photo that an import could not take, with its line and the reason."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import TextIO

from catalog_gen.errors import UsageError

HEADER = ("line", "sku", "kind", "reason", "raw")


class RejectsFile:
    """Writes rejects as CSV (UTF-8). The file appears with the first one; one left by an earlier import is removed.

    Without a path it is `<feed>.rejects.csv` beside the feed, or in the working folder when the feed's is read-only.
    Raises UsageError when the file cannot be written, or when the path holds something else than rejects.
    """

    def __init__(self, wanted: Path | None, feed: Path) -> None:
        self._file: TextIO | None = None
        self.count = 0
        beside = feed.with_name(f"{feed.name}.rejects.csv")
        # A feed on a read-only share is usual; the file then lands where the command was started.
        self.path = wanted or (beside if os.access(beside.parent, os.W_OK) else Path(beside.name))
        self._clear()

    def add(self, line: int, sku: str, kind: str, reason: str, raw: str) -> None:
        """Write one reject. kind: `row` (not imported) or `photo` (imported without it). Raises UsageError."""
        try:
            if self._file is None:
                # backslashreplace: undecodable bytes must not stop the report about them
                self._file = self.path.open("w", encoding="utf-8", errors="backslashreplace", newline="")
                csv.writer(self._file).writerow(HEADER)
            csv.writer(self._file).writerow((line, sku, kind, reason, raw.replace("\0", "\\0").rstrip("\r\n")))
        except OSError as error:
            raise self._unwritable(error) from error
        self.count += 1

    def close(self) -> None:
        if self._file:
            self._file.close()

    def _clear(self) -> None:
        try:
            with self.path.open("rb") as file:
                if file.read(64).split(b"\r\n")[0] != ",".join(HEADER).encode():
                    raise UsageError(
                        "exists and is no rejects file", where=str(self.path), hint="Choose --rejects FILE."
                    )
            self.path.unlink()
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> UsageError:
        reason = f"the rejects file cannot be written ({error.strerror or error})"
        return UsageError(reason, where=str(self.path), hint="Choose another: --rejects FILE.")
