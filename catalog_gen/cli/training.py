"""The models on one's own photos: `train clip`, `gan`, `style`, `matte`, `upscale`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

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
from catalog_gen.errors import UsageError

CheckDataFlag = Annotated[bool, typer.Option("--check-data", help="Report on the data, and train nothing.")]
DropDuplicatesFlag = Annotated[
    bool, typer.Option("--drop-duplicates", help="Of photos that look the same, learn from one; none that is held out.")
]
SetFlag = Annotated[
    list[str] | None, typer.Option("--set", help="KEY=VALUE of any setting in docs/training.md; repeatable.")
]
WandbFlag = Annotated[str | None, typer.Option("--wandb", help="Weights & Biases project to report to.")]


def _fit(value: str | None) -> str | None:
    if value not in (None, "letterbox", "crop"):
        raise typer.BadParameter(f"{value!r} is neither letterbox nor crop", param_hint="--fit")
    return value


FitFlag = Annotated[
    str | None,
    typer.Option("--fit", callback=_fit, help="letterbox (on white, the default) or crop (the square in the middle)."),
]


def train_clip(
    out: Annotated[Path, typer.Option(help="Folder of the bundle to write.")],
    work_dir: Annotated[Path, typer.Option(help="Checkpoints and caches; an interrupted training resumes here.")],
    data: DataFlag = None,
    map_: MapFlag = None,
    check_data: CheckDataFlag = False,
    drop_duplicates: DropDuplicatesFlag = False,
    where: WhereFlag = None,
    epochs: Annotated[int | None, typer.Option(min=1)] = None,
    batch: Annotated[int | None, typer.Option(min=2)] = None,
    held_out: Annotated[int | None, typer.Option(min=1, help="Products left out to measure on. Default: 1000.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of every random number, and of the split.")] = None,
    from_: Annotated[
        str, typer.Option("--from", help="A CLIP's bundle: its image tower learns on, its words rest.")
    ] = "",
    set_: SetFlag = None,
    wandb: WandbFlag = None,
    config: ConfigFlag = None,
    database: DatabaseFlag = None,
    verbose: VerboseFlag = False,
) -> None:
    """Train the product CLIP on rows with photos; the epoch that measured best becomes the bundle."""
    from catalog_gen.clip.settings import merge
    from catalog_gen.pipeline.clip_training import ClipRequest, train_clip_on_catalogue
    from catalog_gen.pipeline.training_data import DataChoices
    from catalog_gen.pipeline.training_source import training_source

    style = start_log(False, verbose)
    settings = read_settings(config, {"database.url": database, **columns_of_data(data, map_)})
    flags = {"epochs": epochs, "batch_size": batch, "held_out": held_out, "seed": seed, "watch.wandb": wandb}
    given = merge(flags, set_ or [])
    with training_source(settings, data, work_dir, style) as source:
        choices = DataChoices(drop_duplicates, check_data, source.unusable)
        request = ClipRequest(out, work_dir, where_of(where), given, from_)
        text, exit_code = train_clip_on_catalogue(source.settings, source.database, request, choices)
    typer.echo(text)
    raise typer.Exit(exit_code)


def train_gan(
    out: Annotated[Path, typer.Option(help="Folder of the bundle to write.")],
    work_dir: Annotated[Path, typer.Option(help="Checkpoints and caches; an interrupted training resumes here.")],
    data: DataFlag = None,
    map_: MapFlag = None,
    check_data: CheckDataFlag = False,
    drop_duplicates: DropDuplicatesFlag = False,
    fit: FitFlag = None,
    where: WhereFlag = None,
    images: Annotated[int | None, typer.Option(min=1, help="Stop after this many training images.")] = None,
    minutes: Annotated[float | None, typer.Option(min=0, help="Stop after this long.")] = None,
    batch: Annotated[int | None, typer.Option(min=2, help="Photos a step, of all processes together.")] = None,
    held_out: Annotated[int, typer.Option(min=1, help="Products left out, to measure on and to draw.")] = 1000,
    seed: Annotated[int | None, typer.Option(help="Of every random number.")] = None,
    from_: Annotated[str, typer.Option("--from", help="A generator's bundle to go on from (fine-tuning).")] = "",
    grow: Annotated[int, typer.Option(min=0, help="With --from: grow its generator to this many px; 0: as it is.")] = 0,
    set_: SetFlag = None,
    search: Annotated[int, typer.Option(min=0, help="Try this many settings, each trained in short.")] = 0,
    sampler: Annotated[str | None, typer.Option(help="How a search chooses: bayesian (the default) or grid.")] = None,
    space: Annotated[Path | None, typer.Option(help="TOML with the settings that a search tries.")] = None,
    note: Annotated[
        list[str] | None, typer.Option(help="A line for the bundle's card: what was tried, what it did; repeatable.")
    ] = None,
    wandb: WandbFlag = None,
    config: ConfigFlag = None,
    database: DatabaseFlag = None,
    verbose: VerboseFlag = False,
) -> None:
    """Train the text-conditioned generator on rows with photos; what measured best becomes the bundle."""
    from catalog_gen.gan.settings import merge
    from catalog_gen.pipeline.gan_request import GanRequest
    from catalog_gen.pipeline.gan_training import train_gan_on_rows
    from catalog_gen.pipeline.training_data import DataChoices
    from catalog_gen.pipeline.training_source import training_source

    style = start_log(False, verbose)
    settings = read_settings(config, {"database.url": database, **columns_of_data(data, map_)})
    flags = {"images": images, "minutes": minutes, "batch_size": batch, "seed": seed, "fit": fit, "watch.wandb": wandb}
    if space is not None and not search:
        raise UsageError("there is no search to try it", where="--space", hint="Add --search N.")
    notes = _notes(note or [], search)
    given = merge(flags, set_ or [])
    with training_source(settings, data, work_dir, style) as source:
        request = GanRequest(
            out=out,
            work_dir=work_dir,
            where=where_of(where),
            held_out=held_out,
            given=given,
            start_from=from_,
            grow=grow,
            trials=search,
            sampler=_sampler(sampler, search),
            space=space,
            notes=notes,
        )
        choices = DataChoices(drop_duplicates, check_data, source.unusable)
        trained = train_gan_on_rows(source.settings, source.database, request, choices)
    if trained.text:
        typer.echo(trained.text)
    raise typer.Exit(trained.exit_code)


def _notes(given: list[str], trials: int) -> tuple[str, ...]:
    notes = tuple(" ".join(note.split()) for note in given)
    if not all(notes):
        raise UsageError("a note says nothing", where="--note")
    if notes and trials:
        raise UsageError("a search writes no bundle", where="--note", hint="Give it to the training that comes after.")
    return notes


def _sampler(name: str | None, trials: int) -> Literal["bayesian", "grid"]:
    if name is not None and not trials:
        raise UsageError("there is no search that it could guide", where="--sampler", hint="Add --search N.")
    if name not in (None, "bayesian", "grid"):
        raise UsageError(f"{name!r} is neither bayesian nor grid", where="--sampler")
    return "grid" if name == "grid" else "bayesian"


def train_style(
    out: Annotated[Path, typer.Option(help="Folder of the bundle to write.")],
    work_dir: Annotated[Path, typer.Option(help="Checkpoints and caches; an interrupted training resumes here.")],
    style: Annotated[
        list[str] | None, typer.Option(help="A template whose style images are learnt (engine fast); repeatable.")
    ] = None,
    arbitrary: Annotated[
        bool, typer.Option("--arbitrary", help="Learn to take any style image (engine arbitrary).")
    ] = False,
    data: DataFlag = None,
    map_: MapFlag = None,
    where: WhereFlag = None,
    from_: Annotated[
        str | None,
        typer.Option("--from", help='An arbitrary bundle to start from. Default: the shipped one; "": none.'),
    ] = None,
    photos: Annotated[int, typer.Option(min=1, help="At most this many photos to learn on.")] = 1500,
    held_out: Annotated[int, typer.Option(min=1, help="Products left out.")] = 1000,
    images: Annotated[int | None, typer.Option(min=1, help="Stop after this many training images.")] = None,
    minutes: Annotated[float | None, typer.Option(min=0, help="Stop after this long.")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Pictures a step.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of every random number.")] = None,
    config: ConfigFlag = None,
    database: DatabaseFlag = None,
    verbose: VerboseFlag = False,
) -> None:
    """Train the networks that restyle: for templates of yours, or for any style image."""
    from catalog_gen.pipeline.style_training import StyleRequest, train_style_on_rows
    from catalog_gen.pipeline.training_source import training_source

    progress = start_log(False, verbose)
    settings = read_settings(config, {"database.url": database, **columns_of_data(data, map_)})
    request = StyleRequest(
        out=out,
        work_dir=work_dir,
        styles=tuple(style or ()),
        arbitrary=arbitrary,
        where=where_of(where),
        start_from=from_,
        photos=photos,
        held_out=held_out,
        given={"images": images, "minutes": minutes, "batch": batch, "seed": seed},
    )
    with training_source(settings, data, work_dir, progress) as source:
        text, exit_code = train_style_on_rows(source.settings, source.database, request)
    typer.echo(text)
    raise typer.Exit(exit_code)


def train_matte(
    out: Annotated[Path, typer.Option(help="Folder of the bundle to write.")],
    work_dir: Annotated[Path, typer.Option(help="Checkpoints and caches; an interrupted training resumes here.")],
    data: DataFlag = None,
    map_: MapFlag = None,
    where: WhereFlag = None,
    photos: Annotated[int, typer.Option(min=1, help="At most this many photos to learn on.")] = 4000,
    held_out: Annotated[int, typer.Option(min=1, help="Products left out, to measure on.")] = 1000,
    images: Annotated[int | None, typer.Option(min=1, help="Stop after this many training images.")] = None,
    minutes: Annotated[float | None, typer.Option(min=0, help="Stop after this long.")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Pictures a step.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of every random number, and of the split.")] = None,
    config: ConfigFlag = None,
    database: DatabaseFlag = None,
    verbose: VerboseFlag = False,
) -> None:
    """Train the network that tells how a product goes on where it has the colour of its ground."""
    from catalog_gen.pipeline.matte_training import MatteRequest, train_matte_on_rows
    from catalog_gen.pipeline.training_source import training_source

    progress = start_log(False, verbose)
    settings = read_settings(config, {"database.url": database, **columns_of_data(data, map_)})
    given = {"images": images, "minutes": minutes, "batch": batch, "seed": seed}
    request = MatteRequest(out, work_dir, where_of(where), photos, held_out, given)
    with training_source(settings, data, work_dir, progress) as source:
        text, exit_code = train_matte_on_rows(source.settings, source.database, request)
    typer.echo(text)
    raise typer.Exit(exit_code)


def train_upscale(
    out: Annotated[Path, typer.Option(help="Folder of the bundle to write.")],
    work_dir: Annotated[Path, typer.Option(help="Checkpoints and caches; an interrupted training resumes here.")],
    data: DataFlag = None,
    map_: MapFlag = None,
    where: WhereFlag = None,
    images: Annotated[int | None, typer.Option(min=1, help="Stop after this many crops.")] = None,
    minutes: Annotated[float | None, typer.Option(min=0, help="Stop after this long.")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Crops a step.")] = None,
    held_out: Annotated[int, typer.Option(min=1, help="Products left out, to measure on.")] = 1000,
    seed: Annotated[int | None, typer.Option(help="Of every random number, and of the split.")] = None,
    set_: SetFlag = None,
    config: ConfigFlag = None,
    database: DatabaseFlag = None,
    verbose: VerboseFlag = False,
) -> None:
    """Train the network that makes the job's pictures large, on photos and small pictures of them."""
    from catalog_gen.pipeline.training_source import training_source
    from catalog_gen.pipeline.upscale_training import UpscaleRequest, train_upscaler_on_rows
    from catalog_gen.training.settings import merge
    from catalog_gen.upscale.config import FLAGS, UpscaleTrainConfig

    progress = start_log(False, verbose)
    settings = read_settings(config, {"database.url": database, **columns_of_data(data, map_)})
    flags = {"images": images, "minutes": minutes, "batch": batch, "seed": seed}
    given = merge(flags, set_ or [], UpscaleTrainConfig, FLAGS)
    request = UpscaleRequest(out, work_dir, where_of(where), held_out, given)
    with training_source(settings, data, work_dir, progress) as source:
        text, exit_code = train_upscaler_on_rows(source.settings, source.database, request)
    typer.echo(text)
    raise typer.Exit(exit_code)
