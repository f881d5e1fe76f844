"""The generator: a noise vector and a text embedding in, a picture out.

Convolutional, with normalisation that the text modulates: the batch's (as in BigGAN, arXiv 1809.11096) or each
picture's own (AdaIN, arXiv 1703.06868). No transposed convolution: each size is reached by bilinear upsampling, because
learned upsampling leaves checkerboard marks early in training.
"""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from catalog_gen.gan.config import FIRST_SIZE, GeneratorConfig
from catalog_gen.gan.norms import AdaptiveNorm, ModulatedNorm, untracked_contexts
from catalog_gen.gan.truncation import mean_over_noise


def _norm(config: GeneratorConfig, channels: int) -> AdaptiveNorm | ModulatedNorm:
    kind = AdaptiveNorm if config.norm == "adaptive" else ModulatedNorm
    return kind(channels, config.w_dim)


class ActivatedConv(nn.Conv2d):
    """A 3x3 convolution with its activation: LeakyReLU before it, or a gated linear unit after it.

    The gate (arXiv 1612.08083; in a generator: FastGAN, arXiv 2101.04775) takes twice the channels and halves them: the
    second half, through a sigmoid, says how much of the first passes. (B, cin, H, W) -> (B, cout, H, W).
    """

    def __init__(self, cin: int, cout: int, activation: str) -> None:
        self.gated = activation == "glu"
        super().__init__(cin, 2 * cout if self.gated else cout, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        if self.gated:
            return F.glu(super().forward(x), dim=1)
        return super().forward(F.leaky_relu(x, 0.2))


class Stage(nn.Module):
    """One size: (upsample and change channels,) then one residual convolution. (B, cin, H, W) -> (B, cout, kH, kW)."""

    def __init__(self, cin: int, cout: int, config: GeneratorConfig, *, upsample: bool) -> None:
        super().__init__()
        self.upsample = upsample
        if upsample:
            self.norm_up = _norm(config, cin)
            self.conv_up = ActivatedConv(cin, cout, config.activation)  # before upsampling: a quarter of the work
        self.norm = _norm(config, cout)
        self.conv = ActivatedConv(cout, cout, config.activation)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        if self.upsample:
            x = self.conv_up(self.norm_up(x, w))
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        change: Tensor = self.conv(self.norm(x, w))
        return x + change


class Generator(nn.Module):
    """z (B, z_dim) standard normal, text (B, text_dim) of unit length -> pictures (B, 3, S, S) in [-1, 1].

    `truncation` in [0, 1], one number or one a picture (B,), draws a picture towards the mean of its own words, as in
    StyleGAN-T (arXiv 2301.09515): less variety, closer to the words. 1 changes nothing, not a bit.
    `checkpointing`: keep only what enters a stage and compute the rest again on the way back (arXiv 1604.06174): less
    memory for a third more work, and the same gradients. Training sets it; it is no part of the network's shape.
    """

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        self.checkpointing = False
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
            Stage(cin, cout, config, upsample=index > 0) for index, (cin, cout) in enumerate(pairs)
        )
        self.norm_rgb = _norm(config, config.channels[-1])
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
            x = self._run(stage, x, w)
        x = self.norm_rgb(x, w)
        if self.config.activation == "leaky_relu":  # gates come after convolutions, and none comes after the last
            x = F.leaky_relu(x, 0.2)
        return torch.tanh(self.to_rgb(x).float())

    def _run(self, stage: nn.Module, x: Tensor, w: Tensor) -> Tensor:
        if not (self.checkpointing and torch.is_grad_enabled()):
            done: Tensor = stage(x, w)
            return done
        contexts = partial(untracked_contexts, stage)
        again: Tensor = checkpoint(stage, x, w, use_reentrant=False, preserve_rng_state=False, context_fn=contexts)
        return again

    def mean_w(self, text: Tensor) -> Tensor:
        """Return what `mapping` gives for each text (B, text_dim) in the mean over fixed noise, (B, w_dim)."""
        return mean_over_noise(lambda z, words: self.mapping(self._condition(z, words)), text, self.config.z_dim)

    def _condition(self, z: Tensor, text: Tensor) -> Tensor:
        # A unit vector's components are near zero beside z's; at unit variance the words are heard.
        return torch.cat([z, text * math.sqrt(self.config.text_dim)], dim=1)


def _is_one(truncation: float | Tensor) -> bool:
    return bool((truncation == 1).all()) if isinstance(truncation, Tensor) else truncation == 1
