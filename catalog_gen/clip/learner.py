"""The product CLIP as it learns: its towers, optimiser and lessons; one `step` after the other.

Every random choice of a step follows from (seed, step), so a resumed training makes the same steps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from catalog_gen.clip.config import ClipTrainConfig
from catalog_gen.clip.data import reword, training_views
from catalog_gen.clip.evaluate import HeldOutEmbeddings, embed_held_out
from catalog_gen.clip.polish import POLISH, Lessons, polish_head
from catalog_gen.clip.standardise import Standard
from catalog_gen.clip.text_tower import TextTower
from catalog_gen.training_data import TrainRow


class Learner:
    """The model, its optimiser and its data: features (views, N, C) of the rows' photos, and the rows' prompts (N)."""

    def __init__(
        self,
        model: Any,
        text: TextTower,
        features: npt.NDArray[np.float16],
        prompts: Sequence[str],
        config: ClipTrainConfig,
    ) -> None:
        self.model, self.text, self.config = model, text, config
        self.rate_factor = 1.0  # of the scheduled rates; every rollback halves it
        self.batch_size, self.epochs = config.batch_size, config.epochs
        self.features = features  # (views, N, C)
        self.prompts = list(prompts)
        names = [view.name for view in training_views(config.image_size, config.score_size, config.draft_size)]
        self.photo_views = [i for i, name in enumerate(names) if name.startswith("photo")]
        self.score_views = [i for i, name in enumerate(names) if name.startswith("score")]
        plain = torch.from_numpy(features[:2].astype(np.float32)).flatten(0, 1)
        self.standard = Standard.of(plain)
        self.steps_per_epoch = len(prompts) // config.batch_size
        self.total_steps = self.steps_per_epoch * config.epochs
        model.requires_grad_(False)
        self.trained = [*model.text.parameters(), *model.visual.head.parameters(), model.logit_scale]
        for parameter in self.trained:
            parameter.requires_grad_(True)
        self.new_optimizer()

    def new_optimizer(self) -> None:
        """Forget what the optimiser remembers of the steps so far."""
        self.optimizer = torch.optim.AdamW(self._groups(), betas=(0.9, 0.98), eps=1e-6)

    def _groups(self) -> list[dict[str, Any]]:
        groups: dict[tuple[float, float], list[Tensor]] = {}
        for name, parameter in self.model.named_parameters():
            if parameter.requires_grad:
                lr = self.config.text_lr if name.startswith("text.transformer.") else self.config.head_lr
                decay = self.config.weight_decay if parameter.ndim >= 2 else 0.0
                groups.setdefault((lr, decay), []).append(parameter)
        return [
            {"params": params, "lr": lr, "peak": lr, "weight_decay": decay} for (lr, decay), params in groups.items()
        ]

    def step(self, step: int, chosen: npt.NDArray[np.int64]) -> dict[str, float]:
        """Take one optimiser step on the rows `chosen`; return its loss, and what belongs to it."""
        config, chance = self.config, np.random.default_rng((self.config.seed, 1, step))
        torch.manual_seed(config.seed * 1_000_003 + step)
        share = self.rate_factor * schedule(step, self.total_steps, config.warmup_share)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * share
        photo = chance.random(len(chosen)) < config.photo_view_share
        views = np.where(
            photo, chance.choice(self.photo_views, len(chosen)), chance.choice(self.score_views, len(chosen))
        )
        plain = [self.prompts[i] for i in chosen]
        prompts = [reword(text, chance) if chance.random() < config.reword_share else text for text in plain]
        self.model.train()
        self.model.visual.trunk.eval()
        images = F.normalize(self._image_head(self.features[views, chosen]), dim=-1)
        texts = F.normalize(self.text(prompts), dim=-1)
        loss = info_nce(images, texts, self.model.logit_scale.exp(), plain)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self.trained, 1.0)
        self.optimizer.step()
        with torch.no_grad():
            self.model.logit_scale.clamp_(0, math.log(100))
        return {
            "clip": float(loss.detach()),
            "gradient": float(norm),
            "logit_scale": float(self.model.logit_scale.detach().exp()),
            "head_lr": config.head_lr * share,
            "text_lr": config.text_lr * share,
        }

    def polish(self) -> None:
        """Give the image head its last lessons, with the text tower as it is now."""
        standard = self.standard(torch.from_numpy(self.features.astype(np.float32))).numpy()
        texts = self.text.embed(self.prompts).clone()  # out of inference mode
        lessons = Lessons(standard.astype(np.float16), self.photo_views, self.score_views, texts)
        scale = float(self.model.logit_scale.detach().exp())
        polish_head(self.model.visual.head, lessons, scale, POLISH, self.config.seed)

    def embed_held_out(self, rows: Sequence[TrainRow], views: Sequence[npt.NDArray[np.float16]]) -> HeldOutEmbeddings:
        """Embed rows and their features, four views (N, C) in the order of `photo_views`."""
        self.model.eval()
        return embed_held_out(self._image_head, self.text.embed, views, rows)

    def _image_head(self, features: npt.NDArray[np.float16]) -> Tensor:
        return cast(Tensor, self.model.visual.head(self.standard(torch.from_numpy(features.astype(np.float32)))))

    def settle(self) -> None:
        """Leave the model as a bundle keeps it: its head takes features as they are."""
        self.standard.fold(self.model.visual.head)

    def weights(self) -> dict[str, Tensor]:
        """Return a copy of everything that is learnt, by name."""
        return {name: p.detach().clone() for name, p in self.model.named_parameters() if p.requires_grad}

    @torch.no_grad()
    def load_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Take over what `weights` returned."""
        own = dict(self.model.named_parameters())
        for name, value in weights.items():
            own[name].copy_(value)

    def state_dict(self) -> dict[str, Any]:
        """Return what the next step depends on, beside the config and the data."""
        return {
            "trained": self.weights(),
            "optimizer": self.optimizer.state_dict(),
            "rate_factor": self.rate_factor,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        self.load_weights(state["trained"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.rate_factor = float(state["rate_factor"])


def info_nce(images: Tensor, texts: Tensor, scale: Tensor, prompts: Sequence[str]) -> Tensor:
    """Return CLIP's symmetric loss of unit-norm (B, D) images and texts; a row with the same prompt is no negative."""
    logits = scale * texts @ images.T  # (B, B)
    numbers = torch.tensor(np.unique(np.array(prompts, dtype=object).astype(str), return_inverse=True)[1])
    twin = (numbers[:, None] == numbers[None, :]) & ~torch.eye(len(numbers), dtype=torch.bool)
    logits = logits.masked_fill(twin, float("-inf"))
    target = torch.arange(len(logits))
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def schedule(step: int, total: int, warmup_share: float) -> float:
    """Return the share of the peak rate: a linear warmup, then half a cosine down to zero."""
    warmup = max(1, round(total * warmup_share))
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))
