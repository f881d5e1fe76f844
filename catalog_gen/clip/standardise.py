"""The image head sees features with their mean and deviation taken out; open_clip's model has no place for that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor


@dataclass(frozen=True)
class Standard:
    """The mean and the deviation (C,) of pooled features."""

    mean: Tensor
    deviation: Tensor

    @classmethod
    def of(cls, features: Tensor) -> Self:
        """Return those of features (N, C)."""
        return cls(features.mean(0), features.std(0).clamp_min(1e-3))

    def __call__(self, features: Tensor) -> Tensor:
        """Return the features (B, C) standardised."""
        return (features - self.mean) / self.deviation

    @torch.no_grad()
    def fold(self, head: Any) -> None:
        """Move the standardisation into the head's first layer, which then takes features as they are."""
        first = head.mlp.fc1
        first.weight.div_(self.deviation)
        first.bias.sub_(first.weight @ self.mean)

    @torch.no_grad()
    def unfold(self, head: Any) -> None:
        """Undo `fold`: the head's first layer then takes standardised features."""
        first = head.mlp.fc1
        first.bias.add_(first.weight @ self.mean)
        first.weight.mul_(self.deviation)
