"""The classical discriminator: one number a picture, words heard, layers bounded, variety seen."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from catalog_gen.gan.config import DiscriminatorConfig, GanTrainConfig
from catalog_gen.gan.conv_discriminator import ConvDiscriminator, ResidualStage, minibatch_std
from catalog_gen.gan.discriminator import ProjectedDiscriminator, build_discriminator
from catalog_gen.gan.features import FrozenFeatures
from catalog_gen.gan.judge import Judge, Seen
from catalog_gen.gan.players import build_players
from catalog_gen.gan.step import train_step
from tests.gan.conftest import unit_rows

SMALL = DiscriminatorConfig(kind="conv", channels=(4, 6, 8))


def _judge(image_size: int = 32, config: DiscriminatorConfig = SMALL) -> ConvDiscriminator:
    torch.manual_seed(0)
    judge = build_discriminator(config, image_size=image_size, text_dim=6)
    assert isinstance(judge, ConvDiscriminator) and not judge.needs_features
    return judge


def _images(count: int, size: int = 32) -> Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize("size, stages", [(8, 0), (16, 1), (64, 3), (512, 6)])
def test_one_number_a_picture_at_every_size(size: int, stages: int) -> None:
    judge = _judge(size)
    assert len(judge.stages) == stages
    widest = max(module.out_channels for module in judge.modules() if isinstance(module, nn.Conv2d))
    assert widest == (4, 6, 8)[min(stages, 2)]  # the last width is used again, and unreached ones are not
    texts = [torch.from_numpy(unit_rows(2, seed=seed)) for seed in range(3)]
    judged = judge(judge.look(_images(2, size), []), texts)
    assert [[tuple(logits.shape) for logits in text] for text in judged] == [[(2,)]] * 3


def test_words_change_the_answer_by_the_projection_alone() -> None:
    judge = _judge().eval()
    seen, text = judge.look(_images(4), []), torch.from_numpy(unit_rows(4))
    (right,), (none,), (double,) = judge(seen, [text, torch.zeros(4, 6), 2 * text])
    bias = judge(seen, [torch.zeros(4, 6)])[0][0]
    torch.testing.assert_close(none, bias)
    torch.testing.assert_close(double - right, right - none)  # linear in the words
    assert (right - none).abs().min() > 0


def test_the_projection_is_an_inner_product() -> None:
    judge = Judge(4, 6).eval()
    h, text = torch.randn(3, 4, 2, 2), torch.randn(3, 6)
    words = F.linear(text, judge.words.weight, judge.words.bias)
    realness = torch.einsum("bchw,c->bhw", h, judge.realness.weight[0, :, 0, 0]) + judge.realness.bias
    (got,) = judge(h, [text])
    torch.testing.assert_close(got, realness + torch.einsum("bchw,bc->bhw", h, words) / 2)


def test_every_layer_is_of_spectral_norm_one() -> None:
    judge = _judge()
    for _ in range(30):  # each call is one more power iteration
        judge(judge.look(_images(4), []), [torch.from_numpy(unit_rows(4))])
    layers = [m for m in judge.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(layers) == 1 + 2 * 2 + 1 + 2
    for layer in layers:
        assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() == pytest.approx(1, abs=0.05)


def test_a_stage_is_a_convolution_beside_a_shortcut() -> None:
    stage, x = ResidualStage(3, 5).eval(), torch.randn(2, 3, 8, 8)
    change = F.conv2d(F.leaky_relu(x, 0.2), stage.conv.weight, stage.conv.bias, padding=1)
    torch.testing.assert_close(stage(x), F.avg_pool2d(change + F.conv2d(x, stage.shortcut.weight), 2))


def test_minibatch_std_is_the_groups_deviation_by_hand() -> None:
    x = torch.zeros(8, 1, 1, 2)  # groups of four, two apart: 0 2 4 6 and 1 3 5 7
    x[[0, 2, 4, 6], 0, 0, 0] = torch.tensor([1.0, 1.0, -1.0, -1.0])  # deviation 1 at one of two places
    x[[1, 3, 5, 7]] = 5.0
    got = minibatch_std(x)
    assert got.shape == (8, 1, 1, 2)
    torch.testing.assert_close(got[::2], torch.full((4, 1, 1, 2), 0.5), atol=1e-3, rtol=0)
    torch.testing.assert_close(got[1::2], torch.zeros(4, 1, 1, 2), atol=1e-3, rtol=0)


@pytest.mark.parametrize("batch, group", [(1, 1), (5, 1), (6, 2), (12, 4)])
def test_minibatch_std_works_for_any_batch(batch: int, group: int) -> None:
    x = torch.randn(batch, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    got = minibatch_std(x)
    assert got.shape == (batch, 1, 2, 2)
    for first in range(batch // group):
        members = x[first :: batch // group]
        expected = members.std(0, correction=0).mean()
        torch.testing.assert_close(got[first :: batch // group], expected.expand(group, 1, 2, 2), atol=1e-3, rtol=0)


def test_pictures_are_coupled_within_their_group_only() -> None:
    judge, text = _judge().eval(), torch.from_numpy(unit_rows(8))
    images = _images(8).requires_grad_()
    (logits,) = judge(judge.look(images, []), [text])[0:1][0]
    (gradient,) = torch.autograd.grad(logits[0], images)
    touched = gradient.abs().amax((1, 2, 3)) > 0
    assert touched.tolist() == [True, False] * 4


def test_gradients_of_gradients_reach_every_weight() -> None:
    judge, text = _judge(), torch.from_numpy(unit_rows(4))
    images = _images(4).requires_grad_()
    (logits,) = judge(judge.look(images, []), [text])[0]
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    gradient.square().sum().backward()
    silent = {n for n, p in judge.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0}
    assert all(name.endswith("bias") for name in silent), silent  # biases only reach it through the activations' kinks


@pytest.mark.parametrize("kind", ["conv", "projected"])
def test_dropout_is_there_when_asked_and_silent_when_drawing(kind: str) -> None:
    config = DiscriminatorConfig.model_validate({"kind": kind, "channels": (4, 8), "head_width": 4, "dropout": 0.5})
    judge = build_discriminator(config, image_size=32, text_dim=6)
    heads = 6 if kind == "projected" else 1
    assert sum(isinstance(module, nn.Dropout2d) for module in judge.modules()) == heads
    plain = build_discriminator(config.model_copy(update={"dropout": 0.0}), image_size=32, text_dim=6)
    assert not any(isinstance(module, nn.Dropout2d) for module in plain.modules())
    assert plain.state_dict().keys() == judge.state_dict().keys()
    images, text = _images(4), torch.from_numpy(unit_rows(4))
    seen = judge.look(images, FrozenFeatures(pretrained=False)(images))
    judge.eval()
    assert torch.equal(judge(seen, [text])[0][0], judge(seen, [text])[0][0])
    judge.train()
    for _ in range(30):  # until the estimates of spectral norms stand still, and only dropout moves the logits
        plain(seen, [text]), judge(seen, [text])
    still, noisy = (network(seen, [text])[0][0] - network(seen, [text])[0][0] for network in (plain, judge))
    assert still.abs().max() < 1e-3 < noisy.abs().max()


@pytest.mark.parametrize("kind", ["conv", "projected"])
def test_texts_are_compared_under_one_mask_and_one_norm(kind: str) -> None:
    config = DiscriminatorConfig.model_validate({"kind": kind, "channels": (4, 8), "head_width": 4, "dropout": 0.5})
    judge = build_discriminator(config, image_size=32, text_dim=6).train()
    images, text = _images(4), torch.from_numpy(unit_rows(4))
    right, again = judge(judge.look(images, FrozenFeatures(pretrained=False)(images)), [text, text])
    assert all(torch.equal(a, b) for a, b in zip(right, again, strict=True))


def test_what_was_seen_can_be_cut_from_who_drew_it() -> None:
    images = _images(2).requires_grad_()
    seen = Seen(images * 1, (images * 2, images * 3)).detach()
    assert not seen.images.requires_grad and not any(m.requires_grad for m in seen.mixed)
    assert torch.equal(seen.mixed[1], images * 3)


def test_the_kind_is_the_configs() -> None:
    assert isinstance(build_discriminator(DiscriminatorConfig(), image_size=32, text_dim=6), ProjectedDiscriminator)


def test_it_learns_blocks_from_noise_with_the_training_step(config: GanTrainConfig) -> None:
    """After some steps of training photos are told from drawn pictures, which a constant answer would not."""
    config = config.model_copy(update={"discriminator": DiscriminatorConfig(kind="conv", channels=(8, 8))})
    players = build_players(config, pretrained=False)
    photos, text = torch.full((4, 3, 16, 16), 0.9), torch.from_numpy(unit_rows(4))
    photos[:, :, 4:12, 4:12] = -0.9
    rng = torch.Generator().manual_seed(0)
    first = train_step(players, photos, text, rng)["d"]
    for _ in range(30):
        last = train_step(players, photos, text, rng)["d"]
    assert last < first - 0.2
