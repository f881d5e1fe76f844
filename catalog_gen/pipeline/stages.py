"""What happens to a batch of rows, in the order it happens: embed, draw, choose, climb, upscale, encode,
store, record.

Each method is a plain callable over a batch that returns the batch. A row that cannot go on is marked with its reason
and travels along untouched, so that every claimed row is counted exactly once where the batch is recorded.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import numpy as np

from catalog_gen import __version__
from catalog_gen.catalog import assets, embeddings
from catalog_gen.catalog.model import NewAsset, Outcome, OutcomeName
from catalog_gen.catalog.wishes import PendingWish
from catalog_gen.config import Settings
from catalog_gen.encode import SUFFIX, encode_image
from catalog_gen.pipeline.candidates import draw_candidates, keep_best
from catalog_gen.pipeline.job_stages import JobStages
from catalog_gen.pipeline.models import Models
from catalog_gen.pipeline.work import Work
from catalog_gen.provenance import Provenance, build_xmp
from catalog_gen.quality import doubt, gate
from catalog_gen.quality import phash as perceptual

log = logging.getLogger(__name__)


@dataclass
class FillStages(JobStages):
    """The stages of `fill-missing` over one run's models, storage and database; `climb` is the ladder's own."""

    models: Models
    drawn: int = 0  # candidates so far, but for the ladder's
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def embed(self, batch: list[Work]) -> list[Work]:
        """Give every row its text's embedding: from the cache, else from CLIP, which then fills the cache."""
        rows = self.still_wanted(batch)
        hashes = sorted({work.prompt_hash for work in rows})
        known = self.retry(
            "reading embeddings", lambda: embeddings.get_embeddings(self.database, self.models.clip.hash, hashes)
        )
        texts = {work.prompt_hash: work.prompt for work in rows if work.prompt_hash not in known}
        if texts:
            vectors = self.models.clip.embed_texts(list(texts.values()))
            new = dict(zip(texts, vectors, strict=True))
            self.retry(
                "keeping embeddings", lambda: embeddings.put_embeddings(self.database, self.models.clip.hash, new)
            )
            known.update(new)
        for work in rows:
            work.embedding = known[work.prompt_hash]
        return batch

    def draw(self, batch: list[Work]) -> list[Work]:
        """Draw every row's candidates; a stop that is asked meanwhile gives the rest of the batch back."""
        for count, rows in self._by_count(batch):
            group = max(1, self.models.drawer.chunk // count)
            for start in range(0, len(rows), group):
                some = self.still_wanted(rows[start : start + group])
                draw_candidates(self.models, some, count, self.settings.gan.truncation)
                with self._lock:
                    self.drawn += len(some) * count
        return batch

    def choose(self, batch: list[Work]) -> list[Work]:
        """Score the candidates with CLIP, keep the best sound one, and judge it."""
        for _, rows in self._by_count(batch):
            keep_best(self.models, rows)
        return batch

    def _by_count(self, batch: list[Work]) -> list[tuple[int, list[Work]]]:
        """Return the rows under way by how many candidates they get; all get as many, but where a person asked."""
        found: defaultdict[int, list[Work]] = defaultdict(list)
        for work in batch:
            if not work.outcome:
                found[work.count(self.settings.gan.candidates)].append(work)
        return sorted(found.items())

    def upscale(self, batch: list[Work]) -> list[Work]:
        """Make the kept pictures as large as they are delivered, as many at once as the upscaler takes."""
        upscaler = self.models.upscaler
        assert upscaler is not None, "a job without an upscaler has no such stage"
        rows = [work for work in batch if not work.outcome]
        for start in range(0, len(rows), upscaler.chunk):
            some = rows[start : start + upscaler.chunk]
            for work, large in zip(some, upscaler.enlarge(np.stack([_picture(work) for work in some])), strict=True):
                work.picture, work.upscaled_with = large, upscaler.record()
        return batch

    def encode(self, batch: list[Work]) -> list[Work]:
        """Hash every picture perceptually and encode it with its provenance inside."""
        for work in batch:
            if work.outcome:
                continue
            picture = _picture(work)[None]  # one by one: a page of large pictures would take its memory twice
            work.phash = perceptual.phash_hex(perceptual.phash(picture))[0]
            work.colours = perceptual.colours_hex(perceptual.colour_layout(picture))[0]
            try:
                work.data = encode_picture(work, self.settings, self.models)
            except Exception as error:  # one row's words must not end the night: recorded as its reason
                log.exception("%s: encoding failed", work.sku)
                work.fail(f"encoding: {type(error).__name__}: {error}")
            work.picture = None
        return batch

    def store(self, batch: list[Work]) -> list[Work]:
        """Store the batch's pictures durably, before any row says that they exist."""
        rows = [work for work in batch if not work.outcome]
        suffix = SUFFIX[self.settings.storage.format]
        stored = self.put_all([(work, work.data, suffix) for work in rows])
        for work, place in zip(rows, stored, strict=True):
            work.stored = place
            work.data = b""
        return batch

    def record(self, batch: list[Work]) -> list[Work]:
        """Write the batch's outcomes in one transaction that checks that the claims are still this run's."""
        drawn = [work for work in batch if not work.outcome]
        if self.settings.gate.duplicates and drawn:
            self._find_duplicates(drawn)
        self.settle(batch, [self._outcome(work) for work in batch if work.outcome != "released"])
        return batch

    def _find_duplicates(self, drawn: list[Work]) -> None:
        keys = [(work.sku, work.phash, work.colours) for work in drawn]
        others = self.retry("looking for near-duplicates", lambda: assets.near_duplicates(self.database, keys))
        for work, other in zip(drawn, others, strict=True):
            if other is not None:
                work.duplicate = True
                work.doubted(gate.duplicate_reason(other), "duplicate")

    def _outcome(self, work: Work) -> Outcome:
        if work.outcome:
            return Outcome(sku=work.sku, outcome="failed", reason=work.reason, retry=work.retry)
        outcome: OutcomeName = "needs_review" if work.state == "needs_review" else "generated"
        return Outcome(sku=work.sku, outcome=outcome, reason=work.reason, asset=self._asset(work))

    def _asset(self, work: Work) -> NewAsset:
        assert work.stored is not None, "a row is recorded after its picture is stored"
        size = self.models.image_size
        return NewAsset(
            id=uuid4().hex,
            sku=work.sku,
            uri=work.stored.uri,
            sha256=work.stored.sha256,
            bytes=work.stored.size,
            width=size,
            height=size,
            format=self.settings.storage.format,
            prompt=work.prompt,
            prompt_hash=work.prompt_hash,
            seed=work.seeds[work.chosen],
            attempt=work.claimed.attempt,
            candidates=len(work.seeds),
            clip_hash=self.models.clip.hash,
            gan_hash=self.models.drawer.hash,
            scores=work.scores,
            settings={
                **work.drawn_with,
                "candidate": work.chosen,
                "quality": self.settings.storage.quality,
                "software": __version__,
                **({"upscale": work.upscaled_with} if work.upscaled_with else {}),
                **({"wish": _wish_json(work.wish)} if work.wish else {}),
            },
            phash=work.phash,
            colours=work.colours,
            state=work.state,
            reason=work.reason,
            category=work.claimed.product.category,
            doubt=doubt.of_drawn(
                work.similarity,
                work.fault,
                self.models.threshold,
                duplicate=work.duplicate,
                unlearnt=work.unlearnt,
            ),
            reason_kind=work.reason_kind,
        )


def _wish_json(wish: PendingWish) -> dict[str, str | int | None]:
    return {"words": wish.words, "candidates": wish.candidates, "decision": wish.decision_id}


def encode_picture(work: Work, settings: Settings, models: Models) -> bytes:
    """Return the encoded picture of a drawn row, provenance inside; follows from the row and the models alone."""
    provenance = Provenance(
        sku=work.sku,
        prompt=work.prompt,
        gan=f"{models.drawer.name}@{models.drawer.hash}",
        clip=f"{models.clip.name}@{models.clip.hash}",
        seed=work.seeds[work.chosen],
        attempt=work.claimed.attempt,
        candidates=len(work.seeds),
        candidate=work.chosen,
        truncation=float(work.drawn_with["truncation"]),
        upscaler=upscaler_named(models),
    )
    return encode_image(_picture(work), settings.storage.format, settings.storage.quality, build_xmp(provenance))


def upscaler_named(models: Models) -> str:
    """Return the upscaler's name and hash as pictures name it, or nothing."""
    return f"{models.upscaler.name}@{models.upscaler.hash}" if models.upscaler else ""


def _picture(work: Work) -> np.ndarray[Any, np.dtype[np.uint8]]:
    assert work.picture is not None, "choose runs before encode"
    return work.picture
