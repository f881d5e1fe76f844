"""A checkpoint's file: written whole or not at all, and read without running anything that is in it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalog_gen.errors import UsageError

if TYPE_CHECKING:
    import torch


def write_state(path: Path, state: dict[str, Any]) -> None:
    """Write `state` (tensors, numbers, texts, dicts and lists of them) to a temporary name, then rename it."""
    import torch

    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")  # always the same: what a killed process left is written over
    try:
        with part.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def read_state(path: Path, device: str | torch.device = "cpu") -> Any:
    """Return what `write_state` wrote, its tensors on `device`. Raises UsageError when the file cannot be read."""
    import torch

    try:
        return torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # pickle, zip and torch each raise their own for a damaged file
        raise UsageError(
            f"the checkpoint cannot be read ({type(error).__name__})",
            where=str(path),
            hint="Start anew in another folder.",
        ) from error
