"""Pictures to where the shop needs them: `export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from catalog_gen.cli.options import (
    ConfigFlag,
    DatabaseFlag,
    LogJsonFlag,
    SkuFlag,
    StorageFlag,
    VerboseFlag,
    WhereFlag,
    open_catalogue,
    read_settings,
    start_log,
    where_of,
)


def export(
    channel: Annotated[str, typer.Argument(help="shopify, google, csv, parquet, or shop (the shop's own table).")],
    out: Annotated[
        Path, typer.Option(help="The file to write; what was held back goes beside it, to FILE.held-back.csv.")
    ],
    where: WhereFlag = None,
    sku: SkuFlag = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most this many products.")] = None,
    style: Annotated[
        list[str] | None, typer.Option("--style", help="Of restyled pictures, only this style; repeatable.")
    ] = None,
    include_photos: Annotated[
        bool, typer.Option("--include-photos", help="Also products that have nothing but a photo of their own.")
    ] = False,
    check_addresses: Annotated[
        bool, typer.Option("--check-addresses", help="Open every public address too: is it the picture, and marked?")
    ] = False,
    publish: Annotated[
        bool, typer.Option("--publish", help="Mark the exported pictures published, once the file is written.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check every picture, and write nothing.")] = False,
    config: ConfigFlag = None,
    database: DatabaseFlag = None,
    storage: StorageFlag = None,
    log_json: LogJsonFlag = False,
    verbose: VerboseFlag = False,
) -> None:
    """Export approved pictures by a channel's rules; what breaks one is held back, with its reason."""
    from catalog_gen.pipeline.export import ExportRequest
    from catalog_gen.pipeline.export import export as run_export

    log_style = start_log(log_json, verbose)
    settings = read_settings(config, {"database.url": database, "storage.url": storage})
    request = ExportRequest(
        channel=channel,
        out=out,
        where=where_of(where),
        skus=tuple(sku or ()),
        limit=limit,
        styles=tuple(style or ()),
        include_photos=include_photos,
        check_addresses=check_addresses,
        publish=publish,
        dry_run=dry_run,
    )
    with open_catalogue(settings) as opened:
        opened.check_schema()
        summary = run_export(settings, opened, request, log_style)
    typer.echo(summary.describe())
    raise typer.Exit(summary.exit_code)
