"""A night's page without a night: pictures made here, put through the real writer."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from catalog_gen.report.night_facts import Ledger, Price, Tally, night_facts
from catalog_gen.report.night_page import NightPage, image_key, write_night_page
from catalog_gen.report.night_rows import Nearest, Picture, Row
from catalog_gen.report.night_scores import Scores

RUN = Ledger(
    id="20260131T020000.000-abc123",
    job="fill-missing",
    state="finished",
    started_at="2026-01-31T02:00:00+00:00",
    finished_at="2026-01-31T02:10:00+00:00",
    seconds=600.0,
    host="worker",
    user="ops",
    version="1.0",
    exit_code=0,
    message="",
    images_per_second=3.5,
    counts={"claimed": 10, "plan_planned": 10},
    timings={"draw": 300.0, "record": 100.0},
    threshold=0.3,
)
CATEGORIES = ("Shoes", "Bags", "Belts")


def picture(number: int, **changes: Any) -> Picture:
    """Picture `number`: every fifth is for review, its score grows with its number."""
    doubtful = number % 5 == 0
    values: dict[str, Any] = {
        "id": f"{number:032x}",
        "sku": f"SKU-{number:04d}",
        "title": f"Thing {number}",
        "category": CATEGORIES[number % 3],
        "kind": "generated",
        "style": "",
        "variant": "",
        "state": "needs_review" if doubtful else "draft",
        "live": True,
        "version": 1 + number % 3,
        "reason": f"near-duplicate of SKU-{number + 1:04d}" if doubtful else "",
        "doubt": 0.9 if doubtful else 0.1,
        "prompt": f"a thing number {number}",
        "scores": {"similarity": round(0.2 + number / 10_000, 4)},
        "seed": 2**63 - 1 - number,
        "attempt": 0,
        "candidates": 4,
        "uri": f"file:///pictures/{number}.webp",
        "sha256": hashlib.sha256(str(number).encode()).hexdigest(),
        "bytes": 1000,
        "width": 64,
        "height": 64,
        "format": "webp",
        "created_at": "2026-01-31T02:03:04+00:00",
        "made_with": (("generator", "gan-64 d0ed8f12"),),
        "nearest": Nearest(f"SKU-{number + 1:04d}", "duplicate", asset=f"{number + 1:032x}") if doubtful else None,
    }
    return Picture(**(values | changes))


def restyled(number: int, **changes: Any) -> Picture:
    look = {"kind": "restyled", "style": "winter", "variant": "square", "source_asset": f"{9000 + number:032x}"}
    return picture(number, **(look | {"scores": {"delta_e": 1.5, "ssim": 0.99}} | changes))


def image(number: int) -> str:
    """A small picture of its own as a data URI."""
    buffer = io.BytesIO()
    Image.new("RGB", (32, 32), (number * 37 % 256, number * 91 % 256, 120)).save(buffer, "WEBP", quality=60)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def write_page(out: Path, pictures: Sequence[Picture], *, total: int | None = None, **changes: Any) -> Path:
    """Write the page of a night with these pictures, one row each, and one row that failed; return its path."""
    tally = Tally()
    for each in pictures:
        outcome = "needs_review" if each.state == "needs_review" else "generated"
        tally.add(Row(each.sku, each.title, each.category, outcome, each.reason, (each,)))
    tally.add(Row("SKU-LOST", "A lost thing", "Shoes", "failed", "storing: the disk is full"))
    earlier = replace(RUN, id="20260130T020000.000-abc122", started_at="2026-01-30T02:00:00+00:00")
    nothing: tuple[Scores, list[tuple[str, str, int]]] = (Scores(), [])
    facts = night_facts(RUN, tally, nights=[(earlier, 0.25)], earlier=nothing, price=Price(1.5, "EUR"))
    if total is not None:
        facts["pictures"] = total
    before = {
        each.id: (image_key(hashlib.sha256(each.source_asset.encode()).hexdigest()), "the generated picture")
        for each in pictures
        if each.source_asset
    }
    images = {image_key(each.sha256): image(place) for place, each in enumerate(pictures)}
    images |= {key: image(200) for key, _ in before.values()}
    beside = {
        each.id: image_key(pictures[int(each.nearest.asset, 16)].sha256)
        for each in pictures
        if each.nearest and int(each.nearest.asset, 16) < len(pictures)
    }
    values: dict[str, Any] = {"files": [("JSON", "night.json"), ("CSV", "night.csv")]} | changes
    broken: dict[str, str] = values.pop("broken", {})
    page = NightPage(facts, tally.refused, pictures, before, beside, **values)
    write_night_page(out, page, (images | broken).items())
    return out
