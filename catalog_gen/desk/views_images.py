"""Everything that is no page: pictures by asset, photos by sku, and the desk's own style sheet and scripts."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from catalog_gen.desk.parts import desk_of, for_viewers
from catalog_gen.desk.pictures import WIDTHS, Picture
from catalog_gen.desk.requests import id_of, number_of
from catalog_gen.errors import PhotoError, RowError

KEEP = "private, max-age=86400"  # a picture's bytes never change; private: not in a proxy that others share
KEEP_PHOTO = "private, max-age=600"
MEDIA_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


@for_viewers
async def image(request: Request) -> Response:
    """A stored picture at the width asked for (`?w=`), through the storage layer."""
    desk = desk_of(request)
    asset = id_of(request.path_params["asset"], "asset")
    width = number_of(request.query_params, "w", 0, WIDTHS[-1])
    try:
        picture = await desk.read_picture(desk.scaler.image, asset, width, desk.service.image)
    except (RowError, PhotoError) as error:
        raise HTTPException(404, f"the picture {error.what}") from error
    return _answer(request, picture, KEEP)


@for_viewers
async def photo(request: Request) -> Response:
    """The catalogue's photo of `?sku=`, as the catalogue names it: no address of a request is ever opened."""
    desk = desk_of(request)
    sku = request.query_params.get("sku", "")
    if not 0 < len(sku) <= 500 or "\0" in sku:
        raise HTTPException(400, "sku is missing or too long")
    width = number_of(request.query_params, "w", 0, WIDTHS[-1])
    try:
        picture = await desk.read_photo(desk.scaler.photo, sku, width, desk.service.photo)
    except (RowError, PhotoError) as error:
        raise HTTPException(404, f"the photo {error.what}") from error
    return _answer(request, picture, KEEP_PHOTO)


async def static(request: Request) -> Response:
    """One of the files that the pages load, from memory."""
    name = request.path_params["name"]
    data = desk_of(request).static.get(name)
    if data is None:
        raise HTTPException(404, "there is no such file")
    kind = MEDIA_TYPES[name.rpartition(".")[2]]
    return Response(data, media_type=kind, headers={"Cache-Control": "no-cache"})


def _answer(request: Request, picture: Picture, keep: str) -> Response:
    headers = {"ETag": f'"{picture.tag}"', "Cache-Control": keep, "Vary": "Cookie"}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(picture.data, media_type=picture.media_type, headers=headers)
