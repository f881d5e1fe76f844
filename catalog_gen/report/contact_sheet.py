"""The contact sheet: a run's pictures on one page that opens anywhere, offline, with nothing beside it.

One HTML file; pictures are inline. Titles come from shops' feeds and are hostile: everything is escaped, and the page's
policy runs only the script and the style that this module wrote. Written item by item, so that memory does not grow.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from PIL import Image, ImageDraw, UnidentifiedImageError

from catalog_gen.report.page import escape, own_file, policy, replacing

THUMBNAIL = 256  # pixels; a larger picture is scaled down, so that a thousand of them stay a page that opens
_MAGIC = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"RIFF": "image/webp"}
_KNOWN_STATES = frozenset({"draft", "needs_review", "approved", "published", "rejected", "failed"})


@dataclass(frozen=True)
class SheetItem:
    """A picture and what is said of it. `score` is the CLIP similarity, None when there is none."""

    image: bytes
    sku: str
    caption: str
    score: float | None
    state: str
    reason: str = ""
    category: str = ""


def write_contact_sheet(
    items: Iterable[SheetItem], out: Path, *, title: str, facts: Sequence[tuple[str, str]] = ()
) -> Path:
    """Write the page to `out` and return that path. A section begins wherever the category changes.

    facts: (label, value) pairs for the head of the page, such as the run's counts. A picture that cannot be read shows
    as missing. The page replaces an older one only when it is whole. Raises Unavailable when it cannot be written.
    """
    with replacing(out) as file:
        file.write(_head(title, facts).encode("utf-8", "replace"))
        category: str | None = None
        for item in items:
            if item.category != category:
                file.write(b"" if category is None else b"</ol></section>\n")
                category = item.category
                name = escape(category)
                heading = name or "No category"
                file.write(
                    f'<section data-category="{name}"><h2>{heading}<span></span></h2><ol>\n'.encode("utf-8", "replace")
                )
            file.write(_card(item).encode("utf-8", "replace"))
        file.write(b"" if category is None else b"</ol></section>\n")
        file.write(_tail().encode())
    return out


def write_montage(
    items: Iterable[SheetItem], out: Path, *, columns: int = 10, limit: int = 100, cell: int = 128
) -> Path:
    """Write the first `limit` pictures as one PNG, `cell` pixels each, and return its path: for a README or a log.

    A picture that needs review has an amber edge, a failed or rejected one a red edge. Raises Unavailable when it
    cannot be written, ValueError when there is no item at all.
    """
    chosen = list(islice(items, limit))
    if not chosen:
        raise ValueError("a montage needs at least one picture")
    gap = 6
    columns = min(columns, len(chosen))
    rows = -(-len(chosen) // columns)
    step = cell + gap
    sheet = Image.new("RGB", (columns * step + gap, rows * step + gap), (236, 236, 232))
    draw = ImageDraw.Draw(sheet)
    edges = {"needs_review": (214, 138, 20), "failed": (190, 40, 30), "rejected": (190, 40, 30)}
    for index, item in enumerate(chosen):
        left, top = gap + index % columns * step, gap + index // columns * step
        picture = _open(item.image)
        if picture is None:
            draw.rectangle((left, top, left + cell - 1, top + cell - 1), fill=(210, 210, 205))
        else:
            sheet.paste(picture.convert("RGB").resize((cell, cell), Image.Resampling.LANCZOS), (left, top))
        if item.state in edges:
            draw.rectangle((left - 3, top - 3, left + cell + 2, top + cell + 2), outline=edges[item.state], width=3)
    with replacing(out) as file:
        sheet.save(file, "PNG")
    return out


def _head(title: str, facts: Sequence[tuple[str, str]]) -> str:
    style = own_file("contact_sheet.css")
    tiles = "".join(f"<div><dt>{escape(label)}</dt><dd>{escape(value)}</dd></div>" for label, value in facts)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy(style, own_file("contact_sheet.js"))}">
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="referrer" content="no-referrer">
<title>{escape(title)}</title>
<style>{style}</style></head><body>
<header><h1>{escape(title)}</h1>{f"<dl>{tiles}</dl>" if tiles else ""}</header>
<div class="tools" hidden><form role="search" aria-label="Filter the pictures">
<div class="states" role="group" aria-label="State"></div>
<select aria-label="Category"><option>All categories</option></select>
<input type="search" placeholder="Words or sku" aria-label="Words or sku" title="Press / to search" autocomplete="off">
<output role="status"></output></form></div>
<main>
"""


def _card(item: SheetItem) -> str:
    state = item.state if item.state in _KNOWN_STATES else ""
    caption = escape(item.caption)
    source = _data_uri(item.image)
    picture = (
        f'<img src="{source}" alt="{caption}" width="128" height="128" loading="lazy" decoding="async">'
        if source
        else '<span class="none">No picture</span>'
    )
    score = "" if item.score is None else f'<span class="score" title="CLIP similarity">{item.score:.3f}</span>'
    reason = f'<p class="reason">{escape(item.reason)}</p>' if item.reason else ""
    return (
        f'<li class="{state}">'
        f'<button class="open" type="button" aria-label="Enlarge {escape(item.sku)}">{picture}</button>'
        f'<div class="text"><p class="caption" title="{caption}"><bdi>{caption}</bdi></p>'
        f'<p class="sku"><bdi>{escape(item.sku)}</bdi></p>{reason}'
        f'<div class="row"><span class="state">{escape(item.state.replace("_", " "))}</span>{score}</div></div></li>\n'
    )


def _tail() -> str:
    return f"""<p class="empty" hidden>No picture matches.</p></main>
<footer>Drawn by a trained model from the product's words; each file's metadata says so.</footer>
<dialog aria-label="Picture"><img alt="" hidden><div class="details text"></div><div class="text"><nav>
<button type="button" value="previous">Previous</button><button type="button" value="next">Next</button>
<button type="button" value="close">Close</button></nav></div></dialog>
<script>{own_file("contact_sheet.js")}</script></body></html>
"""


def _data_uri(image: bytes) -> str:
    """The picture as a data URI, scaled down if it is large; "" when it cannot be read."""
    opened = _open(image)
    if opened is None:
        return ""
    media_type = next((name for magic, name in _MAGIC.items() if image.startswith(magic)), "")
    if not media_type or max(opened.size) > THUMBNAIL:
        xmp = opened.info.get("xmp", b"")  # a copy must go on saying what it is
        buffer = io.BytesIO()
        small = opened.convert("RGB")
        small.thumbnail((THUMBNAIL, THUMBNAIL))
        small.save(buffer, "WEBP", quality=85, xmp=xmp)
        image, media_type = buffer.getvalue(), "image/webp"
    return f"data:{media_type};base64,{base64.b64encode(image).decode()}"


def _open(image: bytes) -> Image.Image | None:
    try:
        opened = Image.open(io.BytesIO(image))
        opened.load()
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError, EOFError):
        return None  # shown as "No picture": the sheet is where damage should be seen, not what it should stop
    return opened
