"""A learned prior for the matte: where a product goes on though its colours are the ground's own.

A U-Net (arXiv 1505.04597) whose skips are added (arXiv 1707.03718), on a picture of half the size. It was trained on
products that were bleached towards their ground, so it has learnt how shirts and shoes go on where nothing can be seen.
"""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from catalog_gen.bundles import Bundle, load_bundle, load_into, read_weights, save_bundle
from catalog_gen.errors import BundleError
from catalog_gen.style.ground import Floats, Ground
from catalog_gen.style.studio import SIDE

SHIPPED = "matte"
KIND = "matte"
_CHANNELS = 24  # colours and differences from the ground, of 2 x 2 px
_LEVELS = 255.0  # differences count by their logarithm: one grey level from the ground says more than ten from twenty

_loaded: dict[str, Prior] = {}
_loading = threading.Lock()


@dataclass(frozen=True)
class PriorConfig:
    """Channels at strides 4, 8, 16 and 32 of the picture; `deep`: further blocks at the coarsest."""

    widths: tuple[int, ...] = (32, 64, 96, 128)
    deep: int = 2


class PriorNetwork(nn.Module):
    """Features (B, 6, SIDE / 2, SIDE / 2) -> logits (B, 1, SIDE / 2, SIDE / 2): how surely each place is product."""

    def __init__(self, config: PriorConfig) -> None:
        super().__init__()
        widths = config.widths
        self.config = config
        self.down = nn.ModuleList([_Block(i, o) for i, o in zip((_CHANNELS, *widths[:-1]), widths, strict=True)])
        self.deep = nn.ModuleList([_Block(widths[-1], widths[-1]) for _ in range(config.deep)])
        coarser, finer = widths[:0:-1], widths[-2::-1]
        self.narrow = nn.ModuleList([nn.Conv2d(i, o, 1) for i, o in zip(coarser, finer, strict=True)])
        self.up = nn.ModuleList([_Block(width, width) for width in finer])
        self.out = nn.Conv2d(widths[0], 4, 1)

    def forward(self, features: Tensor) -> Tensor:
        x, skips = F.pixel_unshuffle(features, 2), []
        for index, block in enumerate(self.down):
            x = block(F.max_pool2d(x, 2) if index else x)
            skips.append(x)
        for block in self.deep:
            x = x + block(x)
        for narrow, block, skip in zip(self.narrow, self.up, skips[-2::-1], strict=True):
            x = block(F.interpolate(narrow(x), scale_factor=2, mode="nearest") + skip)
        return F.pixel_shuffle(self.out(x), 2)


class _Block(nn.Module):
    """Two convolutions 3 x 3, each normalised by its batch and rectified."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList([nn.Conv2d(i, outputs, 3, padding=1, bias=False) for i in (inputs, outputs)])
        self.norms = nn.ModuleList([nn.BatchNorm2d(outputs) for _ in range(2)])

    def forward(self, x: Tensor) -> Tensor:
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.relu(norm(conv(x)), inplace=True)
        return x

    def fuse(self) -> None:
        """Let the convolutions do the norms' work as well, as they may once nothing is learnt any more."""
        for index, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            assert isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
            self.convs[index], self.norms[index] = fuse_conv_bn_eval(conv, norm), nn.Identity()


class Prior:
    """A trained network, ready to be asked by any number of threads. `hash` is its bundle's."""

    def __init__(self, network: PriorNetwork, hash_: str) -> None:
        self.hash = hash_
        network.eval().requires_grad_(False)
        for block in network.modules():
            if isinstance(block, _Block):
                block.fuse()
        self._network = network.to(memory_format=torch.channels_last)

    def probability(self, small: Floats, ground: Ground) -> Floats:
        """Return (H, W) in [0, 1]: how surely each pixel of `small` (H, W, 3) in [0, 1] is product.

        It is laid on a square of the ground's colour, SIDE px, so neither of its sides may be longer. An unevenly lit
        ground is evened out first.
        """
        height, width = small.shape[:2]
        mean = ground.colour.mean(axis=(0, 1), dtype=np.float64).astype(np.float32)
        top, left = (SIDE - height) // 2, (SIDE - width) // 2
        square = np.empty((SIDE, SIDE, 3), np.float32)
        square[:] = mean
        square[top : top + height, left : left + width] += small - ground.colour
        with torch.inference_mode():
            picture = torch.from_numpy(square).permute(2, 0, 1)[None]
            logits = self._network(features_of(picture, torch.from_numpy(mean)[None]))
            whole = F.interpolate(torch.sigmoid(logits), scale_factor=2, mode="bilinear", align_corners=False)
        found: Floats = whole[0, 0, top : top + height, left : left + width].numpy()
        return found


def features_of(pictures: Tensor, grounds: Tensor) -> Tensor:
    """Return (B, 6, H / 2, W / 2) of pictures (B, 3, H, W) and their grounds' colours (B, 3), all in [0, 1]."""
    small = F.avg_pool2d(pictures, 2)
    apart = small - grounds[:, :, None, None]
    near = torch.sign(apart) * torch.log1p(2 * _LEVELS * apart.abs()) / float(np.log1p(2 * _LEVELS))
    return torch.cat([2 * small - 1, near], 1).contiguous(memory_format=torch.channels_last)


def load_prior(spec: str = SHIPPED) -> Prior:
    """Return the prior that `spec` names, a bundle's folder or a shipped one; read once a process.

    Raises BundleError when it is missing, damaged or of another kind.
    """
    with _loading:
        if spec not in _loaded:
            bundle = load_bundle(spec, KIND)
            network = PriorNetwork(_read_config(bundle))
            load_into(network, read_weights(bundle), bundle)
            _loaded[spec] = Prior(network, bundle.hash)
        return _loaded[spec]


def save_prior(folder: Path, network: PriorNetwork, card: str) -> Bundle:
    """Write the network's bundle, and return it."""
    weights = network.state_dict()
    return save_bundle(folder, kind=KIND, name=folder.name, config=asdict(network.config), weights=weights, card=card)


def _read_config(bundle: Bundle) -> PriorConfig:
    values: dict[str, Any] = bundle.config
    try:
        return PriorConfig(**{**values, "widths": tuple(values["widths"])})
    except (KeyError, TypeError) as error:
        raise BundleError(f"its config is no matte network's ({error})", where=str(bundle.path)) from error
