"""The training's checkpoints: everything that the next step depends on, written whole or not at all."""

from __future__ import annotations

import copy
import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from catalog_gen.errors import UsageError
from catalog_gen.gan.optim import lr_share
from catalog_gen.training.checkpoint import read_state, write_state

if TYPE_CHECKING:
    from catalog_gen.gan.run import Run

logger = logging.getLogger(__name__)

CHECKPOINT = "checkpoint.pt"
BEST = "best.pt"
# What may change between two parts of one training without making it another one.
BOUNDS = {"images", "minutes", "checkpoint_minutes", "sheet_every", "workers", "watch", "checkpointing", "device"}
PARTS = {"config", "players", "rng", "order", "photos", "data", "step", "seconds", "guard"}


def save_checkpoint(path: Path, run: Run) -> None:
    """Write networks, optimisers, average, counters and the random state to a temporary name, then rename it."""
    state: dict[str, Any] = {
        "config": run.config.model_dump(mode="json"),
        "players": run.players.state_dict(),
        "rng": run.rng.get_state(),  # torch's, numpy's and Python's global states are never drawn from
        "order": torch.from_numpy(run.order),
        "photos": len(run.photos),
        "data": run.data_key,
        "step": run.step,
        "seconds": run.seconds,
        "guard": run.guard_state,
    }
    write_state(path, state)


def load_checkpoint(path: Path, run: Run) -> None:
    """Bring `run` to where the checkpoint was written; say so when another `images` moves a rate that falls until it.

    Raises UsageError when its config (but for how long to train, and how to watch it) or its data is another one, or
    when the file is no checkpoint of this version.
    """
    state = read_checkpoint(path, run.config.device)
    ours = run.config.model_dump(mode="json")
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
    if state["data"] != run.data_key:
        raise UsageError(
            "the checkpoint was made on other products, other words or another CLIP",
            where=str(path),
            hint="Start anew in another folder, with --from the bundle to keep what was learnt.",
        )
    run.players.load_state_dict(state["players"])
    run.rng.set_state(state["rng"].cpu())
    run.order = state["order"].cpu().numpy()
    run.step, run.seconds = state["step"], state["seconds"]
    run.guard_state = state["guard"]
    _note_schedule(int(state["config"]["images"]), run)


def _note_schedule(images_before: int, run: Run) -> None:
    optimiser, seen, images = run.config.optimiser, run.images_seen, run.config.images
    full = optimiser.g_lr * run.players.lr_factor
    before, now = (full * lr_share(optimiser, seen, until) for until in (images_before, images))
    if before != now:
        logger.warning(
            "images was %d and is %d: the rate goes from %.3g to %.3g, and on by the %s decay from there",
            *(images_before, images, before, now, optimiser.decay),
        )


def best_run(path: Path, run: Run) -> Run:
    """Return `run` with the averaged generator and the counters of the checkpoint at `path`; the rest is shared."""
    state = read_checkpoint(path, run.config.device)
    players = copy.copy(run.players)
    players.average = copy.deepcopy(players.average)
    players.average.load_state_dict(state["players"]["average"])
    return replace(run, players=players, step=state["step"], seconds=state["seconds"])


def read_checkpoint(path: Path, device: str) -> dict[str, Any]:
    """Return a checkpoint's content. Raises UsageError when the file is no checkpoint of this version."""
    state: dict[str, Any] = read_state(path, device)
    if not isinstance(state, dict) or not state.keys() >= PARTS:
        raise UsageError("this is no checkpoint of this version", where=str(path), hint="Start anew in another folder.")
    return state
