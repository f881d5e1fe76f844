"""`catalog-gen train gan`: from the catalogue's photos to a bundle, one training or a search among many short ones."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from catalog_gen.clip.model import ClipModel
from catalog_gen.gan.sheet import Sheet
from catalog_gen.gan.train import Measure
from catalog_gen.pipeline.signals import StopRequest
from catalog_gen.training_data import TrainRow

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
