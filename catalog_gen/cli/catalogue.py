"""The catalogue and the job's own tables: `import`, `db upgrade`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from catalog_gen.cli.options import (
    ConfigFlag,
    DatabaseFlag,
    LogJsonFlag,
    VerboseFlag,
    columns_of,
    open_catalogue,
    read_settings,
    start_log,
)
from catalog_gen.errors import EXIT_OK, EXIT_SOME_FAILED


def db_upgrade(config: ConfigFlag = None, database: DatabaseFlag = None) -> None:
    """Create the job's tables, or bring them up to this version. Safe to repeat."""
    with open_catalogue(read_settings(config, {"database.url": database})) as opened:
        opened.upgrade()
        typer.echo(f"{opened.where}: the job's tables are up to date")


def import_(
    file: Annotated[Path, typer.Argument(help="CSV, TSV (also .gz) or Parquet.")],
    images: Annotated[Path | None, typer.Option(help="Folder of photos named SKU.jpg (or .png, .webp).")] = None,
    image_column: Annotated[str | None, typer.Option(help="Column with a photo's path or URL.")] = None,
    map_: Annotated[list[str] | None, typer.Option("--map", help="FIELD=COLUMN for sku, title, category.")] = None,
    ignore: Annotated[list[str] | None, typer.Option(help="Column to leave out; repeatable.")] = None,
    encoding: Annotated[str | None, typer.Option(help="Text encoding, such as cp1252. Default: UTF-8.")] = None,
    rejects: Annotated[Path | None, typer.Option(help="Where bad rows go. Default: FILE.rejects.csv.")] = None,
    config: ConfigFlag = None,
    database: DatabaseFlag = None,
    log_json: LogJsonFlag = False,
    verbose: VerboseFlag = False,
) -> None:
    """Read a feed into the catalogue. Repeating it changes nothing; bad rows go to a file with their reason."""
    from catalog_gen.pipeline.imports import FeedFlags, import_feed

    style = start_log(log_json, verbose)
    flags = {"database.url": database, "import.ignore": tuple(ignore) if ignore else None, **columns_of(map_)}
    settings = read_settings(config, flags)
    with open_catalogue(settings) as opened:
        given = FeedFlags(images=images, image_column=image_column, encoding=encoding or "", rejects=rejects)
        result = import_feed(settings, opened, file, given, style)
    typer.echo(result.summary())
    raise typer.Exit(EXIT_SOME_FAILED if result.rejected or result.photos_bad else EXIT_OK)
