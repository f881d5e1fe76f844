"""How well words find their photo among held-out products, and where the quality gate should stand."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from catalog_gen.training_data import TrainRow

PASS_SHARE = 0.95  # of real photos, scored as a picture is, that the gate must let through
PERCENTILES = (1, 5, 25, 50, 75, 95, 99)


def retrieval(texts: Tensor, images: Tensor) -> dict[str, float]:
    """Return text-to-image R@1, R@10, median and mean reciprocal rank of unit-norm (N, D) pairs in the same order.

    The best rank is 1; the mean reciprocal rank is the finest of the four, and moves where the others stand still.
    Embeddings that are not finite have no rank, and every figure is NaN.
    """
    similarity = texts @ images.T
    if not bool(torch.isfinite(similarity).all()):
        return dict.fromkeys(("r1", "r10", "median_rank", "mrr"), math.nan)
    ranks = (similarity > similarity.diagonal()[:, None]).sum(1).add(1).float()
    return {
        "r1": float((ranks <= 1).float().mean()),
        "r10": float((ranks <= 10).float().mean()),
        "median_rank": float(ranks.median()),
        "mrr": float(ranks.reciprocal().mean()),
    }


def calibrate(texts: Tensor, images: Tensor, seed: int = 0) -> dict[str, Any]:
    """Return the gate's threshold and the cosines behind it: percentiles of matching and of random other pairs.

    threshold: the cosine that 95 % of real photos, shown at the size at which pictures are scored, reach with their
    own prompt. false_pass: the share of other products' photos that reach it too.
    """
    if len(texts) < 2:
        return {"threshold": 0.0, "false_pass": 1.0, "matched": {}, "mismatched": {}}
    matched = (texts * images).sum(1).numpy()
    shift = torch.randperm(len(texts) - 1, generator=torch.Generator().manual_seed(seed))[: min(20, len(texts) - 1)] + 1
    mismatched = torch.cat([(texts * images.roll(int(by), 0)).sum(1) for by in shift]).numpy()
    threshold = float(np.quantile(matched, 1 - PASS_SHARE))
    return {
        "threshold": round(threshold, 4),
        "false_pass": round(float((mismatched >= threshold).mean()), 4),
        "matched": _percentiles(matched),
        "mismatched": _percentiles(mismatched),
    }


@dataclass(frozen=True)
class HeldOutEmbeddings:
    """Unit-norm embeddings (N, D) of held-out products' prompts and photos, in the same order.

    photo: the mean of the four views, as a photograph is embedded; photo_once: its first view alone; score: the view in
    which generated pictures are scored.
    """

    texts: Tensor
    photo: Tensor
    photo_once: Tensor
    score: Tensor


def embed_held_out(
    image_head: Callable[[npt.NDArray[np.float16]], Tensor],
    embed_prompts: Callable[[Sequence[str]], Tensor],
    features: Sequence[npt.NDArray[np.float16]],
    rows: Sequence[TrainRow],
) -> HeldOutEmbeddings:
    """Embed rows (one at least) and their features, four views of (N, C), in the order of `photo_views`."""
    texts = embed_prompts([row.prompt for row in rows])
    with torch.inference_mode():
        views = torch.stack([F.normalize(image_head(view), dim=-1) for view in features])
        return HeldOutEmbeddings(texts, F.normalize(views.mean(0), dim=-1), views[0], views[1])


def evaluate(held: HeldOutEmbeddings, rows: Sequence[TrainRow]) -> dict[str, float]:
    """Return the retrieval figures of each view, and how often the best photo is of the right kind and colour."""
    metrics: dict[str, float] = {}
    for shown, images in (("photo", held.photo), ("photo_once", held.photo_once), ("score", held.score)):
        metrics |= {f"{shown}_{name}": value for name, value in retrieval(held.texts, images).items()}
    best = (held.texts @ held.photo.T).argmax(1).tolist()
    metrics["top1_same_category"] = float(np.mean([rows[i].category == rows[j].category for i, j in enumerate(best)]))
    metrics["top1_same_colour"] = float(np.mean([rows[i].colour == rows[j].colour for i, j in enumerate(best)]))
    metrics["held_out"] = float(len(rows))
    return {name: round(value, 4) for name, value in metrics.items()}


def _percentiles(values: npt.NDArray[np.float32]) -> dict[str, float]:
    return {f"p{p}": round(float(np.percentile(values, p)), 4) for p in PERCENTILES}
