"""What to set when there are few photos, which a discriminator soon knows by heart."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from catalog_gen.gan.config import GanTrainConfig

FEW_PHOTOS = 2_000
VERY_FEW_PHOTOS = 500


def few_photo_recipe(config: GanTrainConfig, photos: int, given: Collection[str] = ()) -> GanTrainConfig:
    """Return `config` with the settings for few photos where `photos` is below `FEW_PHOTOS`, else `config` itself.

    given: dotted keys (`text_noise`, `augment.rotate`), or sections (`augment`), that a person has set: they stay.

    Both players see photos and pictures through the same random moves (DiffAugment, Zhao et al., arXiv 2006.10738,
    which trains from 100 images), as often as the discriminator's certainty asks for (ADA, Karras et al.,
    arXiv 2006.06676). No colour moves: colour is what the words say. Each text is blurred further, so that it does not
    name one photo; the discriminator learns more slowly; and what is measured is measured sooner, because a training
    on few photos is over sooner.
    """
    if photos >= FEW_PHOTOS:
        return config
    recipe: dict[str, Any] = {
        "augment.adaptive": True,
        "augment.adapt_images": 20_000,  # the strength reaches its place within the first tenth of a short training
        "augment.translate": 0.125,
        "augment.scale": 0.15,
        "augment.rotate": 10.0 if photos < VERY_FEW_PHOTOS else 5.0,
        "augment.cutout": 0.3,
        "text_noise": max(0.3, config.text_noise),
        "optimiser.d_lr": config.optimiser.d_lr / 2,
        "watch.measure_every": min(5_000, config.watch.measure_every),
    }
    values = config.model_dump()
    for key, value in recipe.items():
        section, _, leaf = key.rpartition(".")
        if not {key, section} & set(given):
            (values[section] if section else values)[leaf] = value
    return GanTrainConfig.model_validate(values)
