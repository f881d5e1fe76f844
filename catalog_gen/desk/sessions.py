"""The desk's inner wall: who a request comes from, and that whoever changes something meant to.

Two things guard against forged requests (https://cheatsheetseries.owasp.org/cheatsheets/
Cross-Site_Request_Forgery_Prevention_Cheat_Sheet.html): the Origin header, checked here for every request that is no
GET, and the session's CSRF token, checked where the body is read.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from catalog_gen.desk.auth import MAX_NAME, Keeper, Session, Viewer
from catalog_gen.desk.security import FORWARDING, is_own_origin

SAFE_METHODS = frozenset({"GET", "HEAD"})


@dataclass
class Caller:
    """Who a request comes from. Setting `session` gives the browser another cookie; `address` is theirs, as known."""

    session: Session
    viewer: Viewer | None
    address: str
    secure: bool
    csrf: str
    has_cookie: bool


def caller_of(request: HTTPConnection) -> Caller:
    caller: Caller = request.scope["desk.caller"]
    return caller


def viewer_of(request: HTTPConnection) -> Viewer:
    """Return who is at the desk; only where `Sessions` or the page has made sure that there is somebody."""
    viewer = caller_of(request).viewer
    assert viewer is not None, "the page asks for a log-in first"
    return viewer


class Sessions:
    """Finds out who is asking, keeps their cookie, and turns away what comes from elsewhere."""

    def __init__(self, app: ASGIApp, keeper: Keeper) -> None:
        self._app, self._keeper = app, keeper

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        peer = str((scope.get("client") or ("", 0))[0])
        refused = self._refusal(scope, headers, peer)
        if refused:
            await PlainTextResponse(f"{refused}\n", status_code=403)(scope, receive, send)
            return
        caller = self._caller(scope, headers, peer)
        scope["desk.caller"] = caller
        before = caller.session

        async def with_cookie(message: Message) -> None:
            changed = caller.session != before or not caller.has_cookie
            if (
                message["type"] == "http.response.start"
                and changed
                and not scope["path"].startswith(("/static", "/health"))
            ):
                self._set_cookie(MutableHeaders(scope=message), caller, scope)
            await send(message)

        await self._app(scope, receive, with_cookie)

    def _refusal(self, scope: Scope, headers: Headers, peer: str) -> str:
        """Why this request is not even looked at, or ""."""
        keeper = self._keeper
        if keeper.local and any(name in headers for name in FORWARDING):
            return (
                "This desk answers people at this machine without asking who they are, and the request came through a"
                " proxy. Set [serve] tokens, or proxy_header and proxies."
            )
        from_proxy = keeper.proxies.has(peer)
        if not keeper.local and not keeper.has_log_in and not from_proxy and scope["path"] != "/health":
            return "This desk is reached through its proxy only."
        if scope["method"] in SAFE_METHODS:
            return ""
        names = keeper.config.hosts if from_proxy else ()
        if not is_own_origin(headers.get("origin", ""), headers.get("host", ""), names):
            return "A request that changes something must come from the desk's own pages (Origin)."
        return ""

    def _caller(self, scope: Scope, headers: Headers, peer: str) -> Caller:
        keeper = self._keeper
        from_proxy = keeper.proxies.has(peer)
        secure = scope["scheme"] == "https" or (from_proxy and headers.get("x-forwarded-proto") == "https")
        cookie = HTTPConnection(scope).cookies.get(cookie_name(scope, secure))
        session = keeper.unseal(cookie) if cookie else None
        known = session or Session(secrets.token_hex(16))
        viewer = keeper.viewer(known, _proxied_name(headers, keeper.config.proxy_header) if from_proxy else "")
        forwarded = headers.get("x-forwarded-for", "").rpartition(",")[2].strip() if from_proxy else ""
        return Caller(known, viewer, forwarded or peer, secure, keeper.csrf(known), session is not None)

    def _set_cookie(self, headers: MutableHeaders, caller: Caller, scope: Scope) -> None:
        answer = Response()
        answer.set_cookie(
            cookie_name(scope, caller.secure),
            self._keeper.seal(caller.session),
            max_age=int(self._keeper.config.session_hours * 3600),
            secure=caller.secure,
            httponly=True,
            samesite="strict",
        )
        headers.append("set-cookie", answer.headers["set-cookie"])


def cookie_name(scope: Scope, secure: bool) -> str:
    """Return the cookie's name. Browsers share loopback's cookies between ports, so each desk has one of its own."""
    port = (scope.get("server") or ("", 0))[1]
    return f"__Host-desk-{port}" if secure else f"desk-{port}"


def check_csrf(request: Request, given: str | None) -> None:
    """Raise 403 unless `given` is the CSRF token of the request's session."""
    expected = caller_of(request).csrf
    if not hmac.compare_digest(expected.encode(), (given or "").encode("utf-8", "replace")):
        raise HTTPException(403, "the page is from another session: load it again")


def _proxied_name(headers: Headers, header: str) -> str:
    """Whom the proxy names; nobody where the header came twice, because one of the two is not the proxy's."""
    names = headers.getlist(header) if header else []
    name = names[0].strip() if len(names) == 1 else ""
    return name if name.isprintable() and len(name) <= MAX_NAME else ""
