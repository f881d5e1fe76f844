"""An upscaler that is tiny but real."""

from __future__ import annotations

from pathlib import Path

import torch

from catalog_gen.upscale.config import UpscalerConfig
from catalog_gen.upscale.network import UpscaleNetwork
from catalog_gen.upscale.upscaler import save_upscaler


def write_upscaler(folder: Path, seed: int = 0) -> str:
    """Write a tiny upscaler that does add something; return its folder."""
    torch.manual_seed(seed)
    network = UpscaleNetwork(UpscalerConfig(factor=2, width=4, blocks=1, tail=3))
    last = network.doublings[-1]
    assert isinstance(last, torch.nn.Conv2d)
    torch.nn.init.normal_(last.weight, std=0.02)
    save_upscaler(folder, network, {}, "tiny")
    return str(folder)
