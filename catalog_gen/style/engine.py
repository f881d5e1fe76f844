"""What a style engine is, and how a template's engine is found by its name."""

from __future__ import annotations

import difflib
import hashlib
import importlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from catalog_gen.errors import ConfigError

# Engine by name: its module, imported when it is asked for, and its class, opened by `open(config, device)`.
_ENGINES = {
    "gatys": ("gatys", "GatysEngine"),
    "fast": ("fast", "FastEngine"),
    "arbitrary": ("arbitrary", "ArbitraryEngine"),
    "statistics": ("statistics", "StatisticsEngine"),
    "pix2pix": ("translate", "TranslateEngine"),
    "cyclegan": ("translate", "TranslateEngine"),
}
ENGINES = tuple(_ENGINES)


@dataclass(frozen=True)
class Look:
    """What a template wants its scenes to look like: style images (3, h, w) float32 in [0, 1], and their weights.

    The weights sum to one; an image of weight 0 has no influence. Raises ValueError when they do not fit each other.
    """

    images: tuple[Tensor, ...]
    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.images or len(self.images) != len(self.weights):
            raise ValueError(f"{len(self.images)} style images and {len(self.weights)} weights")
        if min(self.weights) < 0 or not math.isclose(sum(self.weights), 1, abs_tol=1e-4):
            raise ValueError(f"weights of styles must be positive and sum to 1: {self.weights}")

    def mixed(self) -> list[tuple[Tensor, float]]:
        """Return the (image, weight) pairs that count."""
        return [(image, weight) for image, weight in zip(self.images, self.weights, strict=True) if weight > 0]


class EngineConfig(Protocol):
    """What an engine reads of a template."""

    @property
    def engine(self) -> str: ...
    @property
    def bundle(self) -> str: ...
    @property
    def features(self) -> str: ...
    @property
    def product_strength(self) -> float: ...


class StyleEngine(Protocol):
    """An engine, opened. `hash` is of all that decides pixels: weights, settings, the algorithm's version."""

    name: str
    hash: str

    def prepare(self, look: Look) -> Any:
        """Return what `stylise` needs of the style; made once a template and shared by its pictures."""

    def stylise(self, content: Tensor, product: Tensor, prepared: Any) -> Tensor:
        """Return the fully stylised pictures (B, 3, H, W) float32 in [0, 1].

        content (B, 3, H, W) float32 in [0, 1]; product (B, 1, H, W), its alpha in [0, 1]. What the product covers is
        no part of the scene's statistics. A picture does not depend on the others in its batch.
        """


class TiledEngine(StyleEngine, Protocol):
    """An engine whose network looks at a picture's own statistics, and can take them from its thumbnail for tiles."""

    def freeze(self, content: Tensor, product: Tensor, prepared: Any) -> Any:
        """Return `prepared` with these whole, smaller pictures' statistics in it, for `stylise` of their tiles."""


def open_engine(config: EngineConfig, device: str | torch.device = "cpu") -> StyleEngine:
    """Return the engine that a template names, its weights loaded on `device`.

    Raises ConfigError for an unknown name, BundleError when its weights are missing or damaged.
    """
    if config.engine not in _ENGINES:
        near = difflib.get_close_matches(config.engine, ENGINES, 1, 0.4)
        hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(ENGINES)}."
        raise ConfigError(f"there is no style engine {config.engine!r}", hint=hint)
    module, cls = _ENGINES[config.engine]
    opened: StyleEngine = getattr(importlib.import_module(f"catalog_gen.style.{module}"), cls).open(config, device)
    return opened


def engine_hash(name: str, version: int, settings: Mapping[str, Any], weights: str = "") -> str:
    """Return the sha256 in hex of an engine's name, its algorithm's version, its settings and its weights' hash."""
    content = {"engine": name, "version": version, "settings": dict(settings), "weights": weights}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
