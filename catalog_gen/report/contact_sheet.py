"""The contact sheet: a run's pictures on one page that opens anywhere, offline, with nothing beside it.

One HTML file; pictures are inline. Titles come from shops' feeds and are hostile: everything is escaped, and the page's
policy runs only the script and the style that this module wrote. Written item by item, so that memory does not grow.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from catalog_gen.report.montage import open_picture
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
    opened = open_picture(image)
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
