"""Runs the desk: one process, one event loop, as many threads as its pages need."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable

import uvicorn
from starlette.applications import Starlette

from catalog_gen.config_serve import ServeConfig
from catalog_gen.errors import ConfigError, Unavailable

BACKLOG = 128
MOST_AT_ONCE = 512  # connections; more are told to come back (503)
SHUTDOWN_SECONDS = 10


def run(app: Starlette, config: ServeConfig, ready: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM; `ready` is called with the desk's address once it listens.

    Raises Unavailable when the address cannot be listened on, ConfigError when the certificate cannot be used.
    """
    listener = _listen(config)
    port = listener.getsockname()[1]
    secure = bool(config.certificate)
    settings = uvicorn.Config(
        app,
        ssl_certfile=config.certificate or None,
        ssl_keyfile=config.key or None,
        proxy_headers=False,  # the desk itself decides whose word counts
        server_header=False,
        log_config=None,
        access_log=False,
        limit_concurrency=MOST_AT_ONCE,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    try:
        settings.load()
    except OSError as error:  # ssl's errors are OSErrors too
        raise ConfigError(f"the certificate cannot be used ({error})", where="serve.certificate") from error
    host = f"[{config.host}]" if ":" in config.host else config.host
    ready(f"{'https' if secure else 'http'}://{host}:{port}/")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stopped)
    uvicorn.Server(settings).run(sockets=[listener])


def _stopped(number: int, frame: object) -> None:
    """The server has its own handlers while it runs, and raises the signal once more after it has ended in order."""


def _listen(config: ServeConfig) -> socket.socket:
    where = f"{config.host}:{config.port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(config.host, config.port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        hint = "Is another desk running? Choose another port: --port N (0: any free one)."
        raise Unavailable(f"cannot be listened on ({error.strerror or error})", where=where, hint=hint) from error
    return listener
