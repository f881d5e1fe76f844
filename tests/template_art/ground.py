"""A set as a camera sees it: ground in perspective up to a horizon, lights out of focus behind."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from template_art.field import SUN, Field, discs

FOCAL = 1.5  # of the lens, in picture heights: a portrait lens, so that the ground does not fall away


@dataclass(frozen=True)
class View:
    """A picture's size, where its horizon lies and where the product stands (parts of the height, from above)."""

    width: int
    height: int
    horizon: float
    stand: float

    @property
    def shape(self) -> tuple[int, int]:
        return self.height, self.width

    @property
    def middle(self) -> float:
        return self.width / self.height / 2

    def blur_radius(self, y: Field, sharp: float = 0.10, most: float = 30.0) -> Field:
        """Return how far out of focus each row of the ground is, in pixels, nothing near where the product stands."""
        away = np.clip((self.stand - sharp - y) / max(self.stand - sharp - self.horizon, 1e-3), 0, 1)
        towards = np.clip((y - self.stand - 0.06) / 0.25, 0, 1)
        return np.maximum(most * away**1.3, 7 * towards) * self.height / 1080

    def ground(self, x: Field, y: Field) -> tuple[Field, Field, Field]:
        """Return where on the ground each pixel looks, (across, away), and how wide a pixel is there, in one unit.

        The unit is the camera's height over the ground; rows above the horizon repeat the one just below it.
        """
        below = np.maximum(y - self.horizon, 0.012)
        away = FOCAL / below
        return (x - self.middle) * away / FOCAL, away, away / FOCAL / self.height


def relief(view: View, x: Field, y: Field, heights: object, light: tuple[float, float, float] = SUN) -> Field:
    """Return how brightly the ground is lit, flat ground as 1; `heights(across, away, pixel)` gives its relief."""
    across, away, pixel = view.ground(x, y)
    step = np.maximum(pixel, 0.002)
    here = heights(across, away, pixel)  # type: ignore[operator]
    slope_x = (heights(across + step, away, pixel) - here) / step  # type: ignore[operator]
    slope_z = (heights(across, away + step, pixel) - here) / step  # type: ignore[operator]
    length = np.sqrt(1 + slope_x**2 + slope_z**2)
    shade = (-slope_x * light[0] - slope_z * light[2] + light[1]) / length
    return (np.clip(shade, 0, None) / light[1]).astype(np.float32)


def detail(size: float, pixel: Field) -> Field:
    """Return how much of a pattern of this size a pixel can still show, 1 to 0: finer would only flicker."""
    return np.clip(size / (2.5 * pixel) - 0.6, 0, 1).astype(np.float32)


def lights(
    view: View, count: int, box: tuple[float, float, float, float], radii: tuple[float, float], seed: int,
    *, rim: float = 0.0, spare: float = 0.0,
) -> Field:  # fmt: skip
    """Return (H, W): discs in `box` (left, top, right, bottom as parts), fewer in the middle by `spare`."""
    rng = np.random.default_rng(seed)
    places = rng.uniform(0, 1, (count, 2)) * (box[2] - box[0], box[3] - box[1]) + (box[0], box[1])
    kept = rng.uniform(0, 1, count) > spare * np.exp(-(((places[:, 0] - 0.5) / 0.22) ** 2))
    places = places[kept] * (view.width, view.height)
    size = radii[0] + (radii[1] - radii[0]) * rng.uniform(0, 1, len(places)) ** 1.6
    strength = rng.uniform(0.25, 1.0, len(places)) * (radii[0] / size) ** 0.35
    scale = view.height / 1080
    return discs(view.shape, places.astype(np.float32), (size * scale).astype(np.float32), strength, rim=rim)
