"""One training step of both players: the discriminator learns, then the generator learns from it.

A batch is walked over in parts (`optimiser.accumulate`) and shared among processes. Every random number is drawn for
the whole batch, and each process and part takes its slice, so that processes change how a batch is computed, not what
is learnt from it. What is left to differ: the deviation over the batch that the conv discriminator sees and dropout are
each share's own, and in parts, so are the statistics of batch norms.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from catalog_gen.gan import adversarial, losses, penalties
from catalog_gen.gan.augment import Augmentation, draw_augmentation, jitter_text, mean_sign
from catalog_gen.gan.discriminator import freeze
from catalog_gen.gan.distributed import average_gradients, mean_over_processes, world
from catalog_gen.gan.judge import Seen
from catalog_gen.gan.players import Players

FIRST_MATCHED = 2  # stages of strides 8 to 32: what a thing is, not where its edges are


@dataclass(frozen=True)
class Part:
    """What one backward pass sees: photos (b, 3, S, S), their words, other products' words, noise, augmentation.

    `mix` (b,) in [0, 1): where between a photo and a picture WGAN-GP looks. `matched`: which of the photos their
    pictures are compared with, all of them or every second one.
    """

    photos: Tensor
    text: Tensor
    wrong: Tensor
    z: Tensor
    mix: Tensor
    augmentation: Augmentation
    more_z: Tensor | None = None  # (best_of - 1, b, z_dim): noise that may take the place of `z`
    matched: slice = field(default_factory=lambda: slice(None))


@dataclass(frozen=True)
class View:
    """A part as the discriminator sees it. `fake` (b, 3, S, S) is the generator's picture before augmentation."""

    fake: Tensor
    fake_seen: Seen
    real_seen: Seen
    fake_features: list[Tensor]
    real_features: list[Tensor]


def train_step(
    players: Players, photos: Tensor, text: Tensor, rng: torch.Generator, *, penalise: bool = True
) -> dict[str, Tensor]:
    """Change both players once and return the step's losses, detached scalars, averaged over parts and processes.

    photos (B / processes, 3, S, S) in [-1, 1]: this process's share of the batch. text (B, D) on the CPU: the
    unit-length embeddings of the whole batch's prompts, in the photos' order. `rng` on the CPU gives every random
    number of the step and must stand alike in all processes. penalise: whether gradient penalties are due.
    """
    parts = split_batch(players, photos, text, rng)
    if players.config.losses.chooses:
        parts = [match_best(players, part) for part in parts]
    # With one part, pictures and their features are computed once: the discriminator learns from them detached, then
    # the generator learns through them. Several parts are drawn twice, or all their activations would be kept.
    once = len(parts) == 1
    views: list[View] = []
    said: defaultdict[str, list[Tensor]] = defaultdict(list)

    freeze(players.discriminator, False)
    players.d_optimiser.zero_grad(set_to_none=True)
    for part in parts:
        with nullcontext() if once else torch.no_grad():
            view = look(players, part)
        terms = discriminator_terms(players, part, view, penalise=penalise)
        _note(said, terms)
        terms.pop("real_sign", None)
        _backward(players, terms, len(parts))
        if once:
            views.append(view)
    _descend(players, players.d_optimiser)

    freeze(players.discriminator, True)
    players.g_optimiser.zero_grad(set_to_none=True)
    for index, part in enumerate(parts):
        view = views[index] if once else look(players, part)
        terms = generator_terms(players, part, view)
        _note(said, terms)
        _backward(players, terms, len(parts))
    _descend(players, players.g_optimiser)
    freeze(players.discriminator, False)
    players.scaler.update()
    means = mean_over_processes({name: torch.stack(values).mean() for name, values in said.items()})
    if "real_sign" in means:
        players.strength.move(float(means["real_sign"]), len(text))
        means["augment"] = torch.tensor(players.strength.p)
    return means


def split_batch(players: Players, photos: Tensor, text: Tensor, rng: torch.Generator) -> list[Part]:
    """Draw the whole batch's randomness and return this process's parts of it."""
    config, device = players.config, photos.device
    batch = len(text)
    z = torch.randn(batch, config.generator.z_dim, generator=rng)
    shape = (config.losses.best_of - 1, batch, config.generator.z_dim)
    more_z = torch.randn(shape, generator=rng) if config.losses.chooses else None
    mix = torch.rand(batch, generator=rng)
    text = jitter_text(text, config.text_noise, rng)
    wrong = text.roll(1, 0)
    strength = players.strength.p if config.augment.adaptive else 1.0
    augmentation = draw_augmentation(batch, photos.shape[-1], config.augment, strength, rng)
    rank, _ = world()
    count = len(photos) // config.optimiser.accumulate
    found = []
    for start in range(0, len(photos), count):
        first = rank * len(photos) + start
        own = slice(first, first + count)
        found.append(
            Part(
                photos=photos[start : start + count],
                text=text[own].to(device),
                wrong=wrong[own].to(device),
                z=z[own].to(device),
                mix=mix[own].to(device),
                augmentation=augmentation.part(first, first + count),
                more_z=None if more_z is None else more_z[:, own].to(device),
            )
        )
    return found


@torch.no_grad()
def match_best(players: Players, part: Part) -> Part:
    """Return the part with every second photo's noise chosen: that whose picture has the photo's layout most nearly.

    A squared error alone wants the mean of all that fits the words; compared with the best of several pictures, it
    wants each of them to be drawn by some noise (implicit maximum likelihood, arXiv 1809.09087 and 2004.03590). The
    other half keeps its noise and is compared with nothing, so that no noise is left unlearnt.
    """
    assert part.more_z is not None
    matched = slice(None, None, 2)
    choices = torch.cat([part.z[None, matched], part.more_z[:, matched]])  # (K, b / 2, z_dim)
    texts = part.text[matched].expand(len(choices), -1, -1)
    with players.autocast():
        drawn = players.average(choices.flatten(0, 1), texts.flatten(0, 1))
    best = losses.nearest(drawn.reshape(*choices.shape[:2], *drawn.shape[1:]), part.photos[matched])
    z = part.z.clone()
    z[matched] = choices[best, torch.arange(len(best), device=best.device)]
    return replace(part, z=z, more_z=None, matched=matched)


def look(players: Players, part: Part) -> View:
    """Draw the part's pictures and show them, and its photos, to the frozen features and the discriminator's mixing."""
    with players.autocast():
        fake = players.generator(part.z, part.text)
        fake_shown = part.augmentation.apply(fake)
        fake_features = players.see(fake_shown)
        fake_seen = players.discriminator.look(fake_shown, fake_features)
        with torch.no_grad():
            real_shown = part.augmentation.apply(part.photos)
            real_features = players.see(real_shown)
            real_seen = players.discriminator.look(real_shown, real_features)
    return View(fake, fake_seen, real_seen, fake_features, real_features)


def discriminator_terms(players: Players, part: Part, view: View, *, penalise: bool) -> dict[str, Tensor]:
    """Return the discriminator's weighted losses by name, scalars with gradients to its own weights alone."""
    weights, d = players.config.losses, players.discriminator
    with players.autocast():
        texts = [part.text, part.wrong] if weights.mismatched else [part.text]
        right, *others = d(view.real_seen, texts)
        (drawn,) = d(view.fake_seen.detach(), [part.text])
        wrong = others[0] if others else None
        terms = {"d": adversarial.d_loss(weights.adversarial, right, drawn, wrong, weights.mismatched)}
    if players.config.augment.adaptive:
        terms["real_sign"] = confidence(weights.adversarial, right, drawn)
    if penalise and weights.penalised:
        terms |= penalty_terms(players, part, view)
    return terms


@torch.no_grad()
def confidence(name: str, real: Sequence[Tensor], fake: Sequence[Tensor]) -> Tensor:
    """Return the mean sign of the logits of photos (r_t of arXiv 2006.06676), where 0 parts them from pictures.

    For the losses that only compare the two, where 0 parts nothing: of each photo's lead over a picture.
    """
    if name in adversarial.UNANCHORED:
        real = [r - f for r, f in zip(real, fake, strict=True)]
    return mean_sign(real)


def penalty_terms(players: Players, part: Part, view: View) -> dict[str, Tensor]:
    """Return the gradient penalties that have a weight, times that weight and the steps that one of them stands for."""
    weights, d = players.config.losses, players.discriminator

    def judge(images: Tensor, text: Tensor = part.text) -> list[Tensor]:
        # Outside of autocast: half precision underflows in second derivatives. The frozen network alone may be in it.
        features = [stage.float() for stage in players.see(images)]
        logits: list[list[Tensor]] = d(d.look(images, features), [text])
        return logits[0]

    real, fake = view.real_seen.images.float(), view.fake_seen.images.detach().float()
    terms: dict[str, Tensor] = {}
    if weights.wgan_gp:
        terms["wgan_gp"] = weights.wgan_gp * penalties.wgan_gp(judge, real, fake, part.mix)
    if weights.r1:
        terms["r1"] = weights.r1 * penalties.zero_centred(judge, real)
    if weights.r2:
        terms["r2"] = weights.r2 * penalties.zero_centred(judge, fake)
    if weights.ma_gp:
        terms["ma_gp"] = weights.ma_gp * penalties.ma_gp(judge, real, part.text)
    return {name: weights.penalty_every * value for name, value in terms.items()}


def generator_terms(players: Players, part: Part, view: View) -> dict[str, Tensor]:
    """Return the generator's weighted losses by name; the discriminator's weights must be frozen."""
    weights, d = players.config.losses, players.discriminator
    name = weights.adversarial
    with players.autocast():
        texts = [part.text, part.wrong] if weights.mismatched_g else [part.text]
        judged, *others = d(view.fake_seen, texts)
        real = None
        if name == "relativistic":
            with torch.no_grad():
                (real,) = d(view.real_seen, [part.text])
        terms = {"adversarial": adversarial.g_loss(name, judged, real)}
        if others:
            terms["mismatched_g"] = weights.mismatched_g * adversarial.mismatched_g(name, judged, others[0])
        fake, photos = view.fake[part.matched], part.photos[part.matched]
        if weights.layout:
            terms["layout"] = weights.layout * losses.layout(fake, photos)
        if weights.perceptual:
            seen = ([f[part.matched] for f in features] for features in (view.fake_features, view.real_features))
            pair = [players.scales.standardise(features, FIRST_MATCHED) for features in seen]
            terms["perceptual"] = weights.perceptual * losses.perceptual(*pair)
        if weights.laplacian:
            terms["laplacian"] = weights.laplacian * losses.laplacian(fake, photos)
        if weights.clip and players.clip_image is not None:
            terms["clip"] = weights.clip * losses.clip_alignment(players.clip_image(view.fake), part.text)
    return terms


def _note(said: defaultdict[str, list[Tensor]], terms: dict[str, Tensor]) -> None:
    for name, value in terms.items():
        said[name].append(value.detach())


def _backward(players: Players, terms: dict[str, Tensor], parts: int) -> None:
    total = torch.stack(list(terms.values())).sum() / parts
    torch.autograd.backward(players.scaler.scale(total))


def _descend(players: Players, optimiser: torch.optim.Optimizer) -> None:
    average_gradients([p for group in optimiser.param_groups for p in group["params"]])
    players.scaler.step(optimiser)
