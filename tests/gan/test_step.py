"""A step: every loss reaches its player, parts add up to the whole batch, and each setting does what it says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from catalog_gen.gan.config import (
    AugmentConfig,
    DiscriminatorConfig,
    GanTrainConfig,
    GeneratorConfig,
    LossConfig,
    OptimiserConfig,
)
from catalog_gen.gan.players import Players, build_players
from catalog_gen.gan.step import match_best, split_batch, train_step
from tests.gan.conftest import unit_rows

CONV = DiscriminatorConfig(kind="conv", channels=(8, 8, 8))
PLAIN = LossConfig(layout=0, perceptual=0, mismatched=0)


def one_step(config: GanTrainConfig, seed: int = 0, **more: Any) -> tuple[Players, dict[str, Tensor]]:
    players = build_players(config, pretrained=False)
    players.clip_image = lambda images: images.mean((2, 3)).repeat(1, 2)
    return players, step(players, seed, **more)


def step(players: Players, seed: int = 0, **more: Any) -> dict[str, Tensor]:
    noise = torch.Generator().manual_seed(100 + seed)
    photos = torch.rand(4, 3, 16, 16, generator=noise) * 2 - 1
    text = torch.from_numpy(unit_rows(4, seed=seed))
    return train_step(players, photos, text, torch.Generator().manual_seed(seed), **more)


def with_losses(config: GanTrainConfig, **weights: Any) -> GanTrainConfig:
    return config.model_copy(update={"losses": LossConfig(**({"layout": 0, "perceptual": 0} | weights))})


@pytest.mark.parametrize("kind", ["projected", "conv"])
@pytest.mark.parametrize("name", ["hinge", "non_saturating", "wasserstein", "relativistic"])
def test_every_loss_trains_both_players_against_every_judge(config: GanTrainConfig, kind: str, name: str) -> None:
    judges = CONV if kind == "conv" else config.discriminator
    weights = {"adversarial": name, "mismatched_g": 0.5, "laplacian": 1.0, "clip": 0.2, "layout": 1, "perceptual": 1}
    config = with_losses(config.model_copy(update={"discriminator": judges}), **weights)
    players = build_players(config, pretrained=False)
    before = [[p.clone() for p in net.parameters()] for net in (players.generator, players.discriminator)]
    players.clip_image = lambda images: images.mean((2, 3)).repeat(1, 2)
    said = step(players)
    assert set(said) == {"d", "adversarial", "mismatched_g", "layout", "perceptual", "laplacian", "clip"}
    assert all(torch.isfinite(value) for value in said.values())
    for net, old in zip((players.generator, players.discriminator), before, strict=True):
        for was, (name, now) in zip(old, net.named_parameters(), strict=True):
            if now.ndim > 1 and ".mix." not in name:  # a bias that real and fake share has no say in a difference
                assert not torch.equal(was, now), name


def test_a_weight_of_nought_leaves_a_loss_out(config: GanTrainConfig) -> None:
    _, said = one_step(config.model_copy(update={"losses": PLAIN}))
    assert set(said) == {"d", "adversarial"}
    players, _ = one_step(config.model_copy(update={"losses": PLAIN, "discriminator": CONV}))
    assert players.features is None, "the classical discriminator needs no frozen network"


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("kind", ["projected", "conv"])
def test_penalties_are_counted_when_they_are_due(config: GanTrainConfig, kind: str, precision: str) -> None:
    judges = CONV if kind == "conv" else config.discriminator
    config = config.model_copy(update={"precision": precision})
    every = {"wgan_gp": 1.0, "r1": 1.0, "r2": 1.0, "ma_gp": 1.0}
    config = with_losses(config.model_copy(update={"discriminator": judges}), **every)
    _, due = one_step(config)
    _, not_due = one_step(config, penalise=False)
    assert set(due) - set(not_due) == set(every)
    lazy = config.model_copy(update={"losses": config.losses.model_copy(update={"penalty_every": 4})})
    _, four = one_step(lazy)
    for name in every:
        assert due[name] > 0
        torch.testing.assert_close(four[name], 4 * due[name])


def test_mismatched_words_teach_the_discriminator(config: GanTrainConfig) -> None:
    """With all of the fakes' weight on others' words, what the generator draws does not matter to D."""
    config = with_losses(config, mismatched=1.0)
    players, first = one_step(config)
    with torch.no_grad():
        players.generator.to_rgb.weight.mul_(-3)
    again = build_players(config, pretrained=False)
    with torch.no_grad():
        again.generator.to_rgb.weight.mul_(-3)
    torch.testing.assert_close(step(again)["d"], first["d"])
    assert not torch.equal(one_step(with_losses(config, mismatched=0.0))[1]["d"], first["d"])


def test_parts_add_up_to_the_whole_batch(config: GanTrainConfig) -> None:
    """Without statistics over the batch, a batch in parts makes the same step."""
    shape = GeneratorConfig(**{**config.generator.model_dump(), "norm": "adaptive"})
    # SGD, because Adam's first step is the gradient's sign, which rounding flips where it is near zero.
    plain = config.model_copy(update={"generator": shape, "optimiser": OptimiserConfig(name="sgd", g_lr=0.1, d_lr=0.1)})
    parts = plain.model_copy(
        update={"optimiser": OptimiserConfig(name="sgd", g_lr=0.1, d_lr=0.1, accumulate=2)},
    )
    (one, said_one), (two, said_two) = one_step(plain), one_step(parts)
    for name in said_one:
        torch.testing.assert_close(said_one[name], said_two[name], atol=1e-5, rtol=1e-4)
    for net_one, net_two in ((one.generator, two.generator), (one.discriminator, two.discriminator)):
        for a, b in zip(net_one.parameters(), net_two.parameters(), strict=True):
            torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-3)


def test_checkpointing_makes_the_same_step(config: GanTrainConfig) -> None:
    (one, _), (two, _) = one_step(config), one_step(config.model_copy(update={"checkpointing": True}))
    for a, b in zip(one.generator.state_dict().values(), two.generator.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_every_precision_makes_a_finite_step(config: GanTrainConfig, precision: str) -> None:
    players, said = one_step(config.model_copy(update={"precision": precision}))
    assert all(torch.isfinite(value) for value in said.values())
    assert all(torch.isfinite(p).all() for p in players.generator.parameters())
    assert players.scaler.is_enabled() == (precision == "fp16")


def test_gradients_of_fp16_are_scaled_back(config: GanTrainConfig) -> None:
    """The scaled loss must not make a larger step: one of SGD stays within a hundredth of that in fp32."""
    sgd = config.model_copy(update={"optimiser": OptimiserConfig(name="sgd", g_lr=0.01, d_lr=0.01)})
    start = build_players(sgd, pretrained=False)
    (exact, _), (half, _) = one_step(sgd), one_step(sgd.model_copy(update={"precision": "fp16"}))
    weights = [net.generator.to_rgb.weight for net in (start, exact, half)]
    moved_exact, moved_half = (weights[1] - weights[0]).norm(), (weights[2] - weights[0]).norm()
    assert moved_half.item() == pytest.approx(moved_exact.item(), rel=0.05)


def test_adaptive_augmentation_follows_the_discriminator(config: GanTrainConfig) -> None:
    adaptive = AugmentConfig(adaptive=True, adapt_images=8, target=0.6)
    players = build_players(config.model_copy(update={"augment": adaptive}), pretrained=False)
    with torch.no_grad():
        for name, parameter in players.discriminator.named_parameters():
            if name.endswith("realness.bias"):
                parameter.fill_(50.0)  # sure that everything is real
    step(players)
    assert players.strength.p == pytest.approx(0.5)
    step(players)
    assert players.strength.p == pytest.approx(1.0)


def test_rates_follow_the_schedule_and_the_rollbacks(config: GanTrainConfig) -> None:
    schedule = OptimiserConfig(g_lr=1e-3, d_lr=2e-3, warmup_images=9)
    players = build_players(config.model_copy(update={"optimiser": schedule}), pretrained=False)
    assert players.set_rates(4) == pytest.approx(5e-4)
    assert players.d_optimiser.param_groups[0]["lr"] == pytest.approx(1e-3)
    players.lr_factor = 0.5
    assert players.set_rates(100) == pytest.approx(5e-4)


def test_every_second_photo_is_matched_by_the_nearest_of_its_pictures(config: GanTrainConfig) -> None:
    players = build_players(with_losses(config, best_of=3, layout=1), pretrained=False)
    photos, text = torch.rand(4, 3, 16, 16) * 2 - 1, torch.from_numpy(unit_rows(4))
    (part,) = split_batch(players, photos, text, torch.Generator().manual_seed(0))
    assert part.more_z is not None and part.more_z.shape[:2] == (2, 4)
    wanted = part.more_z[1, 2]  # the third product's third noise, and its own picture as the photo
    own = players.average(wanted[None], part.text[2:3])
    part = replace(part, photos=torch.cat([part.photos[:2], own, part.photos[3:]]))
    matched = match_best(players, part)
    assert torch.equal(matched.z[2], wanted)
    assert torch.equal(matched.z[1::2], part.z[1::2]), "the others keep their noise"
    assert len(matched.photos[matched.matched]) == 2


def test_parts_choose_the_noise_that_the_whole_batch_chooses(config: GanTrainConfig) -> None:
    def chosen(accumulate: int) -> Tensor:
        parts = OptimiserConfig(accumulate=accumulate)
        players = build_players(
            with_losses(config, best_of=4, layout=1).model_copy(update={"optimiser": parts}), pretrained=False
        )
        photos = torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1
        found = split_batch(players, photos, torch.from_numpy(unit_rows(8)), torch.Generator().manual_seed(0))
        assert len(found) == accumulate
        return torch.cat([match_best(players, part).z for part in found])

    assert torch.equal(chosen(1), chosen(4))


def test_without_a_loss_that_compares_nothing_is_chosen(config: GanTrainConfig) -> None:
    _, plain = one_step(with_losses(config))
    _, choosing = one_step(with_losses(config, best_of=4))
    assert plain == choosing


def test_a_photo_that_is_not_matched_pulls_at_nothing(config: GanTrainConfig) -> None:
    def layout(of_second: float, best_of: int) -> Tensor:
        players = build_players(with_losses(config, best_of=best_of, layout=1), pretrained=False)
        photos = torch.zeros(4, 3, 16, 16)
        photos[1] = of_second
        text = torch.from_numpy(unit_rows(4))
        return train_step(players, photos, text, torch.Generator().manual_seed(0))["layout"]

    assert torch.equal(layout(0.0, 2), layout(1.0, 2))
    assert not torch.equal(layout(0.0, 1), layout(1.0, 1))
