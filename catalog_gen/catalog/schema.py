"""The version of the job's tables: Alembic's migrations, found in a checkout and in an installed wheel alike."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from catalog_gen.catalog.faults import UPGRADE_HINT
from catalog_gen.errors import ConfigError, InternalError

if TYPE_CHECKING:
    from alembic.config import Config

VERSION_TABLE = "cg_alembic_version"
_UPGRADE_LOCK = 0x63675F7570  # "cg_up": PostgreSQL's advisory locks are named by numbers


def migrations_folder() -> Path:
    """Return the folder with Alembic's `env.py`: `catalog_gen/sql` in a wheel, `sql/` in a checkout."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "sql", package.parent / "sql"):
        if (folder / "env.py").is_file():
            return folder
    raise InternalError("the migrations are missing from this installation", where=str(package))


def head() -> str:
    """Return the version that this program needs."""
    from alembic.script import ScriptDirectory

    revision = ScriptDirectory.from_config(_config()).get_current_head()
    if revision is None:
        raise InternalError("there are no migrations", where=str(migrations_folder()))
    return revision


def upgrade(connection: sa.Connection) -> None:
    """Run the missing migrations inside the caller's transaction, so that a killed upgrade leaves nothing half done.

    The version is read under a lock (the write lock on SQLite, an advisory lock on PostgreSQL): of two upgrades at
    once the second waits, and then finds nothing to do. Raises ConfigError if the tables are newer than the program.
    """
    from alembic import command

    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SET LOCAL lock_timeout = 0"))
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _UPGRADE_LOCK})
    found = current(connection)
    if found is not None and found not in _known():
        raise _newer(found, str(connection.engine.url))
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def check(connection: sa.Connection, where: str) -> None:
    """Raise ConfigError, with what to run, unless the tables are of this program's version."""
    found, needed = current(connection), head()
    if found == needed:
        return
    if found is None:
        raise ConfigError("the database has no catalog-gen tables yet", where=where, hint=UPGRADE_HINT)
    if found not in _known():
        raise _newer(found, where)
    raise ConfigError(f"the schema is at {found}, this version needs {needed}", where=where, hint=UPGRADE_HINT)


def current(connection: sa.Connection) -> str | None:
    """Return the version of the tables; None when there are none."""
    if not sa.inspect(connection).has_table(VERSION_TABLE):
        return None
    version: str | None = connection.execute(sa.text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()
    return version


def _newer(found: str, where: str) -> ConfigError:
    return ConfigError(
        f"the schema is at {found}, which this version ({head()}) does not know: it is newer than the program",
        where=where,
        hint="Upgrade the program: pip install --upgrade catalog-gen",
    )


def _known() -> set[str]:
    from alembic.script import ScriptDirectory

    return {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
