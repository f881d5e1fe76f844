"""Engines from one kind of picture to another: `train pix2pix`, `train cyclegan`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from catalog_gen.cli.options import (
    ConfigFlag,
    DatabaseFlag,
    VerboseFlag,
    open_catalogue,
    read_settings,
    start_log,
    where_of,
)
from catalog_gen.errors import UsageError

ImagesFlag = Annotated[int | None, typer.Option("--images", min=1, help="Stop after this many training images.")]
MinutesFlag = Annotated[float | None, typer.Option("--minutes", min=0, help="Stop after this long.")]
BatchFlag = Annotated[int | None, typer.Option("--batch", min=1, help="Pictures a step.")]
RateFlag = Annotated[float | None, typer.Option("--lr", min=0, help="Adam's learning rate.")]
SizeFlag = Annotated[int | None, typer.Option("--size", min=32, help="Side of the pictures in px, a multiple of 16.")]
WidthFlag = Annotated[int | None, typer.Option("--width", min=4, help="Channels of the generator's first layer.")]
SeedFlag = Annotated[int | None, typer.Option("--seed", help="Of every random number.")]
DirectionFlag = Annotated[str | None, typer.Option("--direction", help="a-to-b (the default) or b-to-a.")]


def train_pix2pix(
    out: Annotated[Path, typer.Option(help="Folder of the bundle to write.")],
    work_dir: Annotated[Path, typer.Option(help="Checkpoints and caches; an interrupted training resumes here.")],
    data: Annotated[Path, typer.Option(help="Folder with a/ and b/, equal names in both; with --pairs edges, photos.")],
    pairs: Annotated[
        str | None, typer.Option(help="names (the default), or edges: learn to draw photos from their outlines.")
    ] = None,
    direction: DirectionFlag = None,
    size: SizeFlag = None,
    width: WidthFlag = None,
    images: ImagesFlag = None,
    minutes: MinutesFlag = None,
    batch: BatchFlag = None,
    lr: RateFlag = None,
    seed: SeedFlag = None,
    config: ConfigFlag = None,
    verbose: VerboseFlag = False,
) -> None:
    """Train a template's engine on pairs of pictures: what goes in, and what shall come out."""
    from catalog_gen.pipeline.translate_training import TranslateRequest, train_translation

    start_log(False, verbose)
    flags: dict[str, Any] = {"pairs": pairs, "direction": direction, "size": size, "width": width, "images": images}
    flags |= {"minutes": minutes, "batch": batch, "lr": lr, "seed": seed}
    request = TranslateRequest("pix2pix", out, work_dir, data=data, given=_given(flags))
    trained = train_translation(read_settings(config, {}), request)
    typer.echo(trained.text)
    raise typer.Exit(trained.exit_code)


def train_cyclegan(
    out: Annotated[Path, typer.Option(help="Folder of the bundle to write.")],
    work_dir: Annotated[Path, typer.Option(help="Checkpoints and caches; an interrupted training resumes here.")],
    a: Annotated[Path | None, typer.Option("--a", help="Folder of pictures of one kind.")] = None,
    b: Annotated[Path | None, typer.Option("--b", help="Folder of pictures of the other kind.")] = None,
    from_where: Annotated[
        list[str] | None, typer.Option(help="Instead of --a: the catalogue's photos of rows with FIELD=VALUE.")
    ] = None,
    to_where: Annotated[
        list[str] | None, typer.Option(help="Instead of --b: the catalogue's photos of rows with FIELD=VALUE.")
    ] = None,
    direction: DirectionFlag = None,
    size: SizeFlag = None,
    width: WidthFlag = None,
    images: ImagesFlag = None,
    minutes: MinutesFlag = None,
    batch: BatchFlag = None,
    lr: RateFlag = None,
    seed: SeedFlag = None,
    config: ConfigFlag = None,
    database: DatabaseFlag = None,
    verbose: VerboseFlag = False,
) -> None:
    """Train a template's engine on two kinds of pictures that nobody has paired."""
    from catalog_gen.pipeline.translate_training import TranslateRequest, train_translation, train_translation_on_rows

    start_log(False, verbose)
    if bool(from_where) != bool(to_where) or (from_where and (a or b)):
        raise UsageError("give --a and --b, or --from-where and --to-where", where="train cyclegan")
    flags: dict[str, Any] = {"direction": direction, "size": size, "width": width, "images": images}
    flags |= {"minutes": minutes, "batch": batch, "lr": lr, "seed": seed}
    request = TranslateRequest("cyclegan", out, work_dir, a=a, b=b, given=_given(flags))
    settings = read_settings(config, {"database.url": database})
    if from_where:
        with open_catalogue(settings) as opened:
            opened.check_schema()
            rows = where_of(from_where), where_of(to_where)
            trained = train_translation_on_rows(settings, opened, request, *rows)
    else:
        trained = train_translation(settings, request)
    typer.echo(trained.text)
    raise typer.Exit(trained.exit_code)


def _given(flags: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in flags.items() if value is not None}
