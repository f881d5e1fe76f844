"""The losses against values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from catalog_gen.gan import losses


def test_hinge_d_by_hand() -> None:
    real = [torch.tensor([[2.0, 0.0]])]  # relu(1 - r): 0, 1 -> 0.5
    fake = [torch.tensor([[-3.0, 1.0]])]  # relu(1 + f): 0, 2 -> 1.0
    wrong = [torch.tensor([[0.0, -1.0]])]  # relu(1 + m): 1, 0 -> 0.5
    assert losses.hinge_d(real, fake, wrong).item() == pytest.approx(0.5 + 0.5 * (1.0 + 0.5))


def test_hinge_d_averages_heads_of_unlike_sizes() -> None:
    one, four = torch.zeros(1, 1), torch.zeros(1, 4)
    assert losses.hinge_d([one, four], [one, four], [one, four]).item() == pytest.approx(2.0)


def test_hinge_d_gradient_pushes_each_kind_its_way() -> None:
    real, fake, wrong = (torch.zeros(1, 2, requires_grad=True) for _ in range(3))
    losses.hinge_d([real], [fake], [wrong]).backward()
    assert real.grad is not None and fake.grad is not None and wrong.grad is not None
    assert real.grad.tolist() == [[-0.5, -0.5]]
    assert fake.grad.tolist() == wrong.grad.tolist() == [[0.25, 0.25]]


def test_hinge_d_is_flat_beyond_the_margin() -> None:
    real = torch.full((1, 2), 1.5, requires_grad=True)
    losses.hinge_d([real], [torch.full((1, 2), -1.5)], [torch.full((1, 2), -1.5)]).backward()
    assert real.grad is not None and real.grad.abs().sum() == 0


def test_hinge_g_by_hand() -> None:
    logits = [torch.tensor([[1.0, 3.0]], requires_grad=True), torch.tensor([[-4.0]], requires_grad=True)]
    loss = losses.hinge_g(logits)
    loss.backward()
    assert loss.item() == pytest.approx(-(2.0 - 4.0) / 2)
    assert logits[0].grad is not None and logits[0].grad.tolist() == [[-0.25, -0.25]]


def test_layout_by_hand() -> None:
    real = torch.zeros(1, 1, 8, 8)
    fake = torch.zeros(1, 1, 8, 8)
    fake[0, 0, 0, 0] = 4.0  # the 4 px average of its 2x2 block: 1.0 in one cell of 16; at 8 px: 16 in one of 64
    assert losses.layout(fake, real).item() == pytest.approx((1 / 16 + 16 / 64) / 2)


def test_layout_is_blind_to_texture_finer_than_16_px() -> None:
    checks = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(32, 32)[None, None]
    assert losses.layout(checks, torch.zeros(1, 1, 64, 64)).item() == pytest.approx(0.0, abs=1e-6)


def test_feature_match_weighs_stages_alike() -> None:
    fake = [torch.ones(1, 2, 4, 4), torch.full((1, 8, 2, 2), 3.0)]
    assert losses.feature_match(fake, [torch.zeros_like(f) for f in fake]).item() == pytest.approx((1 + 9) / 2)


def test_clip_alignment_is_one_minus_cosine() -> None:
    image = torch.tensor([[2.0, 0.0], [1.0, 1.0]])
    text = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    assert losses.clip_alignment(image, text).item() == pytest.approx(1 - (1 + math.sqrt(0.5)) / 2, abs=1e-6)
