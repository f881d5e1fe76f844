"""The jobs that draw: `fill-missing`, `demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from catalog_gen.cli.options import (
    ConfigFlag,
    DatabaseFlag,
    LogJsonFlag,
    NoTellFlag,
    SkuFlag,
    StorageFlag,
    VerboseFlag,
    WhereFlag,
    open_catalogue,
    read_settings,
    start_log,
    where_of,
)


def fill_missing(
    where: WhereFlag = None,
    sku: SkuFlag = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most this many rows.")] = None,
    candidates: Annotated[int | None, typer.Option(min=1, help="Pictures drawn a row; the best is kept.")] = None,
    truncation: Annotated[
        float | None, typer.Option(help="0 to 1: how freely pictures are drawn; less is nearer to the words.")
    ] = None,
    ladder: Annotated[
        int | None, typer.Option(min=0, help="Times that a row CLIP is not satisfied with is drawn again.")
    ] = None,
    deadline: Annotated[
        str | None, typer.Option(help="Stop in good order by HH:MM (local time, within the next 24 hours).")
    ] = None,
    max_minutes: Annotated[float | None, typer.Option(min=0, help="Stop in good order after this long.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and at what cost.")] = False,
    allow_parallel: Annotated[
        bool, typer.Option("--allow-parallel", help="Share the work with a run that is already under way.")
    ] = False,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps.")] = None,
    batch: Annotated[int | None, typer.Option(min=0, help="Pictures drawn at once; 0: found by trying.")] = None,
    min_similarity: Annotated[float | None, typer.Option(help="CLIP similarity below which a person looks.")] = None,
    config: ConfigFlag = None,
    database: DatabaseFlag = None,
    storage: StorageFlag = None,
    no_tell: NoTellFlag = False,
    log_json: LogJsonFlag = False,
    verbose: VerboseFlag = False,
) -> None:
    """Draw, check and store a picture for every row that lacks one."""
    from catalog_gen.pipeline.deadline import deadline_from
    from catalog_gen.pipeline.fill_missing import JOB, FillRequest
    from catalog_gen.pipeline.fill_missing import fill_missing as run_job
    from catalog_gen.pipeline.telling import Telling

    style = start_log(log_json, verbose)
    flags = {
        "database.url": database,
        "storage.url": storage,
        "gan.candidates": candidates,
        "gan.truncation": truncation,
        "gan.ladder": ladder,
        "gan.device": device,
        "gan.batch": batch,
        "gate.min_similarity": min_similarity,
    }
    settings = read_settings(config, flags)
    with Telling(settings, JOB, silent=dry_run or no_tell) as telling:
        request = FillRequest(
            where=where_of(where),
            skus=tuple(sku or ()),
            limit=limit,
            deadline=deadline_from(deadline, max_minutes),
            allow_parallel=allow_parallel,
        )
        with open_catalogue(settings) as opened:
            if dry_run:
                from catalog_gen.pipeline.dry_run import estimate

                typer.echo(estimate(settings, opened, request).describe())
                return
            summary = run_job(settings, opened, request, style=style, on_end=telling.heard)
    typer.echo(summary.describe())
    raise typer.Exit(summary.exit_code)


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the demo's database, pictures and contact sheet.")] = Path(
        "demo-out"
    ),
    limit: Annotated[int | None, typer.Option(min=1, help="At most this many rows.")] = None,
    verbose: VerboseFlag = False,
) -> None:
    """Fill the catalogue that ships with the package, offline, and write a contact sheet to open."""
    from catalog_gen.pipeline.demo import run_demo

    result = run_demo(out, limit=limit, style=start_log(False, verbose))
    typer.echo(result.describe())
    raise typer.Exit(result.exit_code)
