"""Features, partial convolution, and the statistics of style, against values worked out by hand and timm itself."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from catalog_gen.bundles import load_bundle, read_weights
from catalog_gen.errors import ConfigError
from catalog_gen.style.features import (
    FeatureNetwork,
    VggFeatures,
    coverage,
    gram,
    load_features,
    moments,
    partial_conv,
    scene_of,
    swag,
)
from catalog_gen.style.pyramid import fill


@pytest.fixture(scope="module")
def lite0() -> FeatureNetwork:
    return load_features("lite0")


@pytest.fixture(scope="module")
def vgg() -> FeatureNetwork:
    from torchvision.models import vgg16

    torch.manual_seed(0)  # random weights: the walk is under test, and the weights are not here
    return VggFeatures("vgg16", vgg16(weights=None).features, "random")


def box(size: tuple[int, int], hole: tuple[slice, slice]) -> Tensor:
    valid = torch.ones(1, 1, *size)
    valid[(..., *hole)] = 0
    return valid


def summing(kernel: int, stride: int = 1) -> nn.Conv2d:
    conv = nn.Conv2d(1, 1, kernel, stride, kernel // 2)
    nn.init.ones_(conv.weight)
    nn.init.constant_(conv.bias, 0.5)  # type: ignore[arg-type]
    return conv


def test_partial_convolution_by_hand() -> None:
    x = torch.arange(9.0).view(1, 1, 3, 3)  # 0 1 2 / 3 4 5 / 6 7 8
    valid = torch.tensor([1.0, 1, 0, 1, 0, 0, 0, 0, 0]).view(1, 1, 3, 3)
    with torch.no_grad():
        out, now = partial_conv(summing(3), x, valid)
    assert now is not None
    # At the centre 3 of 9 are valid, 0 + 1 + 3, times 9/3; at the corner 3 of 4, times 4/3; bottom right: none.
    assert out[0, 0, 1, 1].item() == pytest.approx(4 * 9 / 3 + 0.5)
    assert out[0, 0, 0, 0].item() == pytest.approx(4 * 4 / 3 + 0.5)
    assert (out[0, 0, 2, 2].item(), now[0, 0, 2, 2].item()) == (0, 0)
    assert now.sum().item() == 8


@pytest.mark.parametrize("kernel, stride", [(3, 1), (3, 2), (5, 1)])
def test_partial_convolution_with_all_valid_is_convolution(kernel: int, stride: int) -> None:
    conv, x = summing(kernel, stride), torch.randn(2, 1, 9, 7)
    with torch.no_grad():
        out, now = partial_conv(conv, x, torch.ones(2, 1, 9, 7))
        torch.testing.assert_close(out, conv(x))
    assert now is not None and bool((now == 1).all())


def test_lite0_is_timms_network_with_the_shipped_weights(lite0: FeatureNetwork) -> None:
    net = timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=0).eval()
    net.load_state_dict(read_weights(load_bundle("lite0", "features")))
    wanted: list[Tensor] = []
    for norm in (net.blocks[0][0].bn1, net.blocks[1][1].bn2, net.blocks[2][1].bn2, net.blocks[4][2].bn2):
        norm.register_forward_hook(lambda module, inputs, output: wanted.append(output.clone()))
    images = torch.rand(2, 3, 70, 97)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.no_grad():
        net((images - mean.view(1, 3, 1, 1)) / std.view(1, 3, 1, 1))
        found = lite0(images)
    assert [m.shape[1] for m in found] == [32, 144, 240, 672]
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("which", ["lite0", "vgg"])
def test_with_all_valid_masked_maps_are_the_plain_ones(which: str, request: pytest.FixtureRequest) -> None:
    network: FeatureNetwork = request.getfixturevalue(which)
    images = torch.rand(1, 3, 48, 65)
    with torch.no_grad():
        plain = network(images)
        maps, weights = network.masked(images, torch.ones(1, 1, 48, 65))
    for ours, theirs, weight in zip(maps, plain, weights, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)
        assert bool((weight == 1).all()) and weight.shape[-2:] == ours.shape[-2:]


@pytest.mark.parametrize("which", ["lite0", "vgg"])
def test_what_is_masked_has_no_influence_to_the_last_bit(which: str, request: pytest.FixtureRequest) -> None:
    network: FeatureNetwork = request.getfixturevalue(which)
    valid = box((48, 64), (slice(8, 40), slice(20, 50)))
    images = torch.rand(1, 3, 48, 64)
    other = torch.where(valid > 0, images, torch.rand(1, 3, 48, 64))
    with torch.no_grad():
        first, weights = network.masked(images, valid)
        second, _ = network.masked(other, valid)
        for a, b, w in zip(network.smooth(first, weights), network.smooth(second, weights), weights, strict=True):
            assert torch.equal(gram(a, w), gram(b, w))
            assert torch.equal(moments(a, w)[1], moments(b, w)[1])
        assert not torch.equal(network(images)[0], network(other)[0])  # without the mask it shows


def test_a_scene_filled_behind_the_product_is_nearest_to_the_scene_without_it(lite0: FeatureNetwork) -> None:
    """Gram matrices of a scene, of what is seen of it: the product's loud pixels in the picture move them more."""
    torch.manual_seed(0)
    clean = F.interpolate(torch.rand(1, 3, 64, 64) * 0.3 + 0.4, (128, 128), mode="bilinear")
    valid = box((128, 128), (slice(40, 90), slice(40, 90)))
    shown = torch.where(valid > 0, clean, torch.rand(1, 3, 128, 128).round())

    def errors(maps: list[Tensor]) -> list[float]:
        seen = zip(lite0(clean), maps, coverage(maps, valid), strict=True)
        return [float((gram(a, w) - gram(b, w)).norm() / gram(a, w).norm()) for a, b, w in seen]

    with torch.no_grad():
        filled, partial = errors(lite0(fill(shown, valid))), errors(lite0.masked(shown, valid)[0])
        cut_after, zeroed = errors(lite0(shown)), errors(lite0(shown * valid))
    assert all(f < 0.6 * min(c, p) for f, c, p in zip(filled, cut_after, partial, strict=True))
    assert sum(partial) < 0.9 * sum(zeroed)


def test_gram_by_hand() -> None:
    features = torch.tensor([[1.0, 2.0, 9.0], [3.0, 4.0, 9.0]]).view(1, 2, 1, 3)
    weight = torch.tensor([1.0, 1.0, 0.0]).view(1, 1, 1, 3)
    assert gram(features, weight)[0].tolist() == [[2.5, 5.5], [5.5, 12.5]]  # (1+4)/2, (3+8)/2, (9+16)/2
    assert gram(features[..., :2])[0].tolist() == [[2.5, 5.5], [5.5, 12.5]]


def test_moments_by_hand() -> None:
    features = torch.tensor([1.0, 3.0, 100.0]).view(1, 1, 1, 3)
    mean, deviation = moments(features, torch.tensor([3.0, 1.0, 0.0]).view(1, 1, 1, 3))
    assert mean.item() == pytest.approx(1.5)
    assert deviation.item() == pytest.approx(0.75**0.5)


def test_swag_is_the_softmax_of_everything() -> None:
    features = torch.randn(2, 3, 4, 5)
    wanted = torch.softmax(features.flatten(1), 1).view_as(features) * 60
    torch.testing.assert_close(swag(features, temperature=1.0), wanted)
    weight = torch.ones(2, 1, 4, 5)
    weight[..., 2:] = 0
    torch.testing.assert_close(swag(features, weight)[..., :2], swag(features[..., :2].contiguous()))


def test_a_soft_edge_is_no_scene() -> None:
    assert scene_of(torch.tensor([0.0, 0.01, 0.05, 1.0])).tolist() == [1, 1, 0, 0]


def test_unknown_features_are_named() -> None:
    with pytest.raises(ConfigError, match=r"no features 'resnet'.*lite0, vgg16, vgg19"):
        load_features("resnet")
