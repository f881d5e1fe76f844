"""The database under the job: SQLite by default, PostgreSQL as well; short transactions, plain errors.

Connections are pooled and may be used from any thread. Readers use `read()`, writers `transaction()`: on SQLite the
latter takes the write lock at its start (BEGIN IMMEDIATE), because a reader that turns writer midway cannot wait for
its turn, it can only fail (https://www.sqlite.org/isolation.html).
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from catalog_gen.catalog import schema
from catalog_gen.catalog.faults import translate
from catalog_gen.config import hide_password
from catalog_gen.errors import CatalogGenError, ConfigError, TransientError, Unavailable

BUSY_SECONDS = 30.0
CONNECT_SECONDS = 10


class Database:
    """An open database. `url` is SQLAlchemy's; `str(url)` hides the password."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine
        self.url = engine.url
        self.is_postgres = engine.dialect.name == "postgresql"
        self.where = str(engine.url)

    @property
    def path(self) -> Path | None:
        """The SQLite file; None on PostgreSQL."""
        return None if self.is_postgres else Path(self.url.database or "").absolute()

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """A short write transaction: committed at the end of the block, rolled back if it raises.

        Raises TransientError when trying again may help (a lock, a lost connection, a restart), Unavailable when a
        person must act (disk full, read-only), ConfigError when tables are missing; the driver's error is the cause.
        """
        with self._translated(), self.engine.connect() as connection:
            connection.execution_options(catalog_gen_write=True)
            with connection.begin():
                yield connection

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A short read transaction: one consistent view on SQLite. Raises as `transaction()` does."""
        with self._translated(), self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sa.exc.SQLAlchemyError as error:
            known = translate(error, self.where)
            if known is None:
                raise
            raise known from error

    def now(self, connection: sa.Connection) -> datetime:
        """Return the clock that leases are measured by: the server's, so that workers' clocks need not agree."""
        if not self.is_postgres:
            return datetime.now(UTC)
        time: datetime = connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
        return time.astimezone(UTC)

    def upgrade(self) -> None:
        """Bring the job's tables to this version; harmless when they are, and when two processes do it at once."""
        with self.transaction() as connection:
            schema.upgrade(connection)

    def check_schema(self) -> None:
        """Raise ConfigError, with the command to run, unless the job's tables are of exactly this version."""
        with self.read() as connection:
            schema.check(connection, self.where)

    def ping(self) -> None:
        """Raise TransientError or Unavailable unless the database answers a query now."""
        with self.read() as connection:
            connection.execute(sa.select(1))

    def dispose(self) -> None:
        """Close every pooled connection; the object can be used again afterwards."""
        self.engine.dispose()


def open_database(url: str) -> Database:
    """Return the database at `url` (`sqlite:///FILE` or `postgresql://...`) after it answered.

    A missing SQLite file is created, a missing folder is not. Raises ConfigError for a URL that cannot be used, and
    Unavailable (one line, password hidden) when the database or psycopg is not to be had.
    """
    parsed = parse_url(url)
    if parsed.get_backend_name() == "sqlite":
        database = Database(_sqlite_engine(parsed))
    else:
        database = Database(_postgres_engine(parsed))
    return answered(database)


def open_shop_database(url: str, *, writable: bool) -> Database:
    """Return the shop's own database: nothing is created in it, no setting of it is changed.

    Unless `writable`, SQLite opens the file read-only and PostgreSQL's transactions are read-only. Raises as
    `open_database` does.
    """
    parsed = parse_url(url)
    if parsed.get_backend_name() == "sqlite":
        return answered(Database(_sqlite_engine(parsed, mode="rw" if writable else "ro")))
    return answered(Database(_postgres_engine(parsed, readonly=not writable)))


def answered(database: Database) -> Database:
    """Return `database` if it answers; at the start of a job, not being there is terminal."""
    try:
        database.ping()
    except TransientError as error:
        database.dispose()
        raise Unavailable(
            f"the database cannot be reached ({error.what})",
            where=database.where,
            hint="Check that it is running and that the URL is right.",
        ) from error
    except CatalogGenError:
        database.dispose()
        raise
    return database


def parse_url(url: str) -> sa.URL:
    """Return the parsed URL with its driver filled in; raise ConfigError for one that cannot be used."""
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError) as error:
        raise ConfigError(
            f"{hide_password(url)!r} is not a database URL",
            hint="Use sqlite:///FILE or postgresql://USER@HOST/DATABASE.",
        ) from error
    name = parsed.drivername
    if name in ("sqlite", "sqlite+pysqlite"):
        if parsed.database in (None, "", ":memory:") or (parsed.database or "").startswith("file:"):
            raise ConfigError(
                "a database in memory cannot be shared by a job's threads and workers",
                where=str(parsed),
                hint="Name a file: sqlite:///FILE",
            )
        return parsed
    if name in ("postgresql", "postgres", "postgresql+psycopg"):
        return parsed.set(drivername="postgresql+psycopg")
    raise ConfigError(f"{name} databases are not supported", where=str(parsed), hint="Use sqlite or postgresql.")


def _sqlite_engine(url: sa.URL, mode: str = "rwc") -> sa.Engine:
    file = Path(url.database or "").absolute()
    if not file.parent.is_dir():
        raise Unavailable(f"the folder {file.parent} does not exist", where=str(url), hint="Create it first.")
    if mode != "rwc" and not file.exists():
        raise Unavailable("the file does not exist", where=str(url), hint="Check catalog.url.")
    own = mode == "rwc"

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(
            f"{file.as_uri()}?mode={mode}",
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,  # BEGIN is ours, below: the driver's own comes too late to choose IMMEDIATE
            check_same_thread=False,  # the pool hands a connection to one thread at a time
        )

    engine = sa.create_engine(url, creator=connect)

    @sa.event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA foreign_keys = ON")
        if own:
            _use_wal(connection)
            # NORMAL could lose the last commits in a power cut, after a report has counted them. A job commits a few
            # times a batch, so FULL's one fsync a commit costs next to nothing.
            connection.execute("PRAGMA synchronous = FULL")
        else:
            # A shop's file may hold bytes of an older encoding; one such title must not end the night.
            connection.text_factory = lambda raw: raw.decode("utf-8", "replace")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        write = connection.get_execution_options().get("catalog_gen_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch a new file to write-ahead logging.

    The switch wants the file for itself, and unlike all else does not wait for it: two processes that open a new file
    at once would meet here.
    """
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(0.02)


def _postgres_engine(url: sa.URL, *, readonly: bool = False) -> sa.Engine:
    try:
        import psycopg  # noqa: F401
    except ImportError as error:
        raise Unavailable(
            f"the PostgreSQL driver cannot be imported ({error})",
            where=str(url),
            hint="Install it: pip install 'catalog-gen[postgres]'",
        ) from error
    connect_args = {"connect_timeout": CONNECT_SECONDS, "application_name": "catalog-gen"}
    engine = sa.create_engine(
        url,
        pool_pre_ping=True,
        connect_args={key: value for key, value in connect_args.items() if key not in url.query},
    )

    @sa.event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        # A SET and not a start-up option: connection poolers such as PgBouncer refuse the latter.
        connection.execute(f"SET lock_timeout = '{BUSY_SECONDS:.0f}s'")
        if readonly:
            connection.execute("SET default_transaction_read_only = on")
        connection.commit()

    return engine
