"""The judge of the adversarial loss: patches, one verdict every few pixels (arXiv 1611.07004).

Spectral normalisation (arXiv 1802.05957) and the hinge loss keep it in bounds; it is used in training alone.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

SLOPE = 0.2


class PatchCritic(nn.Module):
    """Pictures (B, 3, H, W) in [-1, 1] -> (B, 1, H / 4, W / 4): how real each patch looks.

    It sees the four pixels of each 2 x 2 square apart, so a checkerboard is the first thing it finds.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        shapes = [(12, width, 3, 1), (width, width, 3, 1), (width, 2 * width, 4, 2), (2 * width, 2 * width, 3, 1)]
        self.convs = nn.ModuleList(
            [spectral_norm(nn.Conv2d(i, o, side, stride, padding=1)) for i, o, side, stride in shapes]
        )
        self.out = spectral_norm(nn.Conv2d(2 * width, 1, 3, padding=1))

    def forward(self, pictures: Tensor) -> Tensor:
        x = F.pixel_unshuffle(pictures, 2)
        for conv in self.convs:
            x = F.leaky_relu(conv(x), SLOPE)
        verdict: Tensor = self.out(x)
        return verdict


def critic_loss(real: Tensor, made: Tensor) -> Tensor:
    """Return the hinge loss of the judge, of its verdicts on both."""
    return F.relu(1 - real).mean() + F.relu(1 + made).mean()


def maker_loss(made: Tensor) -> Tensor:
    """Return the loss of the network that is judged."""
    return -made.mean()
