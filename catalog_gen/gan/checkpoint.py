"""The training's checkpoint: everything that the next step depends on, written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from catalog_gen.errors import UsageError

if TYPE_CHECKING:
    from catalog_gen.gan.train import Run

CHECKPOINT = "checkpoint.pt"
# What may change between two parts of one training without making it another one.
BOUNDS = {"images", "minutes", "checkpoint_minutes", "sheet_every", "workers"}


def save_checkpoint(path: Path, run: Run) -> None:
    """Write networks, optimisers, average, counters and the random state to a temporary name, then rename it."""
    players = run.players
    state: dict[str, Any] = {
        "config": players.config.model_dump(mode="json"),
        "generator": players.generator.state_dict(),
        "discriminator": players.discriminator.state_dict(),
        "scales": players.scales.state_dict(),
        "average": players.average.state_dict(),
        "g_optimiser": players.g_optimiser.state_dict(),
        "d_optimiser": players.d_optimiser.state_dict(),
        "rng": run.rng.get_state(),  # torch's, numpy's and Python's global states are never drawn from
        "order": torch.from_numpy(run.order),
        "photos": len(run.photos),
        "step": run.step,
        "seconds": run.seconds,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        Path(part).replace(path)
    finally:
        Path(part).unlink(missing_ok=True)


def load_checkpoint(path: Path, run: Run) -> None:
    """Bring `run` to where the checkpoint was written.

    Raises UsageError when its config (but for how long to train) or its number of photos is another one.
    """
    players = run.players
    state = torch.load(path, map_location=players.config.device, weights_only=True)
    ours = players.config.model_dump(mode="json")
    differing = sorted(key for key in ours if key not in BOUNDS and state["config"].get(key) != ours[key])
    if differing:
        raise UsageError(
            f"the checkpoint was made with another {', '.join(differing)}",
            where=str(path),
            hint="Use the same settings, or start anew in another folder.",
        )
    if state["photos"] != len(run.photos):
        raise UsageError(
            f"the checkpoint was made with {state['photos']} photos, and there are {len(run.photos)}", where=str(path)
        )
    players.generator.load_state_dict(state["generator"])
    players.discriminator.load_state_dict(state["discriminator"])
    players.scales.load_state_dict(state["scales"])
    players.average.load_state_dict(state["average"])
    players.g_optimiser.load_state_dict(state["g_optimiser"])
    players.d_optimiser.load_state_dict(state["d_optimiser"])
    run.rng.set_state(state["rng"].cpu())
    run.order = state["order"].cpu().numpy()
    run.step, run.seconds = state["step"], state["seconds"]
