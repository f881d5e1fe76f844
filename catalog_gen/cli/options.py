"""What the commands share: flags that several take, and how their values become settings, rows and a log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from catalog_gen.errors import UsageError

if TYPE_CHECKING:
    from catalog_gen.catalog.database import Database
    from catalog_gen.catalog.model import Where
    from catalog_gen.config import Settings
    from catalog_gen.pipeline.progress import ProgressStyle

ConfigFlag = Annotated[
    Path | None, typer.Option("--config", help="Configuration file. Default: ./catalog-gen.toml if there is one.")
]
DatabaseFlag = Annotated[str | None, typer.Option("--database", help="URL of the database of the job's own tables.")]
StorageFlag = Annotated[str | None, typer.Option("--storage", help="Folder or URL where pictures go.")]
WhereFlag = Annotated[
    list[str] | None,
    typer.Option("--where", help="Only rows with FIELD=VALUE; repeat to narrow, same field again to widen."),
]
SkuFlag = Annotated[list[str] | None, typer.Option("--sku", help="Only this sku; repeatable.")]
NoTellFlag = Annotated[
    bool, typer.Option("--no-tell", help="Send no message and leave the metrics alone: for trying things out.")
]
LogJsonFlag = Annotated[bool, typer.Option("--log-json", help="Log as JSON, one object a line.")]
VerboseFlag = Annotated[bool, typer.Option("--verbose", help="Log details, and tracebacks of errors.")]
DataFlag = Annotated[
    Path | None,
    typer.Option("--data", help="Folder with one feed and its photos, or the feed, instead of the catalogue."),
]
MapFlag = Annotated[list[str] | None, typer.Option("--map", help="With --data: FIELD=COLUMN, as for import.")]


def read_settings(config: Path | None, flags: dict[str, Any]) -> Settings:
    """Return the settings of file and environment, with the flags that were given above them."""
    from catalog_gen.config import load_settings

    return load_settings(config, flags=flags)


@contextmanager
def open_catalogue(settings: Settings) -> Iterator[Database]:
    """Open the configured database, and close it at the end."""
    from catalog_gen.catalog.database import open_database

    database = open_database(settings.database.url)
    try:
        yield database
    finally:
        database.dispose()


def start_log(as_json: bool, verbose: bool) -> ProgressStyle:
    """Set up the log; return how progress is to be shown beside it."""
    from catalog_gen.pipeline.progress import set_up_logging

    return set_up_logging(as_json=as_json, verbose=verbose)


def where_of(given: list[str] | None) -> Where:
    """Return the FIELD=VALUE of every --where. Raises UsageError for what is not one."""
    return tuple(_pair(text, "--where") for text in given or ())


def columns_of(given: list[str] | None) -> dict[str, str]:
    """Return the FIELD=COLUMN of every --map, as settings. Raises UsageError for what is not one."""
    pairs = dict(_pair(text, "--map") for text in given or ())
    return {f"import.columns.{field}": column for field, column in pairs.items()}


def columns_of_data(data: Path | None, given: list[str] | None) -> dict[str, str]:
    """Return `columns_of(given)`. Raises UsageError where there is no --data whose columns it could map."""
    if given and data is None:
        raise UsageError("it maps the columns of --data, which is not given", where="--map")
    return columns_of(given)


def _pair(text: str, flag: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name.strip() and equals):
        raise UsageError(f"{text!r} is not NAME=VALUE", where=flag)
    return name.strip(), value
