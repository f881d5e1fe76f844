"""The network that styles a picture in one pass (arXiv 1603.08155), with the style as the affine part of its norms.

One set of convolutions serves every style; a style is the scales and shifts of the instance norms (its "code", arXiv
1610.07629), so styles mix by mixing codes. It is made for CPUs: nearly all of its work is at an eighth of the size, by
inverted bottlenecks with depthwise convolutions, and it upsamples bilinearly (transposed convolutions leave
checkerboards). It draws the change to a picture that already has the style's colours; where a ground is flat it makes
its texture from noise (arXiv 1603.03417), which is the same for every picture of a size.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from catalog_gen.style.recolour import Tones, coloured

STRIDE = 8  # pictures must be multiples of it
MARGIN = 8  # px at the border that may come out different
NOISE_SEED = 20


@dataclass(frozen=True)
class NetworkConfig:
    """Channels at strides 2, 4 and 8, and the inverted bottlenecks at stride 8."""

    fine: int = 16
    middle: int = 32
    width: int = 96
    expansion: int = 2
    dilations: tuple[int, ...] = (1, 2, 1, 2, 1)
    noise: int = 8


class TransferNetwork(nn.Module):
    """Recoloured scenes (B, 3, H, W), H and W multiples of STRIDE, and a style's code -> the change to them, alike."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        fine, middle, width = config.fine, config.middle, config.width
        hidden = width * config.expansion
        self.config = config
        self.norms = (fine, middle, width, *[hidden] * len(config.dilations), middle, fine)
        self.code_size = 2 * sum(self.norms)
        self.down = nn.ModuleList([_conv(3, fine, 2), _separable(fine, middle, 2), _separable(middle, width, 2)])
        self.seed = nn.Conv2d(config.noise, width, 1)
        self.seed_coarse = nn.Conv2d(config.noise, width, 1)
        self.blocks = nn.ModuleList([_Bottleneck(width, hidden, dilation) for dilation in config.dilations])
        self.narrow = nn.ModuleList([nn.Conv2d(width, middle, 1), nn.Conv2d(middle, fine, 1)])
        finest = nn.Sequential(_quick_conv(fine, fine, fine), nn.Conv2d(fine, fine, 1))
        self.up = nn.ModuleList([_separable(middle, middle, 1), finest])
        self.grain = nn.ParameterList([nn.Parameter(torch.full((1, c, 1, 1), 0.1)) for c in (middle, fine)])
        self.last = _quick_conv(fine, 3)
        nn.init.normal_(self.last.weight, std=0.05)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]  # it has one

    def forward(self, scene: Tensor, weight: Tensor, code: Tensor, tones: Tones) -> Tensor:
        """Return what is to be added to the scenes.

        weight (B, 1, H, W) in [0, 1]: what counts in the norms' statistics. code (B or 1, code_size) and tones: the
        style's. What is drawn varies as the style's colours do, so nothing is speckled with colours it does not have.
        """
        at = {1: weight}
        for stride in (2, 4, 8):
            at[stride] = F.avg_pool2d(at[stride // 2], 2)
        codes = iter(torch.split(code, [2 * c for c in self.norms], 1))
        noise = _Noise(scene)

        def norm(x: Tensor, stride: int) -> Tensor:
            mean, inverse = masked_moments(x, at[stride])
            scale, shift = next(codes)[:, :, None, None].chunk(2, 1)
            gain = inverse * (1 + scale)
            return torch.addcmul(shift - mean * gain, x, gain)

        skips = []
        x = scene
        for conv, stride in zip(self.down, (2, 4, 8), strict=True):
            x = F.relu(norm(conv(x), stride))
            skips.append(x)
        x = x + self.seed(noise(self.config.noise, 8)) + _double(self.seed_coarse(noise(self.config.noise, 16)), x)
        for block in self.blocks:
            assert isinstance(block, _Bottleneck)
            x = x + block.project(F.relu(norm(block.spread(x), 8)))
        parts = zip(self.narrow, self.up, self.grain, (skips[1], skips[0]), (4, 2), strict=True)
        for narrow, conv, grain, skip, stride in parts:
            x = _double(narrow(x), skip) + skip
            x = F.relu(norm(conv(x) + grain * noise(1, stride), stride))
        change: Tensor = self.last(_double(x, scene))
        return coloured(change, tones)


def masked_moments(x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return a norm's (mean, 1 / deviation), (B, C, 1, 1), of x (B, C, h, w) under weights (B, 1, h, w)."""
    flat = x.permute(0, 2, 3, 1).flatten(1, 2)  # (B, hw, C): no copy when channels are last in memory
    share = weight.flatten(2) / weight.sum((2, 3)).unsqueeze(2)
    mean = share @ flat
    variance = (share @ flat.square() - mean.square()).clamp_min(0)
    return mean.transpose(1, 2).unsqueeze(3), (variance + 1e-3).rsqrt().transpose(1, 2).unsqueeze(3)


class _Bottleneck(nn.Module):
    def __init__(self, width: int, hidden: int, dilation: int) -> None:
        super().__init__()
        depthwise = _conv(hidden, hidden, groups=hidden, dilation=dilation)
        self.spread = nn.Sequential(nn.Conv2d(width, hidden, 1), nn.ReLU(), depthwise)
        self.project = nn.Conv2d(hidden, width, 1)


class _Noise:
    """Normal noise (1, C, H / stride, W / stride), the same for every picture of a size, drawn on the CPU."""

    def __init__(self, like: Tensor) -> None:
        self._like = like
        self._generator = torch.Generator().manual_seed(NOISE_SEED)

    def __call__(self, channels: int, stride: int) -> Tensor:
        height, width = (-(-side // stride) for side in self._like.shape[-2:])
        return torch.randn(1, channels, height, width, generator=self._generator).to(self._like)


def _conv(inputs: int, outputs: int, stride: int = 1, groups: int = 1, dilation: int = 1) -> nn.Conv2d:
    """A 3x3 convolution that continues its input beyond the border: zeros there would show as a frame."""
    return nn.Conv2d(inputs, outputs, 3, stride, dilation, dilation, groups, padding_mode="replicate")


def _quick_conv(inputs: int, outputs: int, groups: int = 1) -> nn.Conv2d:
    """One with zeros beyond the border, for large maps, where continuing takes longer than convolving.

    What comes out different lies within MARGIN.
    """
    return nn.Conv2d(inputs, outputs, 3, padding=1, groups=groups)


def _separable(inputs: int, outputs: int, stride: int) -> nn.Module:
    return nn.Sequential(_conv(inputs, inputs, stride, groups=inputs), nn.Conv2d(inputs, outputs, 1))


def _double(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, like.shape[-2:], mode="bilinear", align_corners=False)
