"""What every discriminator shares: what it looks at, how it answers, and how words enter its answer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm


@dataclass(frozen=True)
class Seen:
    """What a discriminator judges: images (B, 3, S, S) in [-1, 1], and what it made of their frozen features."""

    images: Tensor
    mixed: tuple[Tensor, ...] = ()

    def detach(self) -> Seen:
        """Return the same, without the way back to whoever drew it."""
        return Seen(self.images.detach(), tuple(m.detach() for m in self.mixed))


class Discriminator(nn.Module):
    """Judges pictures beside words. `needs_features`: whether `look` and `calibrate` read frozen features."""

    needs_features: bool
    text_dim: int

    def look(self, images: Tensor, features: Sequence[Tensor]) -> Seen:
        """Return what `forward` judges; nothing here is trained, so it is made once a step for both players.

        images (B, 3, S, S) in [-1, 1]; features: their maps from `FrozenFeatures`, any (also none) where
        `needs_features` is False.
        """
        raise NotImplementedError

    def calibrate(self, features: Sequence[Tensor]) -> None:
        """Fit frozen parts to these features of real photos, before the first step."""
        raise NotImplementedError

    def heads(self, seen: Seen, words: Sequence[Tensor]) -> list[list[Tensor]]:
        """Return for each head its logits beside each of `words`, (B, text_dim) at unit variance."""
        raise NotImplementedError

    def forward(self, seen: Seen, texts: Sequence[Tensor]) -> list[list[Tensor]]:
        """Return k lists for k texts (B, text_dim) of unit length, each with one tensor of logits a head.

        The first axis of logits is B; a head may judge more than one place of a picture.
        """
        words = [text * math.sqrt(self.text_dim) for text in texts]
        return [list(logits) for logits in zip(*self.heads(seen, words), strict=True)]


class Judge(nn.Module):
    """Features h (B, C, H, W) and k words (B, text_dim) at unit variance -> k logits (B, H, W).

    Realness of a cell, plus how well it agrees with the words (projection discriminator, arXiv 1802.05637). Both layers
    run once for all words: in training each run moves the estimate of a spectral norm, and logits of right and wrong
    words are compared.
    """

    def __init__(self, width: int, text_dim: int) -> None:
        super().__init__()
        self.realness = spectral_norm(nn.Conv2d(width, 1, 1))
        self.words = spectral_norm(nn.Linear(text_dim, width))
        self.norm = 1 / math.sqrt(width)

    def forward(self, h: Tensor, words: Sequence[Tensor]) -> list[Tensor]:
        realness: Tensor = self.realness(h)[:, 0].float()
        queries = self.words(torch.cat(list(words))).chunk(len(words))
        return [realness + (h * query[:, :, None, None]).sum(1).float() * self.norm for query in queries]


def dropout(rate: float) -> list[nn.Module]:
    """Return the dropout of whole channels before a judge, or nothing at rate 0."""
    return [nn.Dropout2d(rate)] if rate else []
