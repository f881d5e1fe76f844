"""The frozen network whose features the discriminator reads: ImageNet-trained EfficientNet-Lite0, five stages."""

from __future__ import annotations

from collections.abc import Sequence

import timm
import torch
from timm.layers import pad_same
from torch import Tensor, nn
from torch.nn import functional as F

from catalog_gen.clip.data import IMAGENET_MEAN, IMAGENET_STD, fold_norms, load_pretrained_trunk

STAGE_CHANNELS = (16, 24, 40, 112, 320)  # at strides 2, 4, 8, 16, 32


class FrozenFeatures(nn.Module):
    """images (B, 3, S, S) in [-1, 1] -> five maps (B, C, S/stride, S/stride); frozen, but gradients pass to images.

    `pretrained=False` keeps random weights (for tests; random features still judge, arXiv 2104.05623).
    Raises BundleError when the weights' package is not installed.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, *, pretrained: bool = True, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.net = timm.create_model("tf_efficientnet_lite0", features_only=True, pretrained=False)
        if pretrained:
            load_pretrained_trunk(self.net)
        self.eval().requires_grad_(False)
        fold_norms(self.net)
        if dtype is torch.bfloat16:
            _subsample_depthwise(self.net)
        mean, std = torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), torch.tensor(IMAGENET_STD).view(1, 3, 1, 1)
        self.register_buffer("scale", 0.5 / std)  # from [-1, 1] straight to ImageNet's normalisation
        self.register_buffer("shift", (0.5 - mean) / std)
        self.net.to(dtype=dtype, memory_format=torch.channels_last)
        self.dtype = dtype

    def train(self, mode: bool = True) -> FrozenFeatures:
        """Stay in eval mode whatever the surrounding module does."""
        return super().train(False)

    def forward(self, images: Tensor) -> list[Tensor]:
        x = images.contiguous(memory_format=torch.channels_last)
        x = torch.addcmul(self.shift, x, self.scale).to(self.dtype)
        with torch.autocast(x.device.type, enabled=False):
            return list(self.net(x))


class FeatureScales(nn.Module):
    """Each channel's mean and deviation on real photos, so that every stage and channel counts alike in a distance."""

    def __init__(self) -> None:
        super().__init__()
        for index, channels in enumerate(STAGE_CHANNELS):
            self.register_buffer(f"mean_{index}", torch.zeros(1, channels, 1, 1))
            self.register_buffer(f"std_{index}", torch.ones(1, channels, 1, 1))

    @torch.no_grad()
    def calibrate(self, features: Sequence[Tensor]) -> None:
        """Measure means and deviations on these features (B, C, H, W) of real photos, before the first step."""
        for index, stage in enumerate(features):
            std, mean = torch.std_mean(stage.float(), dim=(0, 2, 3), keepdim=True)
            self.get_buffer(f"mean_{index}").copy_(mean)
            self.get_buffer(f"std_{index}").copy_(std.clamp_min(1e-2))

    def standardise(self, features: Sequence[Tensor], first: int = 0) -> list[Tensor]:
        """Return the features of stages `first` and on, each channel of zero mean and unit variance on real photos."""
        moments = [(self.get_buffer(f"mean_{i}"), self.get_buffer(f"std_{i}")) for i in range(len(features))]
        pairs = list(zip(features, moments, strict=True))[first:]
        return [(f.float() - mean) / std for f, (mean, std) in pairs]


class _SubsampledDepthwise(nn.Module):
    """A strided depthwise convolution as an unstrided one, subsampled.

    In bfloat16 the CPU's backward pass of the strided one has no fast kernel: this one takes a tenth of its time.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.weight, self.bias, self.stride = conv.weight, conv.bias, conv.stride[0]

    def forward(self, x: Tensor) -> Tensor:
        x = pad_same(x, list(self.weight.shape[2:]), [self.stride, self.stride])
        full = F.conv2d(x, self.weight, self.bias, groups=self.weight.shape[0])
        return full[:, :, :: self.stride, :: self.stride]


def _subsample_depthwise(net: nn.Module) -> None:
    for module in list(net.modules()):
        conv = getattr(module, "conv_dw", None)
        if isinstance(conv, nn.Conv2d) and conv.stride[0] > 1:
            module.conv_dw = _SubsampledDepthwise(conv)
