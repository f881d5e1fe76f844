"""What every page of the desk uses: the desk itself, its threads, its templates, its errors."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Mapping
from importlib.resources import files
from typing import Any, ParamSpec, TypeVar
from urllib.parse import quote, urlencode

import jinja2
from anyio import CapacityLimiter, to_thread
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from catalog_gen import __version__
from catalog_gen.config_serve import ServeConfig
from catalog_gen.desk.auth import Keeper, LoginLimit
from catalog_gen.desk.looking import Looking
from catalog_gen.desk.model import ORDERS, STATES
from catalog_gen.desk.pictures import Scaler
from catalog_gen.desk.service import DeskService
from catalog_gen.desk.sessions import caller_of, viewer_of

T = TypeVar("T")
P = ParamSpec("P")
Page = Callable[[Request], Awaitable[Response]]

# Threads of their own for what may hang: a storage that answers nobody leaves the database's pages as quick as ever.
DATABASE_THREADS = 8  # fewer than the database's pool holds connections
STORAGE_THREADS = 8
PHOTO_THREADS = 4


class Desk:
    """The parts of a running desk."""

    def __init__(self, config: ServeConfig, keeper: Keeper, service: DeskService) -> None:
        self.config, self.keeper, self.service = config, keeper, service
        self.login_limit = LoginLimit()
        self.looking = Looking()
        self.scaler = Scaler(config.cache_mb * 1_000_000)
        self.static = _static_files()
        self._database = CapacityLimiter(DATABASE_THREADS)
        self._storage = CapacityLimiter(STORAGE_THREADS)
        self._photos = CapacityLimiter(PHOTO_THREADS)

    async def ask(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call what asks the database, in a thread."""
        return await _in_thread(self._database, function, *args, **kwargs)

    async def read_picture(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call what reads the storage, in one of its threads."""
        return await _in_thread(self._storage, function, *args, **kwargs)

    async def read_photo(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call what reads a photo from wherever the shop keeps it, in one of its threads."""
        return await _in_thread(self._photos, function, *args, **kwargs)


async def _in_thread(limiter: CapacityLimiter, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    return await to_thread.run_sync(functools.partial(function, *args, **kwargs), limiter=limiter)


def desk_of(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    return desk


def for_viewers(page: Page) -> Page:
    """Only for people the desk knows; others are sent to the log-in (pages) or told 401 (the pages' scripts)."""

    @functools.wraps(page)
    async def guarded(request: Request) -> Response:
        if caller_of(request).viewer is None:
            if not desk_of(request).keeper.has_log_in:
                raise HTTPException(401, "the proxy did not say who you are")
            if wants_page(request) and request.method == "GET":
                return RedirectResponse(f"/login?next={quote(_address(request), safe='')}", status_code=303)
            raise HTTPException(401, "log in first")
        return await page(request)

    return guarded


def for_reviewers(page: Page) -> Page:
    """Only for people who may decide: readers are told 403."""

    @functools.wraps(page)
    async def guarded(request: Request) -> Response:
        if not viewer_of(request).can_decide:
            raise HTTPException(403, "you may look at everything here, and decide nothing")
        return await page(request)

    return for_viewers(guarded)


def wants_page(request: Request) -> bool:
    """Whether a person looks at the answer, and not a script or an image's place."""
    return not request.url.path.startswith(("/api/", "/image/", "/photo", "/static/", "/health"))


def failure(request: Request, status: int, told: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return an error in the form that the asker reads: a page, or JSON `{"error": ...}`."""
    if not wants_page(request) or "desk.caller" not in request.scope:
        return JSONResponse({"error": told}, status_code=status, headers=headers)
    return render(request, "message.html", {"told": told, "status": status}, status=status, headers=headers)


def render(
    request: Request,
    template: str,
    values: Mapping[str, Any],
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return a page. Whatever a template prints is escaped, titles from a feed included."""
    caller = caller_of(request)
    page = (
        _environment()
        .get_template(template)
        .render(
            viewer=caller.viewer,
            csrf=caller.csrf,
            can_log_out=desk_of(request).keeper.has_log_in and caller.session.key != "",
            version=__version__,
            path=request.url.path,
            **values,
        )
    )
    return Response(page, status_code=status, headers=headers, media_type="text/html; charset=utf-8")


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("catalog_gen.desk"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["params"] = urlencode
    environment.globals.update(STATES=STATES, ORDERS=ORDERS)
    return environment


def _static_files() -> dict[str, bytes]:
    """Every file the pages load, by name: read once, so that no address ever becomes a path."""
    folder = files("catalog_gen.desk") / "static"
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


def _address(request: Request) -> str:
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")


def local_address(given: str) -> str:
    """Return `given` where it is an address of this desk, else the first page: a log-in sends nobody elsewhere."""
    plain = given.startswith("/") and not given.startswith(("//", "/\\")) and given.isprintable() and "\\" not in given
    return given if plain else "/"
