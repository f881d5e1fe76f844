"""What can be set about the upscaler and its training; every default is stated here, once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from catalog_gen.training.stepped import BOUNDS

FLAGS: Mapping[str, str] = {  # settings that `train upscale` has a flag of its own for
    "images": "--images",
    "minutes": "--minutes",
    "batch": "--batch",
    "seed": "--seed",
}


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class UpscalerConfig(_Section):
    """The shape of an upscaler; stored in its bundle, so a bundle rebuilds its own network."""

    factor: int = Field(4, ge=2, le=16)  # how many times as wide and as high: 2, 4, 8, 16
    width: int = Field(32, ge=1)  # channels at the small picture's resolution, where nearly all the work is done
    blocks: int = Field(6, ge=0)  # residual ones, of two convolutions each
    tail: int = Field(24, ge=1)  # channels between one doubling and the next

    @field_validator("factor")
    @classmethod
    def _doubles(cls, factor: int) -> int:
        if factor & (factor - 1):
            raise ValueError("factor must be a power of two")
        return factor


class LossWeights(_Section):
    """How much each loss counts; a weight of 0 leaves it out, and its cost."""

    pixels: float = Field(1.0, ge=0)  # Charbonnier's
    features: float = Field(0.1, ge=0)  # mean distance in a frozen network's standardised features
    adversarial: float = Field(0.01, ge=0)


class UpscaleTrainConfig(_Section):
    """How an upscaler is trained; `images` are crops seen."""

    images: int = Field(80_000, ge=1)
    minutes: float = Field(0.0, ge=0)  # 0: no bound
    batch: int = Field(8, ge=1)
    crop: int = Field(128, ge=32)  # px of the large crops that it learns to draw
    learning_rate: float = Field(6e-4, gt=0)
    critic_rate: float = Field(2e-4, gt=0)  # learning rate of the judge of the adversarial loss
    critic_width: int = Field(48, ge=1)
    warmup: float = Field(0.2, ge=0, lt=1)  # share of the images before the adversarial loss sets in
    decay: float = Field(0.5, gt=0, le=1)  # share of the images, the last ones, over which the rates fall to nothing
    average: float = Field(0.999, ge=0, lt=1)  # of the kept weights, a step
    seed: int = 0
    checkpoint_minutes: float = Field(3.0, gt=0)
    sheet_every: int = Field(4000, ge=1)
    report_every: int = Field(25, ge=1)  # steps
    measured: int = Field(200, ge=1)  # held-out photos to measure on, at most
    losses: LossWeights = LossWeights()
    network: UpscalerConfig = UpscalerConfig()

    @model_validator(mode="after")
    def _crops_divide(self) -> Self:
        if self.crop % (2 * self.network.factor):
            raise ValueError(f"crop must be a multiple of {2 * self.network.factor}, twice the factor")
        return self

    def key(self, data: str) -> str:
        """Return what must be the same for a checkpoint to be gone on from."""
        kept = {name: value for name, value in self.model_dump().items() if name not in BOUNDS}
        return json.dumps({"config": kept, "data": data}, sort_keys=True)


def as_dict(config: BaseModel) -> dict[str, Any]:
    """Return the config as JSON takes it."""
    return config.model_dump(mode="json")
