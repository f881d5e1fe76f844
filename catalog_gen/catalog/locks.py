"""Locks that end with their holder: a process that dies, however it dies, holds nothing.

PostgreSQL: a session-level advisory lock on a connection of its own (so no pooler in transaction mode in between).
SQLite: flock(2) on a file beside the database, which is on one machine anyway.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Protocol
from urllib.parse import quote

import sqlalchemy as sa

from catalog_gen.catalog.database import Database
from catalog_gen.catalog.faults import translate
from catalog_gen.errors import Unavailable


class Lock(Protocol):
    """A held lock. Leaving its `with` block, or `release()`, frees it; releasing twice is harmless."""

    name: str

    def release(self) -> None: ...

    def still_held(self) -> bool:
        """Whether it is held; one that was lost with its connection is taken again if it is free.

        Raises TransientError while the server is away: then nobody knows.
        """

    def __enter__(self) -> Lock: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def acquire_lock(database: Database, name: str) -> Lock | None:
    """Return the held lock, or None if another holder (this process included) has it. Never waits.

    Raises TransientError or Unavailable when the database or the lock file cannot be reached.
    """
    lock = _ServerLock(database, name) if database.is_postgres else _FileLock(database, name)
    return lock if lock.acquire() else None


class _Held:
    def release(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Lock:
        return self  # type: ignore[return-value]  # the subclasses have what the protocol asks

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class _FileLock(_Held):
    def __init__(self, database: Database, name: str) -> None:
        assert database.path is not None
        file = database.path.resolve()
        self.name = name
        self._file = file.with_name(f"{file.name}.locks") / f"{quote(name, safe='')}.lock"
        self._descriptor: int | None = None
        self._guard = threading.Lock()

    def acquire(self) -> bool:
        try:
            self._file.parent.mkdir(exist_ok=True)
            while True:
                descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    os.close(descriptor)
                    return False
                if _is_same_file(descriptor, self._file):
                    self._descriptor = descriptor
                    return True
                os.close(descriptor)  # its last holder removed the file between our open and our flock
        except OSError as error:
            raise Unavailable(
                f"the lock file cannot be used ({error.strerror})",
                where=str(self._file),
                hint="Check that the database's folder can be written by this user.",
            ) from error

    def still_held(self) -> bool:
        return self._descriptor is not None

    def release(self) -> None:
        with self._guard:
            if self._descriptor is None:
                return
            with contextlib.suppress(FileNotFoundError):  # someone tidied the folder; the lock itself is the flock
                self._file.unlink()
            os.close(self._descriptor)
            self._descriptor = None


def _is_same_file(descriptor: int, file: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), file.stat())
    except FileNotFoundError:
        return False


class _ServerLock(_Held):
    def __init__(self, database: Database, name: str) -> None:
        self.name = name
        self._database = database
        digest = hashlib.sha256(f"catalog-gen:{name}".encode()).digest()
        self._key = int.from_bytes(digest[:8], "big", signed=True)
        self._connection: sa.Connection | None = None
        self._released = False
        self._guard = threading.Lock()

    def acquire(self) -> bool:
        try:
            return self._acquire()
        except sa.exc.SQLAlchemyError as error:
            known = translate(error, self._database.where)
            if known is None:
                raise
            raise known from error

    def _acquire(self) -> bool:
        connection = self._database.engine.connect()
        try:
            connection = connection.execution_options(isolation_level="AUTOCOMMIT")
            connection.detach()  # its end is the lock's end, so it must never serve anyone else
            # A holder whose machine lost power must not hold the lock for TCP's default of two hours.
            for setting, seconds in (("idle", 30), ("interval", 10), ("count", 3)):
                connection.exec_driver_sql(f"SET tcp_keepalives_{setting} = {seconds}")
            got: bool = connection.execute(
                sa.text("SELECT pg_try_advisory_lock(:key)"), {"key": self._key}
            ).scalar_one()
        except BaseException:
            connection.close()
            raise
        if got:
            self._connection = connection
        else:
            connection.close()
        return got

    def still_held(self) -> bool:
        with self._guard:
            if self._released:
                return False
            if self._connection is not None:
                try:
                    self._connection.execute(sa.select(1))
                    return True
                except sa.exc.SQLAlchemyError:
                    self._close()
            return self.acquire()

    def release(self) -> None:
        with self._guard:
            self._released = True
            if self._connection is not None:
                # Closing frees it too, but some moments later: the server ends a session when it comes to it.
                with contextlib.suppress(sa.exc.SQLAlchemyError):
                    self._connection.execute(sa.text("SELECT pg_advisory_unlock(:key)"), {"key": self._key})
            self._close()

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            # The server frees the lock with the session. That a lost connection cannot be closed again is no news.
            with contextlib.suppress(sa.exc.SQLAlchemyError):
                connection.close()
