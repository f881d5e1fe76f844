"""`fill-missing --dry-run`: what would be done, and at what cost, with nothing written."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

import numpy as np

from catalog_gen.catalog import queue as claims
from catalog_gen.catalog.database import Database
from catalog_gen.catalog.model import Plan, PlanRequest, Product
from catalog_gen.catalog.source import open_source
from catalog_gen.catalog.wishes import pending_wishes
from catalog_gen.config import Settings
from catalog_gen.encode import encode_image
from catalog_gen.pipeline.fill_missing import JOB, FillRequest
from catalog_gen.pipeline.ladder import rungs
from catalog_gen.pipeline.models import Models, load_models
from catalog_gen.pipeline.prompting import drawn_words
from catalog_gen.pipeline.work import input_hash
from catalog_gen.storage import open_storage

MEASURED_CHUNKS = 3
ENCODED = 8  # pictures whose bytes are counted


@dataclass(frozen=True)
class Estimate:
    """A plan and its cost, measured on this machine with the configured models just now."""

    plan: Plan
    candidates: int
    ladder_candidates: int  # more a row, at most
    seconds: float
    ladder_seconds: float  # more, at most
    bytes: float
    examples: tuple[tuple[str, str], ...]
    unlearnt: int = 0  # of the planned rows, those of a category that the generator has hardly seen
    min_photos: int = 0

    def describe(self) -> str:
        counts = ", ".join(f"{count} {name}" for name, count in self.plan.counts.items() if count)
        lines = [
            f"would fill {self.plan.planned} rows with {self.candidates} candidates each ({counts or 'nothing to do'})",
            f"  about {self.seconds / 60:.1f} minutes of drawing here, {self.bytes / 1e6:.1f} MB of pictures",
        ]
        if self.ladder_candidates and self.plan.planned:
            lines.append(
                f"  and at most {self.ladder_seconds / 60:.1f} minutes more for the ladder: {self.ladder_candidates} "
                "candidates more for a row that CLIP is never satisfied with, none for the others"
            )
        if self.unlearnt:
            lines.append(
                f"  {self.unlearnt} of them go to review for their kind: "
                f"the generator saw fewer than {self.min_photos} photos of it"
            )
        lines += [f"  {sku}: {prompt}" for sku, prompt in self.examples]
        return "\n".join(lines)


def estimate(settings: Settings, database: Database, request: FillRequest) -> Estimate:
    """Return what `fill_missing` would do for `request`; writes nothing but the storage's probe.

    Raises what `fill_missing` would raise before its first row.
    """
    database.check_schema()
    source = open_source(settings, database)
    open_storage(settings.storage.url, settings.storage.options).probe()
    models = load_models(settings)
    examples: list[tuple[str, str]] = []
    unlearnt: set[str] = set()
    wishes = pending_wishes(database)

    def as_planned(product: Product) -> str:
        wish = wishes.get(product.sku)
        words = drawn_words(product, settings.prompt, wish)
        if len(examples) < 3:
            examples.append((product.sku, words))
        if models.unlearnt(product.category):
            unlearnt.add(product.sku)
        return input_hash(words, (models.clip.hash, models.drawer.hash), models.upscaled_by, wish)

    plan_request = PlanRequest(
        run_id="",
        job=JOB,
        input_hash=as_planned,
        where=request.where,
        skus=request.skus,
        limit=request.limit,
        max_attempts=settings.job.max_attempts,
        show=sys.maxsize,  # every planned row, to count those of hardly known kinds
    )
    plan = claims.plan(database, source, plan_request, dry_run=True)
    seconds, enlarging, size = _measure(settings, models)
    candidates, more = settings.gan.candidates, sum(rung.candidates for rung in rungs(settings.gan))
    return Estimate(
        plan=plan,
        candidates=candidates,
        ladder_candidates=more,
        seconds=plan.planned * (candidates * seconds + enlarging),
        ladder_seconds=plan.planned * more * seconds,
        bytes=plan.planned * size,
        examples=tuple(examples),
        unlearnt=len(unlearnt.intersection(plan.shown)),
        min_photos=settings.gate.min_photos,
    )


def _measure(settings: Settings, models: Models) -> tuple[float, float, float]:
    """Return seconds to draw and score a candidate, seconds to enlarge a picture, bytes of an encoded one."""
    count = models.drawer.chunk
    text = np.repeat(models.clip.embed_texts(["a product"]), count, axis=0)
    truncation = settings.gan.truncation
    models.drawer.draw(text, np.arange(count), truncation)  # the first call pays for set-up
    started = time.perf_counter()
    for _ in range(MEASURED_CHUNKS):
        pictures = models.drawer.draw(text, np.arange(count), truncation)
        models.clip.embed_images(pictures)
    seconds = (time.perf_counter() - started) / (MEASURED_CHUNKS * count * models.streams)
    many = max(ENCODED, models.upscaler.chunk if models.upscaler else 0)
    sample = np.ascontiguousarray(pictures[:many].numpy().transpose(0, 2, 3, 1))
    enlarging = 0.0
    if models.upscaler:
        models.upscaler.enlarge(sample[:1])
        started = time.perf_counter()
        sample = models.upscaler.enlarge(sample)
        enlarging = (time.perf_counter() - started) / (len(sample) * models.streams)
    sizes = [len(encode_image(rgb, settings.storage.format, settings.storage.quality)) for rgb in sample[:ENCODED]]
    return seconds, enlarging, sum(sizes) / len(sizes)
