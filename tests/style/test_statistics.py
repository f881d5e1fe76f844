"""The engine `statistics`: the scene has the style's palette and energy, and the product no part in it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from catalog_gen.style.engine import Look
from catalog_gen.style.features import scene_of
from catalog_gen.style.pyramid import laplacian
from catalog_gen.style.statistics import StatisticsEngine, StatisticsSettings

Maker = Callable[..., tuple[Tensor, Tensor]]


def scene_pixels(images: Tensor, product: Tensor) -> Tensor:
    return images[:, :, scene_of(product)[0, 0] > 0]


def test_the_scene_has_the_styles_mean_and_contrast(scene: Maker, stripes: Look) -> None:
    content, product = scene((160, 200))
    engine = StatisticsEngine()
    stylised = engine.stylise(content, product, engine.prepare(stripes))
    style = stripes.images[0].flatten(1)
    found = scene_pixels(stylised, product)[0]
    before = scene_pixels(content, product)[0]
    assert float((found.mean(1) - style.mean(1)).abs().max()) < 0.05
    assert float((before.mean(1) - style.mean(1)).abs().max()) > 0.1
    assert found.std(1).tolist() == pytest.approx(style.std(1).tolist(), rel=0.25)


def test_every_band_gets_the_styles_energy(scene: Maker, stripes: Look) -> None:
    content, product = scene((160, 160))
    engine = StatisticsEngine()
    stylised = engine.stylise(content, product, engine.prepare(stripes))
    style = torch.nn.functional.interpolate(stripes.images[0][None], (160, 160), mode="bicubic").clamp(0, 1)
    found, wanted, before = (laplacian(x[..., :40, :], 4)[0] for x in (stylised, style, content))  # above the product
    for ours, theirs, first in zip(found[1:], wanted[1:], before[1:], strict=True):
        assert 0.5 < float(ours.std() / theirs.std()) < 1.6
        assert float(first.std()) < 0.4 * float(theirs.std())


def test_the_product_does_not_touch_the_scene(scene: Maker, stripes: Look) -> None:
    content, product = scene((90, 110))
    other = torch.where(product > 0.02, torch.rand_like(content), content)
    engine = StatisticsEngine()
    prepared = engine.prepare(stripes)
    first, second = (engine.stylise(c, product, prepared) for c in (content, other))
    assert torch.equal(scene_pixels(first, product * 1.0), scene_pixels(second, product))
    assert not torch.equal(first, second)


@pytest.mark.parametrize("whole", [0.0, 1.0])
def test_all_scene_or_all_product(whole: float, scene: Maker, stripes: Look) -> None:
    content, product = scene((40, 50))
    engine = StatisticsEngine()
    stylised = engine.stylise(content, torch.full_like(product, whole), engine.prepare(stripes))
    assert bool(torch.isfinite(stylised).all()) and 0 <= float(stylised.min()) <= float(stylised.max()) <= 1
    assert float((stylised - content).abs().mean()) > 0.05


def test_two_styles_at_one_and_zero_are_one(scene: Maker, style_images: tuple[Tensor, Tensor], stripes: Look) -> None:
    content, product = scene()
    engine = StatisticsEngine()
    one, two, half = (
        engine.stylise(content, product, engine.prepare(look))
        for look in (stripes, Look(style_images, (1.0, 0.0)), Look(style_images, (0.5, 0.5)))
    )
    assert torch.equal(one, two)
    other = engine.stylise(content, product, engine.prepare(Look(style_images, (0.0, 1.0))))
    between = scene_pixels(half, product).mean((0, 2))
    ends = [scene_pixels(x, product).mean((0, 2)) for x in (one, other)]
    torch.testing.assert_close(between, (ends[0] + ends[1]) / 2, rtol=0, atol=0.05)


def test_a_batch_is_its_pictures_one_by_one(scene: Maker, stripes: Look) -> None:
    content, product = scene((50, 66), batch=3)
    product[1] = 0
    engine = StatisticsEngine()
    prepared = engine.prepare(stripes)
    together = engine.stylise(content, product, prepared)
    for index in range(3):
        alone = engine.stylise(content[index : index + 1], product[index : index + 1], prepared)
        torch.testing.assert_close(together[index], alone[0], rtol=0, atol=2e-5)


def test_the_hash_knows_the_settings() -> None:
    assert StatisticsEngine().hash == StatisticsEngine().hash
    assert StatisticsEngine().hash != StatisticsEngine(settings=StatisticsSettings(texture=0.5)).hash
