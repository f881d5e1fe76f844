"""The night's page: one HTML file that opens from mail, a bucket or a disk, with nothing beside it.

Figures and charts are plain HTML and SVG. The pictures are data in the page, and the page's script builds the cards
that are in view; 2,000 pictures are 2,000 entries and not 2,000 heavy elements. Pictures are written one by one, so
that memory holds one at a time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catalog_gen.report.night_head import head, night_name
from catalog_gen.report.night_panels import panels
from catalog_gen.report.night_rows import Picture, Row, reason_groups
from catalog_gen.report.night_scores import kind_of
from catalog_gen.report.page import escape, json_block, own_file, policy, replacing

Facts = Mapping[str, Any]

SCRIPTS = ("night_base.js", "night_decisions.js", "night_grid.js", "night_large.js", "night_start.js")
QUICK_REASONS = (
    "not the product in the words",
    "wrong colour",
    "misshapen",
    "blurred or broken",
    "parts are missing",
    "too like another product",
    "cut-out is not clean",
    "shows a person or a brand",
)
"""What a picture is rejected for with one key, until the shop's own reasons are known."""


@dataclass(frozen=True)
class NightPage:
    """What the page shows: the facts, rows without a picture, and a sample of the pictures.

    before: what each picture was made from, by its id, as (image key, words). beside: the images of nearest products,
    by picture id. files: (label, name) of what lies beside the page.
    """

    facts: Facts
    listed: Sequence[Row]
    pictures: Sequence[Picture]
    before: Mapping[str, tuple[str, str]]
    beside: Mapping[str, str]
    reasons: Sequence[str] = QUICK_REASONS
    files: Sequence[tuple[str, str]] = ()


def write_night_page(out: Path, page: NightPage, images: Iterable[tuple[str, str]]) -> None:
    """Write the page to `out`; an older one stays until this one is whole.

    images: (image key, data URI) of each picture, each source and each nearest product, once; in place of a URI that
    cannot be had, "!" and why. Raises Unavailable when the file cannot be written.
    """
    style, script = own_file("night.css"), "".join(own_file(name) for name in SCRIPTS)
    script = f'"use strict";\n(() => {{\n{script}}})();\n'
    run = page.facts["run"]
    title = f"{run['job']}: {night_name(run)}"
    data = {
        "run": run["id"],
        "score": _score(page.facts),
        "reasons": list(page.reasons),
        "sampled": page.facts["pictures"] > len(page.pictures),
        "total": page.facts["pictures"],
        "pictures": [_card(picture, page) for picture in page.pictures],
    }
    with replacing(out) as file:
        file.write(
            f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy(style, script)}">
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="referrer" content="no-referrer">
<title>{escape(title)}</title>
<style>{style}</style></head><body>
<a class="skip" href="#pictures">To the pictures</a>
{head(page.facts)}
<main><h2 class="unseen">The night in figures</h2>{panels(page.facts, page.listed)}
{_pictures_head(page)}
""".encode("utf-8", "replace")
        )
        file.write(f'<script type="application/json" id="data">{json_block(data)}</script>\n'.encode())
        file.write(b'<script type="application/json" id="images">{')
        for number, (key, uri) in enumerate(images):
            entry = f"{json.dumps(key)}:{json_block(uri)}"
            file.write(("," if number else "").encode() + entry.encode())
        file.write(f"}}</script>\n{own_file('night_parts.html')}{_foot(page)}".encode())
        file.write(f"<script>{script}</script></body></html>\n".encode())


def _score(facts: Facts) -> dict[str, Any]:
    kind = kind_of(facts["score"])
    return {
        "name": facts["score"],
        "label": kind.label,
        "short": kind.short,
        "better": kind.better,
        "digits": kind.digits,
    }


def _card(picture: Picture, page: NightPage) -> dict[str, Any]:
    """What the page's script needs of a picture. Texts are put in as text, never as markup."""
    p, near = picture, picture.nearest
    before = page.before.get(p.id)
    scores = [
        [kind_of(name).short, f"{value:.{kind_of(name).digits}f}"]
        for name, value in p.scores.items()
        if isinstance(value, int | float)
    ]
    main = p.scores.get(page.facts["score"])
    return {
        "id": p.id,
        "version": p.version,
        "sha256": p.sha256,
        "sku": p.sku,
        "title": p.title,
        "words": p.prompt,
        "category": p.category,
        "kind": p.kind,
        "look": p.look,
        "state": p.state,
        "live": p.live,
        "reason": p.reason,
        "groups": reason_groups(p.reason),
        "doubt": p.doubt,
        "score": main if isinstance(main, int | float) else None,
        "scores": scores,
        "made": _made(p),
        "image": image_key(p.sha256),
        "before": list(before) if before else None,
        "near": [near.sku, near.by, near.bits, near.asset, page.beside.get(p.id, "")] if near else None,
    }


def _made(picture: Picture) -> list[list[str]]:
    """How a picture was made, as (label, value). A picture restyled from a photo has no seed of its own."""
    p = picture
    said = []
    if p.kind == "generated" or p.source_asset:
        of = "" if p.kind == "generated" else " of its source"
        said += [[f"seed{of}", str(p.seed)], [f"attempt{of}", str(p.attempt + 1)]]
    said.append(["candidates", str(p.candidates)])
    said += [list(pair) for pair in p.made_with]
    said.append(["file", f"{p.width} × {p.height} {p.format}, {p.bytes:,} bytes"])
    return [*said, ["made", f"{p.created_at[:19].replace('T', ' ')} UTC"], ["asset", p.id]]


def image_key(sha256: str) -> str:
    """Return the key of a picture among a page's images."""
    return sha256[:20]


def _pictures_head(page: NightPage) -> str:
    shown, total = len(page.pictures), page.facts["pictures"]
    if not total:
        return '<h2 id="pictures">No pictures</h2><p class="soft">This run recorded none.</p>'
    said = ""
    if shown < total:
        names = " and ".join(f"the {label}" for label, _ in page.files)
        said = (
            f'<p class="sampled"><b>A sample:</b> {shown:,} of {total:,} pictures ({100 * shown / total:.1f} %), the'
            " ones whose files' hashes come first, which has nothing to do with what they show: shares here are those"
            f" of the run, give or take {100 * shown**-0.5:.0f} points. All figures above count every picture"
            f"{f', and {names} have them all' if names else ''}.</p>"
        )
    return f'<h2 id="pictures" tabindex="-1">Pictures</h2>{said}'


def _foot(page: NightPage) -> str:
    beside = ", ".join(f"{label} ({name})" for label, name in page.files)
    also = f" The same facts are in the {escape(beside)}." if beside else ""
    return (
        "</main><footer>Pictures were drawn or restyled by trained models; each file's metadata says so, and so do"
        f" these copies.{also} Nothing in this page leaves it.</footer>\n"
    )
