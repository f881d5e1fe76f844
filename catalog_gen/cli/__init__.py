"""The command line: parses, calls, prints. Everything heavy is imported inside the command that needs it.

A command is a function in the module of its subject, and a line below; the lines' order is that of `--help`.
"""

from __future__ import annotations

import sys
import traceback
from typing import Annotated, Any

import typer

from catalog_gen import __version__
from catalog_gen.cli import (
    catalogue,
    evaluation,
    export,
    jobs,
    ledger,
    notify,
    report,
    restyling,
    review,
    serve,
    training,
    translation,
)
from catalog_gen.errors import EXIT_OK, CatalogGenError, InternalError, UsageError

app = typer.Typer(
    help="Draws pictures for catalogue rows that have words and no picture.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
db_app = typer.Typer(help="The job's own tables.", no_args_is_help=True)
review_app = typer.Typer(help="Decisions on pictures: carry out, list, learn from.", no_args_is_help=True)
styles_app = typer.Typer(help="The brand's templates that `restyle` puts products into.", no_args_is_help=True)
train_app = typer.Typer(help="Train the models on the catalogue's own photos.", no_args_is_help=True)
app.add_typer(db_app, name="db")
app.add_typer(review_app, name="review")
app.add_typer(styles_app, name="styles")
app.add_typer(train_app, name="train")

app.command("import")(catalogue.import_)
app.command()(jobs.fill_missing)
app.command()(restyling.restyle)
app.command()(ledger.runs)
app.command()(ledger.status)
app.command()(ledger.replay)
app.command()(review.approve)
app.command()(review.reject)
app.command()(review.again)
app.command()(review.undo)
app.command()(serve.serve)
app.command()(ledger.sheet)
app.command()(notify.notify)
app.command()(report.report)
app.command()(report.show)
app.command()(export.export)
app.command()(evaluation.evaluate)
app.command()(jobs.demo)
db_app.command("upgrade")(catalogue.db_upgrade)
review_app.command("apply")(review.review_apply)
review_app.command("audit")(review.review_audit)
review_app.command("advice")(review.review_advice)
styles_app.command("list")(restyling.styles_list)
styles_app.command("show")(restyling.styles_show)
styles_app.command("check")(restyling.styles_check)
styles_app.command("preview")(restyling.styles_preview)
styles_app.command("new")(restyling.styles_new)
train_app.command("clip")(training.train_clip)
train_app.command("gan")(training.train_gan)
train_app.command("style")(training.train_style)
train_app.command("matte")(training.train_matte)
train_app.command("upscale")(training.train_upscale)
train_app.command("pix2pix")(translation.train_pix2pix)
train_app.command("cyclegan")(translation.train_cyclegan)

# The parent of every error in a command line's own words. Newer Typers carry their own click, older ones import it.
_ClickException: Any = typer.BadParameter.__mro__[2]


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
