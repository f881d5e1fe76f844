"""What a valid template can still get wrong: text that cannot be read, a logo over the product, files too large."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from catalog_gen.encode import encode_image
from catalog_gen.errors import TemplateError, TemplateProblem
from catalog_gen.style.compose import draw_background, draw_overlay, overlay_box
from catalog_gen.style.layout import CUT_OFF_GAIN, Box
from catalog_gen.style.light import contrast, hex_colour, luminance
from catalog_gen.style.template import Template
from catalog_gen.style.template_config import Logo, Output, Placement, Text
from catalog_gen.style.template_files import CONFIG, open_template_image

LARGE_TEXT = 24  # px: WCAG 2.2 asks 3:1 of larger text, 4.5:1 of smaller
LEGIBLE = 0.9  # of the ground behind a text must give it that contrast
MOST_ENLARGED = 1.5  # of a background, before it looks soft
LEAST_STYLE = 256  # px, the shorter side: smaller has no texture to copy
ROOM_FOR_PRODUCT = 0.7  # of max_bytes that the empty scene may take at min_quality


def check_template(template: Template) -> None:
    """Look at everything that can be judged without a product.

    Raises TemplateError with all that was found: the product's room inside the picture, overlays inside it and clear
    of the product, text in letters that its font has and in a contrast that WCAG 2.2 asks for, images large enough,
    and byte limits that the scene can keep.
    """
    found = [*_images(template)]
    for number, output in enumerate(template.config.output, 1):
        found += _room(template, output)
        found += _overlays(template, output)
        found += _bytes(template, output, f"output[{number}]")
    file = str(template.path / CONFIG)
    problems = [TemplateProblem(file, key, reason) for key, reason in dict.fromkeys(found)]
    if problems:
        raise TemplateError(problems)


def product_room(placement: Placement, output: Output) -> Box:
    """Return the largest box that a product may fill, in pixels, which may reach outside; standing and floating."""
    wide = min(1.0, placement.width * placement.scale) * output.width
    high = min(1.0, placement.height * placement.scale) * output.height
    left, right = placement.x * output.width - wide / 2, placement.x * output.width + wide / 2
    floats = (placement.y * output.height - high / 2, placement.y * output.height + high / 2)
    stands = (placement.ground * output.height - high, placement.ground * output.height)
    kinds = {"auto": (floats, stands), "float": (floats,), "stand": (stands,)}[placement.pose]
    top, bottom = min(kind[0] for kind in kinds), max(kind[1] for kind in kinds)
    return Box(round(left), round(top), round(right), round(bottom))


def _room(template: Template, output: Output) -> Iterator[tuple[str, str]]:
    placement = template.config.placement.at(output.aspect)
    key = _key("placement", output, output.aspect in template.config.placement.aspects)
    room = product_room(placement, output)
    over = {"left": -room.left, "top": -room.top, "right": room.right - output.width,
            "bottom": room.bottom - output.height}  # fmt: skip
    for side, pixels in over.items():
        if pixels > 1:
            yield key, f"the product's room reaches {pixels} px over the {side} edge of {output.name}"


def _overlays(template: Template, output: Output) -> Iterator[tuple[str, str]]:
    config = template.config
    parts: list[tuple[str, Logo | Text | None]] = [("logo", config.logo)]
    parts += [(f"text[{n}]", text) for n, text in enumerate(config.text, 1)]
    placement = config.placement.at(output.aspect)
    room = product_room(placement, output)
    if placement.bleed:
        taller = (room.bottom - room.top) * CUT_OFF_GAIN
        room = Box(room.left, min(room.top, round(output.height - taller)), room.right, output.height)
    for name, whole in parts:
        if whole is None or not whole.is_on(output.name):
            continue
        key, part = _key(name, output, output.aspect in whole.aspects), whole.at(output.aspect)
        box = Box(*overlay_box(template, output, part))
        if box.left < 0 or box.top < 0 or box.right > output.width or box.bottom > output.height:
            yield key, f"does not fit into {output.name}: it spans {box.left},{box.top} to {box.right},{box.bottom} px"
            continue
        if min(box.right, room.right) > max(box.left, room.left) and min(box.bottom, room.bottom) > max(
            box.top, room.top
        ):
            yield key, f"lies over the product's room in {output.name}: {_spans(box)} over {_spans(room)} px"
        if isinstance(part, Text):
            yield from _legible(template, output, key, part)


def _legible(template: Template, output: Output, key: str, text: Text) -> Iterator[tuple[str, str]]:
    size = max(1, round(text.size * output.height))
    font = template.font(text, size)
    absent = font.getmask("\uffff").getbbox(), bytes(font.getmask("\uffff"))
    lacking = [c for c in dict.fromkeys(text.text) if not c.isspace()]
    lacking = [c for c in lacking if (font.getmask(c).getbbox(), bytes(font.getmask(c))) == absent]
    if lacking:
        yield key, f"the font {text.font} has no {', '.join(map(repr, lacking))}"
    box = Box(*overlay_box(template, output, text))
    ground = luminance(draw_background(template, output)[box.rows, box.columns])
    ink = float(luminance(hex_colour(template.config.colour(text.colour))))
    seen = ink * text.opacity + ground * (1 - text.opacity)
    ratio = float(np.quantile(contrast(seen, ground), 1 - LEGIBLE))
    needed = 3.0 if size >= LARGE_TEXT else 4.5
    if ratio < needed:
        yield key, f"cannot be read well in {output.name}: contrast {ratio:.1f}:1, and {needed}:1 is needed (WCAG 2.2)"


def _images(template: Template) -> Iterator[tuple[str, str]]:
    config = template.config
    for number, style in enumerate(config.style, 1):
        width, height = open_template_image(template.path, style.image, f"style[{number}].image").size
        if min(width, height) < LEAST_STYLE:
            yield f"style[{number}].image", f"{style.image} is {width}x{height}: {LEAST_STYLE} px a side are needed"
    for output in config.output:
        background = config.background.at(output.aspect)
        if background.kind == "image":
            width, height = template.background_image(background).size
            scale = max(output.width / width, output.height / height)
            if scale > MOST_ENLARGED:
                key = _key("background", output, output.aspect in config.background.aspects) + ".image"
                yield key, f"{background.image} is {width}x{height}, enlarged {scale:.1f} times for {output.name}"
    if config.logo is not None:
        for output in config.output:
            logo = config.logo.at(output.aspect)
            width, needed = template.logo_image(logo).width, logo.width * output.width
            if config.logo.is_on(output.name) and needed > MOST_ENLARGED * width:
                yield "logo.image", f"is {width} px wide, and {output.name} shows it {needed:.0f} px wide"


def _bytes(template: Template, output: Output, key: str) -> Iterator[tuple[str, str]]:
    scene = draw_background(template, output)
    layer = draw_overlay(template, output)
    if layer is not None:
        scene = scene + layer[..., 3:] * (layer[..., :3] - scene)
    pixels = np.clip(scene * 255 + 0.5, 0, 255).astype(np.uint8)
    size = len(encode_image(pixels, output.format, output.min_quality))
    if size > ROOM_FOR_PRODUCT * output.max_bytes:
        at = "as PNG" if output.format == "png" else f"at quality {output.min_quality}"
        reason = f"the scene without a product takes {size:,} bytes {at}: too little is left of {output.max_bytes:,}"
        yield f"{key}.max_bytes", reason


def _key(section: str, output: Output, is_own: bool) -> str:
    return f'{section}."{output.aspect}"' if is_own else section


def _spans(box: Box) -> str:
    return f"{box.left},{box.top} to {box.right},{box.bottom}"
