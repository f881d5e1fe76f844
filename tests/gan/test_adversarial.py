"""The adversarial losses against values worked out by hand, and the way each pushes its player."""

from __future__ import annotations

import math
from typing import get_args

import pytest
import torch
from torch import Tensor

from catalog_gen.gan.adversarial import d_loss, g_loss, mismatched_g
from catalog_gen.gan.config import Adversarial

NAMES: tuple[Adversarial, ...] = get_args(Adversarial)
REAL, FAKE, WRONG = ([torch.tensor([row])] for row in ([2.0, 0.0], [-3.0, 1.0], [0.0, -1.0]))


def softplus(x: float) -> float:
    return math.log(1 + math.exp(x))


SURE = (softplus(-2) + softplus(0)) / 2  # photos under the likelihood loss

D_BY_HAND = {  # of photos, of pictures, of wrong words
    "hinge": (0.5, 1.0, 0.5),  # relu(1 - r): 0, 1; relu(1 + f): 0, 2; relu(1 + m): 1, 0
    "non_saturating": (SURE, (softplus(-3) + softplus(1)) / 2, (softplus(0) + softplus(-1)) / 2),
    "wasserstein": (-1.0, -1.0, -0.5),
    "relativistic": (0.0, (softplus(-5) + softplus(1)) / 2, (softplus(-2) + softplus(-1)) / 2),
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_d_loss_by_hand(name: Adversarial, share: float) -> None:
    real, fake, wrong = D_BY_HAND[name]
    expected = real + (1 - share) * fake + share * wrong
    assert d_loss(name, REAL, FAKE, WRONG, share).item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_without_wrong_words_the_pictures_have_the_whole_weight(name: Adversarial) -> None:
    real, fake, _ = D_BY_HAND[name]
    assert d_loss(name, REAL, FAKE, None, 0.5).item() == pytest.approx(real + fake, abs=1e-6)


@pytest.mark.parametrize(
    "name, expected",
    [
        ("hinge", 1.0),
        ("wasserstein", 1.0),
        ("non_saturating", (softplus(3) + softplus(-1)) / 2),
        ("relativistic", (softplus(5) + softplus(-1)) / 2),
    ],
)
def test_g_loss_by_hand(name: Adversarial, expected: float) -> None:
    assert g_loss(name, FAKE, REAL).item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    "name, expected",
    [
        ("hinge", 0.5),  # relu(1 + m): 1, 0
        ("non_saturating", (softplus(0) + softplus(-1)) / 2),
        ("wasserstein", -0.5 - -1.0),
        ("relativistic", (softplus(0 - -3) + softplus(-1 - 1)) / 2),
    ],
)
def test_mismatched_g_by_hand(name: Adversarial, expected: float) -> None:
    assert mismatched_g(name, FAKE, WRONG).item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_heads_count_alike_whatever_their_size(name: Adversarial) -> None:
    small, large = torch.tensor([1.0, -2.0]), torch.full((2, 3, 3), 0.5)
    real, fake, wrong = [small, large], [small - 1, large + 2], [-small, -large]
    for loss in (lambda *x: d_loss(name, *x, 0.3), lambda r, f, m: g_loss(name, f, r) + mismatched_g(name, f, m)):
        alone = [loss([r], [f], [m]).item() for r, f, m in zip(real, fake, wrong, strict=True)]
        assert loss(real, fake, wrong).item() == pytest.approx(sum(alone) / 2, abs=1e-6)


def _slopes(loss: Tensor, *of: Tensor) -> list[list[float]]:
    return [g.flatten().tolist() for g in torch.autograd.grad(loss, of)]


@pytest.mark.parametrize("name", NAMES)
def test_each_player_is_pushed_its_own_way(name: Adversarial) -> None:
    real, fake, wrong = (torch.zeros(1, 2, requires_grad=True) for _ in range(3))
    up, down, down_too = _slopes(d_loss(name, [real], [fake], [wrong], 0.5), real, fake, wrong)
    assert max(up) < 0 < min(down) and down == down_too
    (drawn,) = _slopes(g_loss(name, [fake], [real]), fake)
    (refused,) = _slopes(mismatched_g(name, [fake], [wrong]), wrong)
    assert max(drawn) < 0 < min(refused)


def test_the_hinge_slopes_by_hand() -> None:
    real, fake, wrong = (torch.zeros(1, 2, requires_grad=True) for _ in range(3))
    slopes = _slopes(d_loss("hinge", [real], [fake], [wrong], 0.5), real, fake, wrong)
    assert slopes == [[-0.5, -0.5], [0.25, 0.25], [0.25, 0.25]]


def test_the_hinge_is_flat_beyond_the_margin() -> None:
    real, fake, wrong = (torch.full((1, 2), x, requires_grad=True) for x in (1.5, -1.5, -1.5))
    slopes = _slopes(d_loss("hinge", [real], [fake], [wrong], 0.5), real, fake, wrong)
    assert slopes == [[0, 0]] * 3
    assert _slopes(mismatched_g("hinge", [fake], [wrong]), wrong) == [[0, 0]]
    assert _slopes(g_loss("hinge", [fake]), fake) == [[-0.5, -0.5]]


@pytest.mark.parametrize("name", NAMES)
def test_large_logits_stay_finite(name: Adversarial) -> None:
    high, low = [torch.tensor([1e4])], [torch.tensor([-1e4])]
    for real, fake in ((high, low), (low, high)):
        total = d_loss(name, real, fake, fake, 0.5) + g_loss(name, fake, real) + mismatched_g(name, fake, real)
        assert torch.isfinite(total)


@pytest.mark.parametrize("name", ["wasserstein", "relativistic"])
def test_what_only_compares_is_blind_to_a_shift_of_all_logits(name: Adversarial) -> None:
    plain, moved = ([[x + shift for x in logits] for logits in (REAL, FAKE, WRONG)] for shift in (0.0, 7.0))
    assert d_loss(name, *plain, 0.3).item() == pytest.approx(d_loss(name, *moved, 0.3).item(), abs=1e-5)
    assert mismatched_g(name, *plain[1:]).item() == pytest.approx(mismatched_g(name, *moved[1:]).item(), abs=1e-5)


def test_the_relativistic_generator_needs_photos_and_leaves_them_alone() -> None:
    with pytest.raises(ValueError, match="logits of photos"):
        g_loss("relativistic", FAKE)
    real, fake = torch.zeros(1, 2, requires_grad=True), torch.zeros(1, 2, requires_grad=True)
    g_loss("relativistic", [fake], [real]).backward()
    assert real.grad is None and fake.grad is not None


def test_pairs_must_be_pairs() -> None:
    with pytest.raises(ValueError, match="pair by pair"):
        d_loss("relativistic", [torch.zeros(4)], [torch.zeros(1)], None, 0.0)
    with pytest.raises(ValueError):
        d_loss("relativistic", [torch.zeros(4)] * 2, [torch.zeros(4)], None, 0.0)
