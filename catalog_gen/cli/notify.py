"""Telling by hand how runs ended: `notify`."""

from __future__ import annotations

from typing import Annotated

import typer

from catalog_gen.cli.options import ConfigFlag, DatabaseFlag, VerboseFlag, open_catalogue, read_settings, start_log
from catalog_gen.errors import EXIT_OK, Unavailable, UsageError


def notify(
    test: Annotated[
        bool, typer.Option("--test", help="Send a test message through everything that is configured.")
    ] = False,
    run: Annotated[str | None, typer.Option(help="Send the messages about this run again.")] = None,
    config: ConfigFlag = None,
    database: DatabaseFlag = None,
    verbose: VerboseFlag = False,
) -> None:
    """Tell by webhook and e-mail how a run ended, or try whether telling works; 69 where some of it does not."""
    if test == (run is not None):
        raise UsageError("name one of --test and --run", hint="Runs: catalog-gen runs.")
    from catalog_gen.pipeline.telling import tell_again, try_out

    start_log(False, verbose)
    settings = read_settings(config, {"database.url": database})
    if run is None:
        told = try_out(settings)
    else:
        with open_catalogue(settings) as opened:
            opened.check_schema()
            told = tell_again(settings, opened, run)
    for each in told:
        typer.echo(f"catalog-gen: {each}" if each.problem else str(each), err=bool(each.problem))
    raise typer.Exit(Unavailable.exit_code if any(each.problem for each in told) else EXIT_OK)
