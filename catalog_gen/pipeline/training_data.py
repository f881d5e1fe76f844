"""Between the rows and the trainers: photos decoded, near-duplicates found, the data reported on and split."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from catalog_gen.photo_cache import Fit
from catalog_gen.pipeline.data_picture import draw_report
from catalog_gen.pipeline.data_report import DataReport, Mask, Measured, report_on, write_report
from catalog_gen.pipeline.training_source import make_work_dir
from catalog_gen.quality.near_groups import NearDuplicates, near_duplicates
from catalog_gen.quality.phash import colour_layout, phash
from catalog_gen.training_data import (
    HeldOut,
    TrainRow,
    Unreadable,
    describe_kinds,
    hold_out,
    most_held_out,
    read_photos,
    split_by,
    write_unreadable,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DataChoices:
    """What a person chose about the data, and the photos that an import has refused already."""

    drop_duplicates: bool = False
    check_only: bool = False
    refused: tuple[Unreadable, ...] = ()


@dataclass(frozen=True)
class DataPlan:
    """How a trainer wants its photos (size in px, cached in `cache_dir`) and its split.

    few_photos: below how many the trainer has a recipe of its own; 0: never. rule: of the bundle that a fine-tuning
    starts from, instead of `held_out` and `seed`: what the bundle has learnt from is not held out afterwards.
    """

    size: int
    cache_dir: Path
    work_dir: Path
    held_out: int
    seed: int
    fit: Fit = "letterbox"
    workers: int = 2
    few_photos: int = 0
    rule: HeldOut | None = None


@dataclass(frozen=True)
class TrainingData:
    """Rows with usable photos, split by `rule`, and the report on them."""

    train: list[TrainRow]
    held_out: list[TrainRow]
    report: DataReport
    rule: HeldOut


def prepare_data(rows: Sequence[TrainRow], plan: DataPlan, choices: DataChoices) -> TrainingData:
    """Decode the rows' photos, look at them, and return the rows to learn from and those to measure on.

    Writes data.json, data.png and (when photos are unusable) unreadable.csv into the work folder, and logs the report
    unless the caller is to print it (`check_only`). With `drop_duplicates`, one photo of each group of near-duplicates
    stays in training, and none that looks like a held-out one. Neither they nor unreadable photos move the split.
    Raises ConfigError when no photo can be read, Unavailable when a folder cannot be written or matplotlib is missing.
    """
    make_work_dir(plan.work_dir)
    rule = plan.rule or hold_out(rows, plan.held_out, plan.seed)
    train_rows, held_rows = split_by(rows, rule)
    # In this order both sides are runs of the cached array, and a trainer that loads one of them copies nothing.
    found = read_photos([*train_rows, *held_rows], plan.size, plan.cache_dir, plan.workers, plan.fit)
    skus = {row.sku for row in held_rows}
    held_out = np.array([row.sku in skus for row in found.kept], np.bool_)
    duplicates = near_duplicates(phash(found.photos), colour_layout(found.photos))
    dropped = to_drop(duplicates, held_out) if choices.drop_duplicates else np.zeros(len(held_out), np.bool_)
    missing = max(0, most_held_out(len(rows), plan.held_out) - len(held_rows))  # only a given rule leaves too few
    measured = Measured(found, held_out, dropped, duplicates, choices.refused, missing)
    report = report_on(measured, plan.size, plan.fit, plan.few_photos)

    unusable = [*choices.refused, *found.unreadable]
    write_unreadable(plan.work_dir / "unreadable.csv", unusable)
    if unusable:
        log.warning("%d photos are left out (%s); unreadable.csv lists them", len(unusable), describe_kinds(unusable))
    write_report(report, plan.work_dir / "data.json")
    draw_report(report, measured, plan.work_dir / "data.png")
    if not choices.check_only:
        for line in report.describe().splitlines():
            log.info("%s", line)
        log.info("  pictures: %s", plan.work_dir / "data.png")
    kept = zip(found.kept, measured.train, strict=True)
    held = zip(found.kept, held_out, strict=True)
    return TrainingData([row for row, stays in kept if stays], [row for row, is_held in held if is_held], report, rule)


def unprepared(out: Path) -> str:
    """Return the line for a stop before the first step. Photos are kept as one whole array, or not at all."""
    again = "the same command starts again, and decodes the photos anew where they were not all decoded"
    return f"{out}: stopped before the first step; {again}"


def to_drop(duplicates: NearDuplicates, held_out: Mask) -> Mask:
    """Return which photos (N,) to leave out of training, so that none repeats another or a held-out one.

    Of each group of near-duplicates the first photo stays, and none where the group reaches into the held-out ones.
    """
    groups = duplicates.groups()
    reaches = np.bincount(groups, weights=held_out, minlength=len(groups))[groups] > 0
    train = np.flatnonzero(~held_out)
    _, first = np.unique(groups[train], return_index=True)
    keeps = np.zeros(len(groups), np.bool_)
    keeps[train[first]] = True
    dropped: Mask = ~held_out & (reaches | ~keeps)
    return dropped
