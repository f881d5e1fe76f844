"""A product into its template's scene: background, place, shadow; and what is laid over the finished picture."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from catalog_gen.errors import RowError
from catalog_gen.style.layout import Box, Known, Pose, find_pose, product_box
from catalog_gen.style.light import blur, enlarge, hex_colour, pixels, to_light, to_srgb
from catalog_gen.style.shadow import darkness
from catalog_gen.style.template import Template
from catalog_gen.style.template_config import Background, Frame, Logo, Output, Text

if TYPE_CHECKING:
    from catalog_gen.style.matte import Cutout

Floats = NDArray[np.float32]
GRAIN = 0.006  # of film, over the scene: without it, smooth gradients show their steps after JPEG
MARGIN = 3  # px round a cut-out that Lanczos looks at
SHARPEN = 0.35  # of the unsharp mask where a small photo was scaled up


@dataclass(frozen=True)
class Scene:
    """A product in its scene: content (H, W, 3) and the product's alpha (H, W), float32 in [0, 1], sRGB.

    box: left, top, right, bottom of the product in pixels. pose: how it was placed.
    """

    content: Floats
    alpha: Floats
    box: Box
    pose: Pose


def place(template: Template, output: Output, cutout: Cutout, *, known: Known | None = None) -> Scene:
    """Return the cut-out in its template's scene at the output's size, with its shadow.

    known: how the product's words say that it is posed (`layout.pose_of`); a pose that the template sets goes before.
    The edge is blended in sRGB values, in which its alpha was estimated, so that the product keeps its edge; the
    shadow dims linear light, as shadows do. Raises RowError when the cut-out has no product.
    """
    if cutout.fault or not (cutout.alpha > 0.5).any():
        raise RowError(f"no product could be cut out: {cutout.fault or 'it is empty'}")
    placement = template.config.placement.at(output.aspect)
    visible = _trim(cutout.alpha)
    alpha, rgb = cutout.alpha[visible], cutout.rgb[visible]
    chosen = find_pose(placement, cutout.alpha, known)
    box = product_box(placement, chosen, (alpha.shape[1], alpha.shape[0]), (output.width, output.height))
    alpha, rgb = _scaled(alpha, rgb, box)
    canvas = np.zeros((output.height, output.width), np.float32)
    canvas[box.rows, box.columns] = alpha
    scene = draw_background(template, output)
    shadow = template.config.shadow.at(output.aspect)
    tint = to_light(hex_colour(template.config.colour(shadow.colour)))
    ground = placement.ground * output.height
    rows, columns = _shadowed(box, output)
    moved = Box(box.left - columns.start, box.top - rows.start, box.right - columns.start, box.bottom - rows.start)
    dark = darkness(canvas[rows, columns], moved, chosen, shadow, ground - rows.start)
    part = scene[rows, columns]
    touched = dark > 1 / 1024  # a quarter of a level: the rest keeps its values to the last bit
    part[touched] = to_srgb(to_light(part[touched]) * (1 - dark[touched][:, None] * (1 - tint)))
    scene[box.rows, box.columns] += alpha[..., None] * (rgb - scene[box.rows, box.columns])
    return Scene(np.clip(scene, 0, 1), canvas, box, chosen)


def _shadowed(box: Box, output: Output) -> tuple[slice, slice]:
    """Rows and columns that a shadow can reach: the work is done only there."""
    reach = round(0.6 * max(box.width, box.height))
    rows = slice(max(0, box.top - reach), output.height)
    return rows, slice(max(0, box.left - reach), min(output.width, box.right + reach))


def draw_background(template: Template, output: Output) -> Floats:
    """Return the scene without a product, (H, W, 3) float32 in [0, 1]; the same for every product."""
    return _background(template, output.aspect, output.width, output.height).copy()


@functools.lru_cache(maxsize=4)
def _grain(width: int, height: int) -> Floats:
    grain = np.random.default_rng(0).standard_normal((height, width, 1), dtype=np.float32)
    return np.clip(grain, -2.5, 2.5) * np.float32(GRAIN)


@functools.lru_cache(maxsize=6)
def _background(template: Template, aspect: str, width: int, height: int) -> Floats:
    background = template.config.background.at(aspect)
    if background.kind == "image":
        drawn = _cover(template.background_image(background), width, height, background.focus)
    else:
        colours = np.stack([hex_colour(template.config.colour(name)) for name in background.colours])
        drawn = _gradient(colours, background, width, height)
    if background.kind == "colour":  # what a channel asks for to the last digit, such as pure white
        return drawn
    return np.asarray(np.clip(drawn + _grain(width, height), 0, 1), dtype=np.float32)


def _cover(image: Image.Image, width: int, height: int, focus: tuple[float, float]) -> Floats:
    """The image scaled to fill the output; what does not fit is cut off, least at the point of focus."""
    scale = max(width / image.width, height / image.height)
    across, down = width / scale, height / scale
    left, top = focus[0] * (image.width - across), focus[1] * (image.height - down)
    box = (left, top, left + across, top + down)
    sized = image.resize((width, height), Image.Resampling.LANCZOS, box=box)
    return pixels(sized)


def _gradient(colours: Floats, background: Background, width: int, height: int) -> Floats:
    """Colours evenly along the angle; with a horizon, the last is the floor, which a soft bend joins to the wall."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    turn = np.deg2rad(background.angle)
    along = (x / max(width - 1, 1) - 0.5) * np.cos(turn) + (y / max(height - 1, 1) - 0.5) * np.sin(turn)
    reach = 0.5 * (abs(np.cos(turn)) + abs(np.sin(turn)))
    wall = colours if background.horizon is None or len(colours) == 1 else colours[:-1]
    at = (along / reach + 1) / 2 * (len(wall) - 1)
    light = to_light(wall)
    stops = np.arange(len(wall))
    mixed = np.stack([np.interp(at, stops, light[:, c]) for c in range(3)], axis=-1)
    if background.horizon is not None:
        t = np.clip((y / height - background.horizon) / 0.16 + 0.5, 0, 1)[..., None]
        mixed = mixed + t * t * (3 - 2 * t) * (to_light(colours[-1]) - mixed)
    return to_srgb(mixed.astype(np.float32))


def _trim(alpha: Floats) -> tuple[slice, slice]:
    """What of the cut-out is the product, its soft edge with it."""
    rows, columns = (np.flatnonzero((alpha > 0.02).any(axis=axis)) for axis in (1, 0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _scaled(alpha: Floats, rgb: Floats, box: Box) -> tuple[Floats, Floats]:
    """The product at its size in the picture.

    Colours are scaled premultiplied, so that none come in from outside. Scaling up by s leaves an edge s pixels soft
    and a texture without its finest detail: the edge is drawn in to the square root of that, and a light unsharp mask
    lifts the texture.
    """
    scale, solid = box.width / alpha.shape[1], _is_opaque(alpha)
    alpha = np.pad(alpha, MARGIN)
    rgb = np.pad(rgb, ((MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)), mode="edge")
    large = enlarge(alpha, box.width, box.height, MARGIN)
    colour = enlarge(rgb * alpha[..., None], box.width, box.height, MARGIN)
    plain = enlarge(rgb, box.width, box.height, MARGIN)
    share = np.clip(large, 0, 1)[..., None]
    colour = np.where(share > 0.05, colour / np.maximum(share, 0.05), plain)
    if scale > 1.2:
        radius = 0.45 * scale
        colour = colour + SHARPEN * min(1.0, (scale - 1.2) / 1.5) * (colour - _soft(colour, radius))
        steep = np.sqrt(scale)
        large = np.where(large > 0.98, 1.0, (large - 0.5) * steep + 0.5) if solid else large
    return np.clip(large, 0, 1).astype(np.float32), np.clip(colour, 0, 1).astype(np.float32)


def _is_opaque(alpha: Floats) -> bool:
    """Whether half-transparent pixels are only an edge: glass and lace must keep what shows through them."""
    return float(((alpha > 0.15) & (alpha < 0.85)).sum()) < 0.12 * float((alpha > 0.15).sum())


def _soft(rgb: Floats, radius: float) -> Floats:
    return np.stack([blur(rgb[..., c], radius) for c in range(3)], axis=-1)


def overlay(template: Template, output: Output, rgb: Floats) -> Floats:
    """Return the picture (H, W, 3) float32 in [0, 1] under the template's frame, logo and texts, crisp."""
    layer = draw_overlay(template, output)
    if layer is None:
        return rgb
    alpha = layer[..., 3:]
    return np.clip(rgb + alpha * (layer[..., :3] - rgb), 0, 1).astype(np.float32)


@functools.lru_cache(maxsize=6)
def draw_overlay(template: Template, output: Output) -> Floats | None:
    """Return frame, logo and texts alone, (H, W, 4) float32, or None where the output has none."""
    config, aspect = template.config, output.aspect
    parts = [part.at(aspect) for part in (config.frame, config.logo, *config.text) if part and part.is_on(output.name)]
    if not parts:
        return None
    layer = Image.new("RGBA", (output.width, output.height), (255, 255, 255, 0))
    for part in parts:
        drawn = Image.new("RGBA", layer.size, (*_bytes(template, getattr(part, "colour", "#ffffff")), 0))
        if isinstance(part, Frame):
            _draw_frame(drawn, template, part)
        elif isinstance(part, Logo):
            drawn.alpha_composite(_fitted_logo(template, part, output), overlay_box(template, output, part)[:2])
        elif isinstance(part, Text):
            _draw_text(drawn, template, output, part)
        faded = drawn.getchannel("A").point(lambda value, opacity=part.opacity: round(value * opacity))
        drawn.putalpha(faded)
        layer = Image.alpha_composite(layer, drawn)
    return pixels(layer)


def overlay_box(template: Template, output: Output, part: Logo | Text) -> tuple[int, int, int, int]:
    """Return left, top, right, bottom of a logo or text in pixels, which may lie outside of the picture."""
    if isinstance(part, Logo):
        width, height = _fitted_logo(template, part, output).size
    else:
        font = template.font(part, max(1, round(part.size * output.height)))
        width = round(sum(font.getlength(letter) for letter in part.text) + _gap(part, output) * (len(part.text) - 1))
        ascent, descent = font.getmetrics()
        height = ascent + descent
    left = round(part.x * output.width - {"left": 0, "middle": width / 2, "right": width}[part.anchor])
    top = round(part.y * output.height)
    return left, top, left + width, top + height


def _draw_text(layer: Image.Image, template: Template, output: Output, text: Text) -> None:
    font = template.font(text, max(1, round(text.size * output.height)))
    left, top, _, _ = overlay_box(template, output, text)
    draw, fill = ImageDraw.Draw(layer), (*_bytes(template, text.colour), 255)
    if not text.tracking:
        draw.text((left, top), text.text, font=font, fill=fill)
        return
    x = float(left)
    for letter in text.text:
        draw.text((x, top), letter, font=font, fill=fill)
        x += font.getlength(letter) + _gap(text, output)


def _gap(text: Text, output: Output) -> float:
    return text.tracking * text.size * output.height


def _fitted_logo(template: Template, logo: Logo, output: Output) -> Image.Image:
    image = template.logo_image(logo)
    width = max(1, round(logo.width * output.width))
    return image.resize((width, max(1, round(image.height * width / image.width))), Image.Resampling.LANCZOS)


def _draw_frame(layer: Image.Image, template: Template, frame: Frame) -> None:
    short = min(layer.size)
    inset, width = round(frame.inset * short), max(1, round(frame.width * short))
    corners = (inset, inset, layer.width - 1 - inset, layer.height - 1 - inset)
    ImageDraw.Draw(layer).rectangle(corners, outline=(*_bytes(template, frame.colour), 255), width=width)


def _bytes(template: Template, colour: str) -> tuple[int, int, int]:
    red, green, blue = (round(float(v) * 255) for v in hex_colour(template.config.colour(colour)))
    return red, green, blue
