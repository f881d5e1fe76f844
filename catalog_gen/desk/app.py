"""The review desk as an ASGI application: its routes, its walls, and what becomes of errors.

Read `ROUTES` first. A page is a function `(request) -> Response` in one of the `views_*` modules; what it needs stands
in `Desk`, which every request carries as `request.app.state.desk`.
"""

from __future__ import annotations

import logging

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from catalog_gen.config_serve import ServeConfig
from catalog_gen.desk import views_api, views_grid, views_images, views_login, views_pages, views_review
from catalog_gen.desk.auth import Keeper
from catalog_gen.desk.parts import Desk, failure
from catalog_gen.desk.security import LOOPBACK_NAMES, AnswerHeaders, BodyLimit, HostCheck, is_loopback
from catalog_gen.desk.service import DeskService
from catalog_gen.desk.sessions import Sessions
from catalog_gen.errors import CatalogGenError, TransientError, Unavailable, UsageError

log = logging.getLogger(__name__)

ROUTES = [
    Route("/", views_review.review),
    Route("/grid", views_grid.grid),
    Route("/picture/{asset}", views_pages.picture),
    Route("/picture/{asset}/decide", views_pages.decide, methods=["POST"]),
    Route("/picture/{asset}/prefer", views_pages.prefer, methods=["POST"]),
    Route("/undo", views_pages.undo, methods=["POST"]),
    Route("/audit", views_pages.audit),
    Route("/thresholds", views_pages.thresholds),
    Route("/login", views_login.login_page),
    Route("/login", views_login.login, methods=["POST"]),
    Route("/logout", views_login.logout, methods=["POST"]),
    Route("/api/session", views_api.session),
    Route("/api/queue", views_api.queue),
    Route("/api/picture/{asset}", views_api.picture),
    Route("/api/decisions", views_api.decisions, methods=["POST"]),
    Route("/api/undo", views_api.undo, methods=["POST"]),
    Route("/api/leave", views_api.leave, methods=["POST"]),
    Route("/api/last", views_api.last),
    Route("/api/draws", views_api.draws),
    Route("/image/{asset}", views_images.image),
    Route("/photo", views_images.photo),
    Route("/static/{name}", views_images.static),
    Route("/health", views_login.health),
]


def build_app(config: ServeConfig, service: DeskService, *, local_name: str) -> Starlette:
    """Return the application. Raises ConfigError where it would be open to people that nobody knows."""
    keeper = Keeper(config, local_name)
    # A server that listens on a name or an address beyond loopback is known by it, and by what the configuration adds.
    hosts = LOOPBACK_NAMES | set(config.hosts) | (set() if is_loopback(config.host) else {config.host})
    app = Starlette(
        routes=ROUTES,
        middleware=[
            Middleware(AnswerHeaders),
            Middleware(HostCheck, hosts=hosts),
            Middleware(BodyLimit),
            Middleware(Sessions, keeper=keeper),
        ],
        exception_handlers={
            HTTPException: _refused,
            CatalogGenError: _known_error,
            Exception: _unknown_error,
        },
    )
    app.state.desk = Desk(config, keeper, service)
    return app


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return failure(request, error.status_code, str(error.detail), error.headers)


async def _known_error(request: Request, error: Exception) -> Response:
    """What is told leaves out where: addresses of buckets and folders are nobody's business in a browser."""
    assert isinstance(error, CatalogGenError)
    log.warning("%s %s: %s", request.method, request.url.path, error)
    if isinstance(error, UsageError):
        return failure(request, 404, error.what)
    status = 503 if isinstance(error, TransientError | Unavailable) else 500
    return failure(request, status, error.what, {"Retry-After": "5"} if status == 503 else None)


async def _unknown_error(request: Request, error: Exception) -> Response:
    """Starlette raises it again after this answer, and the server logs it with its traceback."""
    return failure(request, 500, "a bug in the desk; the server's log says more")
