"""Where a product goes in a picture: how it is posed, and its box."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from catalog_gen.style.template_config import Placement

Floats = NDArray[np.float32]
# stand: on the ground. float: in the air, its shadow below or behind. bleed: it rises from the picture's lower edge.
Pose = Literal["stand", "float", "bleed"]
# What words tell: "worn" stands where the photo shows all of who wears it, and floats otherwise.
Known = Literal["stand", "float", "worn"]
# Words that say what a product does when it is put down; a shop's other languages are read off the shape.
STANDING = re.compile(
    r"\b(shoes?|sneakers?|boots?|sandals?|heels?|flats|loafers?|slippers?|flip flops?|bags?|handbags?|backpacks?"
    r"|clutch(es)?|wallets?|perfumes?|deodorants?|mists?|bottles?|mugs?|lipsticks?|nail polish|lotions?|creams?|caps?"
    r"|hats?|luggage|trolley)\b",
    re.IGNORECASE,
)
WORN = re.compile(
    r"\b(t-?shirts?|shirts?|tops?|kurtas?|kurtis?|tunics?|dress(es)?|sarees?|jeans|trousers|shorts|skirts?|leggings"
    r"|jackets?|sweaters?|sweatshirts?|blazers?|vests?|bras?|briefs?|boxers?|trunks?|track pants)\b",
    re.IGNORECASE,
)
FLOATING = re.compile(
    r"\b(socks?|ties?|scarves|scarf|earrings?|necklaces?|pendants?|bracelets?|rings?|watch(es)?|belts?|sunglasses)\b",
    re.IGNORECASE,
)
PANES = re.compile(r"\b(sun|eye)?glasses\b|\bspectacles\b|\bgoggles\b", re.IGNORECASE)
CUT_OFF_GAIN = 1.22  # what is cut off below fills more of the height: it has no foot to be seen
LONG = 2.1  # height to width of a person from head to foot, arms at the sides: above, a worn product stands


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels; right and bottom are the first outside."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def rows(self) -> slice:
        return slice(self.top, self.bottom)

    @property
    def columns(self) -> slice:
        return slice(self.left, self.right)


def pose_of(words: str) -> Known | None:
    """Return how a product of these words (its category, its title) is posed, or None where they do not tell."""
    for pattern, known in ((FLOATING, "float"), (WORN, "worn"), (STANDING, "stand")):
        if pattern.search(words):
            return known  # type: ignore[return-value]
    return None


def has_panes(words: str) -> bool:
    """Return whether a product of these words is a pair of glasses: what of it is clear can then be told."""
    return bool(PANES.search(words))


def find_pose(placement: Placement, alpha: Floats, known: Known | None = None) -> Pose:
    """Return `bleed` where the photo cuts the product off below, else the template's pose, the caller's, its shape's.

    alpha: (H, W), of the whole photo. By shape, what is wide at its foot stands: shoes, bags, bottles.
    """
    solid = alpha > 0.5
    rows = np.flatnonzero(solid.any(axis=1))
    if placement.bleed and len(rows) and rows[-1] >= len(alpha) - 2 and solid[rows[-1]].mean() > 0.08:
        return "bleed"
    if placement.pose != "auto":
        return placement.pose
    if known == "worn":
        columns = np.flatnonzero(solid.any(axis=0))
        return "stand" if len(rows) and int(np.ptp(rows)) > LONG * max(1, int(np.ptp(columns))) else "float"
    return known or ("stand" if _rests(solid) else "float")


def _rests(solid: NDArray[np.bool_]) -> bool:
    rows = np.flatnonzero(solid.any(axis=1))
    columns = np.flatnonzero(solid.any(axis=0))
    if not len(rows):
        return False
    height, width = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
    foot = solid[rows[-1] - max(1, height // 16) : rows[-1] + 1].any(axis=0).sum()
    return bool(foot > 0.5 * width)


def product_box(placement: Placement, pose: Pose, product: tuple[int, int], canvas: tuple[int, int]) -> Box:
    """Return the product's box, its own shape kept, inside the canvas whatever the numbers say.

    product, canvas: width and height in pixels.
    """
    width, height = canvas
    room_x = min(1.0, placement.width * placement.scale) * width
    room_y = min(1.0, placement.height * placement.scale * (CUT_OFF_GAIN if pose == "bleed" else 1.0)) * height
    if pose == "stand":
        room_y = min(room_y, placement.ground * height)
    scale = min(room_x / product[0], room_y / product[1])
    wide = min(width, max(1, round(product[0] * scale)))
    high = min(height, max(1, round(product[1] * scale)))
    left = round(placement.x * width - wide / 2)
    if pose == "stand":
        top = round(placement.ground * height) - high
    elif pose == "bleed":
        top = height - high
    else:
        top = round(placement.y * height - high / 2)
    left, top = min(max(left, 0), width - wide), min(max(top, 0), height - high)
    return Box(left, top, left + wide, top + high)
