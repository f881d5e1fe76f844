"""How a translation from one look to another is trained: every default once, validated, frozen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from catalog_gen.errors import UsageError
from catalog_gen.photo_cache import Fit

Adversarial = Literal["bce", "lsgan"]
Weight = Annotated[float, Field(ge=0, le=10_000)]


class TranslateConfig(BaseModel):
    """What both kinds share. Sizes in pixels; `images` counts pictures (of one side) shown to the generator."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    size: Annotated[int, Field(ge=32, le=1024, multiple_of=16)] = 128
    width: Annotated[int, Field(ge=4, le=256)] = 32  # channels of the generator's first layer
    judge_width: Annotated[int, Field(ge=4, le=256)] = 32  # and of the discriminators'
    judge_layers: Annotated[int, Field(ge=0, le=5)] = 0  # strided layers of a discriminator; 0: as fits the size
    judge_norm: Literal["instance", "spectral"] = "instance"  # of the discriminators; instance: as in the papers
    direction: Literal["a-to-b", "b-to-a"] = "a-to-b"  # what the bundle does
    apply: Literal["scaled", "full"] = "scaled"  # at which size the bundle looks at larger pictures
    images: Annotated[int, Field(ge=1)] = 200_000
    minutes: Annotated[float, Field(gt=0)] | None = None
    batch: Annotated[int, Field(ge=1, le=4_096)] = 4
    lr: Annotated[float, Field(gt=0, le=1)] = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)
    constant: Annotated[float, Field(ge=0, le=1)] = 0.5  # share of `images` at full rate; then down to zero in a line
    shift: Annotated[int, Field(ge=0, le=64)] = 16  # pictures are moved by up to size / shift; 0: they stay
    flip: bool = True
    fit: Fit = "letterbox"
    held_out: Annotated[int, Field(ge=0)] = 100
    seed: int = 0
    precision: Literal["auto", "fp32", "bf16"] = "auto"  # auto: bf16 on GPUs
    device: str = "cpu"
    log_every: Annotated[int, Field(ge=1)] = 25  # steps
    sheet_every: Annotated[int, Field(ge=1)] = 2_000  # images
    checkpoint_minutes: Annotated[float, Field(gt=0)] = 5.0


class Pix2pixConfig(TranslateConfig):
    """Pairs (Isola et al. 2017, arXiv 1611.07004). pairs "edges": the source is the target's own outline."""

    engine: Literal["pix2pix"] = "pix2pix"
    pairs: Literal["names", "edges"] = "names"
    adversarial: Adversarial = "bce"
    l1: Weight = 100.0
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5  # in the three innermost layers: the only noise


class CycleganConfig(TranslateConfig):
    """Two sides that nobody has paired (Zhu et al. 2017, arXiv 1703.10593)."""

    engine: Literal["cyclegan"] = "cyclegan"
    blocks: Annotated[int, Field(ge=1, le=16)] = 4  # residual blocks
    adversarial: Adversarial = "lsgan"
    cycle: Weight = 10.0
    identity: Weight = 5.0  # the paper's half of the cycle's
    pool: Annotated[int, Field(ge=0, le=10_000)] = 50  # earlier pictures that a discriminator is shown again


Config = Pix2pixConfig | CycleganConfig
_CONFIGS: dict[str, type[Pix2pixConfig] | type[CycleganConfig]] = {"pix2pix": Pix2pixConfig, "cyclegan": CycleganConfig}


def translate_config(engine: str, given: Mapping[str, Any]) -> Config:
    """Return the engine's defaults with the settings that were given; raises UsageError for one that cannot be."""
    try:
        return _CONFIGS[engine].model_validate(dict(given))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(str(part) for part in first["loc"])
        what = f"{name} cannot be {first['input']!r}" if first["type"] != "extra_forbidden" else f"{name} is no setting"
        raise UsageError(f"{what}: {first['msg']}", where=f"train {engine}") from error
