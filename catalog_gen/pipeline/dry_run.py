"""`fill-missing --dry-run`: what would be done, and at what cost, with nothing written."""

from __future__ import annotations

import heapq
import itertools
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
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
from catalog_gen.pipeline.models import Models, cores, load_models
from catalog_gen.pipeline.prompting import drawn_words
from catalog_gen.pipeline.work import input_hash
from catalog_gen.storage import open_storage

SAMPLED = 16  # rows whose words are drawn, to measure


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
            f"  about {self.seconds / 60:.1f} minutes of work here, {self.bytes / 1e6:.1f} MB of pictures",
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
    sample: list[tuple[str, str]] = []  # a heap of (hash, words): rows from all over the catalogue, always the same
    unlearnt: set[str] = set()
    wishes = pending_wishes(database)

    def as_planned(product: Product) -> str:
        wish = wishes.get(product.sku)
        words = drawn_words(product, settings.prompt, wish)
        if len(examples) < 3:
            examples.append((product.sku, words))
        if models.unlearnt(product.category):
            unlearnt.add(product.sku)
        found = input_hash(words, (models.clip.hash, models.drawer.hash), models.upscaled_by, wish)
        (heapq.heappush if len(sample) < SAMPLED else heapq.heappushpop)(sample, (found, words))
        return found

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
    cost = _measure(settings, models, [words for _, words in sample])
    candidates, more = settings.gan.candidates, sum(rung.candidates for rung in rungs(settings.gan))
    return Estimate(
        plan=plan,
        candidates=candidates,
        ladder_candidates=more,
        seconds=plan.planned * cost.row(candidates),
        ladder_seconds=plan.planned * more * cost.candidate,
        bytes=plan.planned * cost.size,
        examples=tuple(examples),
        unlearnt=len(unlearnt.intersection(plan.shown)),
        min_photos=settings.gate.min_photos,
    )


@dataclass(frozen=True)
class Cost:
    """What a picture costs. `size` is in bytes, all else in seconds: a `candidate` drawn and scored, and a row's words,
    enlarging and encoding. beside: encoding goes on beside the models, which have a device of their own.
    """

    candidate: float
    words: float
    enlarging: float
    encoding: float
    size: float
    beside: bool

    def row(self, candidates: int) -> float:
        models = self.words + candidates * self.candidate + self.enlarging
        return max(models, self.encoding) if self.beside else models + self.encoding


def _measure(settings: Settings, models: Models, words: Sequence[str]) -> Cost:
    """Draw and finish pictures of some rows, as many rows at once as the job does."""
    rows = max(SAMPLED, models.upscaler.chunk if models.upscaler else 0)
    few = list(itertools.islice(itertools.cycle(words or ["a product"]), rows))
    count = models.drawer.chunk
    truncation, storage = settings.gan.truncation, settings.storage
    sizes: list[int] = []

    def once(_: int) -> list[float]:
        marks = [time.perf_counter()]
        texts = models.clip.embed_texts(few)
        marks.append(time.perf_counter())
        pictures = models.drawer.draw(np.resize(texts, (count, texts.shape[1])), np.arange(count), truncation)
        models.clip.embed_images(pictures)
        marks.append(time.perf_counter())
        kept = np.resize(pictures.numpy().transpose(0, 2, 3, 1), (rows, *pictures.shape[2:], 3))
        large = models.upscaler.enlarge(kept) if models.upscaler else kept
        marks.append(time.perf_counter())
        sizes.extend(len(encode_image(rgb, storage.format, storage.quality)) for rgb in large[:SAMPLED])
        marks.append(time.perf_counter())
        return list(np.diff(marks) / (rows, count, rows, SAMPLED))

    with ThreadPoolExecutor(models.streams) as pool:
        list(pool.map(once, range(models.streams)))  # the first calls pay for set-up
        embedding, drawing, enlarging, encoding = np.mean(list(pool.map(once, range(models.streams))), axis=0)
    beside = models.drawer.device.type != "cpu"
    at_once = cores() if beside else models.streams
    return Cost(
        candidate=drawing / models.streams,
        words=embedding / models.streams,
        enlarging=enlarging / models.streams,
        encoding=encoding / at_once,
        size=float(np.mean(sizes)),
        beside=beside,
    )
