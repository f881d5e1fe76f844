"""The recipe for few photos: where it begins, what it sets, and that a person's own settings stay."""

from __future__ import annotations

import pytest

from catalog_gen.gan.config import AugmentConfig, GanTrainConfig, OptimiserConfig, WatchConfig
from catalog_gen.gan.few_photos import FEW_PHOTOS, few_photo_recipe

PLAIN = GanTrainConfig()


def test_with_photos_enough_nothing_changes() -> None:
    assert few_photo_recipe(PLAIN, FEW_PHOTOS) is PLAIN


@pytest.mark.parametrize(("photos", "degrees"), [(FEW_PHOTOS - 1, 5.0), (500, 5.0), (499, 10.0), (100, 10.0)])
def test_few_photos_are_seen_in_many_ways(photos: int, degrees: float) -> None:
    recipe = few_photo_recipe(PLAIN, photos)
    assert recipe.augment == AugmentConfig(
        adaptive=True, adapt_images=20_000, translate=0.125, scale=0.15, rotate=degrees, cutout=0.3
    )
    assert (recipe.text_noise, recipe.optimiser.d_lr, recipe.watch.measure_every) == (0.3, 2e-4, 5_000)
    same = {"augment", "text_noise", "optimiser", "watch"}
    assert recipe.model_dump(exclude=same) == PLAIN.model_dump(exclude=same)
    assert recipe.optimiser.g_lr == PLAIN.optimiser.g_lr


def test_what_a_person_has_set_stays() -> None:
    own = GanTrainConfig(
        augment=AugmentConfig(rotate=2.0),
        optimiser=OptimiserConfig(d_lr=1e-3),
        watch=WatchConfig(measure_every=0),
        text_noise=0.05,
    )
    recipe = few_photo_recipe(own, 100, {"augment.rotate", "optimiser", "text_noise"})
    assert (recipe.augment.rotate, recipe.augment.cutout) == (2.0, 0.3)
    assert (recipe.optimiser.d_lr, recipe.text_noise) == (1e-3, 0.05)
    assert recipe.watch.measure_every == 0  # never stays never
    assert few_photo_recipe(own, 100).augment.rotate == 10.0
