"""A bundle's card tells how its training moved: a table of what was measured on the way, and what was tried."""

from __future__ import annotations

import re
from collections.abc import Sequence

from catalog_gen.training.curves import DIRECTION
from catalog_gen.training.history import Line

MOVED, NOTES, LIMITS = "How it moved", "What was tried", "Limits"
MOST = 12  # lines of the table
FIRST_COLUMNS = ("kid", "precision", "coverage", "variety")
_SHOWN = {"kid": ("KID x1000", 1000.0, 1), "fd": ("FD", 1.0, 1)}  # title, factor, digits
_NO_FIGURES = ("images", "kind")


def how_it_moved(lines: Sequence[Line], bundle_at: int) -> str:
    """Return the section's text for a training's history; empty when nothing was measured.

    bundle_at: the images that the bundle's generator had seen; its line is bold. Alarms are told below the table.
    """
    measures = list({line["images"]: line for line in lines if line["kind"] == "measure"}.values())
    if not measures:
        return ""
    found = [name for name in dict.fromkeys(name for line in measures for name in line) if name not in _NO_FIGURES]
    names = [name for name in FIRST_COLUMNS if name in found] + [name for name in found if name not in FIRST_COLUMNS]
    images = [int(line["images"]) for line in measures]
    keep = images.index(bundle_at) if bundle_at in images else len(images) - 1
    rows = [_row(measures[place], names, bold=images[place] == bundle_at) for place in pick(len(measures), keep)]
    head = f"| images seen | {' | '.join(_title(name) for name in names)} |"
    lower = ", ".join(_title(name) for name in names if DIRECTION.get(name) == "lower")
    events = [f"- At {line['images']:,} images: {line['text']}." for line in lines if line["kind"] == "note"]
    some = f"{len(rows)} of {len(images)} measurements" if len(rows) < len(images) else "All measurements"
    told = f"{some} on held-out products while it trained, by a network that no training used; in bold: the bundle."
    told += f"\nLower is better: {lower}." if lower else ""
    table = "\n".join([head, "| ---: " * (len(names) + 1) + "|", *rows])
    return "\n\n".join([told, table, *(["\n".join(events)] if events else [])])


def pick(count: int, keep: int, most: int = MOST) -> list[int]:
    """Return at most `most` places of `count`, evenly spread: the first, the last and `keep` are among them."""
    if count <= most:
        return list(range(count))
    places = [round(step * (count - 1) / (most - 1)) for step in range(most)]
    if keep not in places:
        nearest = min(range(1, most - 1), key=lambda step: abs(places[step] - keep))
        places[nearest] = keep
    return places


def tried(notes: Sequence[str]) -> str:
    """Return the section's text for notes of a line each."""
    return "\n".join(f"- {note}" for note in notes)


def with_section(card: str, title: str, text: str) -> str:
    """Return the card with `text` as its section `title`, in the old one's place or before its limits.

    Without a text the card stays as it is.
    """
    if not text:
        return card
    section = f"## {title}\n{text}\n\n"
    old = re.compile(rf"^## {re.escape(title)}\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
    if old.search(card):
        return old.sub(lambda _: section, card, count=1)
    before, heading, rest = card.partition(f"## {LIMITS}\n")
    return f"{before}{section}{heading}{rest}" if heading else f"{card.rstrip()}\n\n{section}"


def _row(line: Line, names: Sequence[str], *, bold: bool) -> str:
    mark = "**" if bold else ""
    cells = [f"{mark}{cell}{mark}" for cell in (f"{line['images']:,}", *_cells(line, names))]
    return f"| {' | '.join(cells)} |"


def _title(name: str) -> str:
    return _SHOWN[name][0] if name in _SHOWN else name


def _cells(line: Line, names: Sequence[str]) -> list[str]:
    cells = []
    for name in names:
        _, factor, digits = _SHOWN.get(name, (name, 1.0, 3))
        value = line.get(name)
        cells.append("-" if value is None else f"{float(value) * factor:,.{digits}f}")
    return cells
