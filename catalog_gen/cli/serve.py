"""The review desk: `serve`."""

from __future__ import annotations

from typing import Annotated

import typer

from catalog_gen.cli.options import (
    ConfigFlag,
    DatabaseFlag,
    LogJsonFlag,
    StorageFlag,
    VerboseFlag,
    open_catalogue,
    read_settings,
    start_log,
)


def serve(
    host: Annotated[
        str | None, typer.Option(help="Where to listen; beyond loopback only with tokens or a proxy.")
    ] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Which port; 0: any free one.")] = None,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the desk in this machine's browser.")] = False,
    new_token: Annotated[
        str | None, typer.Option(help="Only make a token for this person, and show the lines for the configuration.")
    ] = None,
    reader: Annotated[bool, typer.Option("--reader", help="With --new-token: may look, and decide nothing.")] = False,
    config: ConfigFlag = None,
    database: DatabaseFlag = None,
    storage: StorageFlag = None,
    log_json: LogJsonFlag = False,
    verbose: VerboseFlag = False,
) -> None:
    """Open the review desk: look at pictures in the browser, and approve, reject or ask for another."""
    from catalog_gen.pipeline.desk_server import serve_desk, token_lines

    if new_token is not None:
        typer.echo(token_lines(new_token, "reader" if reader else "reviewer"))
        return
    start_log(log_json, verbose)
    flags = {"database.url": database, "storage.url": storage, "serve.host": host, "serve.port": port}
    settings = read_settings(config, flags)
    given = (("--config", config), ("--database", database), ("--storage", storage))
    with open_catalogue(settings) as opened:
        serve_desk(
            settings,
            opened,
            flags=[f"{name}={value}" for name, value in given if value is not None],
            ready=lambda address: _ready(address, open_browser),
        )


def _ready(address: str, open_browser: bool) -> None:
    typer.echo(f"The review desk is at {address} (Ctrl-C ends it)")
    if open_browser:
        typer.launch(address)
