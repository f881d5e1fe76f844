"""The file for node_exporter's textfile collector: one a task, replaced whole.

https://github.com/prometheus/node_exporter#textfile-collector. What is counted over runs, and when one last succeeded,
is read back from the file before.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from catalog_gen.errors import Unavailable
from catalog_gen.notify.metrics import counters, exposition, last_known, last_run, read_samples, task_labels
from catalog_gen.notify.news import News

READABLE = 0o644  # node_exporter is another user, and a job's umask may be 077


def write_textfile(folder: Path, news: News, unsent: Mapping[str, bool]) -> Path:
    """Write the run's numbers to the task's file in `folder`; return it. Raises Unavailable where that cannot be."""
    labels = dict(task_labels(news))
    name = "_".join(
        ("catalog_gen", *(re.sub(r"[^\w-]", "-", labels[key]) for key in ("task", "style") if key in labels))
    )
    file = folder / f"{name}.prom"
    with _errors(folder), _held(folder):
        before = read_samples(file.read_text(encoding="utf-8", errors="replace")) if file.exists() else {}
        families = [*last_run(news, unsent), *last_known(news, before), *counters(news, unsent, before)]
        _replace(file, exposition(families))
    return file


def check_textfile(folder: Path) -> None:
    """Write a file as a run would, and take it away again. Raises Unavailable where that cannot be."""
    file = folder / "catalog_gen_test.prom"
    with _errors(folder), _held(folder):
        _replace(file, "# a test of catalog-gen\n")
        file.unlink()


def _replace(file: Path, text: str) -> None:
    """The collector never sees half a file: written beside it under a name it does not read, made durable, renamed."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        with temporary.open("w", encoding="utf-8") as opened:
            opened.write(text)
            os.fchmod(opened.fileno(), READABLE)
            opened.flush()
            os.fsync(opened.fileno())
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Workers that end at once count one after the other; the lock is the folder's own, and leaves no file behind."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        hint = "It must be there, and the job's user must be allowed to write to it."
        raise Unavailable(f"cannot be written ({error.strerror})", where=str(folder), hint=hint) from error
