"""What can be set about the training of a product CLIP; every default is stated here, once."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from catalog_gen.training.alarm import OnAlarm


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
    watch: ClipWatchConfig = ClipWatchConfig()
