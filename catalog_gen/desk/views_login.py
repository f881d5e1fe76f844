"""Coming and going: the log-in by token, the log-out, and the address that a monitor asks."""

from __future__ import annotations

import logging

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from catalog_gen.desk.auth import Session
from catalog_gen.desk.parts import desk_of, for_viewers, local_address, render
from catalog_gen.desk.sessions import caller_of, check_csrf

log = logging.getLogger(__name__)


async def login_page(request: Request) -> Response:
    """The form; who is known already is sent on."""
    after = local_address(request.query_params.get("next", "/"))
    if caller_of(request).viewer is not None:
        return RedirectResponse(after, status_code=303)
    if not desk_of(request).keeper.has_log_in:
        raise HTTPException(401, "the proxy did not say who you are")
    return _form(request, after)


async def login(request: Request) -> Response:
    """Let the holder of a token in, in a new session; slow down who guesses."""
    form = await request.form()
    desk, caller = desk_of(request), caller_of(request)
    check_csrf(request, _text(form.get("csrf")))
    after = local_address(_text(form.get("next")) or "/")
    seconds = desk.login_limit.wait(caller.address)
    if seconds:
        told = f"Too many wrong tokens. Try again in {seconds} seconds."
        return _form(request, after, told, 429, {"Retry-After": str(seconds)})
    session = desk.keeper.enter(_text(form.get("token")))
    if session is None:
        desk.login_limit.failed(caller.address)
        log.warning("a wrong token from %s", caller.address)
        return _form(request, after, "This is no reviewer's token.", 401)
    log.info("%s logged in from %s", session.name, caller.address)
    desk.keeper.end(caller.session)
    caller.session = session
    return RedirectResponse(after, status_code=303)


@for_viewers
async def logout(request: Request) -> Response:
    """End the session here and on the server."""
    form = await request.form()
    check_csrf(request, _text(form.get("csrf")))
    caller = caller_of(request)
    desk_of(request).keeper.end(caller.session)
    caller.session = Session(caller.session.id)
    return RedirectResponse("/login", status_code=303)


async def health(request: Request) -> Response:
    """Say that the desk answers; tells nothing else, so that it needs no log-in."""
    return PlainTextResponse("ok\n")


def _form(
    request: Request, after: str, told: str = "", status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    return render(request, "login.html", {"after": after, "told": told}, status=status, headers=headers)


def _text(value: object) -> str:
    """A form's field as text; a file in its place is none."""
    return value if isinstance(value, str) else ""
