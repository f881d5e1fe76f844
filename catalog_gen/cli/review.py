"""Decisions on pictures: `approve`, `reject`, `again`, `undo`, and `review`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from catalog_gen.cli.options import ConfigFlag, DatabaseFlag, open_catalogue, read_settings
from catalog_gen.errors import EXIT_OK, EXIT_SOME_FAILED

if TYPE_CHECKING:
    from catalog_gen.config import Settings

StyleFlag = Annotated[
    str, typer.Option("--style", help="The pictures restyled in this template, in every output, not the generated one.")
]
ReviewerFlag = Annotated[
    str | None, typer.Option("--reviewer", help="Your name. Default: review.reviewer, else the system's user.")
]


def approve(
    skus: Annotated[list[str], typer.Argument(help="Products whose live pictures may be used.")],
    style: StyleFlag = "",
    reviewer: ReviewerFlag = None,
    config: ConfigFlag = None,
    database: DatabaseFlag = None,
) -> None:
    """Approve pictures; with catalog.writeback, write their URLs to the shop's own table."""
    _decide(_settings(config, database, reviewer), {"skus": skus, "action": "approve", "style": style})


def reject(
    skus: Annotated[list[str], typer.Argument(help="Products whose live pictures are not good enough.")],
    reason: Annotated[str, typer.Option(help="Why; kept with the picture.")],
    style: StyleFlag = "",
    reviewer: ReviewerFlag = None,
    config: ConfigFlag = None,
    database: DatabaseFlag = None,
) -> None:
    """Reject pictures, and those restyled from them: the next run draws others for these products."""
    asked = {"skus": skus, "action": "reject", "reason": reason, "style": style}
    _decide(_settings(config, database, reviewer), asked)


def again(
    skus: Annotated[list[str], typer.Argument(help="Products whose live pictures are to be made again.")],
    words: Annotated[str, typer.Option(help="Draw from these words instead of the row's own.")] = "",
    candidates: Annotated[
        int | None, typer.Option(min=1, max=64, help="Pictures drawn, of which the best is kept.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Why; kept with the picture.")] = "",
    style: StyleFlag = "",
    reviewer: ReviewerFlag = None,
    config: ConfigFlag = None,
    database: DatabaseFlag = None,
) -> None:
    """Reject pictures and ask for others: another seed, and if you like other words or more candidates."""
    from catalog_gen.catalog.model import Wish

    asked = {"skus": skus, "action": "again", "reason": reason, "style": style, "wish": Wish(words, candidates)}
    _decide(_settings(config, database, reviewer), asked)


def undo(
    decision: Annotated[
        str | None, typer.Option(help="A decision's id, from `review audit`. Default: your last one.")
    ] = None,
    reviewer: ReviewerFlag = None,
    config: ConfigFlag = None,
    database: DatabaseFlag = None,
) -> None:
    """Take a decision back: the picture, what was restyled from it and what was asked for are as they were."""
    from catalog_gen.pipeline.approval import undo_decision

    settings = _settings(config, database, reviewer)
    with open_catalogue(settings) as opened:
        opened.check_schema()
        done = undo_decision(settings, opened, decision)
    typer.echo(done.told)
    raise typer.Exit(EXIT_OK if done.result in ("done", "already") else EXIT_SOME_FAILED)


def review_apply(
    file: Annotated[Path, typer.Argument(help="The decisions that a report's page saved.")],
    reviewer: ReviewerFlag = None,
    config: ConfigFlag = None,
    database: DatabaseFlag = None,
) -> None:
    """Carry out decisions made in a report's page; a picture that changed since is left alone, and named."""
    from catalog_gen.pipeline.decisions_file import apply_file

    settings = _settings(config, database, reviewer)
    with open_catalogue(settings) as opened:
        applied = apply_file(settings, opened, file)
    typer.echo(applied.describe())
    raise typer.Exit(EXIT_SOME_FAILED if applied.failed else EXIT_OK)


def review_audit(
    sku: Annotated[str | None, typer.Option(help="Only decisions on this product's pictures.")] = None,
    by: Annotated[str | None, typer.Option(help="Only this reviewer's.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many, newest first.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Everything that is recorded, as JSON lines.")] = False,
    config: ConfigFlag = None,
    database: DatabaseFlag = None,
) -> None:
    """List decisions: who decided what, when, from where, and what was undone."""
    from catalog_gen.catalog.decisions import audit
    from catalog_gen.report.review_tables import audit_table

    with open_catalogue(read_settings(config, {"database.url": database})) as opened:
        opened.check_schema()
        typer.echo(audit_table(audit(opened, sku=sku, reviewer=by, limit=limit), as_json=as_json))


def review_advice(
    fewest: Annotated[int, typer.Option(min=1, help="Categories with at least so many decided pictures.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
    config: ConfigFlag = None,
    database: DatabaseFlag = None,
) -> None:
    """Show what past decisions teach: the reasons given most, and where a category's threshold would stand better."""
    from catalog_gen.catalog.review import rejection_reasons, threshold_advice
    from catalog_gen.report.review_tables import advice_table

    with open_catalogue(read_settings(config, {"database.url": database})) as opened:
        opened.check_schema()
        advice, reasons = threshold_advice(opened, fewest=fewest), rejection_reasons(opened)
    typer.echo(advice_table(advice, reasons, as_json=as_json))


def _settings(config: Path | None, database: str | None, reviewer: str | None) -> Settings:
    return read_settings(config, {"database.url": database, "review.reviewer": reviewer})


def _decide(settings: Settings, asked: dict[str, Any]) -> None:
    from catalog_gen.pipeline.approval import Ask, decide_skus

    with open_catalogue(settings) as opened:
        opened.check_schema()
        result = decide_skus(settings, opened, Ask(**asked))
    typer.echo(result.describe())
    raise typer.Exit(EXIT_SOME_FAILED if result.failed else EXIT_OK)
