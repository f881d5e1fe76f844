"""What a search may try: for each setting, a list of choices, or a range."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catalog_gen.errors import ConfigError, UsageError
from catalog_gen.gan.settings import check_value, known_keys


@dataclass(frozen=True)
class Choices:
    """One of these values."""

    values: tuple[Any, ...]

    @property
    def grid(self) -> tuple[Any, ...]:
        return self.values

    def label(self, value: Any) -> Any:
        """Return `value` as Optuna can store it: a plain scalar; a tuple becomes JSON text."""
        return json.dumps(value) if isinstance(value, tuple | list) else value


@dataclass(frozen=True)
class Range:
    """Any number from `low` to `high`, both included; whole when both are. `log`: a factor is as likely as its inverse.

    grid: the points that a grid search takes; a range without them has no grid.
    """

    low: float
    high: float
    log: bool = False
    grid: tuple[float, ...] = ()

    @property
    def whole(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int)


Space = Mapping[str, Choices | Range]  # by dotted key of GanTrainConfig

SPACE: Space = {
    "optimiser.g_lr": Range(1e-4, 1e-3, log=True, grid=(1e-4, 3e-4, 1e-3)),
    "optimiser.d_lr": Range(1e-4, 1e-3, log=True, grid=(1e-4, 3e-4, 1e-3)),
    "losses.adversarial": Choices(("hinge", "non_saturating", "relativistic")),
    "losses.layout": Choices((0.0, 4.0, 8.0, 16.0)),
    "losses.perceptual": Choices((0.0, 0.5, 1.0, 2.0)),
    "losses.mismatched": Choices((0.0, 0.25, 0.5)),
    "text_noise": Range(0.0, 0.6, grid=(0.0, 0.2, 0.5)),
}  # not Wasserstein: it needs a gradient penalty, which the others do without


def read_space(path: Path) -> Space:
    """Return the space in a TOML file.

    A list is choices: `losses.layout = [0, 8]`; a range is `optimiser.g_lr = {low = 1e-4, high = 1e-3, log = true}`,
    and may have a `grid = [1e-4, 1e-3]` for a grid search.
    Raises ConfigError naming the file, the setting and the reason.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"the space cannot be read ({error.strerror})", where=str(path)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"this is no TOML ({error})", where=str(path)) from error
    try:
        space = {key: _axis(key, entry) for key, entry in _flat(tables).items()}
    except UsageError as error:
        raise ConfigError(error.what, where=str(path), hint=error.hint) from error
    if not space:
        raise ConfigError(
            "the space is empty", where=str(path), hint="Write a setting, such as losses.layout = [0, 8]."
        )
    return space


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return dotted keys with their entries; only the tables that are sections of the config are opened."""
    known = known_keys()
    found: dict[str, Any] = {}
    for name, entry in table.items():
        key = prefix + name
        if isinstance(entry, dict) and any(other.startswith(f"{key}.") for other in known):
            found |= _flat(entry, f"{key}.")
        else:
            found[key] = entry
    return found


def _axis(key: str, entry: Any) -> Choices | Range:
    if isinstance(entry, dict):
        return _range(key, entry)
    if not isinstance(entry, list):
        check_value(key, entry)  # an unknown setting is said first
        raise UsageError(f"{key} has one value and not a list", hint="Write [a, b, c] or {low = a, high = b}.")
    if not entry:
        raise UsageError(f"{key} has no choices")
    values = tuple(check_value(key, value) for value in entry)
    if len(set(values)) < len(values):
        raise UsageError(f"{key} has a choice twice")
    return Choices(values)


def _range(key: str, entry: Mapping[str, Any]) -> Range:
    hint = "A range is {low = 1e-4, high = 1e-3, log = true, grid = [1e-4, 1e-3]}; the last two may be left out."
    field = known_keys().get(key)
    if field is None:
        check_value(key, None)  # raises, and names the nearest
    if not {"low", "high"} <= entry.keys() <= {"low", "high", "log", "grid"}:
        raise UsageError(f"{key} has {', '.join(entry) or 'nothing'} where a range is meant", hint=hint)
    low, high, log, grid = entry["low"], entry["high"], entry.get("log", False), entry.get("grid", [])
    numbers = [low, high, *(grid if isinstance(grid, list) else [grid])]
    if any(isinstance(n, bool) or not isinstance(n, int | float) or not math.isfinite(n) for n in numbers):
        raise UsageError(f"{key}: a range needs numbers", hint=hint)
    if not isinstance(log, bool) or low >= high or (log and low <= 0):
        raise UsageError(f"{key}: low must be below high, and above 0 where log = true", hint=hint)
    if not all(low <= point <= high for point in numbers[2:]) or len(set(numbers[2:])) < len(numbers[2:]):
        raise UsageError(f"{key}: the grid's points must differ and lie between low and high")
    checked = [check_value(key, number) for number in numbers]
    return Range(checked[0], checked[1], log, tuple(checked[2:]))
