"""Pages that work without any script: one picture with everything known of it, the audit, the thresholds."""

from __future__ import annotations

import secrets
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from catalog_gen.desk.model import Ruled
from catalog_gen.desk.parts import desk_of, for_reviewers, for_viewers, local_address, render
from catalog_gen.desk.requests import audit_query_of, id_of, verdict_of
from catalog_gen.desk.sessions import check_csrf, viewer_of
from catalog_gen.desk.views_review import reasons

AUDIT_PAGE = 100


@for_viewers
async def picture(request: Request) -> Response:
    """One picture, beside the product's others; with forms to decide about it."""
    return await _picture(request, id_of(request.path_params["asset"], "asset"))


@for_reviewers
async def decide(request: Request) -> Response:
    """Take a form's decision. Its id was made with the form, so that sending it twice decides once."""
    form = {name: value for name, value in (await request.form()).items() if isinstance(value, str)}
    check_csrf(request, form.pop("csrf", None))
    asset = id_of(request.path_params["asset"], "asset")
    values: dict[str, object] = {**form, "asset": asset, "now": form.get("now") == "yes"}
    for name in ("version", "candidates"):
        text = form.get(name, "")
        values[name] = int(text) if text.isdecimal() and len(text) < 10 else text or None
    desk = desk_of(request)
    (ruled,) = await desk.ask(desk.service.decide, [verdict_of(values)], viewer_of(request).name)
    return await _after(request, ruled, f"/picture/{asset}")


@for_reviewers
async def undo(request: Request) -> Response:
    """Take a decision back, from the audit page or a picture's own."""
    form = {name: value for name, value in (await request.form()).items() if isinstance(value, str)}
    check_csrf(request, form.get("csrf"))
    desk = desk_of(request)
    decision = id_of(form.get("decision"), "decision")
    ruled = await desk.ask(desk.service.undo, viewer_of(request).name, decision)
    return await _after(request, ruled, local_address(form.get("next", "/audit")))


@for_reviewers
async def prefer(request: Request) -> Response:
    """Take this rejected picture after all, instead of the one that stands for the product."""
    form = await request.form()
    check_csrf(request, str(form.get("csrf")))
    desk, asset = desk_of(request), id_of(request.path_params["asset"], "asset")
    ruled = await desk.ask(desk.service.prefer, asset, viewer_of(request).name)
    return await _after(request, ruled, f"/picture/{asset}")


@for_viewers
async def audit(request: Request) -> Response:
    """Every decision, newest first: who, when, what, why."""
    desk, query = desk_of(request), audit_query_of(request.query_params)
    lines = await desk.ask(desk.service.audit, query, AUDIT_PAGE)
    older = ""
    if len(lines) == AUDIT_PAGE:
        place = f"{lines[-1].at.isoformat()} {lines[-1].id}"
        older = urlencode({"sku": query.sku, "reviewer": query.reviewer, "before": place})
    return render(request, "audit.html", {"lines": lines, "query": query, "older": older})


@for_viewers
async def thresholds(request: Request) -> Response:
    """What the decisions say about each category's threshold; nothing here changes one."""
    desk = desk_of(request)
    return render(request, "thresholds.html", {"advice": await desk.ask(desk.service.advice)})


async def _picture(request: Request, asset: str, told: str = "", status: int = 200) -> Response:
    desk = desk_of(request)
    detail = await desk.ask(desk.service.detail, asset)
    values = {
        "detail": detail,
        "card": detail.card,
        "told": told,
        "decision_id": secrets.token_hex(16),
        "reasons": await reasons(desk),
    }
    return render(request, "picture.html", values, status=status)


async def _after(request: Request, ruled: Ruled, address: str) -> Response:
    """Send the browser on where all went well; else say what did not, beside the picture as it is now."""
    if ruled.result in ("done", "already"):
        return RedirectResponse(address, status_code=303)
    if ruled.card is None:
        raise HTTPException(404, ruled.told)
    return await _picture(request, ruled.card.id, ruled.told, 409 if ruled.result == "changed" else 400)
