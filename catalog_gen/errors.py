"""What can go wrong, each with the exit code that cron sees.

Every error is one clear line: what happened, where, and what to do about it. Transient errors (a database that
restarts, a bucket that throttles) are a type of their own, because only they are retried.
Exit codes 64 to 78 follow BSD's sysexits.h; 3 and 4 are this program's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

EXIT_OK = 0
EXIT_SOME_FAILED = 3  # every row was tried, and some could not be drawn or stored
EXIT_PARTIAL = 4  # stopped in good order before the end: deadline, --limit of time, or a signal


class CatalogGenError(Exception):
    """The base of every error that a user can meet: prints as one line and ends the command with `exit_code`."""

    exit_code = 70

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        self.what, self.where, self.hint = what, where, hint
        super().__init__(what)

    def __str__(self) -> str:
        line = f"{self.where}: {self.what}" if self.where else self.what
        line = f"{line}. {self.hint}" if self.hint else line
        return " ".join(line.split())


class UsageError(CatalogGenError):
    """The command was called with arguments that cannot be used (EX_USAGE)."""

    exit_code = 64


class Unavailable(CatalogGenError):
    """Something the job needs is not there: a database, a bucket, a bundle, an optional package (EX_UNAVAILABLE)."""

    exit_code = 69


class InternalError(CatalogGenError):
    """A bug in this program (EX_SOFTWARE)."""

    exit_code = 70


class TemporaryFailure(CatalogGenError):
    """The same command may work later: another run holds the lock, or retries ran out (EX_TEMPFAIL)."""

    exit_code = 75


class ConfigError(CatalogGenError):
    """The configuration or the schema is wrong and a person must mend it (EX_CONFIG)."""

    exit_code = 78


class BundleError(Unavailable):
    """A model bundle is missing, incomplete, changed on disk, or of the wrong shape."""


class TransientError(CatalogGenError):
    """A failure worth retrying, raised by the database and storage layers; never leaves the retry helper."""

    exit_code = 75


class PhotoError(CatalogGenError):
    """A photograph that cannot be used; the row goes on without it. `what` is a short reason for reports."""

    exit_code = 64


class RowError(CatalogGenError):
    """One row cannot be worked; it is counted as failed with this reason, and the batch goes on."""


class TemplateProblem(NamedTuple):
    """One mistake of a template: in which file, under which key (as it is written there), and why."""

    file: str
    key: str
    reason: str

    def __str__(self) -> str:
        return f"{self.key}: {self.reason}" if self.key else self.reason


class TemplateError(ConfigError):
    """A brand template that a person must mend; `problems` are all of its mistakes that could be found at once."""

    def __init__(self, problems: Sequence[TemplateProblem], *, hint: str = "") -> None:
        self.problems = tuple(problems)
        files = list(dict.fromkeys(problem.file for problem in problems))
        told = "; ".join(f"({n}) {p}" for n, p in enumerate(problems, 1)) if len(problems) > 1 else str(problems[0])
        count = f"{len(problems)} mistakes: " if len(problems) > 1 else ""
        super().__init__(count + told, where=", ".join(files), hint=hint)
