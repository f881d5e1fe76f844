"""What past runs left: `runs`, `status`, `replay`, `sheet`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from catalog_gen.cli.options import ConfigFlag, DatabaseFlag, StorageFlag, open_catalogue, read_settings


def runs(
    limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Everything the ledger holds, as JSON lines.")] = False,
    config: ConfigFlag = None,
    database: DatabaseFlag = None,
) -> None:
    """List past runs: when, what came of every row, how fast."""
    from catalog_gen.catalog.runs import list_runs
    from catalog_gen.report.tables import runs_table

    with open_catalogue(read_settings(config, {"database.url": database})) as opened:
        opened.check_schema()
        typer.echo(runs_table(list_runs(opened, limit), as_json=as_json))


def status(
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
    config: ConfigFlag = None,
    database: DatabaseFlag = None,
) -> None:
    """Show how much of the catalogue has pictures, and what waits for what."""
    from catalog_gen.catalog.assets import status_counts
    from catalog_gen.catalog.source import open_source
    from catalog_gen.report.tables import status_table

    settings = read_settings(config, {"database.url": database})
    with open_catalogue(settings) as opened:
        opened.check_schema()
        typer.echo(status_table(status_counts(opened, open_source(settings, opened)), as_json=as_json))


def replay(
    sku: Annotated[str, typer.Argument(help="The product whose picture is drawn again.")],
    out: Annotated[Path | None, typer.Option(help="Write the redrawn picture here.")] = None,
    config: ConfigFlag = None,
    database: DatabaseFlag = None,
    storage: StorageFlag = None,
) -> None:
    """Draw a stored picture again from its row alone, and compare the hashes."""
    from catalog_gen.pipeline.replay import replay as draw_again

    settings = read_settings(config, {"database.url": database, "storage.url": storage})
    with open_catalogue(settings) as opened:
        opened.check_schema()
        result = draw_again(settings, opened, sku)
    if out is not None:
        out.write_bytes(result.data)
    typer.echo(result.describe())
    raise typer.Exit(result.exit_code)


def sheet(
    out: Annotated[Path, typer.Option(help="The HTML file to write; a .png beside it shows the first hundred.")] = Path(
        "contact-sheet.html"
    ),
    run: Annotated[str | None, typer.Option(help="A run's id. Default: the latest that made pictures.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most this many pictures.")] = 1000,
    config: ConfigFlag = None,
    database: DatabaseFlag = None,
    storage: StorageFlag = None,
) -> None:
    """Write a contact sheet of a run's pictures beside their words: one HTML file that opens anywhere."""
    from catalog_gen.pipeline.sheet import write_run_sheet

    settings = read_settings(config, {"database.url": database, "storage.url": storage})
    with open_catalogue(settings) as opened:
        opened.check_schema()
        typer.echo(write_run_sheet(settings, opened, run, out, limit))
