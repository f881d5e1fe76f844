"""Optimisers by name, and how their rate rises and falls."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from catalog_gen.gan.config import OptimiserConfig


def build_optimiser(config: OptimiserConfig, parameters: Iterable[nn.Parameter], lr: float) -> torch.optim.Optimizer:
    """Return the optimiser that `config` names over the trainable ones of `parameters`.

    Adam (arXiv 1412.6980) and SGD take `weight_decay` as L2; AdamW (arXiv 1711.05101) and Adafactor (arXiv 1804.04235)
    decouple it. Adafactor keeps its own second moments, and its step is `lr` relative to the size of the weights.
    """
    trained = [p for p in parameters if p.requires_grad]
    decay = config.weight_decay
    if config.name == "adam":
        return torch.optim.Adam(trained, lr, config.betas, weight_decay=decay, fused=True)
    if config.name == "adamw":
        return torch.optim.AdamW(trained, lr, config.betas, weight_decay=decay, fused=True)
    if config.name == "sgd":
        return torch.optim.SGD(trained, lr, config.betas[0], weight_decay=decay)
    return torch.optim.Adafactor(trained, lr, weight_decay=decay)


def lr_share(config: OptimiserConfig, images_seen: int, images: int) -> float:
    """Return the share of the full rate after `images_seen` of `images`: a linear rise, then the decay."""
    if images_seen < config.warmup_images:
        return (images_seen + 1) / (config.warmup_images + 1)
    if config.decay == "none":
        return 1.0
    done = min(1.0, (images_seen - config.warmup_images) / max(1, images - config.warmup_images))
    falling = 1 - done if config.decay == "linear" else (1 + math.cos(math.pi * done)) / 2
    return config.final_lr + (1 - config.final_lr) * falling


def set_lr(optimiser: torch.optim.Optimizer, lr: float) -> None:
    """Give every group of `optimiser` the rate `lr`."""
    groups: list[dict[str, Any]] = optimiser.param_groups
    for group in groups:
        group["lr"] = lr
