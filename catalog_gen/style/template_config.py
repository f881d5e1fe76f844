"""What a template's `template.toml` may say, checked; every default is stated here, once.

Lengths are parts of the output's width (x, width) or height (y, height), so that one layout serves every size. A
section may be overridden for one aspect ratio: `[placement."16:9"]` changes only the keys it names.
"""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

Part = Annotated[float, Field(ge=0, le=1)]
ASPECT = re.compile(r"(?P<width>[1-9]\d?):(?P<height>[1-9]\d?)")
_HEX = re.compile(r"#[0-9a-fA-F]{6}")
_PALETTE = re.compile(r"palette\.[1-9]\d?")
MAX_SIDE = 8_192


def _check_colour(value: Any) -> Any:
    if isinstance(value, str) and not (_HEX.fullmatch(value) or _PALETTE.fullmatch(value)):
        raise ValueError("a colour is #rrggbb, or palette.1 for the first of the palette")
    return value


def _check_aspect(value: Any) -> Any:
    if isinstance(value, str) and not ASPECT.fullmatch(value):
        raise ValueError("an aspect ratio is written like 4:5")
    return value


Colour = Annotated[str, BeforeValidator(_check_colour)]
Aspect = Annotated[str, BeforeValidator(_check_aspect)]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class Adaptable(Section):
    """A section that may say otherwise for an aspect ratio."""

    aspects: dict[Aspect, Self] = Field(default={}, exclude=True, repr=False)

    @model_validator(mode="before")
    @classmethod
    def _gather_aspects(cls, values: Any) -> Any:
        if not isinstance(values, dict) or "aspects" in values:
            return values
        base = {key: value for key, value in values.items() if not ASPECT.fullmatch(key)}
        changed = {key: value for key, value in values.items() if key not in base}
        if not changed:
            return base
        merged = {key: {**base, **value} if isinstance(value, dict) else value for key, value in changed.items()}
        return {**base, "aspects": merged}

    def at(self, aspect: str) -> Self:
        """Return the section as it holds for `aspect` ("4:5")."""
        return self.aspects.get(aspect, self)


class StyleImage(Section):
    """An image whose look the engine copies; several are mixed by their weights."""

    image: Annotated[str, Field(min_length=1)]
    weight: Annotated[float, Field(gt=0, le=1_000)] = 1.0


class Background(Adaptable):
    """What stands behind the product before the engine paints it."""

    kind: Literal["image", "gradient", "colour"] = "colour"
    image: str = ""
    colours: tuple[Colour, ...] = ("#ffffff",)
    angle: Annotated[float, Field(ge=-360, le=360)] = 90.0  # of a gradient, degrees: 0 to the right, 90 downwards
    horizon: Annotated[float, Field(gt=0, lt=1)] | None = None  # where wall meets floor: a gradient on each side
    focus: tuple[Part, Part] = (0.5, 0.5)  # what stays when an image of another shape is cropped

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> Self:
        if self.kind == "image" and not self.image:
            raise ValueError("kind = 'image' needs an image")
        if self.kind != "image" and self.image:
            raise ValueError(f"kind = {self.kind!r} takes no image")
        if self.kind == "gradient" and len(self.colours) < 2:
            raise ValueError("a gradient needs two colours or more")
        if self.kind == "colour" and len(self.colours) != 1:
            raise ValueError("one colour is needed")
        return self


class Placement(Adaptable):
    """Where the product goes. It is scaled to fit `width` x `height`, and never leaves the picture.

    pose "stand" rests its lowest point on `ground`, "float" centres it on `y`, "auto" asks the product's words, then
    its shape. `bleed`: a product that its photo cuts off below is set on the picture's lower edge.
    """

    width: Annotated[float, Field(gt=0, le=1)] = 0.72
    height: Annotated[float, Field(gt=0, le=1)] = 0.68
    scale: Annotated[float, Field(gt=0, le=1.5)] = 1.0  # of both
    x: Part = 0.5
    y: Part = 0.5
    ground: Part = 0.86
    pose: Literal["auto", "stand", "float"] = "auto"
    bleed: bool = True


class Shadow(Adaptable):
    """The product's shadow. "contact": on the ground, under it; "drop": behind it, on a wall; "none"."""

    kind: Literal["contact", "drop", "none"] = "contact"
    opacity: Part = 0.55
    blur: Annotated[float, Field(ge=0, le=0.2)] = 0.03  # part of the product's longer side
    angle: Annotated[float, Field(ge=-360, le=360)] = 45.0  # where it falls, degrees: 0 to the right, 90 downwards
    distance: Annotated[float, Field(ge=0, le=1)] = 0.05  # of a drop shadow, part of the product's longer side
    colour: Colour = "#000000"


class Palette(Section):
    """The brand's colours; any colour of the template may be `palette.1`, `palette.2`, ..."""

    colours: tuple[Annotated[str, Field(pattern=_HEX.pattern + "$")], ...] = ()


class Overlay(Adaptable):
    """What is laid over the finished picture, in the outputs named (all, when none is)."""

    outputs: tuple[str, ...] = ()
    opacity: Part = 1.0

    def is_on(self, output: str) -> bool:
        return not self.outputs or output in self.outputs


class Frame(Overlay):
    """A line round the picture. `width` and `inset` are parts of the shorter side."""

    width: Annotated[float, Field(gt=0, le=0.2)] = 0.003
    inset: Annotated[float, Field(ge=0, le=0.3)] = 0.03
    colour: Colour = "#ffffff"


class Logo(Overlay):
    """An image (best a PNG with transparency) at a point of the picture, `width` of it wide."""

    image: Annotated[str, Field(min_length=1)]
    width: Annotated[float, Field(gt=0, le=1)] = 0.14
    x: Part = 0.06
    y: Part = 0.06
    anchor: Literal["left", "middle", "right"] = "left"  # which of its ends x is; y is its top


class Text(Overlay):
    """A line of text in a font that ships (`Inter-Light`, ...) or one of the template's own (`brand.ttf`)."""

    text: Annotated[str, Field(min_length=1, max_length=200)]
    font: str = "Inter-Light"
    size: Annotated[float, Field(gt=0, le=0.5)] = 0.04  # of an em, part of the height
    tracking: Annotated[float, Field(ge=-0.1, le=2)] = 0.0  # between letters, in ems
    x: Part = 0.06
    y: Part = 0.06
    anchor: Literal["left", "middle", "right"] = "left"
    colour: Colour = "#1a1a1a"


class Limits(Section):
    """How far the product may differ from its source; beyond, the picture is not stored."""

    delta_e: Annotated[float, Field(gt=0, le=100)] = 3.0  # CIEDE2000, mean over the product
    delta_e_p95: Annotated[float, Field(gt=0, le=100)] = 8.0
    ssim: Part = 0.95
    clip: Annotated[float, Field(ge=-1, le=1)] = 0.9


class Output(Section):
    """A channel's size and file format."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]
    aspect: Aspect
    width: Annotated[int, Field(ge=64, le=MAX_SIDE)]
    height: Annotated[int, Field(ge=64, le=MAX_SIDE)]
    format: Literal["jpeg", "webp", "png"] = "jpeg"
    quality: Annotated[int, Field(ge=1, le=100)] = 90
    min_quality: Annotated[int, Field(ge=1, le=100)] = 60  # the lowest to which max_bytes may press it
    max_bytes: Annotated[int, Field(ge=2_000, le=16_000_000)] = 16_000_000  # Google Merchant Center's limit

    @model_validator(mode="after")
    def _fits_itself(self) -> Self:
        wide, high = (int(side) for side in self.aspect.split(":"))
        if not math.isclose(self.width / self.height, wide / high, rel_tol=0.01):
            raise ValueError(f"{self.width}x{self.height} is not {self.aspect}")
        if self.min_quality > self.quality:
            raise ValueError(f"min_quality {self.min_quality} is over quality {self.quality}")
        return self


class TemplateConfig(Section):
    """A brand's look: see the sections."""

    title: Annotated[str, Field(min_length=1, max_length=80)]
    engine: Literal["gatys", "fast", "arbitrary", "statistics", "pix2pix", "cyclegan"] = "statistics"
    bundle: str = ""  # the engine's weights, a name or folder; empty: what ships for the engine and this template
    features: Literal["lite0", "vgg16", "vgg19"] = "lite0"
    strength: Part = 1.0  # of the style in the scene
    product_strength: Part = 0.05
    keep_colours: bool = False
    clear_glass: bool = False  # the panes of glasses let the scene through, as they did their photo's ground
    style: tuple[StyleImage, ...] = ()
    background: Background = Background()
    placement: Placement = Placement()
    shadow: Shadow = Shadow()
    palette: Palette = Palette()
    frame: Frame | None = None
    logo: Logo | None = None
    text: tuple[Text, ...] = ()
    limits: Limits = Limits()
    output: Annotated[tuple[Output, ...], Field(min_length=1)]

    def overlays_on(self, output: str) -> tuple[str, ...]:
        """Return what is laid over the output of that name: "text", "logo", "frame"; what cannot be seen is nothing."""
        aspects = {each.name: each.aspect for each in self.output}
        here = {"text": self.text, "logo": (self.logo,), "frame": (self.frame,)}
        shown = {
            kind: any(part and part.is_on(output) and part.at(aspects.get(output, "")).opacity > 0 for part in parts)
            for kind, parts in here.items()
        }
        return tuple(kind for kind, is_shown in shown.items() if is_shown)

    def colour(self, name: str) -> str:
        """Return `#rrggbb` of a colour, looked up where it is one of the palette's."""
        return self.palette.colours[int(name.removeprefix("palette.")) - 1] if name.startswith("palette.") else name
