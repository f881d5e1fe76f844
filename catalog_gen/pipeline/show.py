"""`catalog-gen show`: everything that was ever recorded of a product, and the picture itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from catalog_gen.catalog.database import Database
from catalog_gen.catalog.history import Event, history
from catalog_gen.catalog.model import Asset, Product
from catalog_gen.catalog.runs import list_runs
from catalog_gen.catalog.source import open_source
from catalog_gen.catalog.wishes import PendingWish, pending_wishes
from catalog_gen.config import Settings
from catalog_gen.errors import Unavailable, UsageError
from catalog_gen.photos import open_photo
from catalog_gen.pipeline.report_values import describe_picture, model_names
from catalog_gen.report.night_tables import picture_json
from catalog_gen.report.terminal_picture import Protocol, draw
from catalog_gen.storage import open_storage

RUNS_WITH_NAMES = 200  # the latest runs, whose ledger names the models
OPENER_SECONDS = 10.0


@dataclass(frozen=True)
class Shown:
    """A product's history, JSON-ready, and the picture that stands for it (None when it never had one)."""

    document: dict[str, Any]
    asset: Asset | None


def look_up(settings: Settings, database: Database, sku: str, style: str = "") -> Shown:
    """Return all that is known of a product. `style`: the picture is the one restyled in it.

    Raises UsageError for a sku that neither the catalogue nor the job's tables know, and for a style that the product
    has no picture in.
    """
    source = open_source(settings, database)
    try:
        product = source.fetch([sku]).get(sku)
    finally:
        source.close()
    events = history(database, sku)
    if product is None and not events:
        raise UsageError(f"there is no product {sku!r}", where=database.where, hint="Skus are exact, case included.")
    assets = [event.asset for event in events if event.asset is not None]
    if style and not any(asset.style == style for asset in assets):
        raise UsageError(f"it has no picture in the style {style!r}", where=sku)
    names = model_names(list_runs(database, RUNS_WITH_NAMES)) if assets else {}
    document = {
        "sku": sku,
        "product": _product(product),
        "wish": _wish(pending_wishes(database, [sku]).get(sku)),
        "events": [_event(event, product, names) for event in events],
    }
    return Shown(document, _standing(assets, style))


def drawn(settings: Settings, asset: Asset, protocol: Protocol, columns: int) -> str:
    """Return what to print for the picture to appear. Raises RowError or PhotoError when it cannot be read."""
    if protocol == "none":
        return ""
    data = open_storage(settings.storage.url, settings.storage.options).get(asset.uri)
    return draw(open_photo(data), protocol, columns)


def open_picture(settings: Settings, asset: Asset) -> Path:
    """Open a picture in the system's viewer and return its path.

    Raises UsageError for one that is not a local file, PictureError when it is missing or damaged, and Unavailable
    when there is no viewer or it fails.
    """
    scheme, separator, rest = asset.uri.partition("://")
    if not separator or scheme != "file":
        raise UsageError("is not a local file, and only those are opened", where=asset.uri)
    open_storage(settings.storage.url, settings.storage.options).get(asset.uri)  # it is there, and is what it says
    path = Path(unquote(rest))
    if sys.platform == "win32":
        os.startfile(path)
        return path
    opener = "open" if sys.platform == "darwin" else "xdg-open"
    program = shutil.which(opener)
    if program is None:
        raise Unavailable(f"there is no {opener} to open pictures with", where=str(path), hint="Open it yourself.")
    quiet = subprocess.DEVNULL
    process = subprocess.Popen([program, str(path)], stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True)
    try:
        code = process.wait(OPENER_SECONDS)
    except subprocess.TimeoutExpired:  # the viewer itself, still open
        return path
    if code:
        raise Unavailable(f"{opener} could not open it (exit code {code})", where=str(path))
    return path


def _standing(assets: Sequence[Asset], style: str) -> Asset | None:
    """The picture to look at: live before dead, drawn before restyled, late before early."""
    ranked = sorted(enumerate(assets), key=lambda each: (each[1].live, each[1].kind == "generated", each[0]))
    fitting = [asset for _, asset in ranked if not style or asset.style == style]
    return fitting[-1] if fitting else None


def _product(product: Product | None) -> dict[str, Any] | None:
    return None if product is None else asdict(product)


def _wish(wish: PendingWish | None) -> dict[str, Any] | None:
    if wish is None:
        return None
    at = wish.requested_at.isoformat(timespec="seconds") if wish.requested_at else ""
    said = {"words": wish.words, "candidates": wish.candidates, "decision": wish.decision_id}
    return said | {"requested_by": wish.requested_by, "requested_at": at}


def _event(event: Event, product: Product | None, names: dict[str, str]) -> dict[str, Any]:
    at = event.at.isoformat(timespec="seconds")
    if event.asset is not None:
        picture = picture_json(describe_picture(event.asset, product, names))
        return {"at": at, "kind": "picture", "run": event.run_id, "job": event.job, "picture": picture}
    if event.item is not None:
        said = {"at": at, "kind": "run", "run": event.run_id, "job": event.job}
        return said | {"outcome": event.item.outcome, "reason": event.item.reason}
    assert event.decision is not None, "an event is a run, a picture or a decision"
    row = asdict(event.decision)
    kept = ("id", "action", "reason", "from_state", "to_state", "reviewer", "source", "undone_by", "undoes")
    return {"at": at, "kind": "decision", "asset": row["asset_id"], **{name: row[name] for name in kept}}
