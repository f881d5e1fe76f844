"""Enlarging with a trained network: the same bits every time, whatever else is enlarged beside a picture.

A network's result for one picture can differ in its last bits with the size of the batch, because kernels are chosen by
shape. So on a CPU the pictures go through it one by one, which is also fastest there: its maps stay in the cache. On a
GPU they go in chunks of one size, padded at the tail.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import ValidationError
from torch import Tensor
from torch.nn import functional as F

from catalog_gen.bundles import Bundle, load_bundle, load_into, read_weights, save_bundle
from catalog_gen.cpu import has_fast_bf16
from catalog_gen.errors import BundleError
from catalog_gen.upscale.config import UpscalerConfig, as_dict
from catalog_gen.upscale.degrade import GROUND
from catalog_gen.upscale.network import UpscaleNetwork, enlarge
from catalog_gen.upscale.resample import resampled

KIND = "upscale"
CPU_CHUNK, CUDA_CHUNK = 1, 64

Pictures = npt.NDArray[np.uint8]  # (B, S, S, 3) RGB
Precision = Literal["auto", "fp32", "bf16"]


@dataclass(frozen=True)
class Upscaler:
    """A network ready to enlarge to `size` px; None for `size`: by its factor, once. `hash` is the bundle's."""

    network: UpscaleNetwork
    hash: str
    name: str
    device: torch.device
    precision: str
    chunk: int
    size: int | None = None

    @property
    def settings(self) -> dict[str, str | int]:
        """What a picture's bits depend on beside the bundle and the small picture; recorded for its replay."""
        recorded: dict[str, str | int] = {"device": self.device.type, "dtype": self.precision, "chunk": self.chunk}
        return recorded | ({"size": self.size} if self.size else {})

    def record(self) -> dict[str, str | int]:
        """Return what the ledger and a picture's row say of it, and a replay needs: name, hash, and `settings`."""
        return {"name": self.name, "hash": self.hash, **self.settings}

    def delivered(self, side: int) -> int:
        """Return the side in px of what `enlarge` makes of pictures of `side` px."""
        return side * self.network.config.factor if self.size is None else max(side, self.size)

    def passes(self, side: int) -> int:
        """Return how often the network is applied to a picture of `side` px, for it to be at least `size` px."""
        factor, times = self.network.config.factor, 0
        while side < (self.size or factor * side) and times < 10:
            side, times = side * factor, times + 1
            if self.size is None:
                break
        return times

    def enlarge(self, pictures: Pictures) -> Pictures:
        """Return pictures (B, S, S, 3) enlarged to `size` px, reduced by Lanczos where the network went beyond it.

        One that has `size` px already is left as it is, and a larger one is not touched. A picture does not depend on
        its neighbours. Where the small picture is white ground, the large one is pure white.
        """
        side = pictures.shape[1]
        for _ in range(self.passes(side)):
            pictures = self._once(pictures)
        if self.size is not None and side < self.size < pictures.shape[1]:
            pictures = resampled(pictures, self.size)
        return pictures

    @torch.inference_mode()
    def _once(self, pictures: Pictures) -> Pictures:
        count, side = pictures.shape[:2]
        large = side * self.network.config.factor
        found = np.empty((count, large, large, 3), np.uint8)
        for start in range(0, count, self.chunk):
            some = pictures[start : start + self.chunk]
            padded = np.zeros((self.chunk, side, side, 3), np.uint8)
            padded[: len(some)] = some
            drawn = self._draw(torch.from_numpy(padded).permute(0, 3, 1, 2).to(self.device))
            found[start : start + len(some)] = drawn.permute(0, 2, 3, 1)[: len(some)].cpu().numpy()
        return found

    def _draw(self, small: Tensor) -> Tensor:
        """Return bytes (B, 3, S, S), channels last, as bytes (B, 3, factor S, factor S)."""
        factor = self.network.config.factor
        dtype = torch.bfloat16 if self.precision == "bf16" else torch.float32
        levels = small.float()
        base = enlarge(levels, factor).clamp(0, 255)
        detail = self.network.detail((levels / 127.5 - 1).to(dtype)).float()
        drawn = (base + detail * 127.5).round().clamp(0, 255)
        white = F.interpolate(_ground(small), scale_factor=factor, mode="nearest") > 0
        return drawn.masked_fill(white, 255).to(torch.uint8)


def _ground(small: Tensor) -> Tensor:
    """Return (B, 1, S, S), 1 where a pixel and all its neighbours are white in every channel: ground, and no edge."""
    product = (small.amin(1, keepdim=True) < GROUND).float()
    return 1 - F.max_pool2d(product, 3, 1, 1)


def load_upscaler(
    spec: str,
    size: int | None = None,
    device: str | torch.device = "cpu",
    precision: Precision = "auto",
    chunk: int | None = None,
) -> Upscaler:
    """Return the upscaler of the bundle `spec`, a folder or a shipped bundle's name.

    size: px of the pictures it makes. precision: "auto" takes bf16 where it is fast, fp32 elsewhere. chunk: None takes
    what is fast on the device; give a recorded one to replay pictures.
    Raises BundleError when the bundle is missing, damaged or no upscaler.
    """
    bundle = load_bundle(spec, KIND)
    network = UpscaleNetwork(_read_config(bundle))
    load_into(network, read_weights(bundle), bundle)
    return prepared(network, size, device, precision, chunk, (bundle.name, bundle.hash))


def prepared(
    network: UpscaleNetwork,
    size: int | None = None,
    device: str | torch.device = "cpu",
    precision: Precision = "auto",
    chunk: int | None = None,
    named: tuple[str, str] = ("", ""),
) -> Upscaler:
    """Return the upscaler of this network, which is changed: eval mode, channels last, in the chosen precision.

    named: its bundle's name and hash.
    """
    target = torch.device(device)
    chosen = precision if precision != "auto" else _fastest(target)
    network = network.eval().requires_grad_(False).to(target, torch.bfloat16 if chosen == "bf16" else torch.float32)
    return Upscaler(
        network=network.to(memory_format=torch.channels_last),
        name=named[0],
        hash=named[1],
        device=target,
        precision=chosen,
        chunk=chunk or (CUDA_CHUNK if target.type == "cuda" else CPU_CHUNK),
        size=size,
    )


def save_upscaler(folder: Path, network: UpscaleNetwork, made: Mapping[str, Any], card: str) -> Bundle:
    """Write the network's bundle, and return it. made: what its config says, beside its shape, of how it was made."""
    config = {"upscaler": as_dict(network.config), **made}
    return save_bundle(folder, kind=KIND, name=folder.name, config=config, weights=network.state_dict(), card=card)


def _read_config(bundle: Bundle) -> UpscalerConfig:
    try:
        return UpscalerConfig.model_validate(bundle.config.get("upscaler"))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise BundleError(f"its upscaler config is wrong: {place} {first['msg']}", where=str(bundle.path)) from error


def _fastest(device: torch.device) -> Literal["fp32", "bf16"]:
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    return "bf16" if has_fast_bf16() else "fp32"
