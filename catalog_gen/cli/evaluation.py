"""How good pictures are: `evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from catalog_gen.cli.options import (
    ConfigFlag,
    DatabaseFlag,
    DataFlag,
    MapFlag,
    VerboseFlag,
    WhereFlag,
    columns_of_data,
    read_settings,
    start_log,
    where_of,
)


def evaluate(
    out: Annotated[Path, typer.Option(help="Folder for the figures and the sheets.")] = Path("evaluation"),
    gan: Annotated[str | None, typer.Option(help="Generator's bundle. Default: the configured one.")] = None,
    pictures: Annotated[
        Path | None, typer.Option(help="Score these instead: a folder of SKU.png, or of any pictures.")
    ] = None,
    data: DataFlag = None,
    map_: MapFlag = None,
    rows: Annotated[int, typer.Option(min=1, help="At most this many held-out rows.")] = 1000,
    where: WhereFlag = None,
    candidates: Annotated[int, typer.Option(min=1, help="Pictures drawn a row; CLIP chooses.")] = 1,
    truncation: Annotated[
        float | None, typer.Option(help="0 to 1: how freely pictures are drawn. Default: the configured one.")
    ] = None,
    held_out: Annotated[
        int | None, typer.Option(min=1, help="For a bundle that does not say which rows it left out: how many.")
    ] = None,
    view: Annotated[int | None, typer.Option(min=16, help="Size in px to judge at. Default: the generator's.")] = None,
    inception: Annotated[bool, typer.Option("--inception", help="Inception FID as well.")] = False,
    compare: Annotated[Path | None, typer.Option(help="An earlier evaluation.json to set beside.")] = None,
    cell: Annotated[int, typer.Option(min=32, max=1024, help="Px of a picture's side on the sheets.")] = 160,
    captions: Annotated[
        bool, typer.Option("--captions/--no-captions", help="The rows' words below the pictures on the sheets.")
    ] = True,
    work_dir: Annotated[
        Path | None, typer.Option(help="Caches; a training's may be shared. Default: OUT/cache.")
    ] = None,
    config: ConfigFlag = None,
    database: DatabaseFlag = None,
    verbose: VerboseFlag = False,
) -> None:
    """Measure the generator, or any pictures, on products that no training saw."""
    from catalog_gen.pipeline.evaluate import EvaluateRequest
    from catalog_gen.pipeline.evaluate import evaluate as measure
    from catalog_gen.pipeline.training_source import training_source

    style = start_log(False, verbose)
    flags = {"database.url": database, "gan.model": gan, "gan.truncation": truncation, **columns_of_data(data, map_)}
    settings = read_settings(config, flags)
    request = EvaluateRequest(
        out=out,
        rows=rows,
        where=where_of(where),
        pictures=pictures,
        candidates=candidates,
        held_out=held_out,
        view=view,
        inception=inception,
        compare=compare,
        work_dir=work_dir,
        cell=cell,
        captions=captions,
    )
    with training_source(settings, data, request.cache, style) as source:
        typer.echo(measure(source.settings, source.database, request).describe())
