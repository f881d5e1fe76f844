"""Training the upscaler.

What a step sees follows from (seed, step) and its rates from the images seen, so a training may stop at any time and go
on along the same curve; the weights that are kept are the average of the late ones.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor, nn

from catalog_gen.cpu import has_fast_bf16
from catalog_gen.gan.features import FeatureScales, FrozenFeatures
from catalog_gen.training.stepped import Stateful, SteppedTrainer
from catalog_gen.upscale.config import UpscaleTrainConfig
from catalog_gen.upscale.critic import PatchCritic, critic_loss, maker_loss
from catalog_gen.upscale.data import CropSource, Pair, pair, whiten
from catalog_gen.upscale.degrade import Pixels, degrade
from catalog_gen.upscale.network import UpscaleNetwork
from catalog_gen.upscale.resample import lanczos

STEPS_TO_RATE = 100  # the learning rate climbs over the first steps
STAGES = 4  # of the frozen features, the finest first
CALIBRATED = 64  # crops that the features' means and deviations come from
CHARBONNIER = 1e-3
_SHOWN = 1  # the stream of chance of what sheets show


class UpscaleTrainer(SteppedTrainer):
    """A network, its judge, its photos (N, S, S, 3) uint8 and its optimisers. `average` is the network to keep.

    shown: photos for the sheets, that are not learnt from. features: None only where its loss has no weight.
    """

    kind = "upscaler"

    def __init__(
        self,
        config: UpscaleTrainConfig,
        photos: np.ndarray[tuple[int, ...], np.dtype[np.uint8]],
        shown: list[Pixels],
        features: FrozenFeatures | None,
        data: str = "",
    ) -> None:
        super().__init__(config, config.key(data))
        torch.manual_seed(config.seed)
        self.config, self.shown, self.features = config, shown, features
        self.source = CropSource(photos, config.crop, config.network.factor, config.seed)
        self.network = UpscaleNetwork(config.network).to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.network).requires_grad_(False).eval()
        self.critic = PatchCritic(config.critic_width).to(memory_format=torch.channels_last)
        self.scales = FeatureScales()
        betas = (0.9, 0.99)
        self.optimiser = torch.optim.Adam(self.network.parameters(), config.learning_rate, betas=betas)
        self.critic_optimiser = torch.optim.Adam(self.critic.parameters(), config.critic_rate, betas=(0.5, 0.99))
        self._half = has_fast_bf16()
        if features is not None:
            with torch.no_grad():
                self.scales.calibrate(features(self.source.draw(-1, CALIBRATED).large))

    def train_step(self) -> dict[str, float]:
        """Take one step; return the losses by name, and their `total`."""
        config, judged = self.config, self._is_judged()
        self._set_rates()
        seen = self.source.draw(self.step, config.batch)
        with torch.autocast("cpu", torch.bfloat16, enabled=self._half):
            made = self.network(seen.small)
        losses = self._losses(made.float(), seen, judged)
        weights = {"pixels": config.losses.pixels, "features": config.losses.features}
        weights["adversarial"] = config.losses.adversarial
        loss = torch.stack([weights[name] * value for name, value in losses.items()]).sum()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        told = {"total": float(loss.detach()), **{name: float(value.detach()) for name, value in losses.items()}}
        if config.losses.adversarial:
            told.setdefault("adversarial", 0.0)
            told["critic"] = self._teach_critic(made.detach().float(), seen.large) if judged else 0.0
        self.step += 1
        self._keep()
        return told

    def _is_judged(self) -> bool:
        config = self.config
        return config.losses.adversarial > 0 and self.images >= config.warmup * config.images

    def _set_rates(self) -> None:
        config = self.config
        left = max(0.0, (config.images - self.images) / config.images)
        share = min(1.0, left / config.decay + 0.01)
        for group in self.optimiser.param_groups:
            group["lr"] = config.learning_rate * min((self.step + 1) / STEPS_TO_RATE, share)
        for group in self.critic_optimiser.param_groups:
            group["lr"] = config.critic_rate * share

    def _losses(self, made: Tensor, seen: Pair, judged: bool) -> dict[str, Tensor]:
        losses = {}
        if self.config.losses.pixels:
            losses["pixels"] = torch.sqrt((made - seen.large).square() + CHARBONNIER**2).mean()
        if self.features is not None and self.config.losses.features:
            losses["features"] = self._feature_distance(made, seen.large)
        if judged:
            self.critic.requires_grad_(False)
            with torch.autocast("cpu", torch.bfloat16, enabled=self._half):
                losses["adversarial"] = maker_loss(self.critic(made).float())
            self.critic.requires_grad_(True)
        return losses

    def _feature_distance(self, made: Tensor, large: Tensor) -> Tensor:
        assert self.features is not None
        with torch.no_grad():
            aims = self.scales.standardise(self.features(large)[:STAGES])
        found = self.scales.standardise(self.features(made)[:STAGES])
        return torch.stack([(one - aim).abs().mean() for one, aim in zip(found, aims, strict=True)]).mean()

    def _teach_critic(self, made: Tensor, large: Tensor) -> float:
        with torch.autocast("cpu", torch.bfloat16, enabled=self._half):
            real, drawn = self.critic(torch.cat([large, made])).float().chunk(2)
        loss = critic_loss(real, drawn)
        self.critic_optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.critic_optimiser.step()
        return float(loss.detach())

    @torch.no_grad()
    def _keep(self) -> None:
        decay = min(self.config.average, self.step / (self.step + 10))
        for kept, new in zip(self.average.parameters(), self.network.parameters(), strict=True):
            kept.lerp_(new, 1 - decay)

    @torch.no_grad()
    def sheet(self) -> Tensor:
        """Return a sheet (3, H, W) in [0, 1]: small pictures, by Lanczos, by the average, and as they should be."""
        factor = self.config.network.factor
        rows = []
        for index, photo in enumerate(self.shown):
            large = whiten(photo)
            small = degrade(large, factor, np.random.default_rng((self.config.seed, _SHOWN, index)))
            seen = pair([(small, large)])
            enlarged = seen.small.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
            columns = [enlarged, lanczos(seen.small, factor), self.average(seen.small), seen.large]
            rows.append(torch.cat([column[0] for column in columns], 2))
        return torch.cat(rows, 1).add(1).div(2).clamp(0, 1)

    def states(self) -> dict[str, Stateful]:
        return {
            "network": self.network,
            "average": self.average,
            "critic": self.critic,
            "scales": self.scales,
            "optimiser": self.optimiser,
            "critic_optimiser": self.critic_optimiser,
        }
