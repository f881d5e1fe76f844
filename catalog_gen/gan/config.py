"""What can be set about the networks and their training; every default is stated here, once."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

FIRST_SIZE = 4  # px: every generator starts at 4x4


class GeneratorConfig(BaseModel):
    """The shape of a generator; stored in its bundle, so a bundle rebuilds its own network."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    image_size: int = Field(64, ge=8, le=1024)
    z_dim: int = Field(128, ge=1)
    text_dim: int = Field(256, ge=1)
    w_dim: int = Field(256, ge=1)
    channels: tuple[int, ...] = (384, 384, 192, 96, 32)  # at 4, 8, ... image_size px; the last two set the speed

    @model_validator(mode="after")
    def _sizes_agree(self) -> Self:
        reached = FIRST_SIZE * 2 ** (len(self.channels) - 1)
        if reached != self.image_size:
            raise ValueError(f"{len(self.channels)} channel counts reach {reached} px, not {self.image_size}")
        if min(self.channels) < 1:
            raise ValueError("channels must be positive")
        return self


class DiscriminatorConfig(BaseModel):
    """The judges: small heads on frozen features, and one on the pixels themselves."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["projected"] = "projected"
    head_width: int = Field(64, ge=1)
    pixel_widths: tuple[int, ...] = (64, 96, 128)  # empty: no head on the pixels


class GanTrainConfig(BaseModel):
    """How a generator is trained. `images` counts photos shown; a run ends at `images` or after `minutes`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    generator: GeneratorConfig = GeneratorConfig()
    discriminator: DiscriminatorConfig = DiscriminatorConfig()
    images: int = Field(400_000, ge=1)
    minutes: float | None = Field(None, gt=0)
    batch_size: int = Field(32, ge=2)  # two at least: the mismatched words are a neighbour's
    seed: int = 0
    g_lr: float = Field(4e-4, gt=0)
    d_lr: float = Field(4e-4, gt=0)
    pixel_weight: float = Field(8.0, ge=0)  # of the 4, 8 and 16 px averages' squared error
    feature_weight: float = Field(1.0, ge=0)  # of the frozen features' squared error, cell by cell
    clip_weight: float = Field(0.0, ge=0)
    text_noise: float = Field(0.2, ge=0)  # length of the noise added to a unit-length embedding
    translate: float = Field(0.125, ge=0, lt=1)  # of the side, both directions
    flip: bool = True
    ema_images: float = Field(10_000, gt=0)  # half-life of the averaged generator, in images
    ema_rampup: float = Field(0.05, gt=0)  # the half-life is at most this share of the images seen so far
    device: str = "cpu"
    bf16: bool = True
    checkpoint_minutes: float = Field(10.0, gt=0)
    sheet_every: int = Field(250, ge=1)  # steps
    workers: int = Field(2, ge=0)
