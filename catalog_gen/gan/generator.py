"""The generator: a noise vector and a text embedding in, a picture out.

Convolutional, text-modulated batch normalisation (as in BigGAN, arXiv 1809.11096), and no transposed convolution: each
size is reached by bilinear upsampling, because learned upsampling leaves checkerboard marks early in training.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from catalog_gen.gan.config import FIRST_SIZE, GeneratorConfig
from catalog_gen.gan.truncation import mean_over_noise


class ModulatedNorm(nn.Module):
    """Batch normalisation whose scale and shift come from `w`. x (B, C, H, W), w (B, w_dim) -> (B, C, H, W).

    In eval mode it uses running statistics, folded with the modulation into one multiply-add: a picture then does
    not depend on the others in its batch.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, w_dim: int, *, eps: float = 1e-4, momentum: float = 0.05) -> None:
        super().__init__()
        self.eps = eps
        self.momentum = momentum
        self.scale = nn.Linear(w_dim, channels)
        self.shift = nn.Linear(w_dim, channels)
        for linear in (self.scale, self.shift):
            nn.init.normal_(linear.weight, std=0.3 / math.sqrt(w_dim))
        nn.init.ones_(self.scale.bias)
        nn.init.zeros_(self.shift.bias)
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        scale, shift = self.scale(w).float(), self.shift(w).float()  # (B, C)
        if self.training:
            x = F.batch_norm(x, self.running_mean, self.running_var, None, None, True, self.momentum, self.eps)
        else:
            scale = scale * torch.rsqrt(self.running_var.float() + self.eps)
            shift = shift - self.running_mean.float() * scale
        return torch.addcmul(shift.to(x.dtype)[:, :, None, None], x, scale.to(x.dtype)[:, :, None, None])


class Stage(nn.Module):
    """One size: (upsample and change channels,) then one residual convolution. (B, cin, H, W) -> (B, cout, kH, kW)."""

    def __init__(self, cin: int, cout: int, w_dim: int, *, upsample: bool) -> None:
        super().__init__()
        self.upsample = upsample
        if upsample:
            self.norm_up = ModulatedNorm(cin, w_dim)
            self.conv_up = nn.Conv2d(cin, cout, 3, padding=1, bias=False)  # before upsampling: a quarter of the work
        self.norm = ModulatedNorm(cout, w_dim)
        self.conv = nn.Conv2d(cout, cout, 3, padding=1, bias=False)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        if self.upsample:
            x = self.conv_up(F.leaky_relu(self.norm_up(x, w), 0.2))
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        change: Tensor = self.conv(F.leaky_relu(self.norm(x, w), 0.2))
        return x + change


class Generator(nn.Module):
    """z (B, z_dim) standard normal, text (B, text_dim) of unit length -> pictures (B, 3, S, S) in [-1, 1].

    `truncation` in [0, 1], one number or one a picture (B,), draws a picture towards the mean of its own words, as in
    StyleGAN-T (arXiv 2301.09515): less variety, closer to the words. 1 changes nothing, not a bit.
    """

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        self.mapping = nn.Sequential(
            nn.Linear(config.z_dim + config.text_dim, 2 * config.w_dim),
            nn.LeakyReLU(0.2),
            nn.Linear(2 * config.w_dim, config.w_dim),
            nn.LeakyReLU(0.2),
        )
        first = config.channels[0]
        self.seed = nn.Linear(config.z_dim + config.text_dim, first * FIRST_SIZE**2)
        pairs = zip((first, *config.channels), config.channels, strict=False)
        self.stages = nn.ModuleList(
            Stage(cin, cout, config.w_dim, upsample=index > 0) for index, (cin, cout) in enumerate(pairs)
        )
        self.norm_rgb = ModulatedNorm(config.channels[-1], config.w_dim)
        self.to_rgb = nn.Conv2d(config.channels[-1], 3, 3, padding=1)
        self._initialise()

    def _initialise(self) -> None:
        for linear in (self.mapping[0], self.mapping[2], self.seed):
            assert isinstance(linear, nn.Linear)
            nn.init.kaiming_normal_(linear.weight, a=0.2)
            nn.init.zeros_(linear.bias)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.orthogonal_(module.weight)

    def forward(self, z: Tensor, text: Tensor, truncation: float | Tensor = 1.0) -> Tensor:
        condition = self._condition(z, text)
        w = self.mapping(condition)
        if not _is_one(truncation):
            psi = torch.as_tensor(truncation, dtype=z.dtype, device=z.device).reshape(-1, 1)
            w = torch.lerp(self.mean_w(text), w, psi)  # where psi is 1, exactly w
            condition = self._condition(z * psi, text)  # `seed` is linear: its mean over z is what z = 0 gives
        x = self.seed(condition).unflatten(1, (-1, FIRST_SIZE, FIRST_SIZE))
        x = x.to(self.to_rgb.weight.dtype).contiguous(memory_format=torch.channels_last)
        for stage in self.stages:
            x = stage(x, w)
        x = self.to_rgb(F.leaky_relu(self.norm_rgb(x, w), 0.2))
        return torch.tanh(x.float())

    def mean_w(self, text: Tensor) -> Tensor:
        """Return what `mapping` gives for each text (B, text_dim) in the mean over fixed noise, (B, w_dim)."""
        return mean_over_noise(lambda z, words: self.mapping(self._condition(z, words)), text, self.config.z_dim)

    def _condition(self, z: Tensor, text: Tensor) -> Tensor:
        # A unit vector's components are near zero beside z's; at unit variance the words are heard.
        return torch.cat([z, text * math.sqrt(self.config.text_dim)], dim=1)


def _is_one(truncation: float | Tensor) -> bool:
    return bool((truncation == 1).all()) if isinstance(truncation, Tensor) else truncation == 1
