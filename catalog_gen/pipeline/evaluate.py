"""`catalog-gen evaluate`: how good pictures are, on products that no training saw.

The pictures are the generator's, or any in a folder; the words and photos are the held-out rows of the very split that
the generator was trained on.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from catalog_gen.bundles import Bundle, load_bundle
from catalog_gen.catalog.database import Database
from catalog_gen.catalog.model import Where
from catalog_gen.clip.model import ClipModel, load_clip
from catalog_gen.config import Settings
from catalog_gen.errors import Unavailable, UsageError
from catalog_gen.gan.sampling import Drawer, load_drawer
from catalog_gen.pipeline.evaluated import (
    Drawing,
    Drawn,
    Floats,
    Pixels,
    Side,
    SplitRequest,
    delivered,
    draw_again,
    draw_rows,
    load_sides,
    mean_picture,
    read_folder,
    shown,
)
from catalog_gen.pipeline.evaluation_sheets import Looked, write_sheets
from catalog_gen.pipeline.models import choose_device, configured_upscaler
from catalog_gen.quality.comparison import Compared, Sides, compare
from catalog_gen.quality.distances import inception_distance
from catalog_gen.quality.estimate import Estimate
from catalog_gen.quality.evaluation import (
    FEWEST_PICTURES,
    NO_UPSCALER,
    Asked,
    Judged,
    Reference,
    learn,
    notes,
    set_beside,
    table_rows,
    variety,
)
from catalog_gen.quality.lite1 import Lite1Features, cached_features
from catalog_gen.quality.neighbours import unit
from catalog_gen.quality.words import clip_similarity
from catalog_gen.report.evaluation import CATEGORIES_CSV, Strip, name_of, table, write_evaluation
from catalog_gen.training_data import TrainRow, pick_varied
from catalog_gen.upscale.upscaler import Upscaler

FORMAT = 1
VARIETY_PROMPTS, VARIETY_DRAWS = 200, 4
STRIP = 12  # pictures shown beside their photos


@dataclass(frozen=True)
class EvaluateRequest:
    """What to evaluate. view: px at which pictures and photos are judged; None: the generator's own size.

    pictures: a folder made by anything else; None: the configured generator draws. compare: an earlier evaluation.json.
    cell: px of a picture's side on the sheets. captions: whether their words stand below them.
    """

    out: Path
    rows: int = 1000
    where: Where = ()
    pictures: Path | None = None
    candidates: int = 1
    held_out: int | None = None
    view: int | None = None
    inception: bool = False
    compare: Path | None = None
    work_dir: Path | None = None
    cell: int = 160
    captions: bool = True

    @property
    def cache(self) -> Path:
        """Where photos and features are kept, and the rows of a folder."""
        return self.work_dir or self.out / "cache"


@dataclass(frozen=True)
class Evaluation:
    """What came of it: `document` is what evaluation.json holds."""

    document: dict[str, Any]
    out: Path
    more: Sequence[str] = ()  # files beside evaluation.json, .md and .png

    def describe(self) -> str:
        """Return the table as text for a terminal."""
        files = ["evaluation.json", "evaluation.md", "evaluation.png", *self.more]
        return f"{table(self.document)}\n\n{self.out}: {', '.join(files)}"


@dataclass(frozen=True)
class _Judges:
    """The two networks that look at pictures, and where features of photos are kept."""

    network: Lite1Features
    clip: ClipModel
    cache: Path

    def see(self, pixels: Pixels) -> Judged:
        vectors = self.clip.embed_images(torch.from_numpy(pixels.transpose(0, 3, 1, 2)))
        return Judged(pixels, self.network(pixels), vectors)

    def learn(self, train: Side, held: Side, count: int) -> Reference:
        features = cached_features(self.network, train.photos, self.cache)
        unseen = cached_features(self.network, held.photos, self.cache)
        photos = Judged(train.photos, features, np.zeros((0, 0), np.float32))
        return learn(photos, [row.category for row in train.rows], [row.colour for row in train.rows], unseen, count)


def evaluate(settings: Settings, database: Database, request: EvaluateRequest) -> Evaluation:
    """Measure pictures on held-out rows; write evaluation.json, .md and .png, a CSV and sheets to `request.out`.

    Raises UsageError when there are too few rows or pictures, BundleError when a model or the judge's weights are not
    there, Unavailable when an optional package is not.
    """
    earlier = _read_earlier(request.compare)
    device = choose_device(settings.gan.device)
    network = Lite1Features(device)  # first of all: what is missing is said before the work
    bundle = load_bundle(settings.gan.model, "gan")
    clip = load_clip(settings.clip.model, device, pretrained=settings.clip.pretrained or None)
    judges = _Judges(network, clip, request.cache)
    view = request.view or int(bundle.config["generator"]["image_size"])
    upscaler = None if request.pictures else configured_upscaler(settings.upscale)
    wanted = SplitRequest(request.where, request.held_out, view, judges.cache)
    train, held, rule = load_sides(settings, database, bundle, wanted)

    drawer = None if request.pictures else _drawer(settings, clip, device)
    how = Drawing(request.candidates, settings.gan.truncation)
    drawn = _pictures(request, drawer, clip, held, view, how)
    rows = [held.rows[place] for place in drawn.places]
    pictures = judges.see(delivered(drawn.pixels, upscaler, view))
    photos = judges.see(held.photos[drawn.places])
    mean = _repeat(judges.see(mean_picture(train.photos)), len(rows))
    reference = judges.learn(train, held, len(rows))
    asked = _asked(rows, clip)

    training = Counter(row.category for row in train.rows)
    found = compare(Sides(pictures, photos, mean, drawn.named), reference, asked, training)
    remarks = notes(reference, asked if drawn.named else None, len(rows), network.dim)
    if drawer is not None:
        some = rows[:: max(1, len(rows) // VARIETY_PROMPTS)][:VARIETY_PROMPTS]
        again = draw_again(drawer, clip, some, replace(how, candidates=VARIETY_DRAWS))
        found.add_variety(_variety(network(delivered(again, upscaler, view)), some, train, reference))
    if request.inception:
        remarks += _add_inception(found, pictures.pixels, photos.pixels, train.photos)
    document = {
        "format": FORMAT,
        **(_folder(request.pictures) if request.pictures else _drawn_by(bundle, how, upscaler)),
        "rows": len(rows),
        "view": view,
        "held_out_rule": str(rule),
        "held_out_photos": len(held.rows),
        "training_photos": len(train.rows),
        "reference_photos": len(reference.sample),
        "features": network.name,
        "clip": {"name": clip.name, "hash": clip.hash},
        "metrics": table_rows(found.pictures, found.photos, found.mean, network.dim),
        "categories": found.categories,
        "notes": remarks,
    }
    if earlier is not None:
        set_beside(document, earlier, network.dim)
    write_evaluation(request.out, document, _strip(rows, photos.pixels, pictures.pixels, drawn.named))
    more = [CATEGORIES_CSV] if found.categories else []
    if drawn.named:
        likeness = clip_similarity(pictures.vectors, asked.texts)

        def large(chosen: Sequence[int]) -> Pixels:
            return shown(drawn, chosen, upscaler, request.cell)

        looked = Looked(name_of(document), rows, likeness, large, training, request.captions)
        more += write_sheets(request.out, looked, request.cell)
    return Evaluation(document, request.out, more)


def _drawn_by(bundle: Bundle, how: Drawing, upscaler: Upscaler | None) -> dict[str, Any]:
    """Return what a document says of what was evaluated."""
    return {
        "name": bundle.name,
        "hash": bundle.hash,
        "candidates": how.candidates,
        "truncation": how.truncation,
        "upscaler": f"{upscaler.name}@{upscaler.hash}" if upscaler else NO_UPSCALER,
    }


def _folder(pictures: Path) -> dict[str, Any]:
    return {"name": str(pictures), "hash": "", "candidates": None, "truncation": None, "upscaler": NO_UPSCALER}


def _read_earlier(file: Path | None) -> dict[str, Any] | None:
    if file is None:
        return None
    try:
        document = json.loads(file.read_text("utf-8"))
        known = document["format"] == FORMAT
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"is not an evaluation ({error})", where=str(file), hint="Name an evaluation.json.") from error
    if not known:
        raise UsageError(f"is of format {document['format']}, not {FORMAT}", where=str(file), hint="Evaluate again.")
    found: dict[str, Any] = document
    return found


def _drawer(settings: Settings, clip: ClipModel, device: str) -> Drawer:
    gan = settings.gan
    return load_drawer(gan.model, clip.text, device, gan.precision, gan.batch or None)


def _pictures(
    request: EvaluateRequest, drawer: Drawer | None, clip: ClipModel, held: Side, view: int, how: Drawing
) -> Drawn:
    if drawer is not None:
        drawn = draw_rows(drawer, clip, held.rows, request.rows, how)
    else:
        assert request.pictures is not None
        drawn = read_folder(request.pictures, held.rows, view, request.rows)
    if len(drawn.pixels) < FEWEST_PICTURES:
        raise UsageError(
            f"{len(drawn.pixels)} pictures are too few to evaluate", hint=f"At least {FEWEST_PICTURES} are needed."
        )
    return drawn


def _asked(rows: Sequence[TrainRow], clip: ClipModel) -> Asked:
    prompts = [row.prompt for row in rows]
    return Asked(prompts, clip.embed_texts(prompts), [row.category for row in rows], [row.colour for row in rows])


def _repeat(one: Judged, count: int) -> Judged:
    return Judged(np.repeat(one.pixels, count, 0), np.repeat(one.features, count, 0), np.repeat(one.vectors, count, 0))


def _variety(features: Floats, rows: Sequence[TrainRow], train: Side, reference: Reference) -> Estimate | None:
    """features: (B * VARIETY_DRAWS, D), of the rows' pictures one row after the other."""
    drawn = unit(features).reshape(len(rows), VARIETY_DRAWS, -1)
    return variety(drawn, [row.category for row in rows], reference.train, [row.category for row in train.rows])


def _add_inception(found: Compared, pictures: Pixels, photos: Pixels, train: Pixels) -> list[str]:
    """Add the Inception FID to both columns, or return the line that says why there is none."""
    sample = train[:: max(1, len(train) // len(pictures))][: len(pictures)]
    try:
        found.pictures["inception_fid"] = Estimate(inception_distance(pictures, sample), len(pictures))
        found.photos["inception_fid"] = Estimate(inception_distance(photos, sample), len(photos))
    except Unavailable as error:
        return [str(error)]
    return []


def _strip(rows: Sequence[TrainRow], photos: Pixels, pictures: Pixels, named: bool) -> Strip:
    chosen = pick_varied(rows, STRIP * 4)[:: 4 if len(rows) >= STRIP * 4 else 1][:STRIP]
    prompts = [rows[index].prompt for index in chosen] if named else []
    return Strip(prompts, photos[chosen], pictures[chosen])
