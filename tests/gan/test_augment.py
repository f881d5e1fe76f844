"""The augmentation: where pixels go, which colours stay, one draw for both sides, and a strength that adapts."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from catalog_gen.gan.augment import AdaptiveStrength, Augmentation, draw_augmentation, jitter_text, mean_sign
from catalog_gen.gan.config import AugmentConfig
from tests.gan.conftest import unit_rows

STILL = AugmentConfig(translate=0.0, flip=False)
EVERYTHING = AugmentConfig(rotate=30, scale=0.2, cutout=0.3, colour=1.0)


def _draw(config: AugmentConfig, *, batch: int = 16, size: int = 32, p: float = 1.0, seed: int = 0) -> Augmentation:
    return draw_augmentation(batch, size, config, p, torch.Generator().manual_seed(seed))


def _scene(batch: int = 16, size: int = 32, low: int = 10) -> Tensor:
    """A small coloured thing on white."""
    images = torch.ones(batch, 3, size, size)
    images[:, :, low + 2 : low + 10, low : low + 8] = torch.tensor([0.1, -0.2, 0.3])[:, None, None]
    return images


def _shifted_by_hand(images: Tensor, seed: int) -> Tensor:
    """Whole-pixel shifts up to 4 px and flips, pixel by pixel, from the same numbers in the same order."""
    rng = torch.Generator().manual_seed(seed)
    shifts = torch.randint(0, 9, (len(images), 2), generator=rng) - 4
    flips = torch.rand(len(images), generator=rng) < 0.5
    across = torch.arange(images.shape[-1])
    moved = []
    for image, (dy, dx), flip in zip(images, shifts, flips, strict=True):
        image = image[:, (across + dy).clamp(0, 31)][:, :, (across + dx).clamp(0, 31)]
        moved.append(image.flip(2) if flip else image)
    return torch.stack(moved)


def test_the_default_moves_whole_pixels_and_flips() -> None:
    images = torch.rand(16, 3, 32, 32)
    assert torch.equal(_draw(AugmentConfig(), seed=3).apply(images), _shifted_by_hand(images, 3))


def test_the_default_keeps_colours() -> None:
    images = _scene()
    moved = _draw(AugmentConfig()).apply(images)
    torch.testing.assert_close(moved.sum((1, 2, 3)), images.sum((1, 2, 3)))
    rows = (moved[:, 0] < 0.5).any(2).float().argmax(1)
    assert rows.min() >= 12 - 4 and rows.max() <= 12 + 4 and len(rows.unique()) > 2


def test_resampling_by_no_angle_and_no_scale_is_the_whole_pixel_path() -> None:
    images = torch.rand(16, 3, 32, 32)
    resampled = _draw(AugmentConfig(scale=1e-9), seed=3).apply(images)
    torch.testing.assert_close(resampled, _shifted_by_hand(images, 3), atol=1e-4, rtol=0)


def _spread(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return (B,) the area of what is not white, and (B, 2, 2) its second moments, in px."""
    mass = (1 - images[:, 0]) / 0.9
    area = mass.sum((1, 2))
    axis = torch.arange(images.shape[-1]).float()
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    places = torch.stack([y, x])
    centre = torch.einsum("bij,kij->bk", mass, places) / area[:, None]
    offsets = places[None] - centre[:, :, None, None]
    return area, torch.einsum("bij,bkij,blij->bkl", mass, offsets, offsets) / area[:, None, None]


def test_scaling_grows_and_shrinks_within_its_reach() -> None:
    images = _scene(64)
    scaled = _draw(STILL.model_copy(update={"scale": 0.5}), batch=64).apply(images)
    growth = (_spread(scaled)[0] / 64).sqrt()
    assert 1 / 1.5 - 0.03 < growth.min() < 0.75 and 1.35 < growth.max() < 1.5 + 0.03


def test_rotation_turns_a_bar_within_its_reach_and_keeps_its_size() -> None:
    bars = torch.ones(64, 3, 32, 32)
    bars[:, :, 15:17, 6:26] = 0.1
    turned = _draw(STILL.model_copy(update={"rotate": 40}), batch=64).apply(bars)
    area, moments = _spread(turned)
    angles = 0.5 * torch.atan2(2 * moments[:, 0, 1], moments[:, 1, 1] - moments[:, 0, 0]).rad2deg()
    assert -41 < angles.min() < -30 and 30 < angles.max() < 41
    torch.testing.assert_close(area, torch.full((64,), 40.0), atol=1.5, rtol=0)


def test_resampling_continues_a_white_ground() -> None:
    config = AugmentConfig(rotate=180, scale=0.5, translate=0.25)
    torch.testing.assert_close(_draw(config).apply(torch.ones(16, 3, 32, 32)), torch.ones(16, 3, 32, 32))
    mean = _draw(config).apply(_scene())
    assert mean.amax((2, 3)).min() > 0.999 and mean[:, 1].min() >= -0.2 - 1e-5


def test_a_cutout_takes_one_square_of_its_size() -> None:
    cut = _draw(STILL.model_copy(update={"cutout": 0.25}), batch=64).apply(torch.ones(64, 3, 32, 32))
    holes = cut == 0
    assert torch.equal(holes.any(1), holes.all(1)) and bool((holes | (cut == 1)).all())
    rows, columns = holes[:, 0].any(2).sum(1), holes[:, 0].any(1).sum(1)
    assert torch.equal(holes[:, 0].sum((1, 2)), rows * columns)
    assert rows.max() == columns.max() == 8 and min(rows.min(), columns.min()) >= 4  # the middle lies inside


def test_geometry_alone_leaves_colours_and_colour_alone_leaves_places() -> None:
    images = torch.tensor([0.5, -0.5, 0.1]).view(1, 3, 1, 1).repeat(16, 1, 32, 32)
    torch.testing.assert_close(_draw(AugmentConfig(rotate=90, scale=0.3)).apply(images), images)
    coloured = _draw(STILL.model_copy(update={"colour": 1.0})).apply(images)
    torch.testing.assert_close(coloured, coloured[:, :, :1, :1].expand_as(coloured))
    assert (coloured - images).abs().mean() > 0.1


def test_colour_by_hand() -> None:
    draw = _draw(STILL.model_copy(update={"colour": 0.5}), batch=4)
    rng = torch.Generator().manual_seed(0)
    torch.randint(0, 1, (4, 2), generator=rng), torch.rand(4, generator=rng)  # the shifts and flips
    brightness, saturation, contrast = (torch.rand(4, generator=rng) * 2 - 1 for _ in range(3))
    images = torch.rand(4, 3, 8, 8)
    for i, (image, seen) in enumerate(zip(images, draw.apply(images), strict=True)):
        image = image + brightness[i] * 0.25
        grey = image.mean(0)
        image = grey + (image - grey) * (1 + 0.5 * saturation[i])
        image = image.mean() + (image - image.mean()) * (1 + 0.25 * contrast[i])
        torch.testing.assert_close(seen, image)


@pytest.mark.parametrize("config", [AugmentConfig(), EVERYTHING], ids=["default", "everything"])
def test_one_draw_does_the_same_to_both_sides(config: AugmentConfig) -> None:
    draw, images = _draw(config), torch.rand(16, 3, 32, 32)
    assert torch.equal(draw.apply(images), draw.apply(images.clone()))
    assert not torch.equal(draw.apply(images), _draw(config, seed=1).apply(images))


@pytest.mark.parametrize("config", [AugmentConfig(), EVERYTHING], ids=["default", "everything"])
def test_a_part_of_a_draw_is_the_draw_of_that_part(config: AugmentConfig) -> None:
    draw, images = _draw(config), torch.rand(16, 3, 32, 32)
    parts = [draw.part(i, i + 4).apply(images[i : i + 4]) for i in (0, 4, 8, 12)]
    torch.testing.assert_close(torch.cat(parts), draw.apply(images), atol=1e-6, rtol=0)


@pytest.mark.parametrize("config", [AugmentConfig(translate=0.25), EVERYTHING], ids=["default", "everything"])
def test_gradients_reach_the_pixels_exactly(config: AugmentConfig) -> None:
    images = torch.rand(2, 3, 8, 8, requires_grad=True)
    draw = _draw(config, batch=2, size=8)
    weights = torch.rand(2, 3, 8, 8)
    (slope,) = torch.autograd.grad((draw.apply(images) * weights).sum(), images)
    direction = torch.rand(2, 3, 8, 8)
    with torch.no_grad():  # every operation is linear, or affine, in the pixels: a whole step is exact
        moved = ((draw.apply(images + direction) - draw.apply(images)) * weights).sum()
    assert slope.abs().sum() > 0
    torch.testing.assert_close((slope * direction).sum(), moved, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_pictures_keep_their_dtype(dtype: torch.dtype) -> None:
    assert _draw(EVERYTHING).apply(torch.rand(16, 3, 32, 32).to(dtype)).dtype is dtype


def test_no_strength_is_identity_and_full_strength_is_always() -> None:
    images = torch.rand(64, 3, 16, 16)
    adaptive = EVERYTHING.model_copy(update={"adaptive": True})
    unmoved = _draw(adaptive, batch=64, size=16, p=0.0).apply(images)
    torch.testing.assert_close(unmoved, images, atol=1e-5, rtol=0)
    moved = [_draw(c, batch=64, size=16).apply(images) for c in (adaptive, EVERYTHING)]
    assert torch.equal(*moved)


@pytest.mark.parametrize(
    "update", [{"translate": 0.4}, {"colour": 1.0}, {"cutout": 0.5}, {"rotate": 90}, {"flip": True}]
)
def test_strength_is_the_share_of_items_that_an_operation_touches(update: dict[str, float]) -> None:
    config = STILL.model_copy(update={"adaptive": True, **update})
    images = torch.rand(400, 3, 16, 16)
    moved = _draw(config, batch=400, size=16, p=0.3).apply(images)
    touched = ((moved - images).abs().amax((1, 2, 3)) > 1e-3).float().mean().item()
    expected = {"colour": 1 - 0.7**3, "flip": 0.15}.get(next(iter(update)), 0.3)  # colour is three operations
    assert touched == pytest.approx(expected, abs=0.07)


def test_without_adaptation_the_strength_is_not_read() -> None:
    images = torch.rand(16, 3, 32, 32)
    assert torch.equal(_draw(AugmentConfig(), p=0.0).apply(images), _draw(AugmentConfig()).apply(images))


def test_the_mean_sign_weighs_heads_alike() -> None:
    heads = [torch.tensor([3.0, -0.1, 2.0, 5.0]), torch.full((2, 4, 4), -1.0)]
    assert mean_sign(heads).item() == pytest.approx((0.5 - 1) / 2)


def test_strength_follows_how_sure_the_discriminator_is() -> None:
    strength = AdaptiveStrength(AugmentConfig(adaptive=True, target=0.6, adapt_images=1000))
    sure, unsure = (float(mean_sign([logits])) for logits in (torch.ones(4, 2, 2), torch.tensor([1.0, -1.0])))
    strength.move(unsure, 100)
    assert strength.p == 0
    for _ in range(3):
        strength.move(sure, 100)
    assert strength.p == pytest.approx(0.3)
    strength.move(unsure, 50)
    assert strength.p == pytest.approx(0.25)
    strength.move(0.6, 500)
    assert strength.p == pytest.approx(0.25)
    strength.move(0.61, 900)
    assert strength.p == 1


def test_strength_goes_on_from_its_state() -> None:
    config = AugmentConfig(adaptive=True)
    first, second = AdaptiveStrength(config, 0.4), AdaptiveStrength(config)
    second.load_state_dict(first.state_dict())
    assert second.p == 0.4


def test_jittered_text_stays_near_and_of_unit_length() -> None:
    text = torch.from_numpy(unit_rows(200, 64))
    moved = jitter_text(text, 0.2, torch.Generator().manual_seed(0))
    torch.testing.assert_close(moved.norm(dim=1), torch.ones(200))
    assert F.cosine_similarity(moved, text).mean().item() == pytest.approx(1 / math.sqrt(1.04), abs=0.01)
