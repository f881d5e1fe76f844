"""The image head's last lessons, with the text tower at rest.

While both towers move, the head chases the words; once they stand still it can learn from many more negatives at a
time, and noise on its features and dropout keep it from learning the training photos by heart. It costs seconds,
because the trunk is frozen and its features are on disk, and embeddings of words stay what they were.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class PolishConfig:
    """How the head is polished. `noise` is in standard deviations of a feature."""

    epochs: int = 10
    batch_size: int = 1024
    lr: float = 5e-4
    weight_decay: float = 0.05
    noise: float = 0.3
    dropout: float = 0.2
    text_noise: float = 0.03
    photo_share: float = 0.6


POLISH = PolishConfig()


@dataclass(frozen=True)
class Lessons:
    """What the head learns from: standardised features (views, N, C) as float16, which of them are photo views, and
    the prompts' embeddings (N, D), of unit length."""

    features: npt.NDArray[np.float16]
    photo_views: list[int]
    score_views: list[int]
    texts: Tensor


def polish_head(head: torch.nn.Module, lessons: Lessons, scale: float, config: PolishConfig, seed: int) -> None:
    """Train `head.mlp` in place with symmetric InfoNCE at a fixed logit scale; equal prompts are not negatives."""
    chance = torch.Generator().manual_seed(seed)
    count = len(lessons.texts)
    batch = min(config.batch_size, count)
    steps = config.epochs * (count // batch)
    optimizer = torch.optim.AdamW(head.parameters(), lr=config.lr, weight_decay=config.weight_decay)
    step = 0
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for _ in range(config.epochs):
            order = torch.randperm(count, generator=chance)
            for start in range(0, count - batch + 1, batch):
                for group in optimizer.param_groups:
                    group["lr"] = config.lr * 0.5 * (1 + math.cos(math.pi * step / steps))
                loss = _loss(head, lessons, order[start : start + batch], scale, config)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                step += 1
    head.eval()


def _loss(head: torch.nn.Module, lessons: Lessons, chosen: Tensor, scale: float, config: PolishConfig) -> Tensor:
    rows = chosen.numpy()
    photo = torch.rand(len(rows)) < config.photo_share
    as_photo = torch.tensor(lessons.photo_views)[torch.randint(len(lessons.photo_views), (len(rows),))]
    as_draft = torch.tensor(lessons.score_views)[torch.randint(len(lessons.score_views), (len(rows),))]
    views = torch.where(photo, as_photo, as_draft).numpy()
    x = torch.from_numpy(lessons.features[views, rows].astype(np.float32))  # (B, C)
    x = F.dropout(x + config.noise * torch.randn_like(x), config.dropout)
    mlp = head.mlp
    hidden = F.dropout(mlp.act(mlp.fc1(x)), config.dropout)  # type: ignore[union-attr,operator]
    images = F.normalize(mlp.fc2(hidden), dim=-1)  # type: ignore[union-attr,operator]
    plain = lessons.texts[chosen]
    texts = F.normalize(plain + config.text_noise * torch.randn_like(plain), dim=-1)
    same = (plain @ plain.T > 0.9999).fill_diagonal_(False)
    logits = (scale * images @ texts.T).masked_fill(same, -1e4)
    target = torch.arange(len(rows))
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
