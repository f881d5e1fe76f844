"""The network whose features pictures are judged by: EfficientNet-Lite1, which no training here has used.

A judge that the generator was trained against flatters it. Lite1 is ImageNet-trained (arXiv 1905.11946, Lite variant),
of the same family as the trainers' Lite0, but other weights of another depth.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
import timm
import torch
from torch import nn
from tqdm import tqdm

from catalog_gen.clip.data import fold_norms, load_pretrained_trunk, normalise, resize
from catalog_gen.cpu import has_fast_bf16

Pictures = npt.NDArray[np.uint8]  # (N, S, S, 3) RGB
Floats = npt.NDArray[np.float32]

INPUT_SIZE = 128  # px: what the network is shown; drafts of 64 px carry no more, and 224 px takes three times as long
_BATCH = 64


class FeatureNetwork(Protocol):
    """Pictures (N, S, S, 3) uint8 in, features (N, dim) float32 out; `name` says in a line what it is."""

    name: str
    dim: int

    def __call__(self, pictures: Pictures) -> Floats: ...


class Lite1Features:
    """Pooled penultimate features (N, 1280) of pictures (N, S, S, 3) uint8, scaled bicubically to 128 px.

    precision: "fp32" for figures that are compared between machines; "auto" takes bf16 where it is fast (three to four
    times on a CPU that has it): features of photos then move by 8 % of their length, their KID by 2 %.
    Raises BundleError when the weights' package is not installed.
    """

    dim = 1280

    def __init__(self, device: str = "cpu", precision: Literal["auto", "fp32", "bf16"] = "fp32") -> None:
        network: nn.Module = timm.create_model("tf_efficientnet_lite1", num_classes=0, pretrained=False)
        load_pretrained_trunk(network, "lite1")
        network.eval().requires_grad_(False)
        fold_norms(network)
        if precision == "auto":
            precision = "bf16" if device != "cpu" or has_fast_bf16() else "fp32"
        self.name = f"EfficientNet-Lite1 (ImageNet), pooled, {INPUT_SIZE} px, {precision}"
        self._dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        self._device = torch.device(device)
        self._network = network.to(self._device, self._dtype).to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def __call__(self, pictures: Pictures) -> Floats:
        found = np.empty((len(pictures), self.dim), np.float32)
        for start in range(0, len(pictures), _BATCH):
            chunk = torch.from_numpy(np.array(pictures[start : start + _BATCH])).permute(0, 3, 1, 2)
            shown = normalise(resize(chunk, INPUT_SIZE)).to(self._device, self._dtype)
            found[start : start + len(chunk)] = self._network(shown).float().cpu().numpy()
        return found


def cached_features(network: FeatureNetwork, photos: Pictures, folder: Path) -> Floats:
    """Return `network`'s features of `photos`, kept in `folder` under a key of the pixels and the network's name."""
    digest = hashlib.sha256(f"features 1 {network.name} {photos.shape}".encode())
    for start in range(0, len(photos), 1024):
        digest.update(np.array(photos[start : start + 1024]).tobytes())
    file = folder / f"judge-{digest.hexdigest()[:16]}.npy"
    if file.exists():
        kept: Floats = np.load(file)
        return kept
    folder.mkdir(parents=True, exist_ok=True)
    features = np.empty((len(photos), network.dim), np.float32)
    with tqdm(total=len(photos), desc="features", unit="photo", mininterval=2) as bar:
        for start in range(0, len(photos), 512):
            features[start : start + 512] = network(photos[start : start + 512])
            bar.update(min(512, len(photos) - start))
    handle, part = tempfile.mkstemp(dir=folder, prefix=f".{file.stem}-", suffix=".npy")
    os.close(handle)
    np.save(part, features)
    Path(part).replace(file)
    return features
