"""The frozen networks whose features style is measured in, and partial convolution to measure it in a scene alone.

`lite0` is EfficientNet-Lite0 as ImageNet left it, and ships: it needs no network and no further package.
Features of such nets peak in a few channels, and Gram matrices of them carry over stains, not strokes; a softmax over
the activations mends it (SWAG, arXiv 2104.05623). `vgg16` and `vgg19` are torchvision's, the classic choice, where
their weights can be had.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from catalog_gen.bundles import load_bundle, read_weights
from catalog_gen.clip.data import IMAGENET_MEAN, IMAGENET_STD, fold_norms
from catalog_gen.errors import BundleError, ConfigError

FeatureName = Literal["lite0", "vgg16", "vgg19"]
FEATURES: tuple[FeatureName, ...] = ("lite0", "vgg16", "vgg19")
LITE0_BUNDLE = "lite0"
SCENE_ALPHA = 0.02  # a pixel with more of the product in it than this is none of the scene's

TEMPERATURE = 3.0  # of SWAG's softmax: the net's activations end at 6, and undivided the few at 6 would be all it sees

_LITE0_TAPS = ((0, 0), (1, 1), (2, 1), (4, 2))  # (stage, block) whose depthwise activations are read: strides 2 to 16
_VGG_TAPS = {"vgg16": (1, 6, 11, 18, 25), "vgg19": (1, 6, 11, 20, 29)}  # relu1_1, 2_1, 3_1, 4_1, 5_1
_CONTENT = {"lite0": 2, "vgg16": 3, "vgg19": 3}


class FeatureNetwork(nn.Module):
    """Images (B, 3, H, W) in [0, 1] -> maps (B, C, h, w), fine to coarse; frozen, but gradients pass to the images.

    `name` and `hash` say which network it is and which weights it has; `content` is the index of the map that content
    is compared in; `smoothed` whether its activations want SWAG's softmax before statistics are taken (`smooth`).
    """

    mean: Tensor
    std: Tensor

    def __init__(self, name: FeatureName, hash: str, *, smoothed: bool) -> None:
        super().__init__()
        self.name, self.hash, self.smoothed, self.content = name, hash, smoothed, _CONTENT[name]
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1))

    def train(self, mode: bool = True) -> FeatureNetwork:
        """Stay in eval mode whatever the surrounding module does."""
        return super().train(False)

    def forward(self, images: Tensor) -> list[Tensor]:
        maps, _ = self._maps((images - self.mean) / self.std, None)
        return maps

    def masked(self, images: Tensor, valid: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Return (maps, weights) of the pixels where `valid` (B, 1, H, W) is 1, by partial convolution (1804.07723).

        Pixels where it is 0 have no influence at all, not even on rounding. Cells at the edge of a hole see little and
        are scaled up, which moves Gram matrices by some per cent; where the pictures can be had without the hole
        (`pyramid.fill`), plain features under `coverage` come two to five times as near to the truth.
        weights: a map's (B, 1, h, w), the share of a cell that is valid, for `gram` and `moments`. valid must hold
        zeros and ones only (`scene_of`).
        """
        maps, seen = self._maps((images - self.mean) / self.std, valid)
        weights = [cover * now for cover, now in zip(coverage(maps, valid), seen, strict=True)]
        return maps, weights

    def smooth(self, maps: Sequence[Tensor], weights: Sequence[Tensor] | None = None) -> list[Tensor]:
        """Return the maps as their statistics are taken: through SWAG's softmax, or, for VGG, as they are."""
        if not self.smoothed:
            return list(maps)
        given: Sequence[Tensor | None] = weights if weights is not None else [None] * len(maps)
        return [swag(m, w) for m, w in zip(maps, given, strict=True)]

    def _maps(self, x: Tensor, valid: Tensor | None) -> tuple[list[Tensor], list[Tensor]]:
        raise NotImplementedError


class Lite0Features(FeatureNetwork):
    """EfficientNet-Lite0's depthwise activations at strides 2, 4, 8 and 16: 32, 144, 240 and 672 channels."""

    def __init__(self, trunk: Any, hash: str) -> None:
        super().__init__("lite0", hash, smoothed=True)
        trunk.eval().requires_grad_(False)
        fold_norms(trunk)
        self.stem, self.act = trunk.conv_stem, trunk.bn1
        depth = _LITE0_TAPS[-1][0] + 1
        self.stages = nn.ModuleList([nn.ModuleList(list(stage)) for stage in list(trunk.blocks)[:depth]])
        self.blocks: list[tuple[tuple[int, int], Any]] = [
            ((s, b), block) for s, stage in enumerate(list(trunk.blocks)[:depth]) for b, block in enumerate(stage)
        ]

    def _maps(self, x: Tensor, valid: Tensor | None) -> tuple[list[Tensor], list[Tensor]]:
        maps: list[Tensor] = []
        seen: list[Tensor] = []
        x, valid = partial_conv(self.stem, x, valid)
        x = self.act(x)
        for place, block in self.blocks:
            before, before_valid, inverted = x, valid, hasattr(block, "conv_pwl")
            if inverted:
                x = block.bn1(block.conv_pw(x))
            x, valid = partial_conv(block.conv_dw, x, valid)
            x = block.bn2(x) if inverted else block.bn1(x)
            if place in _LITE0_TAPS:
                maps.append(x)
                seen += [] if valid is None else [valid]
                if place == _LITE0_TAPS[-1]:
                    break
            x = block.bn3(block.conv_pwl(x)) if inverted else block.bn2(block.conv_pw(x))
            if block.has_skip:
                x = x + (before if before_valid is None else before * before_valid)
        return maps, seen


class VggFeatures(FeatureNetwork):
    """VGG-16 or -19 at relu1_1 to relu5_1 (arXiv 1409.1556); pooled by averages, as Gatys et al. advise."""

    def __init__(self, name: Literal["vgg16", "vgg19"], layers: nn.Sequential, hash: str) -> None:
        super().__init__(name, hash, smoothed=False)
        self.taps = _VGG_TAPS[name]
        self.layers = nn.ModuleList(list(layers)[: self.taps[-1] + 1]).eval().requires_grad_(False)

    def _maps(self, x: Tensor, valid: Tensor | None) -> tuple[list[Tensor], list[Tensor]]:
        maps: list[Tensor] = []
        seen: list[Tensor] = []
        for index, layer in enumerate(self.layers):
            if isinstance(layer, nn.Conv2d):
                x, valid = partial_conv(layer, x, valid)
            elif isinstance(layer, nn.MaxPool2d):
                x, valid = _partial_pool(x, valid)
            else:
                x = F.relu(x)
            if index in self.taps:
                maps.append(x)
                seen += [] if valid is None else [valid]
        return maps, seen


def load_features(name: str, device: str | torch.device = "cpu") -> FeatureNetwork:
    """Return the feature network of that name: "lite0", "vgg16" or "vgg19".

    Raises ConfigError for another name, BundleError when the weights are neither here nor to be had.
    """
    if name not in FEATURES:
        raise ConfigError(f"there are no features {name!r}", hint=f"Known: {', '.join(FEATURES)}.")
    network = _load_lite0() if name == "lite0" else _load_vgg("vgg16" if name == "vgg16" else "vgg19")
    return network.to(device)


def scene_of(product: Tensor) -> Tensor:
    """Return where the scene is (B, 1, H, W), 0 or 1, of the product's alpha in [0, 1]: where it has no part at all."""
    return (product <= SCENE_ALPHA).to(product.dtype)


def coverage(maps: Sequence[Tensor], valid: Tensor) -> list[Tensor]:
    """Return for each map (B, C, h, w) its cells' share (B, 1, h, w) of pixels where `valid` (B, 1, H, W) is 1."""
    return [F.adaptive_avg_pool2d(valid, (m.shape[2], m.shape[3])) for m in maps]


def partial_conv(conv: Any, x: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Return (conv of the valid pixels, where a window held any): partial convolution (arXiv 1804.07723, eq. 1, 2).

    A window's sum is scaled up by how much of it is missing, counted against what it holds where everything is valid,
    so with `valid` all ones, zero padding included, it is the plain convolution. `valid=None` is all ones.
    """
    kernel: int = conv.kernel_size[0]
    if valid is None or kernel == 1:
        return conv(x), valid
    stride: int = conv.stride[0]
    sides = _sides(conv, x.shape[-2:])
    window = torch.ones(1, 1, kernel, kernel, dtype=x.dtype, device=x.device)
    held = F.conv2d(F.pad(valid, sides), window, stride=stride)
    whole = F.conv2d(F.pad(torch.ones_like(valid[:1]), sides), window, stride=stride)
    out = F.conv2d(F.pad(x * valid, sides), conv.weight, stride=stride, groups=conv.groups)
    out = out * (whole / held.clamp_min(1))
    now = (held > 0).to(x.dtype)
    return (out if conv.bias is None else out + conv.bias.view(1, -1, 1, 1)) * now, now


def swag(features: Tensor, weight: Tensor | None = None, temperature: float = TEMPERATURE) -> Tensor:
    """Return the softmax of a map (B, C, h, w) over all its channels and places, times their number: mean one.

    SWAG (arXiv 2104.05623), of activations divided by `temperature`; the factor keeps statistics of maps of different
    sizes comparable. With `weight` (B, 1, h, w) places count by it, and those of weight zero not at all.
    """
    if weight is None:
        weight = torch.ones_like(features[:, :1])
    peak = (features * (weight > 0)).detach().amax((1, 2, 3), keepdim=True)
    raised = torch.exp((features - peak) / temperature) * (weight > 0)
    mean = (raised.mean(1, keepdim=True) * weight).sum((1, 2, 3), keepdim=True) / weight.sum((1, 2, 3), keepdim=True)
    return raised / mean.clamp_min(1e-12)


def gram(features: Tensor, weight: Tensor | None = None) -> Tensor:
    """Return the Gram matrices (B, C, C) of maps (B, C, h, w), means over places: sum_p w_p f_p f_p^T / sum_p w_p."""
    flat = features.flatten(2)
    if weight is None:
        return flat @ flat.transpose(1, 2) / flat.shape[2]
    share = weight.flatten(2)
    total = share.sum(2, keepdim=True).clamp_min(1e-12)
    return (flat * share) @ flat.transpose(1, 2) / total


def moments(features: Tensor, weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return each channel's (mean, deviation), both (B, C, 1, 1), of maps (B, C, h, w) under weights (B, 1, h, w)."""
    if weight is None:
        weight = torch.ones_like(features[:, :1])
    total = weight.sum((2, 3), keepdim=True).clamp_min(1e-12)
    mean = (features * weight).sum((2, 3), keepdim=True) / total
    variance = ((features - mean).square() * weight).sum((2, 3), keepdim=True) / total
    return mean, (variance + 1e-8).sqrt()


def _partial_pool(x: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor | None]:
    if valid is None:
        return F.avg_pool2d(x, 2), None
    held = F.avg_pool2d(valid, 2)
    return F.avg_pool2d(x * valid, 2) / held.clamp_min(0.25), (held > 0).to(x.dtype)


def _sides(conv: Any, size: torch.Size) -> list[int]:
    """Return the zero padding (left, right, top, bottom) of a convolution: its own, or TensorFlow's "same"."""
    kernel, stride = int(conv.kernel_size[0]), int(conv.stride[0])
    if not type(conv).__name__.endswith("Same"):
        return [int(conv.padding[0])] * 4
    down, across = (max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in size)
    return [across // 2, across - across // 2, down // 2, down - down // 2]


def _load_lite0() -> FeatureNetwork:
    import timm

    tensors = read_weights(load_bundle(LITE0_BUNDLE, "features"))
    trunk = timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=0)
    trunk.load_state_dict(tensors)
    return Lite0Features(trunk, _hash("lite0", tensors))


def _load_vgg(name: Literal["vgg16", "vgg19"]) -> FeatureNetwork:
    from torchvision import models  # type: ignore[import-untyped]

    build = {"vgg16": models.vgg16, "vgg19": models.vgg19}[name]
    try:
        network = build(weights="IMAGENET1K_V1", progress=False)
    except (OSError, RuntimeError) as error:  # a URLError is an OSError; a damaged download is a RuntimeError
        raise BundleError(
            f"torchvision's weights for {name} are not in its cache and cannot be fetched ({error})",
            hint='Write features = "lite0", which needs no download, or copy the weights into TORCH_HOME.',
        ) from error
    return VggFeatures(name, network.features, _hash(name, network.features.state_dict()))


def _hash(name: str, tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256(f"features 1 {name}\n".encode())
    for key in sorted(tensors):
        digest.update(key.encode())
        digest.update(tensors[key].detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
