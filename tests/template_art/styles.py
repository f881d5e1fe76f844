"""The four style images: textures at several scales, for an engine to copy."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from template_art.field import Field, blur, discs, fbm, grid, linear, lit, mix, noise, ramp, smoothstep, strokes

SIDE = 768


def frost() -> Field:
    """Ice ferns on a window at dawn: feathers that branch three times, over blue out of focus."""
    x, y = grid(SIDE, SIDE)
    rng = np.random.default_rng(11)
    glow = 0.55 * (1 - x) + 0.45 * (1 - y) + 0.35 * fbm(2.2 * x, 2.2 * y, 4, 3)
    light = ramp(glow, (0.0, "#45709f"), (0.35, "#7ba3c9"), (0.65, "#b5d2e6"), (1.0, "#eef6fb"))
    fine, broad = (Image.new("L", (2 * SIDE, 2 * SIDE), 0) for _ in range(2))
    for _ in range(34):
        side = rng.integers(4)
        along = rng.uniform(0, 2 * SIDE)
        start = [(along, 2 * SIDE + 8), (-8, along), (along, -8), (2 * SIDE + 8, along)][side]
        heading = [-np.pi / 2, 0, np.pi / 2, np.pi][side] + rng.uniform(-0.75, 0.75)
        _feather(ImageDraw.Draw(fine), ImageDraw.Draw(broad), start, heading, rng.uniform(420, 1150), 3, rng)
    fine, broad = (
        np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX), np.float32) / 255 for image in (fine, broad)
    )
    crystals = 0.7 * blur(fine, 0.8) + 0.3 * fine + 0.6 * broad + 0.5 * blur(broad, 4) + 0.35 * blur(fine, 10)
    grain = 0.5 + fbm(70 * x, 70 * y, 3, 8)
    relief = lit(crystals * 0.02 + 0.0012 * grain, 1 / SIDE)
    ice = smoothstep(0.02, 1.0, crystals)
    light = mix(light, linear("#fafdff"), 0.9 * ice)
    light = light * (0.62 + 0.62 * relief[..., None])
    sparkle = smoothstep(0.46, 0.6, noise(120 * x, 120 * y, 5)) * (0.25 + ice)
    return light + 0.5 * sparkle[..., None]


def _feather(
    fine: ImageDraw.ImageDraw, broad: ImageDraw.ImageDraw, start: tuple[float, float], heading: float, length: float,
    depth: int, rng: np.random.Generator,
) -> None:  # fmt: skip
    """Draw a stem that bends, with side branches at 60 degrees, as ice grows, shorter towards the tip."""
    (x, y), bend = start, rng.uniform(-0.0011, 0.0011)
    step = 7.0 if depth > 1 else 5.0
    count = max(2, int(length / step))
    for i in range(count):
        heading += bend * step + rng.normal(0, 0.022)
        nx, ny = x + step * np.cos(heading), y + step * np.sin(heading)
        rest = 1 - i / count
        tone = int(110 + 145 * rest) if depth > 1 else int(70 + 90 * rest)
        (broad if depth == 3 else fine).line((x, y, nx, ny), fill=tone, width=max(1, round(depth * 1.5 * rest + 0.6)))
        if depth > 1 and i % (3 if depth == 3 else 2) == 0 and i > 1:
            reach = length * (0.30 if depth == 3 else 0.26) * rest**0.8 * rng.uniform(0.55, 1.1)
            for turn in (-1, 1):
                if reach > 8:
                    _feather(fine, broad, (nx, ny), heading + turn * rng.normal(1.0, 0.11), reach, depth - 1, rng)
        x, y = nx, ny


def shallows() -> Field:
    """The sea's edge at noon, painted: light through ripples over sand, in strokes that follow the swell."""
    x, y = grid(SIDE, SIDE)
    bend_x, bend_y = (fbm(3 * x, 3 * y, 3, seed) for seed in (21, 31))
    net = np.zeros_like(x)
    for scale, seed, weight in ((7, 41, 1.0), (12, 51, 0.65), (21, 61, 0.35)):
        ridge = 1 - np.abs(noise(scale * (x + 0.16 * bend_x), scale * 1.5 * (y + 0.16 * bend_y), seed)) * 3.2
        net += weight * np.clip(ridge, 0, 1) ** 4
    shore = y + 0.35 * (x - 0.5) + 0.22 * fbm(1.6 * x, 1.6 * y, 4, 71)
    light = ramp(shore, (0.1, "#1d7f9c"), (0.35, "#3aa7b4"), (0.55, "#8fd0c4"), (0.7, "#e6d9b4"), (1.0, "#e3bd88"))
    light = light * (0.8 + 0.35 * fbm(9 * x, 13 * y, 4, 81)[..., None])
    light = light + (net * (1.05 - 0.65 * smoothstep(0.45, 0.9, shore)))[..., None] * linear("#fff3d6") * 0.62
    flow = 0.35 + 1.1 * bend_x + 0.25 * np.sin(6 * y)
    painted = np.stack([strokes(light[..., i], flow, 9) for i in range(3)], axis=-1)
    bristle = strokes(np.random.default_rng(5).normal(0, 1, x.shape).astype(np.float32), flow, 16)
    relief = lit(0.010 * bristle + 0.008 * blur(net, 1.5), 1 / SIDE)
    return painted * (0.5 + 0.78 * relief[..., None])


def gilding() -> Field:
    """Worn gold leaf on dark green and burgundy lacquer: torn leaf, cracks, brushed grain, warm lights."""
    x, y = grid(SIDE, SIDE)
    rng = np.random.default_rng(6)
    ground = fbm(1.7 * x, 1.7 * y, 4, 12)
    light = ramp(ground, (-0.5, "#0a2419"), (-0.05, "#123b2a"), (0.12, "#3a1220"), (0.5, "#5c1626"))
    warp_x, warp_y = (fbm(4 * x, 4 * y, 4, seed) for seed in (22, 32))
    cells = _cells(x + 0.05 * warp_x, y + 0.05 * warp_y, 190, rng)
    leaf = smoothstep(-0.02, 0.10, fbm(2.6 * x + 0.4 * warp_x, 2.6 * y, 6, 52, 0.58) + 0.22 * (x - y) + 0.06)
    crack = smoothstep(0.0, 0.010, cells)
    angle = 0.9 + 0.8 * fbm(1.3 * x, 1.3 * y, 3, 62)
    grain = strokes(rng.normal(0, 1, x.shape).astype(np.float32), angle, 14)
    relief = lit(0.012 * grain + 0.004 * warp_x + 0.010 * leaf + 0.004 * crack * leaf, 1 / SIDE)
    tone = 0.5 + 0.35 * fbm(5 * x, 5 * y, 4, 72) + 0.9 * (relief - 0.62)
    gold = ramp(tone, (0.05, "#4d3210"), (0.35, "#a87a2c"), (0.6, "#d9b25c"), (0.85, "#fbe9b4"))
    light = mix(light * (0.45 + 0.95 * relief[..., None]), gold, 0.95 * leaf * (0.25 + 0.75 * crack))
    flecks = smoothstep(0.40, 0.5, noise(60 * x, 60 * y, 82)) * smoothstep(-0.1, 0.3, warp_y)
    light = mix(light, gold, 0.8 * flecks)
    places = rng.uniform(0, SIDE, (46, 2)).astype(np.float32)
    bokeh = discs(x.shape, places, rng.uniform(8, 40, 46), rng.uniform(0.03, 0.22, 46), rim=0.6)
    return light + bokeh[..., None] * linear("#ffcf82")


def _cells(x: Field, y: Field, count: int, rng: np.random.Generator) -> Field:
    """Return the distance to the nearest border between Voronoi cells of `count` random points."""
    first, second = np.full(x.shape, 9, np.float32), np.full(x.shape, 9, np.float32)
    for px, py in rng.uniform(-0.05, 1.05, (count, 2)):
        distance = np.hypot(x - px, y - py).astype(np.float32)
        second = np.where(distance < first, first, np.minimum(second, distance))
        first = np.minimum(first, distance)
    return second - first


def limewash() -> Field:
    """A wall of limewash in window light: broad crossing brush marks, fine fibres, chalky warm tints."""
    x, y = grid(SIDE, SIDE)
    rng = np.random.default_rng(9)
    clouds = fbm(2.4 * x, 2.4 * y, 5, 14, 0.55)
    light = ramp(
        0.5 + 0.55 * clouds + 0.22 * (0.5 - x) + 0.12 * (0.5 - y),
        (0.1, "#b3927d"), (0.4, "#cfb39f"), (0.6, "#e2cdbc"), (0.9, "#f6eadf"),
    )  # fmt: skip
    speck = rng.normal(0, 1, x.shape).astype(np.float32)
    coarse = blur(speck, 5) * 9
    first = strokes(coarse, 0.5 + 0.8 * fbm(1.3 * x, 1.3 * y, 2, 24), 60)
    second = strokes(blur(speck[::-1], 5) * 9, -0.9 + 0.8 * fbm(1.4 * x, 1.4 * y, 2, 34), 60)
    where = smoothstep(-0.12, 0.12, fbm(3.2 * x, 3.2 * y, 3, 44))
    brush = where * first + (1 - where) * second
    fibre = strokes(speck, 2.4 * fbm(5 * x, 5 * y, 2, 54), 7)
    relief = lit(0.0035 * brush + 0.0006 * fibre + 0.02 * clouds, 1 / SIDE)
    window = blur(smoothstep(0.0, 0.02, np.sin(9 * (x + 0.5 * y)) * np.sin(7 * (y - 0.35 * x)) + 0.2), 22)
    light = light * (0.92 + 0.05 * brush[..., None] + 0.02 * fibre[..., None]) * (0.42 + 0.86 * relief[..., None])
    return light * mix(linear("#ded3d6"), linear("#fff8ee"), window) * 1.12
