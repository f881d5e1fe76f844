"""The product CLIP as it learns: its towers, optimiser and lessons; one `step` after the other.

Every random choice of a step follows from (seed, step), so a resumed training makes the same steps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from catalog_gen.clip.config import ClipTrainConfig
from catalog_gen.clip.data import reword, training_views
from catalog_gen.clip.polish import POLISH, Lessons, polish_head
from catalog_gen.cpu import has_fast_bf16

LENGTH_GROUPS = 4  # a batch's prompts run in groups of like length: less padding, a third less time


class Learner:
    """The model, its optimiser and its data: features (views, N, C) of the rows' photos, and the rows' prompts (N)."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        features: npt.NDArray[np.float16],
        prompts: Sequence[str],
        config: ClipTrainConfig,
    ) -> None:
        self.model, self.config = model, config
        self.rate_factor = 1.0  # of the scheduled rates; every rollback halves it
        self.half = _half(config.precision)
        self.tokenizer = tokenizer.tokenizer
        self.features = features  # (views, N, C)
        self.prompts = list(prompts)
        names = [view.name for view in training_views(config.image_size, config.score_size, config.draft_size)]
        self.photo_views = [i for i, name in enumerate(names) if name.startswith("photo")]
        self.score_views = [i for i, name in enumerate(names) if name.startswith("score")]
        plain = torch.from_numpy(features[:2].astype(np.float32)).flatten(0, 1)
        self.mean, self.deviation = plain.mean(0), plain.std(0).clamp_min(1e-3)
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
        images = F.normalize(self.image_head(self.features[views, chosen], folded=False), dim=-1)
        texts = F.normalize(self._text_tower(prompts), dim=-1)
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
        standard = (self.features.astype(np.float32) - self.mean.numpy()) / self.deviation.numpy()
        texts = self.embed_prompts(self.prompts).clone()  # out of inference mode
        lessons = Lessons(standard.astype(np.float16), self.photo_views, self.score_views, texts)
        scale = float(self.model.logit_scale.detach().exp())
        polish_head(self.model.visual.head, lessons, scale, POLISH, self.config.seed)

    def image_head(self, features: npt.NDArray[np.float16], *, folded: bool = True) -> Tensor:
        """Return the head's output (B, D) for pooled features (B, C)."""
        x = torch.from_numpy(features.astype(np.float32))
        if not folded:
            x = (x - self.mean) / self.deviation
        return self.model.visual.head(x)  # type: ignore[no-any-return]

    def fold_standardisation(self) -> None:
        """Move the features' standardisation into the head's first layer: open_clip's model has no place for it."""
        first = self.model.visual.head.mlp.fc1
        with torch.no_grad():
            first.weight.div_(self.deviation)
            first.bias.sub_(first.weight @ self.mean)

    def _text_tower(self, prompts: Sequence[str]) -> Tensor:
        tokens = self.tokenizer(list(prompts), truncation=True, max_length=self.config.context_length)["input_ids"]
        order = sorted(range(len(tokens)), key=lambda i: len(tokens[i]))
        size = max(1, math.ceil(len(order) / LENGTH_GROUPS))
        parts = []
        for start in range(0, len(order), size):
            group = [torch.tensor(tokens[i]) for i in order[start : start + size]]
            padded = torch.nn.utils.rnn.pad_sequence(group, batch_first=True)  # [PAD] is 0
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.half):
                parts.append(self.model.text(padded).float())
        return torch.cat(parts)[torch.tensor(order).argsort()]

    @torch.inference_mode()
    def embed_prompts(self, prompts: Sequence[str]) -> Tensor:
        """Return (B, D) unit-norm embeddings, in evaluation mode."""
        self.model.eval()
        parts = [self._text_tower(prompts[start : start + 256]) for start in range(0, len(prompts), 256)]
        return F.normalize(torch.cat(parts), dim=-1)

    def weights(self) -> dict[str, Tensor]:
        """Return a copy of everything that is learnt, by name."""
        return {name: p.detach().clone() for name, p in self.model.named_parameters() if p.requires_grad}

    @torch.no_grad()
    def load_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Take over what `weights` returned."""
        own = dict(self.model.named_parameters())
        for name, value in weights.items():
            own[name].copy_(value)

    def fits_half(self) -> bool:
        """Return whether every learnt weight is finite in half precision, which a bundle keeps."""
        return all(bool(torch.isfinite(parameter.detach().half()).all()) for parameter in self.trained)

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


def _half(precision: str) -> bool:
    """Return whether the text tower runs in bfloat16; on a processor that has to imitate it, it is slower."""
    return precision == "bf16" or (precision == "auto" and has_fast_bf16())
