"""The feed-forward engines: masks, mixtures, batches, tiles' statistics, bundles."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from catalog_gen.bundles import Bundle, load_bundle
from catalog_gen.errors import BundleError, ConfigError
from catalog_gen.style.arbitrary import ArbitraryEngine, StylePredictor, codes_of, save_arbitrary, style_statistics
from catalog_gen.style.engine import Look, open_engine
from catalog_gen.style.fast import FastEngine, LearntStyle, LearntStyles, fingerprint, image_tones, save_fast
from catalog_gen.style.features import FeatureNetwork, load_features
from catalog_gen.style.feedforward import Prepared, mix
from catalog_gen.style.network import NetworkConfig, TransferNetwork, masked_moments
from catalog_gen.style.recolour import Tones

TINY = NetworkConfig(fine=4, middle=6, width=8, expansion=1, dilations=(1, 2), noise=2)


@dataclass(frozen=True)
class Config:
    """What an engine reads of a template."""

    engine: str
    bundle: str
    features: str = "lite0"
    product_strength: float = 0.05


@pytest.fixture(scope="module")
def features() -> FeatureNetwork:
    return load_features("lite0")


@pytest.fixture(scope="module")
def styles() -> list[Tensor]:
    generator = torch.Generator().manual_seed(3)
    ramp = torch.linspace(0, 1, 64).expand(3, 64, 64)
    return [torch.rand(3, 64, 64, generator=generator) * 0.3, ramp * torch.tensor([1.0, 0.5, 0.2]).view(3, 1, 1)]


def network() -> TransferNetwork:
    torch.manual_seed(0)
    made = TransferNetwork(TINY)
    nn.init.normal_(made.last.weight, std=1.0)  # an untrained network changes next to nothing
    return made


@pytest.fixture(scope="module")
def fast_bundle(tmp_path_factory: pytest.TempPathFactory, styles: list[Tensor]) -> Bundle:
    made = network()
    table = LearntStyles(2, made.code_size)
    table.set_tones(styles)
    nn.init.normal_(table.code, std=0.5)
    learnt = [LearntStyle(name, fingerprint(image)) for name, image in zip(("frost", "sand"), styles, strict=True)]
    return save_fast(tmp_path_factory.mktemp("bundles") / "two-styles", made, table, learnt, "# two styles\n")


@pytest.fixture
def engine(fast_bundle: Bundle) -> FastEngine:
    return FastEngine(fast_bundle, "cpu")


def pictures(count: int, height: int = 45, width: int = 61) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(4)
    content = torch.rand(count, 3, height, width, generator=generator)
    product = torch.zeros(count, 1, height, width)
    product[:, :, 10:30, 20:40] = 1
    product[:, :, 9, 20:40] = 0.5
    return content, product


def prepared(engine: FastEngine, styles: list[Tensor], first: float = 1.0) -> Prepared:
    return engine.prepare(Look(tuple(styles), (first, 1 - first)))


def test_the_product_has_no_influence_on_the_scene(engine: FastEngine, styles: list[Tensor]) -> None:
    content, product = pictures(1)
    other = torch.where(product > 0, 1 - content, content)
    look = prepared(engine, styles)

    one, two = engine.stylise(content, product, look), engine.stylise(other, product, look)

    scene = product.expand_as(one) == 0
    assert torch.equal(one[scene], two[scene])
    assert not torch.equal(one[~scene], two[~scene])


def test_a_picture_in_a_batch_is_the_picture_alone(engine: FastEngine, styles: list[Tensor]) -> None:
    content, product = pictures(3)
    look = prepared(engine, styles)

    batch = engine.stylise(content, product, look)
    together = engine._pass(content, content, torch.ones_like(product), look)
    single = torch.cat([engine.stylise(content[i : i + 1], product[i : i + 1], look) for i in range(3)])

    assert batch.shape == content.shape
    assert torch.equal(batch, single)
    alone = [
        engine._pass(c, c, torch.ones_like(p), look) for c, p in zip(content.split(1), product.split(1), strict=True)
    ]
    assert torch.allclose(together, torch.cat(alone), atol=1e-5)  # as a GPU does it
    assert batch.min() >= 0 and batch.max() <= 1


def test_styles_mix(engine: FastEngine, styles: list[Tensor]) -> None:
    content, product = pictures(1)
    alone = engine.prepare(Look((styles[0],), (1.0,)))
    half = prepared(engine, styles, 0.5)

    assert torch.equal(
        engine.stylise(content, product, prepared(engine, styles)), engine.stylise(content, product, alone)
    )
    assert torch.allclose(half.code, engine.styles.code.mean(0, keepdim=True))
    assert torch.allclose(half.tones.mean.flatten(), engine.styles.get_buffer("mean").mean(0))


def test_a_scene_without_and_a_picture_all_product(engine: FastEngine, styles: list[Tensor]) -> None:
    content, product = pictures(1)
    look = prepared(engine, styles)

    for alpha in (torch.zeros_like(product), torch.ones_like(product)):
        styled = engine.stylise(content, alpha, look)
        assert torch.isfinite(styled).all()
        assert not torch.allclose(styled, content, atol=0.02)


def test_norms_are_of_the_weighted_places_alone() -> None:
    x = torch.tensor([1.0, 3.0, 100.0]).view(1, 1, 1, 3)
    weight = torch.tensor([1.0, 1.0, 0.0]).view(1, 1, 1, 3)

    mean, inverse = masked_moments(x, weight)

    assert mean.item() == pytest.approx(2)
    assert inverse.item() == pytest.approx((1 + 1e-3) ** -0.5)  # variance one, and the epsilon


def test_larger_pictures_keep_their_size(engine: FastEngine, styles: list[Tensor]) -> None:
    content, product = torch.rand(1, 3, 60, 1500), torch.zeros(1, 1, 60, 1500)
    product[..., 600:800] = 1
    other = torch.where(product > 0, 1 - content, content)
    look = prepared(engine, styles)

    one, two = engine.stylise(content, product, look), engine.stylise(other, product, look)

    assert one.shape == content.shape
    scene = product.expand_as(one) == 0
    assert torch.equal(one[scene], two[scene])


def test_a_style_is_known_again_by_its_image(engine: FastEngine, styles: list[Tensor]) -> None:
    grainy = (styles[1] + 0.02 * torch.randn(3, 64, 64, generator=torch.Generator().manual_seed(5))).clamp(0, 1)

    assert torch.equal(engine.prepare(Look((grainy,), (1.0,))).code, engine.styles.code[1:])
    with pytest.raises(ConfigError, match=r"has not learnt .* Learnt: frost, sand"):
        engine.prepare(Look((1 - styles[1],), (1.0,)))


def test_the_bundle_comes_back(fast_bundle: Bundle, styles: list[Tensor]) -> None:
    opened = open_engine(Config("fast", str(fast_bundle.path)))

    assert isinstance(opened, FastEngine)
    assert opened.hash == FastEngine(load_bundle(str(fast_bundle.path), "style"), "cpu").hash
    saved = network().last.weight.detach().half().float()
    assert torch.equal(opened.network.last.weight.detach(), saved)
    with pytest.raises(BundleError, match="is for the engine 'fast', not 'arbitrary'"):
        open_engine(Config("arbitrary", str(fast_bundle.path)))


def test_any_style_image(tmp_path: Path, features: FeatureNetwork, styles: list[Tensor]) -> None:
    made = network()
    count = style_statistics(features, styles[0][None]).shape[1]
    assert count == 2 * (32 + 144 + 240 + 672)  # a mean and a deviation a channel of Lite0's four maps
    predictor = StylePredictor(count, made.code_size)
    bundle = save_arbitrary(tmp_path / "any", made, predictor, features, "# any\n")
    opened = ArbitraryEngine(bundle, features, "cpu")
    content, product = pictures(1)

    one, two = (opened.prepare(Look((image,), (1.0,))) for image in styles)
    both = opened.prepare(Look(tuple(styles), (0.25, 0.75)))

    assert torch.allclose(both.code, 0.25 * one.code + 0.75 * two.code, atol=1e-6)
    assert not torch.allclose(opened.stylise(content, product, one), opened.stylise(content, product, two), atol=0.05)
    begun, codes = codes_of(bundle, features, styles)
    assert torch.allclose(codes, torch.cat([one.code, two.code]), atol=1e-6)
    assert begun.config == TINY
    wrong = replace(bundle, config={**bundle.config, "features": "others"})
    with pytest.raises(BundleError, match="other features"):
        ArbitraryEngine(wrong, features, "cpu")


def test_mix_is_the_weighted_mean() -> None:
    codes = [torch.zeros(1, 2), torch.ones(1, 2)]
    tones = [
        Tones(torch.full((1, 3, 1, 1), v), torch.full((1, 3, 1, 1), v), v * torch.eye(3)[None]) for v in (0.0, 1.0)
    ]

    mixed = mix(codes, tones, [0.75, 0.25])

    assert mixed.code.tolist() == [[0.25, 0.25]]
    assert mixed.tones.deviation.flatten().tolist() == [0.25] * 3
    assert torch.equal(mixed.tones.root, 0.25 * torch.eye(3)[None])


def test_an_images_tones() -> None:
    white = image_tones(torch.ones(3, 4, 4))

    assert white.mean.flatten().tolist() == pytest.approx([3**0.5, 0, 0], abs=1e-6)
