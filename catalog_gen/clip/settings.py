"""The settings of a CLIP's training as a command line gives them: by flags of their own, and by dotted key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from catalog_gen.clip.config import ClipTrainConfig
from catalog_gen.training import settings

FLAGS: Mapping[str, str] = {  # settings that `train clip` has a flag of its own for
    "epochs": "--epochs",
    "batch_size": "--batch",
    "held_out": "--held-out",
    "seed": "--seed",
    "watch.wandb": "--wandb",
}


def merge(flags: Mapping[str, Any], pairs: Sequence[str]) -> dict[str, Any]:
    """Return the settings given by flags of their own with those of `KEY=VALUE` texts, as `training.settings.merge`."""
    return settings.merge(flags, pairs, ClipTrainConfig, FLAGS)
