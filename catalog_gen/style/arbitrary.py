"""The engine `arbitrary`: any style image in one pass, its code predicted by a network (arXiv 1705.06830).

The predictor reads the style's means and deviations in Lite0's features, which is what AdaIN (arXiv 1703.06868) would
impose on the picture's own; here they decide the scales and shifts of `fast`'s small network, so both are as quick.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from catalog_gen.bundles import Bundle, load_bundle, load_into, read_weights, save_bundle
from catalog_gen.errors import BundleError
from catalog_gen.style.engine import EngineConfig, Look, engine_hash
from catalog_gen.style.fast import bundle_config, image_tones, read_network
from catalog_gen.style.features import FeatureNetwork, load_features, moments
from catalog_gen.style.feedforward import SIZE, FeedForward, Prepared, mix
from catalog_gen.style.network import TransferNetwork

VERSION = 1
SHIPPED = "style-arbitrary"
STYLE_SIZE = 384  # px, a style image's shorter side as it is looked at
HIDDEN = 192


class StylePredictor(nn.Module):
    """A style's feature statistics (B, statistics) -> its code (B, code_size), near zero at first."""

    def __init__(self, statistics: int, code_size: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(statistics))
        self.register_buffer("deviation", torch.ones(statistics))
        self.layers = nn.Sequential(
            nn.Linear(statistics, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, code_size)
        )
        last = self.layers[-1]
        assert isinstance(last, nn.Linear)
        nn.init.normal_(last.weight, std=0.01)
        nn.init.zeros_(last.bias)

    @torch.no_grad()
    def calibrate(self, statistics: Tensor) -> None:
        """Take what is usual from the statistics (N, statistics) of many styles."""
        deviation, mean = torch.std_mean(statistics, 0)
        self.get_buffer("mean").copy_(mean)
        self.get_buffer("deviation").copy_(deviation.clamp_min(1e-3))

    def forward(self, statistics: Tensor) -> Tensor:
        standard = (statistics - self.get_buffer("mean")) / self.get_buffer("deviation")
        code: Tensor = self.layers(standard.clamp(-5, 5))  # a style unlike any that was learnt stays within reach
        return code


class ArbitraryEngine(FeedForward):
    """Any style image, and mixtures of them."""

    name = "arbitrary"

    def __init__(self, bundle: Bundle, features: FeatureNetwork, device: str | torch.device) -> None:
        config = bundle_config(bundle, self.name)
        if config["features"] != features.hash:
            raise BundleError("the bundle was trained on other features than this version has", where=str(bundle.path))
        network = TransferNetwork(read_network(config["network"]))
        self.predictor = StylePredictor(int(config["statistics"]), network.code_size)
        load_into(nn.ModuleDict({"network": network, "predictor": self.predictor}), read_weights(bundle), bundle)
        super().__init__(network, device)
        self.predictor.to(self.device).eval().requires_grad_(False)
        self.features = features
        self.hash = engine_hash(self.name, VERSION, {"size": SIZE, "style_size": STYLE_SIZE}, bundle.hash)

    @classmethod
    def open(cls, config: EngineConfig, device: str | torch.device) -> ArbitraryEngine:
        """Return the engine with the template's bundle, or the shipped one. Raises BundleError when it is unfit."""
        return cls(load_bundle(config.bundle or SHIPPED, "style"), load_features("lite0", device), device)

    @torch.inference_mode()
    def prepare(self, look: Look) -> Prepared:
        """Return the look's styles as the predictor reads them, mixed by weight."""
        images = [(at_style_size(image.to(self.device)), weight) for image, weight in look.mixed()]
        codes = [self.predictor(style_statistics(self.features, image[None])) for image, _ in images]
        return mix(codes, [image_tones(image) for image, _ in images], [weight for _, weight in images])


def style_statistics(features: FeatureNetwork, images: Tensor) -> Tensor:
    """Return each channel's mean and deviation (B, statistics) in every map of images (B, 3, H, W) in [0, 1]."""
    parts = [part.flatten(1) for found in features(images) for part in moments(found)]
    return torch.cat(parts, 1)


def at_style_size(image: Tensor, size: int = STYLE_SIZE) -> Tensor:
    """Return a style image (3, h, w) with its shorter side `size` px."""
    scale = size / min(image.shape[-2:])
    wanted = [max(size, round(side * scale)) for side in image.shape[-2:]]
    small = F.interpolate(image[None], wanted, mode="bilinear", antialias=True, align_corners=False)
    return small[0]


def save_arbitrary(
    folder: Path, network: TransferNetwork, predictor: StylePredictor, features: FeatureNetwork, card: str
) -> Bundle:
    """Write the bundle of a network and its predictor, and return it."""
    config = {
        "engine": ArbitraryEngine.name,
        "features": features.hash,
        "network": asdict(network.config),
        "statistics": len(predictor.get_buffer("mean")),
    }
    weights = nn.ModuleDict({"network": network, "predictor": predictor}).state_dict()
    return save_bundle(folder, kind="style", name=folder.name, config=config, weights=weights, card=card)


def codes_of(bundle: Bundle, features: FeatureNetwork, images: Sequence[Tensor]) -> tuple[TransferNetwork, Tensor]:
    """Return an arbitrary bundle's network and its codes (S, code_size) of style images: what `fast` starts from."""
    engine = ArbitraryEngine(bundle, features, "cpu")
    whole = [at_style_size(image)[None] for image in images]
    with torch.no_grad():
        codes = torch.cat([engine.predictor(style_statistics(features, image)) for image in whole])
    return engine.network, codes
