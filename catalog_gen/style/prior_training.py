"""Training the matte's prior, and measuring it on products whose alpha is known.

What a step sees follows from (seed, step) and its rate from the images seen, so a training may stop at any time and go
on along the same curve; the weights that are kept are the average of the late ones.
"""

from __future__ import annotations

import copy
import json
from dataclasses import asdict, dataclass, field

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from catalog_gen.cpu import has_fast_bf16
from catalog_gen.style.ground import Floats
from catalog_gen.style.matte import cut_out_with
from catalog_gen.style.prior import Prior, PriorConfig, PriorNetwork, features_of
from catalog_gen.style.prior_data import Example, Labelled, bleached_example, example
from catalog_gen.style.style_data import planes
from catalog_gen.training.stepped import BOUNDS, Stateful, SteppedTrainer

WARMUP = 100  # steps
DECAY = 0.4  # of the images: the rate falls to nothing over the last ones
AVERAGE = 0.995  # of the kept weights, a step
BEHIND = (20, 40, 160)  # what the sheets show products on
_EXAMPLES, _MEASURED = range(2)  # streams of chance that never meet


@dataclass(frozen=True)
class PriorTrainConfig:
    """How the prior is trained; `images` are examples seen."""

    images: int = 30_000
    minutes: float = 0.0  # 0: no bound
    batch: int = 8
    learning_rate: float = 1.5e-3
    seed: int = 0
    checkpoint_minutes: float = 3.0
    sheet_every: int = 2000
    report_every: int = 10  # steps
    measured: int = 300  # bleached products to measure on, at most
    network: PriorConfig = field(default_factory=PriorConfig)

    def key(self, data: str) -> str:
        """Return what must be the same for a checkpoint to be gone on from."""
        kept = {name: value for name, value in asdict(self).items() if name not in BOUNDS}
        return json.dumps({"config": kept, "data": data}, sort_keys=True)


class PriorTrainer(SteppedTrainer):
    """A network, its products and its optimiser. `average` is the network to keep."""

    kind = "matte"

    def __init__(self, config: PriorTrainConfig, labelled: Labelled, data: str = "") -> None:
        super().__init__(config, config.key(data))
        torch.manual_seed(config.seed)
        self.config, self.labelled = config, labelled
        self.network = PriorNetwork(config.network).to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.network).requires_grad_(False).eval()
        self.optimiser = torch.optim.AdamW(self.network.parameters(), config.learning_rate, weight_decay=0.01)
        self._half = has_fast_bf16()

    def train_step(self) -> dict[str, float]:
        """Take one step; return the losses by name, and their `total`."""
        config = self.config
        left = max(0.0, (config.images - self.images) / config.images)
        for group in self.optimiser.param_groups:
            group["lr"] = config.learning_rate * min(1.0, (self.step + 1) / WARMUP, left / DECAY + 0.01)
        pictures, alphas, grounds = _stacked(self.draw(self.step))
        with torch.autocast("cpu", torch.bfloat16, enabled=self._half):
            logits = self.network(features_of(pictures, grounds))
        losses = prior_losses(logits.float(), F.avg_pool2d(alphas, 2))
        loss = losses["entropy"] + 0.5 * losses["overlap"]
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        self.step += 1
        self._keep()
        return {"total": float(loss.detach()), **{name: float(value.detach()) for name, value in losses.items()}}

    @torch.no_grad()
    def _keep(self) -> None:
        decay = min(AVERAGE, self.step / (self.step + 10))
        learnt = self.network.state_dict()
        for name, kept in self.average.state_dict().items():
            if kept.is_floating_point():
                kept.lerp_(learnt[name], 1 - decay)
            else:
                kept.copy_(learnt[name])

    def draw(self, step: int) -> list[Example]:
        """Return the examples of a step."""
        rng = np.random.default_rng((self.config.seed, _EXAMPLES, step % 2**32))
        chosen = rng.integers(len(self.labelled.rgba), size=self.config.batch)
        return [example(self.labelled, int(index), rng) for index in chosen]

    @torch.no_grad()
    def sheet(self) -> Tensor:
        """Return a sheet (3, H, W) in [0, 1]: examples, cut out as they should be, and as the average would."""
        pictures, alphas, grounds = _stacked(self.draw(-1))
        found = torch.sigmoid(self.average(features_of(pictures, grounds)))
        found = F.interpolate(found, scale_factor=2, mode="bilinear", align_corners=False)
        behind = torch.tensor(BEHIND).view(1, 3, 1, 1) / 255
        rows = [pictures, *(torch.lerp(behind.expand_as(pictures), pictures, alpha) for alpha in (alphas, found))]
        return torch.cat([torch.cat(list(row), 2) for row in rows], 1)

    def states(self) -> dict[str, Stateful]:
        return {"network": self.network, "average": self.average, "optimiser": self.optimiser}


def prior_losses(logits: Tensor, alphas: Tensor) -> dict[str, Tensor]:
    """Return `entropy` and `overlap` of logits and alphas, (B, 1, h, w).

    Cross entropy weighs all pixels alike; one less Dice's coefficient (arXiv 1606.04797) weighs all products alike.
    """
    found = torch.sigmoid(logits)
    shared, both = (found * alphas).sum((1, 2, 3)), (found + alphas).sum((1, 2, 3))
    overlap = 1 - ((2 * shared + 1) / (both + 1)).mean()
    return {"entropy": F.binary_cross_entropy_with_logits(logits, alphas), "overlap": overlap}


@dataclass(frozen=True)
class Measured:
    """error: mean absolute error of alpha in parts of the product's area; overlap: intersection over union."""

    error: float
    overlap: float


def measure(labelled: Labelled, prior: Prior, count: int, seed: int) -> dict[str, Measured]:
    """Return how good mattes of bleached products are: by the `colours` alone, and with the `prior` as well."""
    found: dict[str, list[tuple[float, float]]] = {"colours": [], "prior": []}
    for index in range(min(count, len(labelled.rgba))):
        shown = bleached_example(labelled, index, np.random.default_rng((seed, _MEASURED, index)))
        for name, asked in (("colours", None), ("prior", prior)):
            found[name].append(_compared(cut_out_with(Image.fromarray(shown.picture), asked).alpha, shown.alpha))
    return {name: Measured(*(float(value) for value in np.mean(values, axis=0))) for name, values in found.items()}


def _compared(found: Floats, alpha: Floats) -> tuple[float, float]:
    error = np.abs(found - alpha).sum() / max(float(alpha.sum()), 1.0)
    return float(error), float(np.minimum(found, alpha).sum() / max(float(np.maximum(found, alpha).sum()), 1.0))


def _stacked(examples: list[Example]) -> tuple[Tensor, Tensor, Tensor]:
    """Return pictures (B, 3, S, S), alphas (B, 1, S, S) and grounds (B, 3), all in [0, 1]."""
    pictures = planes(np.stack([one.picture for one in examples]))
    alphas = torch.from_numpy(np.stack([one.alpha for one in examples]))[:, None]
    return pictures, alphas, torch.from_numpy(np.stack([one.ground for one in examples]))
