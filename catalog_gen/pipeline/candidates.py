"""The candidates of a row: drawn, scored with CLIP, the best sound one kept; the first draw and the ladder share it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from catalog_gen.pipeline.models import Models
from catalog_gen.pipeline.work import Work
from catalog_gen.quality import gate


def draw_candidates(models: Models, rows: Sequence[Work], count: int, truncation: float) -> None:
    """Draw `count` candidates for each row, with seeds that it had not yet; they wait in the row for `keep_best`."""
    if not rows:
        return
    fresh = [work.add_seeds(count, models.drawer.hash) for work in rows]
    text = np.stack([_embedding(work) for work in rows for _ in range(count)])  # (B*N, D)
    seeds = np.array([seed for some in fresh for seed in some], dtype=np.int64)  # (B*N,)
    pictures = models.drawer.draw(text, seeds, truncation)  # (B*N, 3, S, S) uint8
    drawn_with = models.drawer.settings | {"truncation": truncation}  # after the draw: it may have halved the chunk
    for work, candidates in zip(rows, np.split(pictures.numpy(), len(rows)), strict=True):
        work.candidates, work.candidates_with = candidates, drawn_with


def keep_best(models: Models, rows: Sequence[Work]) -> None:
    """Score the waiting candidates, the same number for each row; keep the best of all so far, and judge it."""
    if not rows:
        return
    for work, scores in zip(rows, _similarities(models, rows), strict=True):
        _keep_best(work, scores)
        work.state, work.reason, work.reason_kind = gate.judge(work.similarity, work.fault, models.threshold)
        if why := models.unlearnt(work.claimed.product.category):
            work.unlearnt = True
            work.doubted(why, "few-photos")


def _similarities(models: Models, rows: Sequence[Work]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return the cosine of each row's text with each of its candidates, (B, N)."""
    import torch

    pictures = np.concatenate([_candidates(work) for work in rows])  # (B*N, 3, S, S)
    seen = np.asarray(models.clip.embed_images(torch.from_numpy(pictures), view="score")).reshape(
        len(rows), -1, models.clip.embed_dim
    )
    text = np.stack([_embedding(work) for work in rows])  # (B, D)
    similarities: np.ndarray[Any, np.dtype[np.float32]] = np.einsum("bnd,bd->bn", seen, text)
    return similarities


def _keep_best(work: Work, scores: np.ndarray[Any, np.dtype[np.float32]]) -> None:
    """Keep the most similar candidate without a fault, or with none, the most similar one and its fault.

    Of equals the earlier one stays, so that what is kept does not depend on how often the row was drawn after it.
    """
    pictures = _candidates(work).transpose(0, 2, 3, 1)  # (N, S, S, 3)
    faults = gate.find_faults(pictures)
    ranks = [_rank(fault, float(score)) for fault, score in zip(faults, scores, strict=True)]
    best = ranks.index(min(ranks))
    if work.picture is None or ranks[best] < _rank(work.fault, work.similarity):
        work.chosen = len(work.similarities) + best
        work.fault, work.similarity = faults[best], float(scores[best])
        work.drawn_with = work.candidates_with
        work.picture = np.ascontiguousarray(pictures[best])
    work.similarities += [float(score) for score in scores]
    work.scores = {
        "similarity": round(work.similarity, 4),
        "similarity_mean": round(float(np.mean(work.similarities)), 4),
        "similarity_worst": round(min(work.similarities), 4),
    }
    work.candidates = None


def _rank(fault: str, similarity: float) -> tuple[bool, float]:
    """Return what orders pictures, the best first; a similarity that is not a number is the worst."""
    return bool(fault), math.inf if math.isnan(similarity) else -similarity


def _embedding(work: Work) -> np.ndarray[Any, np.dtype[np.float32]]:
    assert work.embedding is not None, "embed runs before draw"
    return work.embedding


def _candidates(work: Work) -> np.ndarray[Any, np.dtype[np.uint8]]:
    assert work.candidates is not None, "candidates are drawn before they are scored"
    return work.candidates
