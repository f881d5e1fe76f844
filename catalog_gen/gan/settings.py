"""The settings of a generator's training by dotted key, such as `losses.layout`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic.fields import FieldInfo

from catalog_gen.gan.config import GanTrainConfig
from catalog_gen.training import settings

FLAGS: Mapping[str, str] = {  # settings that `train gan` has a flag of its own for
    "images": "--images",
    "minutes": "--minutes",
    "batch_size": "--batch",
    "seed": "--seed",
    "fit": "--fit",
    "watch.wandb": "--wandb",
}


def parse_settings(pairs: Sequence[str]) -> dict[str, Any]:
    """Return {key: value} of `KEY=VALUE` texts; raises UsageError as `training.settings.parse_settings` does."""
    return settings.parse_settings(pairs, GanTrainConfig)


def merge(flags: Mapping[str, Any], pairs: Sequence[str]) -> dict[str, Any]:
    """Return the settings given by flags of their own with those of `KEY=VALUE` texts, as `training.settings.merge`."""
    return settings.merge(flags, pairs, GanTrainConfig, FLAGS)


def as_flags(values: Mapping[str, Any]) -> str:
    """Return `values` as `train gan` takes them on a command line, quoted for a shell."""
    return settings.as_flags(values, FLAGS)


def apply(config: GanTrainConfig, values: Mapping[str, Any]) -> GanTrainConfig:
    """Return `config` with the dotted keys of `values` set; raises UsageError when one cannot be."""
    return settings.apply(config, values)


def check_value(key: str, value: Any) -> Any:
    """Return `value` as the setting `key` takes it; raises UsageError naming the key and the reason."""
    return settings.check_value(key, value, GanTrainConfig)


def known_keys() -> dict[str, FieldInfo]:
    """Return every key that takes a value, with its field."""
    return settings.known_keys(GanTrainConfig)
