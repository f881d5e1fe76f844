"""What `train gan` was asked for, what its trainings share, and what is said at the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from catalog_gen.catalog.model import Where
from catalog_gen.errors import EXIT_OK
from catalog_gen.gan.export import Provenance
from catalog_gen.gan.train import TrainContext
from catalog_gen.training_data import TrainRow


@dataclass(frozen=True)
class GanRequest:
    """What `train gan` was asked for. `given`: dotted keys of GanTrainConfig that a person set, with their values."""

    out: Path
    work_dir: Path
    where: Where = ()
    held_out: int = 1000
    given: Mapping[str, Any] = field(default_factory=dict)
    start_from: str = ""  # a generator's bundle to go on from
    grow: int = 0  # px: the size that the bundle's generator is grown to; 0: its own
    trials: int = 0  # above 0: a search of that many
    sampler: Literal["bayesian", "grid"] = "bayesian"
    space: Path | None = None
    notes: tuple[str, ...] = ()  # for the bundle's card, a line each


@dataclass(frozen=True)
class Trained:
    """What is printed at the end (by the first process alone), and how the command exits."""

    text: str
    exit_code: int = EXIT_OK


@dataclass(frozen=True)
class Lessons:
    """What every training of one command shares."""

    rows: list[TrainRow]
    embeddings: npt.NDArray[np.float32]
    provenance: Provenance
    context: TrainContext
