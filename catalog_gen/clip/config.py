"""What can be set about the training of a product CLIP; every default is stated here, once."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from catalog_gen.training.alarm import OnAlarm

# What a training that starts from a bundle may set; all else is as the bundle was trained.
FREE_FROM_A_BUNDLE = ("name", "checkpoint_every", "precision", "seed", "data", "last_stages", "watch")


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ClipWatchConfig(_Section):
    """What is measured on the way, and when a training is stopped or taken back to its best epoch."""

    log_every: int = Field(5, ge=1)  # steps
    measure_every: int = Field(1, ge=0)  # epochs; 0: never, the last step is then the best
    on_alarm: OnAlarm = "stop"
    max_rollbacks: int = Field(2, ge=0)
    diverged: float = Field(3.0, gt=1)  # a loss beyond this many times the first one, or not a number
    forgotten: float = Field(0.5, gt=0, lt=1)  # mean reciprocal rank below this share of its best so far
    wandb: str = ""  # project; empty: no Weights & Biases


class LastStagesConfig(_Section):
    """How the image tower's last stages and its head learn, at the end, while the text tower rests."""

    stages: int = Field(3, ge=0, le=6)  # of the image tower, the last ones that learn; 0: none, and no such phase
    epochs: int = Field(6, ge=1, le=10_000)
    batch_size: int = Field(128, ge=2, le=65_536)  # all photos, where they are fewer
    lr: float = Field(1e-4, gt=0)  # of the stages
    head_lr: float = Field(3e-4, gt=0)
    weight_decay: float = Field(0.05, ge=0)
    warmup_share: float = Field(0.08, ge=0, le=1)
    photo_view_share: float = Field(0.5, ge=0, le=1)  # as above
    reword_share: float = Field(0.6, ge=0, le=1)  # as above
    rewordings: int = Field(4, ge=0, le=64)  # of every prompt, embedded beforehand
    drop_path: float = Field(0.1, ge=0, le=0.9)  # chance that a residual block is left out for a photo
    noise: float = Field(0.3, ge=0)  # on pooled features, in their standard deviations
    dropout: float = Field(0.2, ge=0, le=0.9)  # in the head
    text_noise: float = Field(0.03, ge=0)  # on embeddings of words, of unit length
    average: float = Field(0.99, ge=0, lt=1)  # of the weights, a step; the average is measured and kept


class ClipTrainConfig(_Section):
    """How a product CLIP is trained. Sizes in pixels, rates per step, shares of one."""

    name: str = "product-clip"
    embed_dim: int = Field(256, ge=1, le=4096)
    image_size: int = Field(224, ge=32, le=1024)
    score_size: int = Field(96, ge=32, le=1024)  # at which generated pictures are scored
    draft_size: int = Field(64, ge=8, le=1024)  # that generated pictures are drawn at
    context_length: int = Field(64, ge=8, le=512)  # tokens
    epochs: int = Field(12, ge=1, le=10_000)
    batch_size: int = Field(256, ge=2, le=65_536)
    head_lr: float = Field(1e-3, gt=0)
    text_lr: float = Field(5e-5, gt=0)
    weight_decay: float = Field(0.05, ge=0)
    warmup_share: float = Field(0.08, ge=0, le=1)  # of all steps, in which the rates rise; then half a cosine down to 0
    photo_view_share: float = Field(0.6, ge=0, le=1)  # of photos seen as they are; the others as a generated picture is
    reword_share: float = Field(0.6, ge=0, le=1)  # of prompts said in other words
    dropout: float = Field(0.1, ge=0, le=0.9)
    held_out: int = Field(1000, ge=0)
    checkpoint_every: int = Field(100, ge=1)  # steps
    precision: Literal["auto", "bf16", "fp32"] = "auto"  # of the text tower; auto: bf16 where the processor has it
    seed: int = 0
    data: str = "The shop's own products and photos."  # for the card
    last_stages: LastStagesConfig = LastStagesConfig()
    watch: ClipWatchConfig = ClipWatchConfig()
