"""The seasonal job and its templates: `restyle`, `styles`."""

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
from catalog_gen.errors import UsageError

TemplateArgument = Annotated[str, typer.Argument(help="A template's name, or its folder.")]
SCOPE_SHOWN = 1_000_000  # of a dry run with --verbose: everything


def restyle(
    style: Annotated[str | None, typer.Option(help="The template: a name from `styles list`, or a folder.")] = None,
    revert: Annotated[
        str | None, typer.Option(help="Retire the pictures of this run, and bring back what was live before.")
    ] = None,
    where: WhereFlag = None,
    sku: SkuFlag = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most this many rows.")] = None,
    include_photos: Annotated[
        bool, typer.Option("--include-photos", help="The shop's own photos too, and before generated pictures.")
    ] = False,
    outputs: Annotated[str | None, typer.Option(help="Only these of the template's outputs: NAME,NAME.")] = None,
    candidates: Annotated[
        int, typer.Option(min=1, max=16, help="Pictures made an output, where the engine is random; the best is kept.")
    ] = 1,
    deadline: Annotated[
        str | None, typer.Option(help="Stop in good order by HH:MM (local time, within the next 24 hours).")
    ] = None,
    max_minutes: Annotated[float | None, typer.Option(min=0, help="Stop in good order after this long.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be made, of which products, and at what cost.")
    ] = False,
    allow_parallel: Annotated[
        bool, typer.Option("--allow-parallel", help="Share the work with a run that is already under way.")
    ] = False,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps.")] = None,
    batch: Annotated[
        int | None, typer.Option(min=0, help="Pictures stylised at once; 0: as the device can take.")
    ] = None,
    config: ConfigFlag = None,
    database: DatabaseFlag = None,
    storage: StorageFlag = None,
    log_json: LogJsonFlag = False,
    verbose: VerboseFlag = False,
) -> None:
    """Put approved pictures into a brand's template, the product untouched; or take such a run back."""
    if (style is None) == (revert is None):
        raise UsageError("name one of --style and --revert", hint="Templates: catalog-gen styles list.")
    asked = [where, sku, limit, include_photos, outputs, candidates > 1, deadline, max_minutes, dry_run, allow_parallel]
    if revert is not None and any(value is not None and value is not False for value in [*asked, device, batch]):
        raise UsageError("it takes a run back whole, and no other flag of a run", where="--revert")
    names = tuple(name.strip() for name in (outputs or "").split(",") if name.strip())
    if outputs is not None and not names:
        raise UsageError(f"{outputs!r} names no output", where="--outputs", hint="Leave it out for all of them.")
    from catalog_gen.pipeline.deadline import deadline_from
    from catalog_gen.pipeline.restyle import RestyleRequest
    from catalog_gen.pipeline.restyle import restyle as run_job
    from catalog_gen.pipeline.restyle import revert as take_back

    log_style = start_log(log_json, verbose)
    flags = {
        "database.url": database,
        "storage.url": storage,
        "restyle.device": device,
        "restyle.batch": batch,
    }
    settings = read_settings(config, flags)
    with open_catalogue(settings) as opened:
        if style is None:
            assert revert is not None
            typer.echo(take_back(settings, opened, revert).describe())
            return
        request = RestyleRequest(
            style=style,
            where=where_of(where),
            skus=tuple(sku or ()),
            limit=limit,
            include_photos=include_photos,
            outputs=names,
            candidates=candidates,
            deadline=deadline_from(deadline, max_minutes),
            allow_parallel=allow_parallel,
        )
        if dry_run:
            from catalog_gen.pipeline.restyle_dry_run import SHOWN, estimate

            shown = SCOPE_SHOWN if verbose else SHOWN
            typer.echo(estimate(settings, opened, request, show=shown).describe())
            return
        summary = run_job(settings, opened, request, style=log_style)
    typer.echo(summary.describe())
    raise typer.Exit(summary.exit_code)


def styles_list(config: ConfigFlag = None) -> None:
    """List the templates: those that ship, and the shop's own (restyle.templates)."""
    from catalog_gen.pipeline.styles import list_styles, own_templates

    typer.echo(list_styles(own_templates(read_settings(config, {}))))


def styles_show(template: TemplateArgument, config: ConfigFlag = None) -> None:
    """Show what a template is: engine, images, layout, limits, outputs and their hashes."""
    from catalog_gen.pipeline.styles import own_templates, show_style

    typer.echo(show_style(template, own_templates(read_settings(config, {}))))


def styles_check(template: TemplateArgument, config: ConfigFlag = None) -> None:
    """Check a template whole: every key, file, size and overlay; every mistake is named."""
    from catalog_gen.pipeline.styles import check_style, own_templates

    typer.echo(check_style(template, own_templates(read_settings(config, {}))))


def styles_preview(
    template: TemplateArgument,
    data: Annotated[
        Path | None, typer.Option(help="A folder of photos. Default: products of the catalogue, of many kinds.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, max=200, help="Products on the sheet.")] = 12,
    out: Annotated[Path | None, typer.Option(help="The PNG file to write. Default: TEMPLATE-preview.png.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps.")] = None,
    config: ConfigFlag = None,
    database: DatabaseFlag = None,
    verbose: VerboseFlag = False,
) -> None:
    """Draw a sheet of real products in a template, every output, before anything is stored."""
    from catalog_gen.pipeline.models import choose_device
    from catalog_gen.pipeline.style_preview import catalogue_photos, folder_photos, preview_style
    from catalog_gen.pipeline.styles import own_templates
    from catalog_gen.style.template import load_template

    start_log(False, verbose)
    settings = read_settings(config, {"database.url": database, "restyle.device": device})
    loaded = load_template(template, own_templates(settings))
    if data is not None:
        photos = folder_photos(data, count)
    else:
        with open_catalogue(settings) as opened:
            opened.check_schema()
            photos = catalogue_photos(settings, opened, count)
    file = out or Path(f"{loaded.name}-preview.png")
    device = choose_device(settings.restyle.device, "restyle.device")
    typer.echo(preview_style(loaded, photos, file, device=device, matte=settings.restyle.matte))


def styles_new(
    name: Annotated[str, typer.Argument(help="The new template's name.")],
    folder: Annotated[
        Path | None, typer.Option(help="Where it goes. Default: restyle.templates, else this folder.")
    ] = None,
    like: Annotated[str, typer.Option(help="A template to copy. Default: one that explains every key.")] = "",
    config: ConfigFlag = None,
) -> None:
    """Begin a template: a folder with a commented template.toml and a style image."""
    from catalog_gen.pipeline.styles import new_style, own_templates

    typer.echo(new_style(name, folder or own_templates(read_settings(config, {})) or Path(), like))
