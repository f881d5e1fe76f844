"""What the image trunk's first stages make of every photo, computed once: training its last stages starts from there.

The maps lie on disk in float16 and are memory-mapped, one file a view; a step reads the rows of its batch alone.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from numpy.lib.format import open_memmap
from torch import Tensor
from tqdm import tqdm

from catalog_gen.clip.data import View, fold_norms, normalise, photo_views, show

_CHUNK = 64


def map_views(image_size: int, score_size: int, draft_size: int) -> tuple[View, ...]:
    """Return the views that the last stages learn from: those of `photo_views` first, then each of them moved."""
    plain = photo_views(image_size, score_size, draft_size)
    return (*plain, *(_moved(view) for view in plain))


def _moved(view: View) -> View:
    return replace(view, name=f"{view.name}-moved", shift=0.12, turn=10.0, light=0.15)


def early(trunk: torch.nn.Module, images: Tensor, stages: int) -> Tensor:
    """Return what goes into the last `stages` stages of a timm EfficientNet, (B, C, h, w), for (B, 3, H, W)."""
    x: Tensor = trunk.bn1(trunk.conv_stem(images))  # type: ignore[operator]
    every = list(trunk.blocks.children())  # type: ignore[union-attr]
    for stage in every[: len(every) - stages]:
        x = stage(x)
    return x


def late_stages(trunk: torch.nn.Module, stages: int) -> list[torch.nn.Module]:
    """Return the last `stages` of a timm EfficientNet's stages."""
    every = list(trunk.blocks.children())  # type: ignore[union-attr]
    return every[len(every) - stages :]


def late(trunk: torch.nn.Module, maps: Tensor, stages: int) -> Tensor:
    """Return the pooled features (B, F) for what `early` returned: the last stages, `conv_head` and the mean."""
    x = maps
    for stage in late_stages(trunk, stages):
        x = stage(x)
    pooled: Tensor = trunk.global_pool(trunk.bn2(trunk.conv_head(x)))  # type: ignore[operator]
    return pooled


def trunk_hash(trunk: torch.nn.Module, stages: int) -> str:
    """Return a hash of the weights (as float16) that `early` goes through."""
    after = tuple(f"blocks.{number}." for number in range(len(trunk.blocks) - stages, len(trunk.blocks)))  # type: ignore[arg-type]
    digest = hashlib.sha256()
    for name, tensor in trunk.state_dict().items():
        if name.startswith(("conv_stem.", "bn1.", "blocks.")) and not name.startswith(after):
            digest.update(name.encode() + tensor.detach().half().contiguous().numpy().tobytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class MapPlan:
    """Which maps are computed, and where they are kept. `key` names the photos and the trunk."""

    views: Sequence[View]
    stages: int
    folder: Path
    key: str
    seed: int

    def file(self, view: View) -> Path:
        stamp = hashlib.sha256(f"maps 1 {self.key} {view} {self.stages} {self.seed}".encode()).hexdigest()[:16]
        return self.folder / f"maps-{view.name}-{stamp}.npy"


def photo_maps(trunk: torch.nn.Module, photos: npt.NDArray[np.uint8], plan: MapPlan) -> list[npt.NDArray[np.float16]]:
    """Return a memory map (N, h, w, C) float16 a view of photos (N, H, W, 3); what is on disk is not computed again."""
    plan.folder.mkdir(parents=True, exist_ok=True)
    missing = [view for view in plan.views if not plan.file(view).exists()]
    if missing:
        folded = copy.deepcopy(trunk).eval()  # a fifth faster, and next to the same
        fold_norms(folded)
        folded.to(memory_format=torch.channels_last)
    for view in missing:
        _compute(folded, photos, plan, view)
    return [np.load(plan.file(view), mmap_mode="r") for view in plan.views]


@torch.inference_mode()
def _compute(trunk: torch.nn.Module, photos: npt.NDArray[np.uint8], plan: MapPlan, view: View) -> None:
    generator = torch.Generator().manual_seed(plan.seed)
    part, array = plan.file(view).with_suffix(".part.npy"), None
    for start in tqdm(range(0, len(photos), _CHUNK), desc=f"maps, {view.name}", unit_scale=_CHUNK, unit="photo"):
        chunk = torch.from_numpy(np.array(photos[start : start + _CHUNK])).permute(0, 3, 1, 2).float() / 255
        with torch.autocast("cpu", dtype=torch.bfloat16):
            maps = early(trunk, normalise(show(chunk, view, generator)), plan.stages).permute(0, 2, 3, 1)
        if array is None:
            array = open_memmap(part, mode="w+", dtype=np.float16, shape=(len(photos), *maps.shape[1:]))
        array[start : start + _CHUNK] = maps.float().numpy().astype(np.float16)
    assert array is not None, "no photos"
    array.flush()
    part.replace(plan.file(view))
