"""What a training is about to learn from: counted, judged and written down before the hours are spent."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from catalog_gen.errors import Unavailable
from catalog_gen.photo_cache import Fit
from catalog_gen.photos import WHITE
from catalog_gen.quality.near_groups import NearDuplicates
from catalog_gen.training_data import PhotoSet, TrainRow, Unreadable

# Of a photo's border (`photos.border_whiteness`):
ON_WHITE = 0.75  # more than this is white: the photo is on white, even if one edge cuts the product off
CLEAR = 0.95  # more than this is white: the product is clear of the edge
RARE_KIND = 20  # photos
MOST_FREQUENT = 10
SOME = 0.05  # a share of the photos that is worth a word
MANY_SAME_WORDS = 0.2

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class DataReport:
    """The figures. Shares are 0 to 1; sides are px of the photos as they are, [width, height].

    scaled_up: photos whose side that is scaled to `size` is shorter than it: the longer one when letterboxed, the
    shorter one when cropped; `smallest`, `median` and `largest` are photos in the order of that side.
    near-duplicates: pairs of photos of different rows that look the same; groups: what the pairs connect.
    held_out_twins: held-out photos that look like one in training. dropped: left out of training for their twins.
    held_out_missing: rows that were to be held out and are not, because a fine-tuning's bundle has learnt from them.
    """

    rows: int
    photos: int
    train: int
    held_out: int
    unreadable: dict[str, int]
    size: int
    fit: Fit
    smallest: tuple[int, int]
    median: tuple[int, int]
    largest: tuple[int, int]
    scaled_up: int
    on_white: float
    clear_of_edge: float
    duplicate_pairs: int
    duplicate_groups: int
    duplicate_photos: int
    pairs_across: int
    held_out_twins: int
    held_out_missing: int
    dropped: int
    kinds: dict[str, int]
    colours: dict[str, int]
    distinct_prompts: float
    advice: list[str]

    def describe(self) -> str:
        """Return the report in a few lines."""
        refused = f"; unusable: {_counts(self.unreadable)}" if self.unreadable else ""
        dropped = f", {self.dropped:,} duplicates left out" if self.dropped else ""
        lines = [
            f"{self.rows:,} rows with words and a photo, {self.photos:,} photos usable{refused}",
            f"  split: {self.train:,} to learn from, {self.held_out:,} held out{dropped}",
            f"  sizes: {_side(self.smallest)} to {_side(self.largest)} px, median {_side(self.median)}; "
            f"{self.scaled_up:,} are scaled up to {self.size} px ({self.fit})",
            f"  background: {_percent(self.on_white)} on white (of their border, more than {_percent(ON_WHITE)} is at "
            f"least 250), {_percent(self.clear_of_edge)} clear of the edge (more than {_percent(CLEAR)})",
            f"  near-duplicates: {self.duplicate_pairs:,} pairs, {self.duplicate_photos:,} photos in "
            f"{self.duplicate_groups:,} groups; {self.pairs_across:,} pairs across the split "
            f"({self.held_out_twins:,} held-out photos)",
            f"  kinds: {len(self.kinds):,} ({_counts(self.kinds)}); {self.rare_kinds:,} with fewer than {RARE_KIND} "
            "photos",
            f"  colours: {len(self.colours):,} ({_counts(self.colours)})",
            f"  words: {_percent(self.distinct_prompts)} of the photos have words of their own",
        ]
        return "\n".join([*lines, *(f"  note: {note}" for note in self.advice)])

    @property
    def rare_kinds(self) -> int:
        return sum(count < RARE_KIND for count in self.kinds.values())

    def to_json(self) -> dict[str, Any]:
        """Return every figure, JSON-ready; the rules that they follow stand beside them."""
        return asdict(self) | {
            "rare_kinds": self.rare_kinds,
            "rules": {
                "on_white": f"more than {ON_WHITE:.0%} of the border is at least {WHITE} in every channel",
                "clear_of_edge": f"more than {CLEAR:.0%} of it is",
                "rare_kinds": f"fewer than {RARE_KIND} photos",
            },
        }


@dataclass(frozen=True)
class Measured:
    """The photos that a report is about, and which of them (N,) are held out, dropped, and near-duplicates of which."""

    found: PhotoSet
    held_out: Mask
    dropped: Mask
    duplicates: NearDuplicates
    refused: tuple[Unreadable, ...] = ()  # by an import, before
    missing: int = 0  # rows that were to be held out as well, and that the bundle before has learnt from

    @property
    def train(self) -> Mask:
        return ~(self.held_out | self.dropped)

    def side_of(self, at: int) -> str:
        """Return on which side of the split a photo is, in a word or two."""
        if self.held_out[at]:
            return "held out"
        return "left out" if self.dropped[at] else "training"


def report_on(measured: Measured, size: int, fit: Fit, few_photos: int = 0) -> DataReport:
    """Return the report. few_photos: below how many photos a recipe of its own is used; 0: never."""
    found, duplicates = measured.found, measured.duplicates
    groups = duplicates.groups()
    members = np.bincount(groups, minlength=1)
    scaled = found.sides.max(axis=1) if fit == "letterbox" else found.sides.min(axis=1)
    order = np.argsort(scaled, kind="stable")
    unreadable = [*measured.refused, *found.unreadable]
    train, held_out = measured.train, measured.held_out
    figures: dict[str, Any] = {
        "rows": len(found.kept) + len(unreadable),
        "photos": len(found.kept),
        "train": int(train.sum()),
        "held_out": int(held_out.sum()),
        "unreadable": _tally(each.kind for each in unreadable),
        "size": size,
        "fit": fit,
        "smallest": _pair(found.sides[order[0]]),
        "median": _pair(found.sides[order[len(order) // 2]]),
        "largest": _pair(found.sides[order[-1]]),
        "scaled_up": int((scaled < size).sum()),
        "on_white": round(float((found.white > ON_WHITE).mean()), 4),
        "clear_of_edge": round(float((found.white > CLEAR).mean()), 4),
        "duplicate_pairs": duplicates.count(),
        "duplicate_groups": int((members > 1).sum()),
        "duplicate_photos": int(members[members > 1].sum()),
        "pairs_across": duplicates.count_between(train, held_out),
        "held_out_twins": int((duplicates.resembling(train) & held_out).sum()),
        "held_out_missing": measured.missing,
        "dropped": int(measured.dropped.sum()),
        "kinds": _tally(row.category for row in found.kept if row.category),
        "colours": _tally(row.colour for row in found.kept if row.colour),
        "distinct_prompts": round(_alone_in_their_words(found.kept), 4),
    }
    report = DataReport(**figures, advice=[])
    return DataReport(**figures, advice=_advice(report, few_photos))


def write_report(report: DataReport, file: Path) -> None:
    """Write the report as JSON, by a temporary name. Raises Unavailable when it cannot be written."""
    part = file.with_name(f".{file.name}.part")
    try:
        part.write_text(json.dumps(report.to_json(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        part.replace(file)
    except OSError as error:
        raise Unavailable(f"cannot be written ({error.strerror or error})", where=str(file)) from error


def _advice(report: DataReport, few_photos: int) -> list[str]:
    refused, off_white = sum(report.unreadable.values()), 1 - report.on_white
    twins = report.duplicate_photos - report.duplicate_groups - report.dropped
    notes = [
        (report.train < few_photos, f"only {report.train:,} photos to learn from: the few-photo recipe is used"),
        (refused, f"{refused:,} photos are unusable: unreadable.csv has them with their reasons"),
        (
            off_white > SOME,
            f"{_percent(off_white)} of the photos are not on white: pictures will have grounds as well",
        ),
        (
            report.scaled_up > SOME * report.photos,
            f"{report.scaled_up:,} photos are smaller than {report.size} px: pictures will be as soft as they are",
        ),
        (
            report.held_out_missing,
            f"{report.held_out_missing:,} fewer rows are held out than asked for: a fine-tuning leaves out what its "
            "bundle has left out, because it has learnt from all others",
        ),
        (
            report.pairs_across,
            f"{report.held_out_twins:,} held-out photos look like one in training, which flatters what is measured on "
            "them: --drop-duplicates takes those out of training",
        ),
        (
            twins > SOME * report.photos,
            f"{twins:,} photos repeat another: --drop-duplicates keeps one of each",
        ),
        (
            report.distinct_prompts < 1 - MANY_SAME_WORDS,
            f"{_percent(1 - report.distinct_prompts)} of the photos share their words with another and cannot be told "
            "apart: give the prompt more attributes",
        ),
        (report.rare_kinds, f"{report.rare_kinds:,} kinds have fewer than {RARE_KIND} photos and will be drawn worst"),
        (not report.kinds, "no kinds of product: name their column with --map category=COLUMN"),
        (not report.colours, "no colours: a column named colour, color or baseColour would be read"),
    ]
    return [note for holds, note in notes if holds]


def _alone_in_their_words(rows: Sequence[TrainRow]) -> float:
    prompts = Counter(row.prompt for row in rows)
    return sum(prompts[row.prompt] == 1 for row in rows) / max(1, len(rows))


def _tally(values: Any) -> dict[str, int]:
    """Return how often each value is there, the most frequent first."""
    return dict(sorted(Counter(values).items(), key=lambda item: (-item[1], item[0])))


def _counts(counts: dict[str, int]) -> str:
    if not counts:
        return "none"
    shown = [f"{name} {count:,}" for name, count in list(counts.items())[:MOST_FREQUENT]]
    return ", ".join(shown) + (", ..." if len(counts) > MOST_FREQUENT else "")


def _pair(sides: npt.NDArray[np.int64]) -> tuple[int, int]:
    return int(sides[0]), int(sides[1])


def _side(sides: tuple[int, int]) -> str:
    return f"{sides[0]}x{sides[1]}"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
