"""Optimisers: each by its name, what decays what, and how the rate goes."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from catalog_gen.gan.config import OptimiserConfig
from catalog_gen.gan.optim import build_optimiser, lr_share, set_lr

KINDS = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
    "adafactor": torch.optim.Adafactor,
}


@pytest.mark.parametrize("name", list(KINDS))
def test_each_name_is_its_optimiser_and_descends(name: str) -> None:
    config = OptimiserConfig(name=name)  # type: ignore[arg-type]
    weight = nn.Parameter(torch.tensor([[2.0, -3.0]]))
    frozen = nn.Parameter(torch.ones(1), requires_grad=False)
    optimiser = build_optimiser(config, [weight, frozen], 0.05)
    assert type(optimiser) is KINDS[name]
    before = float(weight.detach().square().sum())
    for _ in range(20):
        optimiser.zero_grad()
        (weight.square().sum() + frozen.sum()).backward()
        optimiser.step()
    assert float(weight.detach().square().sum()) < 0.9 * before and frozen.item() == 1.0


def test_l2_and_decoupled_decay_differ_as_the_papers_say() -> None:
    """With a zero gradient, AdamW shrinks by lr * decay; Adam's L2 becomes the gradient, and so a whole step of lr."""
    found = {}
    for name in ("adam", "adamw", "sgd"):
        weight = nn.Parameter(torch.tensor([2.0]))
        config = OptimiserConfig(name=name, weight_decay=0.1, betas=(0.0, 0.99))  # type: ignore[arg-type]
        optimiser = build_optimiser(config, [weight], 0.01)
        weight.grad = torch.zeros(1)
        optimiser.step()
        found[name] = 2.0 - weight.item()
    assert found == pytest.approx({"adam": 0.01, "adamw": 0.002, "sgd": 0.002}, rel=1e-3)


def test_betas_reach_the_optimiser_and_are_shares() -> None:
    config = OptimiserConfig(betas=(0.5, 0.999))
    assert build_optimiser(config, [nn.Parameter(torch.ones(1))], 0.1).defaults["betas"] == (0.5, 0.999)
    sgd = OptimiserConfig(name="sgd", betas=(0.9, 0.999))
    assert build_optimiser(sgd, [nn.Parameter(torch.ones(1))], 0.1).defaults["momentum"] == 0.9
    with pytest.raises(ValidationError, match="betas"):
        OptimiserConfig(betas=(0.5, 1.0))


def test_the_rate_rises_then_falls_by_name() -> None:
    linear = OptimiserConfig(warmup_images=9, decay="linear", final_lr=0.2)
    assert [lr_share(linear, seen, 109) for seen in (0, 4, 9, 59, 109, 500)] == pytest.approx(
        [0.1, 0.5, 1.0, 0.6, 0.2, 0.2]
    )
    cosine = OptimiserConfig(decay="cosine", final_lr=0.0)
    assert [lr_share(cosine, seen, 100) for seen in (0, 25, 50, 100)] == pytest.approx(
        [1.0, 0.5 + 0.5**1.5, 0.5, 0.0], abs=1e-9
    )
    assert lr_share(OptimiserConfig(), 10**9, 10) == 1.0


def test_every_group_gets_the_rate() -> None:
    optimiser = torch.optim.SGD(
        [{"params": [nn.Parameter(torch.ones(1))]}, {"params": [nn.Parameter(torch.ones(1))]}], 1
    )
    set_lr(optimiser, 0.25)
    assert [group["lr"] for group in optimiser.param_groups] == [0.25, 0.25]
