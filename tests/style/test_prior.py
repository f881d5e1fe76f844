"""The matte's prior: what it covers that colours cannot tell, what it leaves open, and that it is one and the same."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from catalog_gen import bundles
from catalog_gen.errors import BundleError
from catalog_gen.style.ground import estimate_ground
from catalog_gen.style.matte import cut_out, cut_out_with
from catalog_gen.style.prior import Prior, PriorConfig, PriorNetwork, features_of, load_prior, save_prior
from style.drawn_products import SIZE, Floats, colour, on_ground, shirt, true_alpha

RED, WHITE = colour(0.7, 0.1, 0.15), colour(1, 1, 1)
TINY = PriorConfig((4, 6), 1)


def overlap(found: Floats, alpha: Floats) -> float:
    return float(np.minimum(found, alpha).sum() / np.maximum(found, alpha).sum())


def blown_out() -> tuple[Image.Image, Floats]:
    """Return a shirt whose right half is as white as its ground, but for what JPEG blurs; and its alpha."""
    alpha = true_alpha(shirt)
    kept = np.clip((92 - np.arange(SIZE[0], dtype=np.float32)) / 8, 0.02, 1)[None, :, None]
    return on_ground(alpha, WHITE - kept * (WHITE - colour(0.35, 0.45, 0.6)), WHITE, quality=92), alpha


def test_a_shirt_goes_on_where_nothing_can_be_seen() -> None:
    photo, alpha = blown_out()
    assert overlap(cut_out_with(photo, None).alpha, alpha) < 0.85
    assert overlap(cut_out(photo).alpha, alpha) > 0.95


@pytest.mark.parametrize("product", [RED, colour(0.75, 0.75, 0.75)], ids=["red", "pale"])
def test_the_handle_of_a_bag_stays_open(product: Floats) -> None:
    def bag(pen: ImageDraw.ImageDraw) -> None:
        pen.rectangle((140, 420, 530, 760), fill=255)
        pen.arc((220, 200, 450, 640), 180, 360, fill=255, width=22)

    alpha = true_alpha(bag)
    found = cut_out(on_ground(alpha, product, WHITE, quality=90))
    assert alpha[70:95, 70:98].max() == 0 and found.alpha[70:95, 70:98].max() == 0


def test_between_legs_there_is_ground() -> None:
    def trousers(pen: ImageDraw.ImageDraw) -> None:
        pen.rectangle((220, 120, 460, 260), fill=255)
        pen.polygon([(220, 260), (330, 260), (300, 800), (190, 800)], fill=255)
        pen.polygon([(350, 260), (460, 260), (490, 800), (380, 800)], fill=255)

    alpha = true_alpha(trousers)
    found = cut_out(on_ground(alpha, colour(0.2, 0.25, 0.45), WHITE, quality=90))
    assert overlap(found.alpha, alpha) > 0.97


def test_what_colours_tell_is_as_it_was() -> None:
    photo = on_ground(true_alpha(shirt), RED, WHITE, quality=90)
    assert np.array_equal(cut_out(photo).alpha, cut_out_with(photo, None).alpha)


def test_the_same_photo_has_the_same_matte_in_any_thread() -> None:
    photo, _ = blown_out()
    first = cut_out(photo).alpha
    with ThreadPoolExecutor(4) as pool:
        again = list(pool.map(lambda _: cut_out(photo).alpha, range(8)))
    assert all(np.array_equal(first, one) for one in again)
    assert load_prior() is load_prior()


@pytest.mark.parametrize("size", [(224, 224), (168, 224), (224, 31), (1, 1), (60, 80)])
def test_any_aspect_has_its_probability(size: tuple[int, int]) -> None:
    small = np.full((size[1], size[0], 3), 0.9, np.float32)
    small[size[1] // 4 : size[1] // 2, size[0] // 4 : size[0] // 2] = 0.2
    found = load_prior().probability(small, estimate_ground(small))
    assert found.shape == small.shape[:2] and found.dtype == np.float32
    assert np.isfinite(found).all() and found.min() >= 0 and found.max() <= 1


def test_an_unevenly_lit_ground_is_evened_out() -> None:
    """The network is shown a level ground: the light's slope, alone, changes nothing."""
    alpha = true_alpha(shirt)
    slope = np.linspace(0.8, 0.9, SIZE[1])[:, None, None].astype(np.float32) * WHITE
    level = np.broadcast_to(slope.mean(axis=(0, 1)), slope.shape)
    uneven, even = (ground + alpha[..., None] * -0.4 for ground in (slope, level))
    found = [load_prior().probability(rgb.astype(np.float32), estimate_ground(rgb)) for rgb in (uneven, even)]
    assert np.abs(found[0] - found[1]).max() < 0.05
    assert overlap(found[0], alpha) > 0.9


def test_features_are_colours_and_logarithms_of_differences() -> None:
    picture = torch.full((1, 3, 4, 2), 0.5)
    picture[0, 0, :2, :2] = torch.tensor([[0.1, 0.3], [0.3, 0.5]])  # mean 0.3
    found = features_of(picture, torch.tensor([[0.5, 0.25, 1.0]]))
    assert found.shape == (1, 6, 2, 1)
    log = [np.log1p(510 * apart) / np.log1p(510) for apart in (0.2, 0.25, 0.5)]
    assert found[0, :, 0, 0].tolist() == pytest.approx([-0.4, 0, 0, -log[0], log[1], -log[2]], abs=1e-6)
    assert found[0, 0, 1, 0] == 0 and found[0, 3, 1, 0] == 0


def test_a_bundle_serves_what_was_saved(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = PriorNetwork(TINY)
    with torch.no_grad():
        network(features_of(torch.rand(4, 3, 64, 64), torch.rand(4, 3)))  # its norms have seen something
    bundle = save_prior(tmp_path / "own", network, "# own\n")
    served, direct = load_prior(str(tmp_path / "own")), Prior(network, "")
    small = np.random.default_rng(0).random((224, 168, 3), dtype=np.float32)
    ground = estimate_ground(small)
    assert served.hash == bundle.hash
    assert np.abs(served.probability(small, ground) - direct.probability(small, ground)).max() < 0.01  # float16
    assert np.ptp(served.probability(small, ground)) > 0.01


def test_a_bundle_that_is_missing_or_none_of_a_matte_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BundleError, match="a matte bundle is needed"):
        load_prior("style-fast")
    bundles.save_bundle(tmp_path / "odd", kind="matte", name="odd", config={"widths": [4], "x": 1}, weights={}, card="")
    with pytest.raises(BundleError, match="config is no matte network's"):
        load_prior(str(tmp_path / "odd"))
    monkeypatch.setattr(bundles, "SHIPPED", tmp_path)
    with pytest.raises(BundleError, match="no matte bundle 'absent'"):
        load_prior("absent")
