"""What an evaluation looks at: the photos of both sides of the split, and the pictures beside the held-out rows."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from catalog_gen.bundles import Bundle
from catalog_gen.catalog.database import Database
from catalog_gen.catalog.model import Where
from catalog_gen.clip.model import ClipModel
from catalog_gen.config import Settings
from catalog_gen.errors import PhotoError, UsageError
from catalog_gen.gan.sampling import Drawer
from catalog_gen.photos import letterbox, open_photo
from catalog_gen.pipeline.held_out import evaluated_rule
from catalog_gen.pipeline.training_source import training_rows
from catalog_gen.pipeline.work import derive_seed, text_hash
from catalog_gen.quality.evaluation import FEWEST_PICTURES
from catalog_gen.training_data import HeldOut, TrainRow, load_photos, split_by
from catalog_gen.upscale.upscaler import Upscaler

log = logging.getLogger(__name__)

Pixels = npt.NDArray[np.uint8]  # (N, S, S, 3) RGB
Floats = npt.NDArray[np.float32]

MOST_TRAINING = 50_000  # photos that are looked at; their features are 256 MB
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp"})
SEEDED_BY = "evaluation"  # in the place of the model's hash: every generator gets the same noise
_ROWS = 256  # drawn at once
_ENLARGED = 64  # held at their full size at once


@dataclass(frozen=True)
class Side:
    """One side of the split: rows, and their photos (N, S, S, 3) at the view's size."""

    rows: list[TrainRow]
    photos: Pixels


@dataclass(frozen=True)
class Drawn:
    """Pictures (N, S, S, 3), and the place of each one's row on the held-out side.

    named: whether the pictures were made from those rows' words; if not, the rows only say which photos to compare to.
    files: where the pictures came from, of a folder's.
    """

    pixels: Pixels
    places: list[int]
    named: bool
    files: Sequence[Path] = ()


@dataclass(frozen=True)
class SplitRequest:
    """Which rows. held_out: how many, for a bundle that does not say which. view: px at which photos are judged."""

    where: Where
    held_out: int | None
    view: int
    cache: Path


def load_sides(
    settings: Settings, database: Database, bundle: Bundle, request: SplitRequest
) -> tuple[Side, Side, HeldOut]:
    """Return the training and the held-out side, as the training of `bundle` split the catalogue, and by which rule.

    Held out are the rows that the bundle's rule names, whatever it was trained on beside them. For a bundle without a
    rule all rows are split, and `where` comes after: nothing is called held-out that the generator may have seen.
    Raises UsageError when a side has too few rows, or `held_out` is given and the bundle says which.
    """
    rows = training_rows(settings, database, ())
    rule = evaluated_rule(bundle, rows, request.held_out)
    train, held = split_by(rows, rule)
    if request.where:
        wanted = {row.sku for row in training_rows(settings, database, request.where)}
        train, held = ([row for row in side if row.sku in wanted] for side in (train, held))
    if min(len(train), len(held)) < FEWEST_PICTURES:
        raise UsageError(
            f"{len(held)} held-out and {len(train)} training rows with photos are too few to evaluate on",
            where=database.where,
            hint=f"At least {FEWEST_PICTURES} of each are needed.",
        )
    if len(train) > MOST_TRAINING:
        log.warning("looking at %d of %d training photos", MOST_TRAINING, len(train))
        train = [train[place] for place in _some(len(train), MOST_TRAINING)]
    fit = bundle.config.get("training", {}).get("fit", "letterbox")  # as the generator learnt to frame them
    photos, _, kept = load_photos(train, request.view, request.cache / "photos", fit=fit)
    held_photos, _, held_kept = load_photos(held, request.view, request.cache / "photos", fit=fit)
    return Side(kept, photos), Side(held_kept, np.asarray(held_photos)), rule


@dataclass(frozen=True)
class Drawing:
    """How an evaluation draws: the pictures that CLIP chooses from, and how freely (`Drawer.draw`)."""

    candidates: int = 1
    truncation: float = 1.0


def draw_rows(drawer: Drawer, clip: ClipModel, rows: Sequence[TrainRow], count: int, how: Drawing) -> Drawn:
    """Return one picture for each of at most `count` of the rows: of the candidates drawn, the one CLIP likes best.

    The noise follows from the sku and its words, so every generator is asked the same.
    """
    places, candidates = _some(len(rows), count), how.candidates
    kept = []
    for start in range(0, len(places), _ROWS):
        some = [rows[place] for place in places[start : start + _ROWS]]
        texts = clip.embed_texts([row.prompt for row in some])
        pictures = drawer.draw(np.repeat(texts, candidates, 0), _seeds(some, candidates), how.truncation)
        if candidates > 1:
            vectors = clip.embed_images(pictures).reshape(len(some), candidates, -1)
            best = np.einsum("bcd,bd->bc", vectors, texts).argmax(1)
            pictures = pictures[torch.from_numpy(np.arange(len(some)) * candidates + best)]
        kept.append(pictures.permute(0, 2, 3, 1).numpy())
    return Drawn(np.concatenate(kept), places, named=True)


def draw_again(drawer: Drawer, clip: ClipModel, rows: Sequence[TrainRow], how: Drawing) -> Pixels:
    """Return (B * candidates, S, S, 3): all the candidates of each row, one after the other."""
    draws = how.candidates
    texts = np.repeat(clip.embed_texts([row.prompt for row in rows]), draws, 0)
    pixels: Pixels = drawer.draw(texts, _seeds(rows, draws), how.truncation).permute(0, 2, 3, 1).numpy()
    return pixels


def read_folder(folder: Path, rows: Sequence[TrainRow], size: int, count: int) -> Drawn:
    """Return at most `count` pictures of a folder, letterboxed to `size`, beside the rows whose sku names them.

    When no file is named by a held-out sku, the pictures are measured without words, beside as many rows' photos.
    Raises UsageError when there is no folder or no picture in it, or a file is not a picture.
    """
    if not folder.is_dir():
        raise UsageError("is not a folder", where=str(folder))
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES)
    if not files:
        raise UsageError("has no pictures", where=str(folder), hint=f"Looked for {', '.join(sorted(SUFFIXES))}.")
    by_sku = {row.sku: place for place, row in enumerate(rows)}
    places = [by_sku.get(file.stem, by_sku.get(unquote(file.stem), -1)) for file in files]
    named = [index for index, place in enumerate(places) if place >= 0]
    if named and len(named) < len(files):
        log.warning("%d of %d pictures are of no held-out row and left out", len(files) - len(named), len(files))
    if not named and len(files) > len(rows):
        log.warning("measuring on %d of %d pictures: there are no more held-out photos", len(rows), len(files))
    usable = named or list(range(len(files)))
    chosen = [usable[place] for place in _some(len(usable), min(count, len(rows)))]
    pixels = _read([files[index] for index in chosen], size)
    found = [places[index] for index in chosen] if named else _some(len(rows), len(chosen))
    return Drawn(pixels, found, bool(named), [files[index] for index in chosen])


def _read(files: Sequence[Path], size: int) -> Pixels:
    try:
        return np.stack([np.asarray(letterbox(open_photo(file), size)) for file in files])
    except PhotoError as error:
        raise UsageError(error.what, where=error.where, hint="Take the file away.") from error


def delivered(pixels: Pixels, upscaler: Upscaler | None, size: int) -> Pixels:
    """Return drawn pictures (N, S, S, 3) as the job delivers them, seen at `size` px: (N, size, size, 3)."""
    if upscaler is None or not len(pixels):
        return at_size(pixels, size)
    starts = range(0, len(pixels), _ENLARGED)  # not all at once: a thousand of 512 px are 800 MB
    return np.concatenate([at_size(upscaler.enlarge(pixels[at : at + _ENLARGED]), size) for at in starts])


def shown(drawn: Drawn, chosen: Sequence[int], upscaler: Upscaler | None, size: int) -> Pixels:
    """Return the chosen pictures (K, size, size, 3) for people to look at; of a folder, as large as its files are."""
    if drawn.files:
        return _read([drawn.files[place] for place in chosen], size)
    return delivered(drawn.pixels[list(chosen)], upscaler, size)


def at_size(pixels: Pixels, size: int) -> Pixels:
    """Return pictures (N, S, S, 3) as (N, size, size, 3), scaled as photos are."""
    if pixels.shape[1] == size:
        return pixels
    return np.stack([np.asarray(letterbox(Image.fromarray(picture), size)) for picture in pixels])


def mean_picture(photos: Pixels) -> Pixels:
    """Return (1, S, S, 3): the mean of all photos (N, S, S, 3)."""
    total = np.zeros(photos.shape[1:], np.float64)
    for start in range(0, len(photos), 1024):
        total += photos[start : start + 1024].sum(0, dtype=np.float64)
    mean: Pixels = (total / len(photos)).round().astype(np.uint8)[None]
    return mean


def _seeds(rows: Sequence[TrainRow], each: int) -> npt.NDArray[np.int64]:
    seeds = [derive_seed(row.sku, text_hash(row.prompt), SEEDED_BY, 0, n) for row in rows for n in range(each)]
    return np.array(seeds, dtype=np.int64)


def _some(total: int, count: int) -> list[int]:
    """Return `count` of `total` places, or all, in order; always the same."""
    chosen = np.random.default_rng(0).choice(total, min(count, total), replace=False)
    return [int(place) for place in np.sort(chosen)]
