"""The engine `gatys`, in a few steps on tiny pictures: what it minimises, what it leaves alone, and that it repeats."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from catalog_gen.errors import ConfigError
from catalog_gen.style.engine import Look
from catalog_gen.style.features import FeatureNetwork, load_features, scene_of
from catalog_gen.style.gatys import GatysEngine, GatysSettings

Maker = Callable[..., tuple[Tensor, Tensor]]
TINY = GatysSettings(steps=6, levels=1, size=64)


@pytest.fixture(scope="module")
def lite0() -> FeatureNetwork:
    return load_features("lite0")


def distance(engine: GatysEngine, images: Tensor, product: Tensor, look: Look) -> float:
    """Return how far the scene's Gram matrices are from the style's, relative, summed over the maps."""
    with torch.no_grad():
        found = engine.grams_of(images, scene_of(product))
    wanted = engine.prepare(look).grams[-1]
    return sum(float((a - b).norm() / b.norm()) for a, b in zip(found, wanted, strict=True))


@pytest.mark.parametrize("optimiser", ["adam", "lbfgs"])
def test_the_scene_comes_nearer_to_the_style(
    optimiser: str, lite0: FeatureNetwork, scene: Maker, stripes: Look
) -> None:
    content, product = scene((64, 64))
    engine = GatysEngine(lite0, replace(TINY, optimiser=optimiser, steps=12))  # type: ignore[arg-type]
    stylised = engine.stylise(content, product, engine.prepare(stripes))
    few = GatysEngine(lite0, replace(TINY, optimiser=optimiser, steps=1))  # type: ignore[arg-type]
    barely = few.stylise(content, product, few.prepare(stripes))
    reached = distance(engine, stylised, product, stripes)
    assert reached < 0.95 * distance(engine, barely, product, stripes)
    assert reached < 0.75 * distance(engine, content, product, stripes)
    assert float(stylised.min()) >= 0 and float(stylised.max()) <= 1


def test_the_product_does_not_touch_the_scene(lite0: FeatureNetwork, scene: Maker, stripes: Look) -> None:
    content, product = scene((48, 64))
    other = torch.where(product > 0.02, torch.rand_like(content), content)
    engine = GatysEngine(lite0, TINY)
    prepared = engine.prepare(stripes)
    first, second = (engine.stylise(c, product, prepared) for c in (content, other))
    untouched = (product == 0).expand_as(content)
    assert torch.equal(first[untouched], second[untouched])
    assert not torch.equal(first, second)


def test_a_seed_repeats_and_another_differs(lite0: FeatureNetwork, scene: Maker, stripes: Look) -> None:
    content, product = scene((32, 48))
    first, again, other = (
        GatysEngine(lite0, replace(TINY, steps=2, seed=seed)).stylise(
            content, product, GatysEngine(lite0, TINY).prepare(stripes)
        )
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_batch_is_its_pictures_one_by_one(lite0: FeatureNetwork, scene: Maker, stripes: Look) -> None:
    content, product = scene((32, 48), batch=2)
    engine = GatysEngine(lite0, replace(TINY, steps=2))
    prepared = engine.prepare(stripes)
    together = engine.stylise(content, product, prepared)
    alone = [engine.stylise(content[i : i + 1], product[i : i + 1], prepared) for i in range(2)]
    assert torch.equal(together, torch.cat(alone))


def test_styles_mix_as_the_mean_of_their_gram_matrices(
    lite0: FeatureNetwork, style_images: tuple[Tensor, Tensor], stripes: Look
) -> None:
    engine = GatysEngine(lite0, TINY)
    first, second, all_first, mixed = (
        engine.prepare(look).grams[0]
        for look in (
            stripes,
            Look(style_images[1:], (1.0,)),
            Look(style_images, (1.0, 0.0)),
            Look(style_images, (0.25, 0.75)),
        )
    )
    for a, b, only, both in zip(first, second, all_first, mixed, strict=True):
        assert torch.equal(a, only)
        torch.testing.assert_close(both, 0.25 * a + 0.75 * b)


def test_larger_pictures_get_the_difference_enlarged(lite0: FeatureNetwork, scene: Maker, stripes: Look) -> None:
    content, product = scene((96, 120))
    engine = GatysEngine(lite0, replace(TINY, steps=2, levels=2, size=60))
    stylised = engine.stylise(content, product, engine.prepare(stripes))
    assert stylised.shape == content.shape
    assert float((stylised - content).abs().mean()) > 0.05


@pytest.mark.parametrize("texture", [False, True])
def test_the_product_is_textured_where_it_is_wanted(
    texture: bool, lite0: FeatureNetwork, scene: Maker, stripes: Look
) -> None:
    content, _ = scene((32, 48))
    engine = GatysEngine(lite0, replace(TINY, steps=3, texture_product=texture))
    stylised = engine.stylise(content, torch.ones_like(content[:, :1]), engine.prepare(stripes))
    again = GatysEngine(lite0, replace(TINY, steps=1, texture_product=texture))
    assert (
        torch.equal(stylised, again.stylise(content, torch.ones_like(content[:, :1]), again.prepare(stripes)))
        != texture
    )


def test_an_optimiser_nobody_has_is_refused() -> None:
    with pytest.raises(ConfigError, match="no optimiser 'sgd'"):
        GatysSettings(optimiser="sgd")  # type: ignore[arg-type]


def test_the_hash_knows_settings_and_weights(lite0: FeatureNetwork) -> None:
    assert GatysEngine(lite0).hash != GatysEngine(lite0, GatysSettings(steps=5)).hash
    assert len(GatysEngine(lite0).hash) == 64
