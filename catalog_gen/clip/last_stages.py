"""The image tower's last stages as they learn, from the maps before them, with the text tower at rest.

Embeddings of words stay bit for bit what they were, so a generator that was trained on them still understands them.
Photos are told from all other products' words at once, and words from all other photos as they were last seen
(cross-batch memory, arXiv 1912.06798). Batch norms keep their statistics. What is measured and kept is a moving
average of the weights. Every random choice of a step follows from (seed, step), as in `learner`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from catalog_gen.clip.config import LastStagesConfig
from catalog_gen.clip.evaluate import HeldOutEmbeddings, embed_held_out
from catalog_gen.clip.learner import schedule
from catalog_gen.clip.maps import late, late_stages
from catalog_gen.clip.standardise import Standard
from catalog_gen.clip.text_tower import TextTower
from catalog_gen.training_data import TrainRow

MASKED = -1e4
_AT_ONCE = 64
_STANDARD_ROWS = 512  # of each plain view: enough for a mean and a deviation


@dataclass(frozen=True)
class StageLessons:
    """What the last stages learn from.

    maps: a view each, (M, h, w, C) float16; of the views, `photo_views` and `score_views` are the positions. places:
    (N,), each row's position in the maps. texts: the prompts' unit-norm embeddings (1 + R, N, D), as they are and in R
    other wordings. twins: (N,), of each row a number that it shares with the rows of the same prompt.
    """

    maps: Sequence[npt.NDArray[np.float16]]
    places: npt.NDArray[np.int64]
    photo_views: Sequence[int]
    score_views: Sequence[int]
    texts: Tensor
    twins: Tensor

    def parts(self, view: int, rows: int) -> Iterator[npt.NDArray[np.float16]]:
        """Yield the maps of the first `rows` in one view, some at once."""
        places = self.places[:rows]
        for start in range(0, len(places), _AT_ONCE):
            yield self.maps[view][places[start : start + _AT_ONCE]]


class LastStages:
    """The stages and the image head, their optimiser and their lessons; one `step` after the other."""

    def __init__(self, model: Any, text: TextTower, lessons: StageLessons, config: LastStagesConfig, seed: int) -> None:
        self.model, self.text, self.lessons, self.config, self.seed = model, text, lessons, config, seed
        self.trunk, self.head = model.visual.trunk, model.visual.head
        self.rate_factor = 1.0  # of the scheduled rates; every rollback halves it
        self.batch_size, self.epochs = min(config.batch_size, len(lessons.twins)), config.epochs  # few photos: all
        self.steps_per_epoch = len(lessons.twins) // self.batch_size
        self.total_steps = self.steps_per_epoch * config.epochs
        self.scale = float(model.logit_scale.detach().exp())
        self.skips = _skipping(self.trunk, config)
        model.requires_grad_(False).eval()
        for module in (*late_stages(self.trunk, config.stages), self.trunk.conv_head, self.trunk.bn2, self.head):
            module.requires_grad_(True)
        self.trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        plain = (lessons.photo_views[0], lessons.score_views[0])
        with torch.no_grad():
            some = [self._features(maps) for view in plain for maps in lessons.parts(view, _STANDARD_ROWS)]
            self.standard = Standard.of(torch.cat(some))
        self.standard.unfold(self.head)
        self.average = self._now()
        every = lessons.parts(plain[0], len(lessons.places))
        self.memory = torch.cat([self._embed(maps) for maps in every])  # (N, D): every photo as it was last seen
        self.new_optimizer()

    def new_optimizer(self) -> None:
        """Forget what the optimiser remembers of the steps so far."""
        groups: dict[tuple[float, float], list[Tensor]] = {}
        for name, parameter in self.trained.items():
            lr = self.config.head_lr if name.startswith("visual.head.") else self.config.lr
            decay = self.config.weight_decay if parameter.ndim >= 2 else 0.0
            groups.setdefault((lr, decay), []).append(parameter)
        self.optimizer = torch.optim.AdamW(
            [{"params": params, "lr": lr, "peak": lr, "weight_decay": d} for (lr, d), params in groups.items()],
            betas=(0.9, 0.98),
        )

    def step(self, step: int, chosen: npt.NDArray[np.int64]) -> dict[str, float]:
        """Take one optimiser step on the rows `chosen`; return its loss, and what belongs to it."""
        config, chance = self.config, np.random.default_rng((self.seed, 2, step))
        torch.manual_seed(self.seed * 1_000_003 + step)
        share = self.rate_factor * schedule(step, self.total_steps, config.warmup_share)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * share
        self.skips.train()
        features, order = self._look(chosen, chance)
        rows = torch.from_numpy(order)
        images = F.normalize(self._noisy_head(features), dim=-1)
        loss = self._loss(images, self._words(rows, chance), rows)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(list(self.trained.values()), 1.0)
        self.optimizer.step()
        self.skips.eval()
        self._remember(images.detach(), rows, step)
        return {
            "clip": float(loss.detach()),
            "gradient": float(norm),
            "stages_lr": config.lr * share,
            "head_lr": config.head_lr * share,
        }

    def _look(self, chosen: npt.NDArray[np.int64], chance: np.random.Generator) -> tuple[Tensor, npt.NDArray[np.int64]]:
        """Return the features (B, F) of the rows, each in a view of its own, and the rows in the features' order."""
        photo = chance.random(len(chosen)) < self.config.photo_view_share
        parts, order = [], []
        for seen, views in ((photo, self.lessons.photo_views), (~photo, self.lessons.score_views)):
            rows = chosen[seen]
            if len(rows):
                of_view = chance.choice(views, len(rows))
                places = self.lessons.places[rows]
                maps = [self.lessons.maps[view][place] for view, place in zip(of_view, places, strict=True)]
                parts.append(self._features(np.stack(maps)))
                order.append(rows)
        return torch.cat(parts), np.concatenate(order)

    def _features(self, maps: npt.NDArray[np.float16]) -> Tensor:
        """Return pooled features (B, F), float32, for maps (B, h, w, C)."""
        x = torch.from_numpy(np.asarray(maps)).permute(0, 3, 1, 2).float()  # channels last
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.text.half):
            return late(self.trunk, x, self.config.stages).float()

    def _noisy_head(self, features: Tensor) -> Tensor:
        config, mlp = self.config, self.head.mlp
        x = self.standard(features)
        x = F.dropout(x + config.noise * torch.randn_like(x), config.dropout)
        found: Tensor = mlp.fc2(F.dropout(mlp.act(mlp.fc1(x)), config.dropout))
        return found

    def _words(self, rows: Tensor, chance: np.random.Generator) -> Tensor:
        """Return an embedding of each row's words (B, D), now and then in another wording, a little noise on it."""
        texts = self.lessons.texts
        wordings = chance.integers(len(texts) > 1, len(texts), len(rows))
        wordings *= chance.random(len(rows)) < self.config.reword_share
        words = texts[torch.from_numpy(wordings), rows]
        return F.normalize(words + self.config.text_noise * torch.randn_like(words), dim=-1)

    def _loss(self, images: Tensor, texts: Tensor, rows: Tensor) -> Tensor:
        """Return the symmetric loss of the batch (B, D) against all rows; one with the same prompt is no negative."""
        twins = self.lessons.twins[rows][:, None] == self.lessons.twins[None]  # (B, N)
        twins[torch.arange(len(rows)), rows] = False
        losses = []
        for queries, keys, others in ((images, texts, self.lessons.texts[0]), (texts, images, self.memory)):
            logits = (queries @ others.T).index_copy(1, rows, queries @ keys.T)
            losses.append(F.cross_entropy((self.scale * logits).masked_fill(twins, MASKED), rows))
        return (losses[0] + losses[1]) / 2

    @torch.no_grad()
    def _remember(self, images: Tensor, rows: Tensor, step: int) -> None:
        self.memory[rows] = images
        decay = min(self.config.average, (1 + step) / (10 + step))  # a young average is shorter
        for name, parameter in self.trained.items():
            self.average[name].lerp_(parameter, 1 - decay)

    def embed_held_out(self, rows: Sequence[TrainRow], views: Sequence[npt.NDArray[np.float16]]) -> HeldOutEmbeddings:
        """Embed rows and their maps, four views (N, h, w, C) in the order of `photo_views`, by the average."""
        with self._averaged():
            return embed_held_out(self._embed, self.text.embed, views, rows)

    @torch.no_grad()
    def _embed(self, maps: npt.NDArray[np.float16]) -> Tensor:
        starts = range(0, len(maps), _AT_ONCE)
        parts = [self.head(self.standard(self._features(maps[start : start + _AT_ONCE]))) for start in starts]
        return F.normalize(torch.cat(parts), dim=-1)

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """Put the averaged weights in the place of those that learn, for a while."""
        now = self._now()
        self._put(self.average)
        try:
            yield
        finally:
            self._put(now)

    def _now(self) -> dict[str, Tensor]:
        return {name: parameter.detach().clone() for name, parameter in self.trained.items()}

    @torch.no_grad()
    def _put(self, weights: Mapping[str, Tensor]) -> None:
        for name, value in weights.items():
            self.trained[name].copy_(value)

    def settle(self) -> None:
        """Leave the model as a bundle keeps it: averaged weights, and a head that takes features as they are."""
        self._put(self.average)
        self.standard.fold(self.head)
        self.model.eval()

    def weights(self) -> dict[str, Tensor]:
        """Return a copy of the averaged weights, by their names in the model."""
        return {name: value.clone() for name, value in self.average.items()}

    def load_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Take over what `weights` returned, as the average and as what learns."""
        self._put(weights)
        self.average = self._now()

    def state_dict(self) -> dict[str, Any]:
        """Return what the next step depends on, beside the config and the data."""
        return {
            "trained": self._now(),
            "average": self.weights(),
            "memory": self.memory.clone(),
            "optimizer": self.optimizer.state_dict(),
            "rate_factor": self.rate_factor,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        self._put(state["trained"])
        self.average, self.memory = dict(state["average"]), state["memory"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.rate_factor = float(state["rate_factor"])


def _skipping(trunk: Any, config: LastStagesConfig) -> torch.nn.ModuleList:
    """Let the stages' residual blocks be skipped at random (arXiv 1603.09382); return what does it, in eval mode."""
    from timm.layers import DropPath

    skips = torch.nn.ModuleList()
    for stage in late_stages(trunk, config.stages):
        for block in stage.children():
            if getattr(block, "has_skip", False):
                skip = DropPath(config.drop_path)
                block.drop_path = skip
                skips.append(skip)
    return skips.eval()
