"""What can be set about the networks and their training; every default is stated here, once."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

FIRST_SIZE = 4  # px: every generator starts at 4x4

Adversarial = Literal["hinge", "non_saturating", "wasserstein", "relativistic"]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class GeneratorConfig(_Section):
    """The shape of a generator; stored in its bundle, so a bundle rebuilds its own network."""

    image_size: int = Field(64, ge=8, le=1024)
    z_dim: int = Field(128, ge=1)
    text_dim: int = Field(256, ge=1)
    w_dim: int = Field(256, ge=1)
    channels: tuple[int, ...] = (384, 384, 192, 96, 32)  # at 4, 8, ... image_size px; the last two set the speed
    norm: Literal["batch", "adaptive"] = "batch"  # whose statistics are modulated: the batch's, or each picture's own
    activation: Literal["leaky_relu", "glu"] = "leaky_relu"

    @model_validator(mode="after")
    def _sizes_agree(self) -> Self:
        reached = FIRST_SIZE * 2 ** (len(self.channels) - 1)
        if reached != self.image_size:
            raise ValueError(f"{len(self.channels)} channel counts reach {reached} px, not {self.image_size}")
        if min(self.channels) < 1:
            raise ValueError("channels must be positive")
        return self


class DiscriminatorConfig(_Section):
    """The judges. `projected`: small heads on frozen features, and one on the pixels; `conv`: the pixels alone."""

    kind: Literal["projected", "conv"] = "projected"
    head_width: int = Field(64, ge=1)  # projected: channels of a stage's head
    pixel_widths: tuple[int, ...] = (64, 96, 128)  # projected: of the head on the pixels; empty: none
    channels: tuple[int, ...] = (32, 64, 128, 256, 256)  # conv: at half of image_size, a quarter, ... px
    dropout: float = Field(0.0, ge=0, lt=1)  # of whole channels, in every head


class LossConfig(_Section):
    """The adversarial loss by name, everything else by weight; a weight of 0 leaves a loss out, and its cost."""

    adversarial: Adversarial = "hinge"
    mismatched: float = Field(0.5, ge=0, le=1)  # D: share of the fakes' weight that photos with others' words have
    mismatched_g: float = Field(0.0, ge=0)  # G: its pictures must not pass with others' words
    wgan_gp: float = Field(0.0, ge=0)
    r1: float = Field(0.0, ge=0)
    r2: float = Field(0.0, ge=0)
    ma_gp: float = Field(0.0, ge=0)
    penalty_every: int = Field(1, ge=1)  # steps; the weight is multiplied by it ("lazy", arXiv 1912.04958)
    layout: float = Field(8.0, ge=0)  # squared error of the 4, 8 and 16 px averages
    perceptual: float = Field(1.0, ge=0)  # squared error of frozen features, cell by cell
    laplacian: float = Field(0.0, ge=0)
    clip: float = Field(0.0, ge=0)  # one minus the cosine of picture and words
    best_of: int = Field(1, ge=1, le=64)  # pictures drawn for every second photo, of which the nearest is matched to it

    @property
    def chooses(self) -> bool:
        """Whether photos are compared with the best of several pictures: where a loss compares at all."""
        return self.best_of > 1 and bool(self.layout or self.perceptual or self.laplacian)

    @property
    def penalised(self) -> bool:
        """Whether any gradient penalty has a weight."""
        return bool(self.wgan_gp or self.r1 or self.r2 or self.ma_gp)


class OptimiserConfig(_Section):
    """One optimiser a player, both of the same kind. Warm-up and decay are counted in images."""

    name: Literal["adam", "adamw", "sgd", "adafactor"] = "adam"
    g_lr: float = Field(4e-4, gt=0)
    d_lr: float = Field(4e-4, gt=0)
    betas: tuple[float, float] = (0.0, 0.99)  # of Adam and AdamW; the first is the momentum of SGD
    weight_decay: float = Field(0.0, ge=0)  # L2 for Adam and SGD, decoupled for AdamW and Adafactor
    warmup_images: int = Field(0, ge=0)
    decay: Literal["none", "linear", "cosine"] = "none"
    final_lr: float = Field(0.1, ge=0, le=1)  # share of the rate that decay ends at
    accumulate: int = Field(1, ge=1)  # parts that a batch is computed in, one after the other

    @model_validator(mode="after")
    def _betas_are_shares(self) -> Self:
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError("betas lie in [0, 1)")
        return self


class AugmentConfig(_Section):
    """What the discriminator sees of photos and pictures alike; every reach is the largest, both ways."""

    translate: float = Field(0.125, ge=0, lt=1)  # share of the side
    flip: bool = True
    rotate: float = Field(0.0, ge=0, le=180)  # degrees
    scale: float = Field(0.0, ge=0, lt=1)  # 0.2: from 1/1.2 to 1.2 times
    cutout: float = Field(0.0, ge=0, le=1)  # share of the side of the square that is taken out
    colour: float = Field(0.0, ge=0, le=1)  # brightness, saturation, contrast; off, because the words say the colour
    adaptive: bool = False  # how often it is applied follows how sure the discriminator is (arXiv 2006.06676)
    target: float = Field(0.6, gt=0, lt=1)  # adaptive: the mean sign of the logits of real photos to hold
    adapt_images: int = Field(100_000, ge=1)  # adaptive: the strength goes from 0 to 1 in this many images at most


class WatchConfig(_Section):
    """What is measured on the way, and when a training is stopped or taken back to its best checkpoint."""

    log_every: int = Field(25, ge=1)  # steps
    measure_every: int = Field(20_000, ge=0)  # images; 0: never, the last step is then the best
    measure_pictures: int = Field(500, ge=50)
    keep: Literal["best", "last"] = "best"  # whose weights the bundle has: the lowest KID's, or the last measured
    on_alarm: Literal["stop", "rollback", "log"] = "stop"
    max_rollbacks: int = Field(2, ge=0)
    collapse: float = Field(0.5, gt=0, lt=1)  # variety or coverage below this share of its best so far
    memorised: float = Field(0.25, gt=0, lt=1)  # share of pictures nearer to a training photo than 99 % of unseen ones
    diverged: float = Field(1e3, gt=0)  # any loss beyond this, or not a number
    wandb: str = ""  # project; empty: no Weights & Biases


class GanTrainConfig(_Section):
    """How a generator is trained. `images` counts photos shown; a run ends at `images` or after `minutes`."""

    generator: GeneratorConfig = GeneratorConfig()
    discriminator: DiscriminatorConfig = DiscriminatorConfig()
    losses: LossConfig = LossConfig()
    optimiser: OptimiserConfig = OptimiserConfig()
    augment: AugmentConfig = AugmentConfig()
    watch: WatchConfig = WatchConfig()
    images: int = Field(400_000, ge=1)
    minutes: float | None = Field(None, gt=0)
    batch_size: int = Field(32, ge=2)  # of all processes together; two at least: mismatched words are a neighbour's
    seed: int = 0
    fit: Literal["letterbox", "crop"] = "letterbox"
    text_noise: float = Field(0.2, ge=0)  # length of the noise added to a unit-length embedding
    ema_images: float = Field(10_000, gt=0)  # half-life of the averaged generator, in images
    ema_rampup: float = Field(0.05, gt=0)  # the half-life is at most this share of the images seen so far
    device: str = "cpu"
    precision: Literal["fp32", "bf16", "fp16"] = "bf16"
    checkpointing: bool = False  # gradients' activations computed again instead of kept
    checkpoint_minutes: float = Field(10.0, gt=0)
    sheet_every: int = Field(250, ge=1)  # steps
    workers: int = Field(2, ge=0)
