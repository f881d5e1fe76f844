"""The adversarial losses of both players, by name, as pure functions of logits.

Logits are a sequence with one map (B, H, W), or (B,), a head, in float32 or better. A loss is averaged over each map,
then over the heads: heads count alike whatever their size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from catalog_gen.gan.config import Adversarial

Logits = Sequence[Tensor]
Elementwise = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class _Form:
    """A loss that judges each logit by itself: the discriminator's of reals and of fakes, and the generator's."""

    real: Elementwise
    fake: Elementwise
    drawn: Elementwise


FORMS: dict[str, _Form] = {
    # arXiv 1705.02894
    "hinge": _Form(lambda x: F.relu(1 - x), lambda x: F.relu(1 + x), lambda x: -x),
    # arXiv 1406.2661: the likelihood of "real" and "fake"; the generator raises log D, and does not lower log(1 - D)
    "non_saturating": _Form(lambda x: F.softplus(-x), F.softplus, lambda x: F.softplus(-x)),
    # arXiv 1701.07875; it needs a penalty that keeps the critic's slope (penalties.wgan_gp)
    "wasserstein": _Form(lambda x: -x, lambda x: x, lambda x: -x),
}
UNANCHORED = ("wasserstein", "relativistic")  # only differences of logits mean something, their zero does not


def d_loss(name: Adversarial, real: Logits, fake: Logits, mismatched: Logits | None, share: float) -> Tensor:
    """Return the discriminator's loss, a scalar.

    real: of photos with their own words; fake: of drawn pictures with their own; mismatched: of photos with other
    products' words, a second kind of fake (arXiv 1605.05396). share in [0, 1] is what `mismatched` has of the fakes'
    weight: real + (1 - share) * fake + share * mismatched; without `mismatched`, real + fake.
    "relativistic" weighs the two pairings in the same way, photos against pictures and right words against wrong.
    """
    loss = _versus(name, real, fake)
    if mismatched is None or not share:
        return loss
    return (1 - share) * loss + share * _versus(name, real, mismatched)


def g_loss(name: Adversarial, fake: Logits, real: Logits | None = None) -> Tensor:
    """Return the generator's loss, a scalar, from the logits of drawn pictures with their own words.

    real: those of photos; only "relativistic" reads it, and raises ValueError without. No gradient flows into it, so
    logits of a graph that is already freed will do.
    """
    if name != "relativistic":
        return _over_heads(FORMS[name].drawn, fake)
    if real is None:
        raise ValueError("the relativistic loss of the generator needs the logits of photos")
    return _paired(fake, [logits.detach() for logits in real])


def mismatched_g(name: Adversarial, fake: Logits, fake_mismatched: Logits) -> Tensor:
    """Return the generator's loss for drawn pictures judged with other products' words, a scalar: they must not pass.

    Mismatched words help when both players meet them, and harm when the discriminator alone does (GigaGAN,
    arXiv 2303.05511). "hinge" and "non_saturating" want `fake_mismatched` judged a fake, as the discriminator does
    with photos, and lose interest once it is. "wasserstein" and "relativistic" know no such line: they measure it
    against `fake`, the same picture with its own words, so that its realness, which both share, is not pushed down.
    """
    if name in UNANCHORED:
        return _versus(name, fake, fake_mismatched)
    return _over_heads(FORMS[name].fake, fake_mismatched)


def _versus(name: str, real: Logits, fake: Logits) -> Tensor:
    """Return the loss of a discriminator for whom `real` is real and `fake`, of one kind, is fake."""
    if name == "relativistic":
        return _paired(real, fake)
    return _over_heads(FORMS[name].real, real) + _over_heads(FORMS[name].fake, fake)


def _paired(upper: Logits, lower: Logits) -> Tensor:
    """Return softplus(lower - upper), item by item and cell by cell (RpGAN, arXiv 1807.00734 and 2501.05441)."""
    losses = []
    for high, low in zip(upper, lower, strict=True):
        if high.shape != low.shape:
            raise ValueError(f"logits are compared pair by pair, and are {tuple(high.shape)} and {tuple(low.shape)}")
        losses.append(F.softplus(low - high).mean())
    return torch.stack(losses).mean()


def _over_heads(loss: Elementwise, logits: Logits) -> Tensor:
    return torch.stack([loss(head).mean() for head in logits]).mean()
