"""What a database driver's error means for the job: try again, tell a person, or a bug.

SQLite result codes: https://www.sqlite.org/rescode.html. PostgreSQL's SQLSTATEs: appendix A of its manual.
"""

from __future__ import annotations

import sqlalchemy as sa

from catalog_gen.errors import CatalogGenError, ConfigError, TransientError, Unavailable

UPGRADE_HINT = "Run: catalog-gen db upgrade"

_SQLITE_PERM, _SQLITE_BUSY, _SQLITE_LOCKED, _SQLITE_READONLY, _SQLITE_INTERRUPT, _SQLITE_IOERR = 3, 5, 6, 8, 9, 10
_SQLITE_CORRUPT, _SQLITE_FULL, _SQLITE_CANTOPEN, _SQLITE_PROTOCOL, _SQLITE_NOTADB = 11, 13, 14, 15, 26

# Classes of SQLSTATE worth another try: 08 connection, 40 rollback (serialization, deadlock), 53 resources, 55 locks,
# 57 operator intervention (shutdown, crash, cannot connect now, cancelled statement).
_TRANSIENT_CLASSES = frozenset({"08", "40", "53", "55", "57"})
_TERMINAL_STATES = {
    "53100": ("the server's disk is full", "Free space on the database server, then run the same command again."),
    "25006": ("the server takes no writes (read-only transaction)", "Point database.url at the primary server."),
    "42501": ("the database user lacks a permission", "Grant it, then run the same command again."),
    "28P01": ("the password was refused", "Check the user and password in the database URL."),
    "28000": ("the login was refused", "Check the user in the database URL and the server's pg_hba.conf."),
    "3D000": ("the database does not exist", "Create it, or check the name in the database URL."),
}


def translate(error: sa.exc.SQLAlchemyError, where: str) -> CatalogGenError | None:
    """Return the error to raise in place of the driver's, or None if it is a bug that should surface as it is.

    TransientError: locks, deadlocks, lost connections, restarts. Unavailable: disk full, read-only, refused, damaged.
    ConfigError: tables or columns that are not there.
    """
    if isinstance(error, sa.exc.TimeoutError):
        return TransientError("no free database connection", where=where)
    if not isinstance(error, sa.exc.DBAPIError):
        return None
    cause = error.orig
    code = getattr(cause, "sqlite_errorcode", None)
    if code is not None:
        return _from_sqlite(code & 0xFF, _line(cause), where)
    state = getattr(cause, "sqlstate", None)
    if state:
        return _from_postgres(state, _line(cause), where)
    if error.connection_invalidated or isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError):
        return _without_code(_line(cause), where)
    return None


def _from_sqlite(code: int, line: str, where: str) -> CatalogGenError | None:
    if code in (_SQLITE_BUSY, _SQLITE_LOCKED, _SQLITE_INTERRUPT, _SQLITE_IOERR, _SQLITE_PROTOCOL):
        return TransientError(line, where=where)
    if code == _SQLITE_FULL:
        return Unavailable(line, where=where, hint="Free some disk space, then run the same command again.")
    if code in (_SQLITE_READONLY, _SQLITE_PERM, _SQLITE_CANTOPEN):
        return Unavailable(line, where=where, hint="Check that the file and its folder can be written by this user.")
    if code in (_SQLITE_CORRUPT, _SQLITE_NOTADB):
        return Unavailable(line, where=where, hint="Restore the file from a backup, or name another in database.url.")
    if "no such table" in line or "no such column" in line or "has no column" in line:
        return ConfigError(line, where=where, hint=UPGRADE_HINT)
    return None


def _from_postgres(state: str, line: str, where: str) -> CatalogGenError | None:
    if state in _TERMINAL_STATES:
        what, hint = _TERMINAL_STATES[state]
        return Unavailable(f"{what} ({line})", where=where, hint=hint)
    if state[:2] in _TRANSIENT_CLASSES:
        return TransientError(line, where=where)
    if state in ("42P01", "42703"):
        return ConfigError(line, where=where, hint=UPGRADE_HINT)
    return None


def _without_code(line: str, where: str) -> CatalogGenError:
    """An error from before the server could answer: the text is all there is."""
    for what, hint in _TERMINAL_STATES.values():
        if any(words in line for words in _CONNECT_WORDS.get(what, ())):
            return Unavailable(f"{what} ({line})", where=where, hint=hint)
    return TransientError(line, where=where)


_CONNECT_WORDS = {
    "the password was refused": ("password authentication failed", "no password supplied"),
    "the login was refused": ("no pg_hba.conf entry", 'role "'),
    "the database does not exist": ('database "',),
}


def _line(cause: BaseException | None) -> str:
    """The first line that says something; drivers add context, hints and positions below it."""
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    return lines[0] if lines else type(cause).__name__
