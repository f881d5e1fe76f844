"""Which of a feed's columns is the sku, the title, the category and the image."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from catalog_gen.errors import UsageError

logger = logging.getLogger(__name__)

FIELDS = ("sku", "title", "category", "image")
REQUIRED = ("sku", "title")
# Names that shops and marketplaces use, best first; compared without case, space and underscore.
COMMON_NAMES = {
    "sku": ("sku", "id", "product_id", "handle", "url handle", "variant sku", "item_id"),
    "title": ("title", "name", "product_display_name", "product_name", "product_title"),
    "category": ("category", "product_type", "product_category", "article_type", "type"),
    "image": ("image", "image_url", "image_link", "image_src"),
}


@dataclass(frozen=True)
class ColumnMap:
    """The columns of a feed by their use; `category` and `image` are None where the feed has no such column."""

    sku: str
    title: str
    category: str | None
    image: str | None
    attributes: tuple[str, ...]  # in the feed's order

    @property
    def used(self) -> tuple[str, ...]:
        """Every column that the import reads."""
        named = (self.sku, self.title, self.category, self.image)
        return tuple(dict.fromkeys([name for name in named if name] + list(self.attributes)))


def map_columns(columns: Sequence[str], wanted: Mapping[str, str], ignore: Sequence[str] = ()) -> ColumnMap:
    """Return the use of each of `columns`: as `wanted` says (field to column), else by common names.

    Columns that are neither a field nor in `ignore` become attributes.
    Raises UsageError for an unknown field, a wanted column that the feed lacks, and a feed without sku or title.
    """
    for field, column in wanted.items():
        if field not in FIELDS:
            raise UsageError(f"--map {field}={column}: no such field", hint=f"Fields: {', '.join(FIELDS)}.")
        if column not in columns:
            near = _nearest(column, columns)
            raise UsageError(f"--map {field}={column}: the feed has no such column", hint=f"{near}{_list(columns)}")
    ignored = {_plain(name) for name in ignore}
    if unknown := sorted(name for name in ignore if _plain(name) not in {_plain(column) for column in columns}):
        logger.warning("columns to ignore that the feed does not have: %s", ", ".join(unknown))
    free = [name for name in columns if name not in wanted.values() and _plain(name) not in ignored]
    found = dict(wanted)
    for field in FIELDS:
        if field not in found and (match := _match(COMMON_NAMES[field], free)):
            found[field] = match
            free.remove(match)
    for field in REQUIRED:
        if field not in found:
            near = _nearest(field, free, COMMON_NAMES[field])
            raise UsageError(
                f"no column holds the {field}", hint=f"Name it: --map {field}=COLUMN. {near}{_list(columns)}"
            )
    return ColumnMap(found["sku"], found["title"], found.get("category"), found.get("image"), tuple(free))


def _plain(name: str) -> str:
    folded = name.casefold().removeprefix("g:")  # the namespace of Google's product feeds
    return "".join(character for character in folded if character.isalnum())


def _match(names: Sequence[str], columns: Sequence[str]) -> str | None:
    by_plain = {_plain(column): column for column in reversed(columns)}
    return next((by_plain[_plain(name)] for name in names if _plain(name) in by_plain), None)


def _nearest(wanted: str, columns: Sequence[str], also: Sequence[str] = ()) -> str:
    by_plain = {_plain(column): column for column in columns}
    near = [
        by_plain[match]
        for name in (wanted, *also)
        for match in difflib.get_close_matches(_plain(name), by_plain, n=2, cutoff=0.6)
    ]
    return f"Nearest: {', '.join(dict.fromkeys(near))}. " if near else ""


def _list(columns: Sequence[str]) -> str:
    shown = ", ".join(columns[:20])
    return f"The feed's columns: {shown}{', ...' if len(columns) > 20 else ''}."
