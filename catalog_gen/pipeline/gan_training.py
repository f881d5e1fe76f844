"""`catalog-gen train gan`: from the catalogue's photos to a bundle, one training or a search among many short ones."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from catalog_gen.bundles import load_bundle, read_weights
from catalog_gen.catalog.database import Database
from catalog_gen.clip.model import ClipModel, load_clip
from catalog_gen.config import Settings
from catalog_gen.errors import EXIT_OK, EXIT_PARTIAL, BundleError, UsageError
from catalog_gen.gan.config import GanTrainConfig, GeneratorConfig
from catalog_gen.gan.distributed import processes
from catalog_gen.gan.export import Provenance
from catalog_gen.gan.generator import Generator
from catalog_gen.gan.latents import latents
from catalog_gen.gan.search import SearchResult, read_space, search
from catalog_gen.gan.settings import apply_settings
from catalog_gen.gan.sheet import Sheet, pick_varied, to_uint8
from catalog_gen.gan.train import GanTrainResult, Measure, TrainContext, train_gan
from catalog_gen.pipeline.models import choose_device
from catalog_gen.pipeline.signals import StopRequest, stop_on_signals
from catalog_gen.pipeline.training import training_rows
from catalog_gen.quality.monitor import Monitor
from catalog_gen.training_data import TrainRow, load_photos, split

log = logging.getLogger(__name__)

SHEET_PICTURES = 64
DRAWN_AT_ONCE = 64


@dataclass(frozen=True)
class GanRequest:
    """What `train gan` was asked for. `given`: dotted keys of GanTrainConfig that the user set, with their values."""

    out: Path
    work_dir: Path
    held_out: int = 1000
    given: Mapping[str, Any] = field(default_factory=dict)
    start_from: str = ""  # a generator's bundle: fine-tuning
    trials: int = 0  # above 0: a search
    sampler: Literal["bayesian", "grid"] = "bayesian"
    space: Path | None = None


@dataclass(frozen=True)
class Trained:
    """What is printed at the end, and how the command exits."""

    text: str
    exit_code: int


@dataclass(frozen=True)
class Lessons:
    """What every training of a command shares: rows, the words' embeddings, what to draw and what to measure."""

    rows: list[TrainRow]
    embeddings: npt.NDArray[np.float32]
    held_out: int
    clip: ClipModel
    sheet: Sheet
    measure: Measure | None
    initial: dict[str, torch.Tensor] | None
    stop: StopRequest
