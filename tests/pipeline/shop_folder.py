"""A folder as a shop would hand it over: a feed, and photos named by sku."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = {"red": (200, 30, 30), "blue": (30, 40, 190)}


def photo(number: int, colour: str = "red", ground: int = 255) -> Image.Image:
    """A picture of 60 x 80 like no other number's: squares in a colour on a ground."""
    rng = np.random.default_rng(number)
    pixels = np.full((80, 60, 3), ground, np.uint8)
    for row in range(10, 70, 10):
        for column in range(10, 50, 10):
            if rng.random() < 0.5:
                pixels[row : row + 10, column : column + 10] = COLOURS[colour]
    return Image.fromarray(pixels)


def write_shop(
    folder: Path, count: int = 12, images: str = "images", header: str = "sku,title,category,colour"
) -> Path:
    """Write `count` rows with photos, one row without a photo and one without a title; return the feed."""
    place = folder / images
    place.mkdir(parents=True, exist_ok=True)
    lines = [header]
    for number in range(count):
        colour = ("red", "blue")[number % 2]
        photo(number, colour).save(place / f"p{number}.png")
        lines.append(f"p{number},Shirt number {number},{'Shirts' if number % 3 else 'Bags'},{colour}")
    lines += ["new,A shirt without a photo,Shirts,blue", ",Shirt of nobody,Shirts,blue"]
    return write_feed(folder / "feed.csv", lines)


def write_feed(file: Path, lines: Sequence[str]) -> Path:
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file
