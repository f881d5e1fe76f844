"""Pictures made of nothing: textures that a network learns style from, and grounds that a product is put on.

Each is drawn from a random generator alone. They span what brands' looks are made of: strokes, crystals, marble, weave,
cells, light spots, waves, speckle and grain, in palettes of a few colours, from still to loud.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Rng = np.random.Generator


def texture(rng: Rng, size: int) -> Floats:
    """Return a texture (size, size, 3) in [0, 1], of one family or two over each other."""
    picture = _one(rng, size)
    if rng.random() < 0.4:
        share = _unit(cloud(rng, size, 1.5 + rng.random()))[..., None]
        edge = 2 + 10 * rng.random()
        picture += (_one(rng, size) - picture) / (1 + np.exp(-edge * (share - 0.5) * 4))
    if rng.random() < 0.5:
        picture += cloud(rng, size, 0.3)[..., None] * 0.03 * rng.random()
    return np.asarray(picture.clip(0, 1), np.float32)


def ground(rng: Rng, size: int) -> Floats:
    """Return a ground (size, size, 3) in [0, 1]: a wall and a floor or one sweep, light from somewhere, perhaps blurred
    lights, seldom a texture."""
    y, x = _grid(size)
    if rng.random() < 0.25:
        return np.asarray(0.5 * texture(rng, size) + 0.5 * rng.random(3), np.float32)
    top, bottom, light = (0.3 + 0.7 * (rng.random() + 0.5 * rng.random() * (rng.random(3) - 0.5)) for _ in range(3))
    horizon, softness = 0.45 + 0.5 * rng.random(), 0.005 + 0.2 * rng.random() ** 2
    share = 1 / (1 + np.exp(-np.clip((y - horizon) / softness, -30, 30)))
    picture = top + (bottom - top) * share[..., None]
    centre = rng.random(2)
    glow = np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / (0.05 + 0.4 * rng.random()))
    picture = picture + 0.5 * rng.random() * glow[..., None] * (light - picture)
    if rng.random() < 0.4:
        spots = _spots(rng, size)[..., None]
        picture = picture + spots * (light - picture) * (1 - share[..., None])
    picture = picture + cloud(rng, size, 1.2)[..., None] * 0.05 * rng.random()
    return np.asarray(picture.clip(0, 1), np.float32)


def cloud(rng: Rng, size: int, slope: float, stretch: float = 1.0, angle: float = 0.0) -> Floats:
    """Return noise (size, size) of unit deviation whose amplitude falls with frequency^-slope, stretched along `angle`
    (radians) by `stretch`; it tiles."""
    fy, fx = np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None]
    along, across = fx * np.cos(angle) + fy * np.sin(angle), fy * np.cos(angle) - fx * np.sin(angle)
    radius = np.sqrt((along * stretch) ** 2 + across**2)
    radius[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.standard_normal((size, size))) * np.maximum(radius, 0.5 / size) ** -slope
    field = np.fft.irfft2(spectrum, s=(size, size))
    return np.asarray(field / (field.std() + 1e-9), np.float32)


def _one(rng: Rng, size: int) -> Floats:
    family = FAMILIES[int(rng.integers(len(FAMILIES)))]
    return _coloured(rng, _unit(family(rng, size)))


def _coloured(rng: Rng, field: Floats) -> Floats:
    """Map a field in [0, 1] through a palette of two to five colours, near to each other or far, as it falls."""
    count, spread = int(rng.integers(2, 6)), 0.15 + 0.85 * rng.random()
    base = rng.random(3)
    colours = (base + spread * (rng.random((count, 3)) - base)).clip(0, 1)
    grey = colours.mean(1, keepdims=True)
    colours = grey + (colours - grey) * (0.2 + 0.8 * rng.random())
    if rng.random() < 0.5:
        colours = colours[np.argsort(colours.sum(1))]
    at = np.linspace(0, 1, count)
    return np.stack([np.interp(field, at, colours[:, c]) for c in range(3)], -1).astype(np.float32)


def _strokes(rng: Rng, size: int) -> Floats:
    """Strokes along a flow: stretched noise of a few directions, chosen by where one stands."""
    flow, base = _unit(cloud(rng, size, 2.0)), rng.random() * np.pi
    turns = [base + turn for turn in np.linspace(0, rng.random() * np.pi, 4)]
    layers = np.stack([cloud(rng, size, 0.6 + rng.random(), 4 + 12 * rng.random(), turn) for turn in turns])
    place = flow * 3
    low = np.floor(place).clip(0, 2).astype(int)
    share = (place - low).astype(np.float32)
    rows, columns = np.indices(flow.shape)
    return np.asarray(layers[low, rows, columns] * (1 - share) + layers[low + 1, rows, columns] * share, np.float32)


def _crystals(rng: Rng, size: int) -> Floats:
    """Feathers of frost: a fine zigzag about lines, over clouds."""
    y, x = _grid(size)
    angle, many = rng.random() * np.pi, 4 + 8 * rng.random()
    bend = 0.05 * _unit(cloud(rng, size, 2.0))
    along = x * np.cos(angle) + y * np.sin(angle) + bend
    across = np.abs(((y * np.cos(angle) - x * np.sin(angle)) * many + bend * 8) % 1 - 0.5)
    barbs = np.cos(2 * np.pi * (20 + 40 * rng.random()) * (along - across / many))
    return np.asarray(barbs * np.exp(-across * 5) + cloud(rng, size, 1.6), np.float32)


def _marble(rng: Rng, size: int) -> Floats:
    veins = -np.abs(cloud(rng, size, 1.4 + 0.5 * rng.random()))
    return np.asarray(veins + 0.3 * cloud(rng, size, 1.5), np.float32)


def _caustics(rng: Rng, size: int) -> Floats:
    """Light through water: sharp ridges of two clouds, warped by a third."""
    ridges = sum(np.exp(-np.abs(cloud(rng, size, 1.6)) * 6) for _ in range(3))
    return np.asarray(ridges + 0.2 * cloud(rng, size, 1.2), np.float32)


def _cells(rng: Rng, size: int) -> Floats:
    """Voronoi cells, each of one tone, with or without cracks between."""
    count = int(rng.integers(15, 160))
    places, tones = rng.random((count, 2)), rng.random(count)
    y, x = _grid(size)
    warp = 0.02 * rng.random() * cloud(rng, size, 1.5)
    distance = ((x + warp)[..., None] - places[:, 0]) ** 2 + ((y + warp)[..., None] - places[:, 1]) ** 2
    near = np.partition(distance, 1, axis=-1)[..., :2]
    cracks = np.exp(-(np.sqrt(near[..., 1]) - np.sqrt(near[..., 0])) * size * 0.3)
    return np.asarray(tones[distance.argmin(-1)] - rng.random() * cracks, np.float32)


def _spots(rng: Rng, size: int) -> Floats:
    """Discs of light out of focus, in [0, 1]."""
    y, x = _grid(size)
    field = np.zeros((size, size), np.float32)
    radius = 0.01 + 0.06 * rng.random()
    for _ in range(int(rng.integers(10, 60))):
        cx, cy, r = rng.random(), rng.random(), radius * (0.5 + rng.random())
        away = np.sqrt((x - cx) ** 2 + (y - cy) ** 2)
        field += (0.2 + 0.4 * rng.random()) / (1 + np.exp(np.clip((away - r) * size * 0.8, -30, 30)))
    return np.asarray(field.clip(0, 1), np.float32)


def _waves(rng: Rng, size: int) -> Floats:
    y, x = _grid(size)
    angle, many = rng.random() * np.pi, 3 + 25 * rng.random()
    bent = x * np.cos(angle) + y * np.sin(angle) + 0.1 * rng.random() * _unit(cloud(rng, size, 2.2))
    return np.asarray(np.tanh(np.sin(2 * np.pi * many * bent) * (0.5 + 4 * rng.random())), np.float32)


def _weave(rng: Rng, size: int) -> Floats:
    y, x = _grid(size)
    many = 20 + 60 * rng.random()
    thread = np.sin(2 * np.pi * many * x) * np.sin(2 * np.pi * many * y)
    return np.asarray(thread + 0.5 * cloud(rng, size, 0.8, 10) + 0.5 * cloud(rng, size, 0.8, 0.1), np.float32)


def _speckle(rng: Rng, size: int) -> Floats:
    """Sparse, hard flakes on a soft ground: terrazzo, leaf gold, snow."""
    rarity, slope = 0.5 + 1.5 * rng.random(), 0.8 + rng.random()
    flakes = 1 / (1 + np.exp(-np.clip((cloud(rng, size, slope) - rarity) * 12, -30, 30)))
    return np.asarray(2 * flakes + 0.4 * cloud(rng, size, 1.8), np.float32)


def _soft(rng: Rng, size: int) -> Floats:
    return cloud(rng, size, 0.8 + 1.4 * rng.random())


FAMILIES: tuple[Callable[[Rng, int], Floats], ...] = (
    _strokes, _crystals, _marble, _caustics, _cells, _spots, _waves, _weave, _speckle, _soft,
)  # fmt: skip


def _grid(size: int) -> tuple[Floats, Floats]:
    side = (np.arange(size, dtype=np.float32) + 0.5) / size
    y, x = np.meshgrid(side, side, indexing="ij")
    return np.asarray(y, np.float32), np.asarray(x, np.float32)


def _unit(field: Floats) -> Floats:
    low, high = np.quantile(field, [0.01, 0.99])
    return np.asarray(((field - low) / max(high - low, 1e-6)).clip(0, 1), np.float32)
