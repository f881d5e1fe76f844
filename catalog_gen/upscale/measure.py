"""How near an enlarged picture is to the one that was reduced: PSNR, SSIM, and a distance in learnt features.

PSNR and SSIM (Wang et al., 2004: a Gaussian window of 11 px, deviation 1.5) are of the luma (BT.601), as is usual for
upscaling; pictures that are sharp in a way of their own lose by them. The feature distance is made as LPIPS is (arXiv
1801.03924), with all channels weighed alike, in a network that no training here has used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from catalog_gen.clip.data import fold_norms, load_pretrained_trunk, normalise
from catalog_gen.upscale.data import whiten
from catalog_gen.upscale.degrade import Pixels, degrade, reduce_cleanly

Pictures = npt.NDArray[np.uint8]  # (B, H, W, 3) RGB
Enlarge = Callable[[Pictures], Pictures]

_LUMA = (0.299, 0.587, 0.114)
_WINDOW, _DEVIATION = 11, 1.5
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
_MEASURED = 2  # the stream of chance


@dataclass(frozen=True)
class Nearness:
    """psnr in dB and ssim, more is nearer; features: the distance, less is nearer. Means over pictures."""

    psnr: float
    ssim: float
    features: float


class FeatureJudge:
    """EfficientNet-Lite1's maps at strides 2 to 16: the distance of pictures (B, H, W, 3) uint8, one a pair.

    Raises BundleError when the weights' package is not installed.
    """

    def __init__(self, *, pretrained: bool = True) -> None:
        network: nn.Module = timm.create_model("tf_efficientnet_lite1", features_only=True, pretrained=False)
        if pretrained:
            load_pretrained_trunk(network, "lite1")
        network.eval().requires_grad_(False)
        fold_norms(network)
        self._network = network.to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def __call__(self, first: Pictures, second: Pictures) -> list[float]:
        distances = torch.zeros(len(first))
        pairs = zip(self._maps(first), self._maps(second), strict=True)
        for one, other in pairs:
            distances += (F.normalize(one, dim=1) - F.normalize(other, dim=1)).square().sum(1).mean((1, 2))
        return [float(distance) for distance in distances]

    def _maps(self, pictures: Pictures) -> list[Tensor]:
        return list(self._network(normalise(_planes(pictures) / 255)))[:4]


def psnr(first: Pictures, second: Pictures) -> list[float]:
    """Return the peak signal-to-noise ratio of the luma in dB, one a pair; infinite where both are equal."""
    error = (_luma(first) - _luma(second)).square().mean((1, 2, 3)).double()
    return [float(value) for value in 10 * torch.log10(255.0**2 / error)]


def ssim(first: Pictures, second: Pictures) -> list[float]:
    """Return the structural similarity of the luma, one a pair."""
    one, other = _luma(first), _luma(second)
    means = _blurred(one), _blurred(other)
    squares = _blurred(one * one) - means[0] ** 2, _blurred(other * other) - means[1] ** 2
    shared = _blurred(one * other) - means[0] * means[1]
    brightness = (2 * means[0] * means[1] + _C1) / (means[0] ** 2 + means[1] ** 2 + _C1)
    structure = (2 * shared + _C2) / (squares[0] + squares[1] + _C2)
    return [float(value) for value in (brightness * structure).mean((1, 2, 3))]


def measure(
    photos: Sequence[Pixels], factor: int, ways: Mapping[str, Enlarge], judge: FeatureJudge, seed: int
) -> dict[tuple[str, str], Nearness]:
    """Return, by (reduction, way), how near the ways of enlarging come to the photos (S, S, 3).

    The reductions are `clean`, and `degraded` as in training.
    """
    large = [whiten(photo) for photo in photos]
    chances = [np.random.default_rng((seed, _MEASURED, index)) for index in range(len(large))]
    small = {
        "clean": [reduce_cleanly(picture, factor) for picture in large],
        "degraded": [degrade(picture, factor, rng) for picture, rng in zip(large, chances, strict=True)],
    }
    found = {}
    for reduction, pictures in small.items():
        for name, way in ways.items():
            each = [_compared(way(one[None]), whole[None], judge) for one, whole in zip(pictures, large, strict=True)]
            found[reduction, name] = Nearness(*(float(value) for value in np.mean(each, axis=0)))
    return found


def _compared(made: Pictures, large: Pictures, judge: FeatureJudge) -> tuple[float, float, float]:
    return min(psnr(made, large)[0], 100.0), ssim(made, large)[0], judge(made, large)[0]


def _planes(pictures: Pictures) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float()


def _luma(pictures: Pictures) -> Tensor:
    # Double: the variances are small differences of large squares.
    weights = torch.tensor(_LUMA, dtype=torch.float64).view(1, 3, 1, 1)
    return (_planes(pictures).double() * weights).sum(1, keepdim=True)


def _blurred(planes: Tensor) -> Tensor:
    """Return planes (B, 1, H, W) seen through the window, where it lies wholly inside."""
    at = torch.arange(_WINDOW, dtype=planes.dtype) - _WINDOW // 2
    row = torch.exp(-(at**2) / (2 * _DEVIATION**2))
    row = row / row.sum()
    return F.conv2d(F.conv2d(planes, row.view(1, 1, 1, -1)), row.view(1, 1, -1, 1))
