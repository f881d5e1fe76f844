"""`catalog-gen serve`: the desk's pages over the catalogue, from its start to its end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing

from catalog_gen.catalog.database import Database
from catalog_gen.config import Settings
from catalog_gen.desk.model import Role
from catalog_gen.pipeline.approval import reviewer_name
from catalog_gen.training.extras import needs


def serve_desk(settings: Settings, database: Database, *, flags: Sequence[str], ready: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM. `flags` lead a run that the desk starts to the same catalogue.

    Raises ConfigError where the schema is outdated or the desk would be open to people that nobody knows, Unavailable
    where the port, the catalogue, the storage or an optional package is not to be had.
    """
    with needs("of the review desk", "serve"):
        import python_multipart  # noqa: F401 - Starlette asks for it at the first form

        from catalog_gen.desk.app import build_app
        from catalog_gen.desk.server import run
    from catalog_gen.pipeline.desk import CatalogueDesk

    database.check_schema()
    with closing(CatalogueDesk(settings, database, flags=flags)) as service:
        run(build_app(settings.serve, service, local_name=reviewer_name(settings)), settings.serve, ready)


def token_lines(name: str, role: Role) -> str:
    """Return a new token for somebody, with the lines of the configuration that let them in."""
    with needs("of the review desk", "serve"):
        from catalog_gen.desk.auth import new_token
    token, lines = new_token(name, role)
    return f"The token, for {name} alone; it is shown only now:\n\n    {token}\n\nInto catalog-gen.toml:\n\n{lines}"
