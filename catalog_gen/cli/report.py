"""The morning after: `report`, `show`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

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
