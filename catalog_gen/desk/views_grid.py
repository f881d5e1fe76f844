"""The same pictures as a sheet: to look over many at once, and to decide about several, or about all that match."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from catalog_gen.desk.parts import desk_of, for_viewers, render
from catalog_gen.desk.requests import number_of, query_of
from catalog_gen.desk.views_review import filter_values, reasons

PAGE = 60
MAX_PAGE = 240


@for_viewers
async def grid(request: Request) -> Response:
    """A page of the sheet; `?after=` is the place where the page before it ended."""
    desk, query = desk_of(request), query_of(request.query_params)
    limit = max(1, number_of(request.query_params, "limit", PAGE, MAX_PAGE))
    found = await desk.ask(desk.service.queue, query, after=request.query_params.get("after") or None, limit=limit)
    values = await filter_values(desk, query)
    return render(request, "grid.html", values | {"queue": found, "reasons": await reasons(desk)})
