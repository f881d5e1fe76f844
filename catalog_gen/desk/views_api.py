"""What the pages' scripts ask and send, as JSON. Whatever changes something carries the session's CSRF token."""

from __future__ import annotations

from dataclasses import replace

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from catalog_gen.desk.model import Queue
from catalog_gen.desk.parts import Desk, desk_of, for_reviewers, for_viewers
from catalog_gen.desk.requests import id_of, ids_of, json_body, number_of, query_of, verdicts_of
from catalog_gen.desk.sessions import check_csrf, viewer_of

MAX_QUEUE = 500
MAX_PAGES = 5  # looked through for pictures that nobody else has on their screen


@for_viewers
async def session(request: Request) -> Response:
    """Who is at the desk, and their CSRF token: for a page that was left open while the session was renewed."""
    viewer = viewer_of(request)
    return JSONResponse({"name": viewer.name, "role": viewer.role, "csrf": viewer.csrf})


@for_viewers
async def queue(request: Request) -> Response:
    """A page of the pictures that match.

    With `hold`, those that others have on their screens are left out, and the page is noted as being on the viewer's;
    with `all` as well they stay in, marked, for when nothing else is left. `brief`: only what a decision names.
    """
    desk, params = desk_of(request), request.query_params
    query = query_of(params)
    limit = number_of(params, "limit", 50, MAX_QUEUE)
    after = params.get("after") or None
    page = await desk.ask(desk.service.queue, query, after=after, limit=max(1, limit))
    if "hold" in params and viewer_of(request).can_decide:
        name = viewer_of(request).name
        for _ in range(MAX_PAGES):
            page = _shared(desk, page, name, keep="all" in params)
            if page.cards or page.next is None:
                break
            page = await desk.ask(desk.service.queue, query, after=page.next, limit=max(1, limit))
        desk.looking.hold((card.id for card in page.cards), name)
    if "brief" in params:
        cards = [{"id": card.id, "version": card.version, "sku": card.sku} for card in page.cards]
    else:
        cards = [card.json() for card in page.cards]
    return JSONResponse({"cards": cards, "next": page.next, "total": page.total})


@for_viewers
async def picture(request: Request) -> Response:
    """One picture as it is now."""
    desk = desk_of(request)
    card = await desk.ask(desk.service.card, id_of(request.path_params["asset"], "asset"))
    return JSONResponse(card.json())


@for_reviewers
async def decisions(request: Request) -> Response:
    """Record decisions, each for itself; sending them again changes nothing."""
    check_csrf(request, request.headers.get("x-csrf-token"))
    desk = desk_of(request)
    verdicts = verdicts_of(await json_body(request))
    name = viewer_of(request).name
    ruled = await desk.ask(desk.service.decide, verdicts, name)
    desk.looking.alive(name)
    return JSONResponse({"ruled": [one.json() for one in ruled]})


@for_reviewers
async def undo(request: Request) -> Response:
    """Take decisions back, in the order given."""
    check_csrf(request, request.headers.get("x-csrf-token"))
    desk = desk_of(request)
    wanted = ids_of(await json_body(request), "decisions")
    name = viewer_of(request).name
    ruled = [await desk.ask(desk.service.undo, name, decision) for decision in wanted]
    return JSONResponse({"ruled": [one.json() for one in ruled]})


@for_reviewers
async def leave(request: Request) -> Response:
    """The viewer has left the page: what it showed is free for others."""
    check_csrf(request, request.headers.get("x-csrf-token"))
    desk_of(request).looking.leave(viewer_of(request).name)
    return JSONResponse({})


@for_reviewers
async def last(request: Request) -> Response:
    """The reviewer's last decision that stands, for an undo after the page was left; null where there is none."""
    desk = desk_of(request)
    found = await desk.ask(desk.service.last, viewer_of(request).name)
    return JSONResponse({"last": found and {name: getattr(found, name) for name in ("id", "asset", "sku", "action")}})


@for_viewers
async def draws(request: Request) -> Response:
    """What became of pictures that were asked for at once."""
    desk = desk_of(request)
    found = await desk.ask(desk.service.draws)
    return JSONResponse({"draws": [vars(draw) for draw in found]})


def _shared(desk: Desk, page: Queue, name: str, *, keep: bool) -> Queue:
    held = desk.looking.held_by_others((card.id for card in page.cards), name)
    if keep:
        cards = [replace(card, held_by=held.get(card.id, "")) for card in page.cards]
    else:
        cards = [card for card in page.cards if card.id not in held]
    return replace(page, cards=cards)
