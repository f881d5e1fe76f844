"""The command line: parses, calls, prints. Everything heavy is imported inside the command that needs it."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from catalog_gen import __version__
from catalog_gen.errors import EXIT_OK, EXIT_SOME_FAILED, CatalogGenError, InternalError, UsageError

if TYPE_CHECKING:
    from catalog_gen.catalog.database import Database
    from catalog_gen.catalog.model import Where
    from catalog_gen.config import Settings

app = typer.Typer(
    help="Draws pictures for catalogue rows that have words and no picture.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
db_app = typer.Typer(help="The job's own tables.", no_args_is_help=True)
train_app = typer.Typer(help="Train the models on the catalogue's own photos.", no_args_is_help=True)
app.add_typer(db_app, name="db")
app.add_typer(train_app, name="train")

# The parent of every error in a command line's own words. Newer Typers carry their own click, older ones import it.
_ClickException: Any = typer.BadParameter.__mro__[2]

ConfigFlag = Annotated[
    Path | None, typer.Option("--config", help="Configuration file. Default: ./catalog-gen.toml if there is one.")
]
DatabaseFlag = Annotated[str | None, typer.Option("--database", help="URL of the database of the job's own tables.")]
StorageFlag = Annotated[str | None, typer.Option("--storage", help="Folder or URL where pictures go.")]
WhereFlag = Annotated[
    list[str] | None,
    typer.Option("--where", help="Only rows with FIELD=VALUE; repeat to narrow, same field again to widen."),
]
SkuFlag = Annotated[list[str] | None, typer.Option("--sku", help="Only this sku; repeatable.")]
LogJsonFlag = Annotated[bool, typer.Option("--log-json", help="Log as JSON, one object a line.")]
VerboseFlag = Annotated[bool, typer.Option("--verbose", help="Log details, and tracebacks of errors.")]

# What a training learns from.
DataFlag = Annotated[
    Path | None,
    typer.Option("--data", help="Folder with one feed and its photos, or the feed, instead of the catalogue."),
]
MapFlag = Annotated[list[str] | None, typer.Option("--map", help="With --data: FIELD=COLUMN, as for import.")]
CheckDataFlag = Annotated[bool, typer.Option("--check-data", help="Report on the data, and train nothing.")]
DropDuplicatesFlag = Annotated[
    bool, typer.Option("--drop-duplicates", help="Of photos that look the same, learn from one; none that is held out.")
]


def _fit(value: str | None) -> str | None:
    if value not in (None, "letterbox", "crop"):
        raise typer.BadParameter(f"{value!r} is neither letterbox nor crop", param_hint="--fit")
    return value


FitFlag = Annotated[
    str | None,
    typer.Option("--fit", callback=_fit, help="letterbox (on white, the default) or crop (the square in the middle)."),
]


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"catalog-gen {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


@db_app.command("upgrade")
def db_upgrade(config: ConfigFlag = None, database: DatabaseFlag = None) -> None:
    """Create the job's tables, or bring them up to this version. Safe to repeat."""
    with _open(_settings(config, {"database.url": database})) as opened:
        opened.upgrade()
        typer.echo(f"{opened.where}: the job's tables are up to date")


@app.command("import")
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

    style = _log(log_json, verbose)
    flags = {"database.url": database, "import.ignore": tuple(ignore) if ignore else None, **_columns(map_)}
    settings = _settings(config, flags)
    with _open(settings) as opened:
        given = FeedFlags(images=images, image_column=image_column, encoding=encoding or "", rejects=rejects)
        result = import_feed(settings, opened, file, given, style)
    typer.echo(result.summary())
    raise typer.Exit(EXIT_SOME_FAILED if result.rejected or result.photos_bad else EXIT_OK)


@app.command("fill-missing")
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
    log_json: LogJsonFlag = False,
    verbose: VerboseFlag = False,
) -> None:
    """Draw, check and store a picture for every row that lacks one."""
    from catalog_gen.pipeline.deadline import deadline_from
    from catalog_gen.pipeline.fill_missing import FillRequest
    from catalog_gen.pipeline.fill_missing import fill_missing as run_job

    style = _log(log_json, verbose)
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
    settings = _settings(config, flags)
    request = FillRequest(
        where=_where(where),
        skus=tuple(sku or ()),
        limit=limit,
        deadline=deadline_from(deadline, max_minutes),
        allow_parallel=allow_parallel,
    )
    with _open(settings) as opened:
        if dry_run:
            from catalog_gen.pipeline.dry_run import estimate

            typer.echo(estimate(settings, opened, request).describe())
            return
        summary = run_job(settings, opened, request, style=style)
    typer.echo(summary.describe())
    raise typer.Exit(summary.exit_code)


@app.command()
def runs(
    limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Everything the ledger holds, as JSON lines.")] = False,
    config: ConfigFlag = None,
    database: DatabaseFlag = None,
) -> None:
    """List past runs: when, what came of every row, how fast."""
    from catalog_gen.report.tables import runs_table

    with _open(_settings(config, {"database.url": database})) as opened:
        opened.check_schema()
        from catalog_gen.catalog.runs import list_runs

        typer.echo(runs_table(list_runs(opened, limit), as_json=as_json))


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
    config: ConfigFlag = None,
    database: DatabaseFlag = None,
) -> None:
    """Show how much of the catalogue has pictures, and what waits for what."""
    from catalog_gen.catalog.assets import status_counts
    from catalog_gen.catalog.source import open_source
    from catalog_gen.report.tables import status_table

    settings = _settings(config, {"database.url": database})
    with _open(settings) as opened:
        opened.check_schema()
        typer.echo(status_table(status_counts(opened, open_source(settings, opened)), as_json=as_json))


@app.command()
def replay(
    sku: Annotated[str, typer.Argument(help="The product whose picture is drawn again.")],
    out: Annotated[Path | None, typer.Option(help="Write the redrawn picture here.")] = None,
    config: ConfigFlag = None,
    database: DatabaseFlag = None,
    storage: StorageFlag = None,
) -> None:
    """Draw a stored picture again from its row alone, and compare the hashes."""
    from catalog_gen.pipeline.replay import replay as draw_again

    settings = _settings(config, {"database.url": database, "storage.url": storage})
    with _open(settings) as opened:
        opened.check_schema()
        result = draw_again(settings, opened, sku)
    if out is not None:
        out.write_bytes(result.data)
    typer.echo(result.describe())
    raise typer.Exit(result.exit_code)


@app.command()
def approve(
    skus: Annotated[list[str], typer.Argument(help="Products whose live pictures may be used.")],
    config: ConfigFlag = None,
    database: DatabaseFlag = None,
) -> None:
    """Approve pictures; with catalog.writeback, write their URLs to the shop's own table."""
    from catalog_gen.pipeline.approval import approve as decide

    settings = _settings(config, {"database.url": database})
    with _open(settings) as opened:
        opened.check_schema()
        decisions = decide(settings, opened, skus)
    typer.echo(decisions.describe())
    raise typer.Exit(EXIT_SOME_FAILED if decisions.missing else EXIT_OK)


@app.command()
def reject(
    skus: Annotated[list[str], typer.Argument(help="Products whose live pictures are not good enough.")],
    reason: Annotated[str, typer.Option(help="Why; kept with the picture.")],
    config: ConfigFlag = None,
    database: DatabaseFlag = None,
) -> None:
    """Reject pictures: the next run draws others for these products."""
    from catalog_gen.pipeline.approval import reject as decide

    with _open(_settings(config, {"database.url": database})) as opened:
        opened.check_schema()
        decisions = decide(opened, skus, reason)
    typer.echo(decisions.describe())
    raise typer.Exit(EXIT_SOME_FAILED if decisions.missing else EXIT_OK)


@app.command()
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

    settings = _settings(config, {"database.url": database, "storage.url": storage})
    with _open(settings) as opened:
        opened.check_schema()
        typer.echo(write_run_sheet(settings, opened, run, out, limit))


@app.command()
def evaluate(
    out: Annotated[Path, typer.Option(help="Folder for evaluation.json, .md and .png.")] = Path("evaluation"),
    gan: Annotated[str | None, typer.Option(help="Generator's bundle. Default: the configured one.")] = None,
    pictures: Annotated[
        Path | None, typer.Option(help="Score these instead: a folder of SKU.png, or of any pictures.")
    ] = None,
    rows: Annotated[int, typer.Option(min=1, help="At most this many held-out rows.")] = 1000,
    where: WhereFlag = None,
    candidates: Annotated[int, typer.Option(min=1, help="Pictures drawn a row; CLIP chooses.")] = 1,
    held_out: Annotated[
        int | None, typer.Option(min=1, help="Rows that training left out. Default: as the bundle says, else 1000.")
    ] = None,
    view: Annotated[int | None, typer.Option(min=16, help="Size in px to judge at. Default: the generator's.")] = None,
    inception: Annotated[bool, typer.Option("--inception", help="Inception FID as well.")] = False,
    compare: Annotated[Path | None, typer.Option(help="An earlier evaluation.json to set beside.")] = None,
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

    _log(False, verbose)
    settings = _settings(config, {"database.url": database, "gan.model": gan})
    request = EvaluateRequest(
        out=out,
        rows=rows,
        where=_where(where),
        pictures=pictures,
        candidates=candidates,
        held_out=held_out,
        view=view,
        inception=inception,
        compare=compare,
        work_dir=work_dir,
    )
    with _open(settings) as opened:
        opened.check_schema()
        typer.echo(measure(settings, opened, request).describe())


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the demo's database, pictures and contact sheet.")] = Path(
        "demo-out"
    ),
    limit: Annotated[int | None, typer.Option(min=1, help="At most this many rows.")] = None,
    verbose: VerboseFlag = False,
) -> None:
    """Fill the catalogue that ships with the package, offline, and write a contact sheet to open."""
    from catalog_gen.pipeline.demo import run_demo

    result = run_demo(out, limit=limit, style=_log(False, verbose))
    typer.echo(result.describe())
    raise typer.Exit(result.exit_code)


@train_app.command("clip")
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
    held_out: Annotated[int, typer.Option(min=1, help="Products left out to measure on.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of every random number, and of the split.")] = 0,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="KEY=VALUE of any setting in docs/training.md; repeatable.")
    ] = None,
    wandb: Annotated[str | None, typer.Option(help="Weights & Biases project to report to.")] = None,
    config: ConfigFlag = None,
    database: DatabaseFlag = None,
    verbose: VerboseFlag = False,
) -> None:
    """Train the product CLIP on rows with photos; the epoch that measured best becomes the bundle."""
    from catalog_gen.clip.config import ClipTrainConfig
    from catalog_gen.pipeline.clip_training import train_clip_on_catalogue
    from catalog_gen.pipeline.training_data import DataChoices
    from catalog_gen.pipeline.training_source import training_source
    from catalog_gen.training.settings import parse_settings

    if map_ and data is None:
        raise UsageError("it maps the columns of --data, which is not given", where="--map")
    style = _log(False, verbose)
    settings = _settings(config, {"database.url": database, **_columns(map_)})
    flags = {"epochs": epochs, "batch_size": batch, "held_out": held_out, "seed": seed, "watch.wandb": wandb}
    given = {key: value for key, value in flags.items() if value is not None}
    given |= parse_settings(set_ or [], ClipTrainConfig)
    with training_source(settings, data, work_dir, style) as source:
        choices = DataChoices(drop_duplicates, check_data, source.unusable)
        rows = source.settings, source.database, _where(where)
        text, exit_code = train_clip_on_catalogue(*rows, out, work_dir, given, choices)
    typer.echo(text)
    raise typer.Exit(exit_code)


@train_app.command("gan")
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
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="KEY=VALUE of any setting in docs/training.md; repeatable.")
    ] = None,
    search: Annotated[int, typer.Option(min=0, help="Try this many settings, each trained in short.")] = 0,
    sampler: Annotated[str | None, typer.Option(help="How a search chooses: bayesian (the default) or grid.")] = None,
    space: Annotated[Path | None, typer.Option(help="TOML with the settings that a search tries.")] = None,
    wandb: Annotated[str | None, typer.Option(help="Weights & Biases project to report to.")] = None,
    config: ConfigFlag = None,
    database: DatabaseFlag = None,
    verbose: VerboseFlag = False,
) -> None:
    """Train the text-conditioned generator on rows with photos; what measured best becomes the bundle."""
    from catalog_gen.gan.settings import parse_settings
    from catalog_gen.pipeline.gan_training import GanRequest, train_gan_on_rows
    from catalog_gen.pipeline.training_data import DataChoices
    from catalog_gen.pipeline.training_source import training_source

    style = _log(False, verbose)
    settings = _settings(config, {"database.url": database, **_columns(map_)})
    flags = {"images": images, "minutes": minutes, "batch_size": batch, "seed": seed, "fit": fit, "watch.wandb": wandb}
    if space is not None and not search:
        raise UsageError("there is no search to try it", where="--space", hint="Add --search N.")
    given = {key: value for key, value in flags.items() if value is not None} | parse_settings(set_ or [])
    with training_source(settings, data, work_dir, style) as source:
        request = GanRequest(
            out=out,
            work_dir=work_dir,
            where=_where(where),
            held_out=held_out,
            given=given,
            start_from=from_,
            trials=search,
            sampler=_sampler(sampler, search),
            space=space,
        )
        choices = DataChoices(drop_duplicates, check_data, source.unusable)
        trained = train_gan_on_rows(source.settings, source.database, request, choices)
    if trained.text:
        typer.echo(trained.text)
    raise typer.Exit(trained.exit_code)


def _sampler(name: str | None, trials: int) -> Literal["bayesian", "grid"]:
    if name is not None and not trials:
        raise UsageError("there is no search that it could guide", where="--sampler", hint="Add --search N.")
    if name not in (None, "bayesian", "grid"):
        raise UsageError(f"{name!r} is neither bayesian nor grid", where="--sampler")
    return "grid" if name == "grid" else "bayesian"


def _settings(config: Path | None, flags: dict[str, Any]) -> Settings:
    from catalog_gen.config import load_settings

    return load_settings(config, flags=flags)


@contextmanager
def _open(settings: Settings) -> Iterator[Database]:
    from catalog_gen.catalog.database import open_database

    database = open_database(settings.database.url)
    try:
        yield database
    finally:
        database.dispose()


def _log(as_json: bool, verbose: bool) -> Any:
    from catalog_gen.pipeline.progress import set_up_logging

    return set_up_logging(as_json=as_json, verbose=verbose)


def _where(given: list[str] | None) -> Where:
    return tuple(_pair(text, "--where") for text in given or ())


def _columns(given: list[str] | None) -> dict[str, str]:
    pairs = dict(_pair(text, "--map") for text in given or ())
    return {f"import.columns.{field}": column for field, column in pairs.items()}


def _pair(text: str, flag: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name.strip() and equals):
        raise UsageError(f"{text!r} is not NAME=VALUE", where=flag)
    return name.strip(), value


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with the documented code; every expected error is one line on stderr."""
    sys.exit(run(arguments))


def run(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        result = app(given, prog_name="catalog-gen", standalone_mode=False)
        return result if isinstance(result, int) else EXIT_OK
    except typer.Exit as leaving:
        return int(leaving.exit_code)
    except _ClickException as error:
        said = error.format_message()  # the whole help, when nothing was given at all
        typer.echo(said if "\n" in said else f"catalog-gen: {said.rstrip('.')}. Try: catalog-gen --help", err=True)
        return UsageError.exit_code
    except typer.Abort:
        return 130
    except CatalogGenError as error:
        if "--verbose" in given:
            traceback.print_exc()
        typer.echo(f"catalog-gen: {error}", err=True)
        return error.exit_code
    except BrokenPipeError:
        return EXIT_OK
    except Exception as error:
        traceback.print_exc()
        typer.echo(f"catalog-gen: internal error: {type(error).__name__}: {error}", err=True)
        return InternalError.exit_code
