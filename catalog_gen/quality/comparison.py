"""Pictures, real photos of the same rows, and the mean picture, measured alike: the three columns of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from catalog_gen.quality.estimate import Estimate
from catalog_gen.quality.evaluation import Asked, Judged, Reference, measure, read_off
from catalog_gen.quality.readings import by_category, shares_of_photos


@dataclass(frozen=True)
class Sides:
    """What is compared, N of each; named: whether the pictures were made from the words that are asked for."""

    pictures: Judged
    photos: Judged
    mean: Judged
    named: bool


@dataclass
class Compared:
    """Each side's figures by name, and what was read off pictures and photos of each category."""

    pictures: dict[str, Estimate]
    photos: dict[str, Estimate]
    mean: dict[str, Estimate]
    categories: list[dict[str, Any]] = field(default_factory=list)

    def add_variety(self, found: Estimate | None) -> None:
        """Add how unlike two pictures of the same words are; the real photos' is what it is a share of."""
        self.photos["variety"], self.mean["variety"] = exactly(1.0), exactly(0.0)
        if found is not None:
            self.pictures["variety"] = found


def compare(sides: Sides, reference: Reference, asked: Asked, training: Mapping[str, int]) -> Compared:
    """Return every metric of the three sides. training: photos by category."""
    found = Compared(
        pictures=measure(sides.pictures, reference, asked if sides.named else None),
        photos=measure(sides.photos, reference, asked),
        mean=measure(sides.mean, reference, asked),
    )
    if sides.named:
        pictures, photos, mean = (
            read_off(side, reference, asked) for side in (sides.pictures, sides.photos, sides.mean)
        )
        found.pictures |= shares_of_photos(pictures, photos)
        found.photos |= shares_of_photos(photos, photos)
        found.mean |= shares_of_photos(mean, photos)
        found.categories = by_category(asked.kinds, training, pictures, photos)
    return found


def exactly(value: float) -> Estimate:
    """Return a figure that holds by its definition."""
    return Estimate(value, 0, value, value, 0.0)
