"""The morning after: `report`, `show`."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from catalog_gen.cli.options import (
    ConfigFlag,
    DatabaseFlag,
    LogJsonFlag,
    StorageFlag,
    VerboseFlag,
    open_catalogue,
    read_settings,
    start_log,
)
from catalog_gen.errors import PhotoError, RowError, UsageError

if TYPE_CHECKING:
    from catalog_gen.config import Settings
    from catalog_gen.pipeline.show import Shown


def report(
    run: Annotated[str | None, typer.Option(help="A run's id. Default: the latest that had something to do.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="A folder, or the page's .html file; JSON and CSV go beside it.")
    ] = None,
    sample: Annotated[
        int | None, typer.Option(min=1, help="Pictures of the page; more than these are sampled.")
    ] = None,
    config: ConfigFlag = None,
    database: DatabaseFlag = None,
    storage: StorageFlag = None,
    log_json: LogJsonFlag = False,
    verbose: VerboseFlag = False,
) -> None:
    """Write a run's report: one HTML file that opens anywhere, and the same facts as JSON and CSV."""
    from catalog_gen.pipeline.report import write_night

    start_log(log_json, verbose)
    flags = {"database.url": database, "storage.url": storage, "report.sample": sample}
    settings = read_settings(config, flags)
    with open_catalogue(settings) as opened:
        opened.check_schema()
        typer.echo(write_night(settings, opened, run_id=run, out=out).describe())


def show(
    sku: Annotated[str, typer.Argument(help="The product.")],
    style: Annotated[str, typer.Option(help="Look at the picture restyled in this template.")] = "",
    open_: Annotated[
        bool, typer.Option("--open", help="Open the picture in the system's viewer; local files only.")
    ] = False,
    no_picture: Annotated[bool, typer.Option("--no-picture", help="Words only, on a terminal too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
    config: ConfigFlag = None,
    database: DatabaseFlag = None,
    storage: StorageFlag = None,
) -> None:
    """Show everything that was ever recorded of a product, and its picture where the terminal can."""
    from catalog_gen.pipeline.show import look_up, open_picture

    settings = read_settings(config, {"database.url": database, "storage.url": storage})
    with open_catalogue(settings) as opened:
        opened.check_schema()
        shown = look_up(settings, opened, sku, style)
    if as_json:
        typer.echo(json.dumps(shown.document, ensure_ascii=False, indent=1))
    else:
        _print_history(settings, shown, with_picture=not no_picture)
    if open_:
        if shown.asset is None:
            raise UsageError("it has no picture to open", where=sku)
        typer.echo(f"opened {open_picture(settings, shown.asset)}", err=True)


def _print_history(settings: Settings, shown: Shown, *, with_picture: bool) -> None:
    from catalog_gen.pipeline.show import drawn
    from catalog_gen.report.history_text import history_text
    from catalog_gen.report.terminal_picture import COLUMNS, protocol_of

    protocol = protocol_of(os.environ, is_terminal=sys.stdout.isatty())
    if with_picture and shown.asset is not None:
        columns = min(COLUMNS, shutil.get_terminal_size().columns)
        try:
            typer.echo(drawn(settings, shown.asset, protocol, columns), nl=False)
        except (RowError, PhotoError) as error:  # its history is worth reading all the same
            typer.echo(f"the picture cannot be shown: {error}", err=True)
    typer.echo(history_text(shown.document))
