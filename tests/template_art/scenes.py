"""The four sets, each drawn anew for a square, an upright and a wide picture; the light comes from the upper left."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from template_art.field import Field, blur, fbm, focus, grid, linear, mix, noise, ramp, smoothstep
from template_art.ground import View, detail, lights, relief


def winter(view: View) -> Field:
    """Snow at dawn: drifts that catch a low sun, firs lost in haze behind, flakes out of focus."""
    x, y = grid(view.width, view.height)
    rise = y / view.horizon
    sun = np.exp(-(((x - 0.25 * view.middle) / 0.75) ** 2) - ((y - 0.16) / 0.42) ** 2)
    light = ramp(rise, (0.0, "#9fbfd9"), (0.55, "#c6dbea"), (1.0, "#e6f0f6"))
    light = mix(light, linear("#fff6ea"), 0.62 * sun)
    unit = view.height / 1080
    for depth, (tone, base, tall, soft) in enumerate((("#b3cbdd", 0.0, 0.24, 20), ("#86a8c4", 0.015, 0.40, 13))):
        trees = blur(_firs(view, tall, base, seed=31 + depth), soft * unit)
        light = mix(light, mix(linear(tone), linear("#f0f3f4"), 0.6 * sun), (0.5 + 0.2 * depth) * trees)
    haze = smoothstep(view.horizon - 0.16, view.horizon, y)
    light = mix(light, linear("#edf4f9"), 0.65 * haze)

    def drifts(across: Field, away: Field, pixel: Field) -> Field:
        big = 0.34 * noise(0.36 * across + 3, 0.30 * away, 7) + 0.09 * noise(0.9 * across, 0.8 * away, 8)
        mid = 0.007 * fbm(2.6 * across, 2.2 * away, 2, 17) * detail(0.3, pixel)
        return big + mid + 0.0009 * noise(40 * across, 40 * away, 27) * detail(0.025, pixel)

    shade = relief(view, x, y, drifts)
    snow = ramp(shade, (0.3, "#92b0d0"), (0.75, "#c6d9e9"), (1.0, "#e6eff6"), (1.25, "#fdfcf9"))
    across, away, pixel = view.ground(x, y)
    glint = smoothstep(0.47, 0.56, noise(150 * across, 150 * away, 37)) * detail(0.007, pixel)
    snow = snow * (1 - 0.05 * smoothstep(0.9, 1.0, y)[..., None]) + 0.35 * glint[..., None]
    edge = view.horizon + 0.012 * fbm(2.2 * x, 0 * x, 4, 47)
    light = mix(light, snow, smoothstep(-0.004, 0.02, y - edge))
    light = focus(light, view.blur_radius(y))
    flakes = lights(view, 150, (-0.02, -0.02, 1.02, 0.86), (2.0, 9), 57)
    big = lights(view, 26, (-0.02, -0.02, 1.02, 0.8), (12, 30), 67, rim=0.25, spare=0.7)
    snowfall = np.clip(0.75 * flakes + 0.34 * big, 0, 0.9)
    return mix(light, linear("#ffffff"), snowfall)


def _firs(view: View, tall: float, base: float, seed: int) -> Field:
    """Return (H, W) 0 or 1: a line of firs that stands at the horizon, higher towards the sides."""
    rng = np.random.default_rng(seed)
    image = Image.new("L", (view.width, view.height), 0)
    draw = ImageDraw.Draw(image)
    foot = (view.horizon + base) * view.height
    for x in np.arange(-0.05, 2 * view.middle + 0.05, 0.055):
        aside = min(1.0, abs(x - view.middle) / (0.8 * view.middle))
        height = tall * view.height * (0.30 + 0.75 * aside**1.5) * rng.uniform(0.6, 1.15)
        centre, half = (x + rng.uniform(-0.03, 0.03)) * view.height, 0.21 * height * rng.uniform(0.8, 1.2)
        for tier in range(5):
            top, bottom = foot - height * (1 - 0.16 * tier), foot - height * max(0.0, 0.62 - 0.17 * tier)
            wide = half * (0.35 + 0.16 * tier)
            draw.polygon([(centre, top), (centre - wide, bottom), (centre + wide, bottom)], fill=255)
    draw.rectangle((0, foot, view.width, view.height), fill=255)
    return np.asarray(image, np.float32) / 255


def summer(view: View) -> Field:
    """A beach in the afternoon: warm sand with wind ripples, a palm's shadow, the sea out of focus."""
    x, y = grid(view.width, view.height)
    sun = np.exp(-(((x - 0.2 * view.middle) / 0.8) ** 2) - ((y - 0.1) / 0.5) ** 2)
    sea_top, shore = view.horizon, view.horizon + 0.085 + 0.012 * noise(1.7 * x, 0 * x, 3)
    light = ramp(y / sea_top, (0.0, "#7fc0e2"), (0.55, "#b9e2ee"), (1.0, "#fdf0dc"))
    light = mix(light, linear("#fffaf0"), 0.75 * sun)
    cloud = smoothstep(0.05, 0.5, fbm(1.6 * x + 4, 5 * y, 5, 5)) * smoothstep(0.02, 0.3, y)
    light = mix(light, linear("#fffaf2"), 0.5 * cloud)
    depth = (y - sea_top) / np.maximum(shore - sea_top, 1e-3)
    sea = ramp(depth, (0.0, "#3f9db4"), (0.45, "#5cb8bd"), (0.85, "#a5dacd"), (1.0, "#d8ecdd"))
    swell = fbm(6 * x, 360 * np.clip(y - sea_top, 0, None) ** 0.7, 3, 15)
    sea = sea * (1 + 0.25 * swell[..., None])
    light = mix(light, sea, smoothstep(-0.002, 0.006, y - sea_top))
    foam = np.exp(-(((y - shore) / 0.010) ** 2)) * (0.75 + 0.5 * noise(5 * x, 0 * x, 25))

    def sand_relief(across: Field, away: Field, pixel: Field) -> Field:
        bend = fbm(0.9 * across, 0.9 * away, 3, 35)
        strength = smoothstep(-0.45, 0.3, fbm(0.5 * across, 0.5 * away, 2, 45))
        ripples = np.sin(22 * (away + 0.34 * across + 0.5 * bend)) * strength
        return (
            0.16 * fbm(0.5 * across, 0.4 * away, 3, 55)
            + 0.0052 * ripples * detail(0.2, pixel)
            + 0.0012 * noise(60 * across, 60 * away, 65) * detail(0.018, pixel)
        )

    shade = relief(view, x, y, sand_relief)
    sand = ramp(shade, (0.3, "#b98f62"), (0.7, "#d9b98c"), (1.0, "#f0d9b3"), (1.3, "#fdeed2"))
    across, away, pixel = view.ground(x, y)
    grain = noise(170 * across, 170 * away, 75) * detail(0.006, pixel)
    sand = sand * (1 + 0.10 * grain[..., None])
    wet = np.exp(-np.clip(y - shore, 0, None) / 0.020)
    sand = mix(sand, linear("#b99b76"), 0.5 * wet)
    palm = _palm_shadow(view)
    sand = sand * mix(linear("#ffffff"), linear("#a89a9c"), 0.75 * palm)
    light = mix(light, sand, smoothstep(-0.003, 0.008, y - shore))
    light = mix(light, linear("#ffffff"), 0.8 * foam)
    sparkle = lights(view, 90, (-0.02, sea_top + 0.006, 1.02, sea_top + 0.06), (1.5, 5), 85)
    light = focus(light + 0.6 * sparkle[..., None], view.blur_radius(y, most=24))
    return light + (0.10 * sun)[..., None] * linear("#ffe3b8")


def _palm_shadow(view: View) -> Field:
    """Return (H, W): how far the sand lies in the shadow of fronds that reach in from the left, soft at its edges.

    Drawn as seen, half as deep as wide; true shadows on ground seen so flatly would be bars, and no leaves.
    """
    image = Image.new("L", (view.width, view.height), 0)
    draw = ImageDraw.Draw(image)
    rng = np.random.default_rng(4)
    fronds = (((-0.10, -0.02), 0.16, 0.62), ((-0.06, 0.16), -0.10, 0.60), ((-0.12, 0.40), -0.42, 0.55))
    for (x, z), heading, length in fronds:
        for i in range(46):
            part = i / 46
            angle = heading + 0.5 * part**2
            x, z = x + length / 46 * np.cos(angle), z + length / 46 * np.sin(angle)
            leaf = 0.27 * np.sin(np.pi * (0.12 + 0.85 * part)) ** 0.8
            for side in (-1, 1):
                turn = angle + side * (0.95 - 0.45 * part) + rng.normal(0, 0.05)
                along, across = (np.cos(turn), np.sin(turn)), (-np.sin(turn) * 0.0065, np.cos(turn) * 0.0065)
                tip = x + leaf * along[0], z + leaf * along[1]
                sides = [
                    (x + 0.4 * leaf * along[0] + w * across[0], z + 0.4 * leaf * along[1] + w * across[1])
                    for w in (-1, 1)
                ]
                corners = ((x, z), sides[0], tip, sides[1])
                drawn = [(cx * view.height, (view.horizon + 0.13 + 0.5 * cz) * view.height) for cx, cz in corners]
                draw.polygon(drawn, fill=255)
    return blur(np.asarray(image, np.float32) / 255, 3.2 * view.height / 1080)


def festive(view: View) -> Field:
    """An evening: fir green behind, warm lights out of focus, a burgundy lacquer table that mirrors them."""
    x, y = grid(view.width, view.height)
    reach = 0.30 + 0.22 * view.middle  # a lamp behind the product, that dark products stand out from
    glow = np.exp(-(((x - view.middle) / reach) ** 2) - ((y - 0.47) / 0.34) ** 2)
    light = ramp(y / view.horizon, (0.0, "#0c241b"), (0.6, "#15382a"), (1.0, "#1b4232"))
    light = light * (1 + 0.35 * fbm(1.8 * x, 1.8 * y, 3, 3)[..., None])
    light = light + (0.42 * glow)[..., None] * linear("#2f8560") + (0.13 * glow**2)[..., None] * linear("#f0c078")
    unit = view.height / 1080
    for seed, soft, share in ((13, 12, 0.85), (23, 5, 0.9)):
        needles, tone = _branches(view, seed)
        needles, tone = blur(needles, soft * unit), blur(tone, soft * unit)
        colour = ramp(tone, (0.0, "#071710"), (0.5, "#1c4130"), (1.0, "#8a9560"))
        light = mix(light, colour, share * np.clip(needles * 1.3, 0, 1))
    warm = lights(view, 95, (-0.04, -0.05, 1.04, view.horizon - 0.06), (9, 46), 33, rim=0.7, spare=0.55)
    small = lights(view, 120, (-0.02, -0.02, 1.02, view.horizon), (2, 6), 43, spare=0.3)
    light = light + (0.33 * warm)[..., None] * linear("#ffc268") + (0.5 * small)[..., None] * linear("#ffdc9a")
    fold = np.clip(2 * view.horizon - y, 0, 1)
    rows = np.clip((fold * view.height).astype(int), 0, view.height - 1)
    mirrored = np.take_along_axis(light, rows[..., None], axis=0)
    mirrored = _smear(mirrored, 22 * unit)
    table = ramp((y - view.horizon) / (1 - view.horizon), (0.0, "#3d0f1c"), (0.5, "#591627"), (1.0, "#310813"))
    pool = np.exp(-(((x - view.middle) / 0.62) ** 2) - ((y - view.stand) / 0.20) ** 2)
    table = table * (0.75 + 0.55 * pool[..., None])
    across, away, pixel = view.ground(x, y)
    fresnel = 0.40 * np.exp(-(y - view.horizon) / 0.10) + 0.06
    table = table + fresnel[..., None] * mirrored
    dust = smoothstep(0.44, 0.56, noise(70 * across, 70 * away, 53)) * detail(0.014, pixel)
    dust = dust * smoothstep(0.0, 0.45, fbm(1.1 * across, 1.1 * away, 3, 63) + 0.10)
    table = table + (0.9 * dust)[..., None] * linear("#f0c878")
    light = mix(light, table, smoothstep(-0.003, 0.006, y - view.horizon))
    light = focus(light, view.blur_radius(y, most=16) * (y > view.horizon - 0.03))
    corner = ((x - view.middle) / (1.25 * view.middle + 0.2)) ** 2 + ((y - 0.52) / 0.85) ** 2
    return light * (1 - 0.5 * smoothstep(0.35, 1.25, corner)[..., None])


def _smear(image: Field, sigma: float) -> Field:
    """Return the image blurred, four times as far down as across, as a polished table mirrors."""
    tall = blur(image, sigma * 0.4)
    for shift in (0.5, 1.0, 2.0):
        step = int(shift * sigma)
        tall = (tall + np.roll(tall, step, axis=0) + np.roll(tall, -step, axis=0)) / 3
    return tall


def _branches(view: View, seed: int) -> tuple[Field, Field]:
    """Return (H, W) twice: where fir needles hang in from the upper corners, and how brightly each is lit."""
    rng = np.random.default_rng(seed)
    where, tone = (Image.new("L", (view.width, view.height), 0) for _ in range(2))
    draws = ImageDraw.Draw(where), ImageDraw.Draw(tone)
    height, span = view.height, min(view.width, view.height)
    for side in (0, 1):
        for _ in range(8):
            x = (side * view.width) + (1 - 2 * side) * rng.uniform(-0.10, 0.16) * span
            y = rng.uniform(-0.06, 0.26) * height
            angle = (0.35 + rng.uniform(-0.5, 0.7)) if side == 0 else np.pi - 0.35 + rng.uniform(-0.7, 0.5)
            _twig(draws, (x, y), angle, rng.uniform(0.18, 0.36) * span, rng)
    return tuple(np.asarray(image, np.float32) / 255 for image in (where, tone))  # type: ignore[return-value]


def _twig(
    draws: tuple[ImageDraw.ImageDraw, ImageDraw.ImageDraw], start: tuple[float, float], angle: float, length: float,
    rng: np.random.Generator,
) -> None:  # fmt: skip
    (x, y), count = start, int(length / 3)
    for i in range(count):
        angle += rng.normal(0.003, 0.012)
        x, y = x + 3 * np.cos(angle), y + 3 * np.sin(angle)
        needle = 0.115 * length * (1 - 0.55 * i / count) + 10
        for side in (-1, 1):
            turn = angle + side * rng.normal(0.85, 0.16)
            tip = x + needle * np.cos(turn), y + needle * np.sin(turn)
            shine = int(np.clip(90 + 110 * -np.sin(turn) + rng.normal(0, 35), 10, 255))
            draws[0].line((x, y, *tip), fill=255, width=3)
            draws[1].line((x, y, *tip), fill=shine, width=4)


def studio(view: View) -> Field:
    """Seamless paper, warm and pale: a wall that bends into the floor, a window's light across both."""
    x, y = grid(view.width, view.height)
    bend = smoothstep(view.horizon - 0.14, view.horizon + 0.16, y)  # 0 on the wall, 1 on the floor
    fall = np.hypot(x - 0.15 * view.middle, y - 0.05) / np.hypot(2 * view.middle, 1.0)
    wall = ramp(fall, (0.0, "#f8f0e7"), (0.45, "#ecdfd2"), (1.0, "#cfb9a8"))
    floor = ramp(fall, (0.0, "#fcf7f1"), (0.55, "#f5ece2"), (1.0, "#dccaba"))
    light = mix(wall, floor, bend)
    crease = np.exp(-(((y - view.horizon) / 0.10) ** 2))
    light = light * (1 - 0.055 * crease[..., None])
    slant = x - view.middle + 0.42 * (y - 0.5)
    panes = np.zeros_like(x)
    for left, right in ((-0.62, -0.30), (-0.26, 0.06)):
        for top, bottom in ((-0.30, 0.08), (0.12, 0.50)):
            inside_x = smoothstep(left - 0.004, left + 0.004, slant) * smoothstep(right + 0.004, right - 0.004, slant)
            height = y - 0.30 * (x - view.middle)
            panes = np.maximum(panes, inside_x * ((height > top) & (height < bottom)))
    panes = blur(panes, 20 * view.height / 1080) * (1 - 0.75 * bend)
    light = light * mix(linear("#ffffff"), np.array([1.12, 1.09, 1.045], np.float32), panes)
    pool = np.exp(-(((x - view.middle) / 0.62) ** 2) - ((y - view.stand) / 0.14) ** 2)
    light = light * (1 + 0.09 * pool[..., None])
    fibre = 0.5 * fbm(90 * x, 26 * y, 2, 8) + 0.5 * fbm(30 * x, 110 * y, 2, 18)
    light = light * (1 + 0.018 * fibre[..., None] + 0.02 * fbm(1.3 * x, 1.3 * y, 2, 28)[..., None])
    corner = ((x - view.middle) / (1.5 * view.middle)) ** 2 + ((y - 0.5) / 1.0) ** 2
    return light * (1 - 0.16 * smoothstep(0.2, 1.1, corner)[..., None])
