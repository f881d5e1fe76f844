"""`catalog-gen styles preview`: real products in a template, every output, on one sheet, before anything is stored."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from catalog_gen.catalog.database import Database
from catalog_gen.catalog.source import CatalogSource, open_source
from catalog_gen.config import Settings
from catalog_gen.errors import PhotoError, RowError, Unavailable, UsageError
from catalog_gen.photos import open_photo
from catalog_gen.pipeline.restyle_work import Pixels
from catalog_gen.pipeline.styler import Styler
from catalog_gen.style.template_config import Output
from catalog_gen.style.template_files import FONTS

if TYPE_CHECKING:
    from catalog_gen.style.matte import Cutout

log = logging.getLogger(__name__)

PHOTOS = (".jpg", ".jpeg", ".png", ".webp", ".avif")
GAP, LABEL, INK, PAPER = 8, 20, (60, 60, 60), (236, 236, 232)


@dataclass(frozen=True)
class PreviewPhoto:
    """A product's photo, what it is called on the sheet, and its words, which say how it is posed."""

    label: str
    file: Path
    words: str = ""


def folder_photos(folder: Path, count: int) -> list[PreviewPhoto]:
    """Return `count` of a folder's photos, spread evenly over their names. Raises UsageError when it has none."""
    try:
        files = sorted(file for file in folder.iterdir() if file.suffix.lower() in PHOTOS)
    except OSError as error:
        raise UsageError(f"the folder cannot be listed ({error.strerror or error})", where=str(folder)) from error
    if not files:
        raise UsageError(f"no photo ({', '.join(PHOTOS)}) in the folder", where=str(folder))
    return [PreviewPhoto(file.stem, file) for file in _spread(files, count)]


def catalogue_photos(settings: Settings, database: Database, count: int) -> list[PreviewPhoto]:
    """Return `count` products of the catalogue that have a photo on this machine, as different in kind as there are.

    Raises UsageError when there are none.
    """
    kinds: dict[str, list[PreviewPhoto]] = {}
    with closing(open_source(settings, database)) as source:
        _gather(source, kinds, count)
    turns = (members[turn] for turn in range(count) for members in kinds.values() if turn < len(members))
    if not (chosen := list(islice(turns, count))):
        hint = "Import the feed with --images FOLDER first, or preview a folder's photos: --data FOLDER."
        raise UsageError("no product has a photo on this machine", where=database.where, hint=hint)
    return chosen


def _gather(source: CatalogSource, kinds: dict[str, list[PreviewPhoto]], count: int) -> None:
    for product in (p for page in source.pages(with_image=True) for p in page):
        parts = urlsplit(product.image or "")
        file = Path(unquote(parts.path)) if parts.scheme == "file" else Path(product.image or "")
        members = kinds.setdefault(product.category, [])
        if len(members) < count and parts.scheme in ("", "file") and file.is_file():
            members.append(PreviewPhoto(product.sku, file, f"{product.category} {product.title}"))


def preview_style(styler: Styler, photos: Sequence[PreviewPhoto], out: Path, *, cell: int = 360) -> str:
    """Write `out` (PNG): a row of products an output, each `cell` pixels high; return one line that says where it is.

    A photo that cannot be used is named in a warning and left out. Raises UsageError when none can, and Unavailable
    when the file cannot be written.
    """
    template = styler.template
    columns: list[tuple[str, list[Image.Image]]] = []
    for photo in photos:
        try:
            cutout = styler.cut_out(open_photo(photo.file), photo.words)
            finished = [restyled(styler, output, cutout, photo.words) for output in template.config.output]
            pictures = [_small(picture, cell) for picture in finished]
        except (PhotoError, RowError) as error:
            log.warning("%s is left out of the preview: %s", photo.label, error)
            continue
        columns.append((photo.label, pictures))
    if not columns:
        raise UsageError("none of the photos shows a product that can be cut out", where=template.name)
    _write(_sheet(columns), out)
    return f"{out}: {len(columns)} products in {template.name}, {len(template.config.output)} outputs"


def restyled(styler: Styler, output: Output, cutout: Cutout, words: str) -> Pixels:
    """Return one finished picture (H, W, 3), made by the job's own steps. Raises RowError."""
    content, product = styler.place(output, cutout, words)
    (picture,) = styler.stylise(0, [content], [product])
    if not picture.size:
        raise RowError(f"the engine {styler.engines[0].name} drew no finite picture")
    return styler.finish(output, picture)


def _spread(files: Sequence[Path], count: int) -> list[Path]:
    places = np.linspace(0, len(files) - 1, min(count, len(files))).astype(int)
    return [files[place] for place in places]


def _small(pixels: Pixels, cell: int) -> Image.Image:
    image = Image.fromarray(pixels)
    return image.resize((max(1, round(image.width * cell / image.height)), cell), Image.Resampling.LANCZOS)


def _sheet(columns: list[tuple[str, list[Image.Image]]]) -> Image.Image:
    """One product a line, its outputs side by side, as many products beside each other as make it about square."""
    width = sum(image.width + GAP for image in columns[0][1]) + GAP
    height = columns[0][1][0].height + LABEL + GAP
    across = max(1, min(len(columns), round((len(columns) * height / width) ** 0.5)))
    down = -(-len(columns) // across)
    sheet = Image.new("RGB", (across * width + GAP, down * height + GAP), PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.truetype(str(FONTS / "Inter-Medium.otf"), 13)
    for place_, (label, pictures) in enumerate(columns):
        x, y = GAP + place_ % across * width, GAP + place_ // across * height
        draw.text((x, y + 1), label[:60], fill=INK, font=font)
        for picture in pictures:
            sheet.paste(picture, (x, y + LABEL))
            x += picture.width + GAP
    return sheet


def _write(sheet: Image.Image, out: Path) -> None:
    part = out.with_name(f".{out.name}.part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        sheet.save(part, "PNG")
        part.replace(out)
    except OSError as error:
        raise Unavailable(f"cannot be written ({error.strerror or error})", where=str(out)) from error
