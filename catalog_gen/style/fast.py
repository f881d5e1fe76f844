"""The engine `fast`: a network that has learnt a few styles, one pass a picture (arXiv 1603.08155, 1610.07629).

A bundle knows its styles by their images: each has a code, and a look asks for styles by showing them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from catalog_gen.bundles import Bundle, load_bundle, load_into, read_weights, save_bundle
from catalog_gen.errors import BundleError, ConfigError
from catalog_gen.style.engine import EngineConfig, Look, engine_hash
from catalog_gen.style.feedforward import SIZE, FeedForward, Prepared, mix
from catalog_gen.style.network import NetworkConfig, TransferNetwork
from catalog_gen.style.recolour import Tones, tones_of

VERSION = 1
SHIPPED = "style-fast"
FINGERPRINT = 8  # px, a style image's side as it is recognised by
SAME = 6.0  # of 255, mean difference of fingerprints: re-encoding stays far below it, another image far above


@dataclass(frozen=True)
class LearntStyle:
    """A style that a network has learnt: its name, and its image's fingerprint, FINGERPRINT^2 RGB values in hex."""

    name: str
    fingerprint: str


class LearntStyles(torch.nn.Module):
    """The codes (S, code_size) and tones of S styles."""

    def __init__(self, count: int, code_size: int) -> None:
        super().__init__()
        self.code = torch.nn.Parameter(torch.zeros(count, code_size))
        self.register_buffer("mean", torch.zeros(count, 3))
        self.register_buffer("deviation", torch.ones(count, 3))
        self.register_buffer("root", torch.eye(3).repeat(count, 1, 1))

    def tones(self, index: Tensor) -> Tones:
        """Return the tones of the styles `index` (B,)."""
        mean, deviation = (self.get_buffer(name)[index][:, :, None, None] for name in ("mean", "deviation"))
        return Tones(mean, deviation, self.get_buffer("root")[index])

    @torch.no_grad()
    def set_tones(self, images: Sequence[Tensor]) -> None:
        """Take the tones of the styles' images (3, h, w) in [0, 1]."""
        for index, image in enumerate(images):
            tones = image_tones(image)
            self.get_buffer("mean")[index] = tones.mean.flatten()
            self.get_buffer("deviation")[index] = tones.deviation.flatten()
            self.get_buffer("root")[index] = tones.root[0]


class FastEngine(FeedForward):
    """Styles that a bundle has learnt, and mixtures of them."""

    name = "fast"

    def __init__(self, bundle: Bundle, device: str | torch.device) -> None:
        config = bundle_config(bundle, self.name)
        tensors = read_weights(bundle)
        network = TransferNetwork(read_network(config["network"]))
        self.learnt = [LearntStyle(**style) for style in config["styles"]]
        self.styles = LearntStyles(len(self.learnt), network.code_size)
        load_into(torch.nn.ModuleDict({"network": network, "styles": self.styles}), tensors, bundle)
        super().__init__(network, device)
        self.styles.to(self.device).requires_grad_(False)
        self.where = bundle.name
        self.hash = engine_hash(self.name, VERSION, {"size": SIZE}, bundle.hash)

    @classmethod
    def open(cls, config: EngineConfig, device: str | torch.device) -> FastEngine:
        """Return the engine with the template's bundle, or the shipped one. Raises BundleError when it is unfit."""
        return cls(load_bundle(config.bundle or SHIPPED, "style"), device)

    def prepare(self, look: Look) -> Prepared:
        """Return the look's styles, mixed by weight. Raises ConfigError when the bundle has not learnt one of them."""
        images = look.mixed()
        found = [torch.tensor([self._find(image)], device=self.device) for image, _ in images]
        weights = [weight for _, weight in images]
        return mix([self.styles.code[i] for i in found], [self.styles.tones(i) for i in found], weights)

    def _find(self, image: Tensor) -> int:
        wanted = _bytes(fingerprint(image))
        distances = [(_bytes(style.fingerprint) - wanted).abs().mean().item() for style in self.learnt]
        best = min(range(len(distances)), key=distances.__getitem__)
        if distances[best] > SAME:
            raise ConfigError(
                "the bundle has not learnt one of the template's style images",
                where=self.where,
                hint='Train it: catalog-gen train style --style NAME; or write engine = "arbitrary". '
                f"Learnt: {', '.join(style.name for style in self.learnt)}.",
            )
        return best


def save_fast(
    folder: Path, network: TransferNetwork, styles: LearntStyles, learnt: Sequence[LearntStyle], card: str
) -> Bundle:
    """Write the bundle of a network and the styles that it has learnt, and return it."""
    config = {
        "engine": FastEngine.name,
        "network": asdict(network.config),
        "styles": [asdict(style) for style in learnt],
    }
    weights = torch.nn.ModuleDict({"network": network, "styles": styles}).state_dict()
    return save_bundle(folder, kind="style", name=folder.name, config=config, weights=weights, card=card)


def fingerprint(image: Tensor) -> str:
    """Return what an image (3, h, w) in [0, 1] is recognised by, in hex: it, averaged to FINGERPRINT px a side."""
    small = F.interpolate(image[None].float(), (FINGERPRINT, FINGERPRINT), mode="area")
    levels = (small * 255).round().clamp(0, 255).to(torch.uint8)
    return bytes(levels.flatten().tolist()).hex()


def image_tones(image: Tensor) -> Tones:
    """Return the tones of an image (3, h, w) in [0, 1]."""
    return tones_of(image[None], torch.ones_like(image[None, :1]))


def bundle_config(bundle: Bundle, engine: str) -> dict[str, Any]:
    """Return the bundle's config; raises BundleError when it was made for another engine."""
    made_for = bundle.config.get("engine")
    if made_for != engine:
        raise BundleError(f"this bundle is for the engine {made_for!r}, not {engine!r}", where=str(bundle.path))
    return bundle.config


def read_network(values: dict[str, Any]) -> NetworkConfig:
    """Return the network's config as a bundle's JSON has it."""
    return NetworkConfig(**{**values, "dilations": tuple(values["dilations"])})


def _bytes(text: str) -> Tensor:
    return torch.tensor(list(bytes.fromhex(text)), dtype=torch.float32)
