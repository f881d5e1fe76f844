"""Normalisation whose scale and shift come from `w`, the generator's view of words and noise.

`ModulatedNorm` takes the batch's statistics and remembers them for drawing; `AdaptiveNorm` takes each picture's own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from catalog_gen.gan.distributed import global_moments, world


class _Modulation(nn.Module):
    """The linear maps from w (B, w_dim) to a scale around 1 and a shift around 0, a channel."""

    def __init__(self, channels: int, w_dim: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.scale = nn.Linear(w_dim, channels)
        self.shift = nn.Linear(w_dim, channels)
        for linear in (self.scale, self.shift):
            nn.init.normal_(linear.weight, std=0.3 / math.sqrt(w_dim))
        nn.init.ones_(self.scale.bias)
        nn.init.zeros_(self.shift.bias)


def _modulate(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Return x (B, C, H, W) times scale plus shift, both (B, C), in x's dtype."""
    return torch.addcmul(shift.to(x.dtype)[:, :, None, None], x, scale.to(x.dtype)[:, :, None, None])


class ModulatedNorm(_Modulation):
    """Batch normalisation whose scale and shift come from `w`. x (B, C, H, W), w (B, w_dim) -> (B, C, H, W).

    In eval mode it uses running statistics, folded with the modulation into one multiply-add: a picture then does
    not depend on the others in its batch. In training, with several processes, the batch is that of all of them
    together, so all of them must call it; `synchronised = False` makes it this process's own.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, w_dim: int, *, eps: float = 1e-4, momentum: float = 0.05) -> None:
        super().__init__(channels, w_dim, eps)
        self.momentum = momentum
        self.tracking = True  # whether training moves the running statistics
        self.synchronised = True
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        scale, shift = self.scale(w).float(), self.shift(w).float()  # (B, C)
        if not self.training:
            mean, var = self.running_mean.float(), self.running_var.float()
        elif self.synchronised and world()[1] > 1:
            mean, var = self._moments_of_all(x)
        else:
            momentum = self.momentum if self.tracking else 0.0
            x = F.batch_norm(x, self.running_mean, self.running_var, None, None, True, momentum, self.eps)
            return _modulate(x, scale, shift)
        scale = scale * torch.rsqrt(var + self.eps)
        return _modulate(x, scale, shift - mean * scale)

    def _moments_of_all(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean, var, count = global_moments(x)
        if self.tracking:
            with torch.no_grad():
                unbiased = var * (count / (count - 1)).float()
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(unbiased, self.momentum)
        return mean, var


class AdaptiveNorm(_Modulation):
    """Adaptive instance normalisation (AdaIN, arXiv 1703.06868). x (B, C, H, W), w (B, w_dim) -> (B, C, H, W).

    Each picture's own mean and variance a channel, then scale and shift from `w`: the same in training and drawing.
    """

    def __init__(self, channels: int, w_dim: int, *, eps: float = 1e-4) -> None:
        super().__init__(channels, w_dim, eps)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        scale, shift = self.scale(w), self.shift(w)  # (B, C)
        dtype, (batch, channels, rows, columns) = x.dtype, x.shape
        # Half precision's squares overflow beyond 256; bfloat16 has float32's range. As matrix products over rows of
        # pixels, the means take half the time of reductions, and leave channels last.
        pixels = (x.float() if dtype is torch.float16 else x).permute(0, 2, 3, 1).flatten(1, 2)  # (B, H W, C)
        with torch.autocast(x.device.type, enabled=False):
            share = pixels.new_full((batch, 1, rows * columns), 1 / (rows * columns))
            centred = pixels - share @ pixels
            var = (share @ centred.square())[:, 0].float()
            scale = scale.float() * torch.rsqrt(var + self.eps)
            out = torch.addcmul(shift.to(centred.dtype)[:, None], centred, scale.to(centred.dtype)[:, None])
        return out.to(dtype).view(batch, rows, columns, channels).permute(0, 3, 1, 2)


@contextmanager
def untracked(module: nn.Module) -> Iterator[None]:
    """Leave the running statistics of the norms in `module` as they are."""
    norms = [m for m in module.modules() if isinstance(m, ModulatedNorm)]
    for norm in norms:
        norm.tracking = False
    try:
        yield
    finally:
        for norm in norms:
            norm.tracking = True


def untracked_contexts(module: nn.Module) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Return the contexts of a checkpointed call and of its repetition, which must not count its batch twice."""
    return nullcontext(), untracked(module)
