"""Enlarging: sizes, pure white grounds, the same bits in any company, and near to the reference in fp32."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from catalog_gen.bundles import save_bundle
from catalog_gen.errors import BundleError
from catalog_gen.upscale.config import UpscalerConfig
from catalog_gen.upscale.network import UpscaleNetwork
from catalog_gen.upscale.upscaler import load_upscaler, prepared, save_upscaler


def network(factor: int = 4) -> UpscaleNetwork:
    """Return a tiny network that does add something."""
    torch.manual_seed(3)
    made = UpscaleNetwork(UpscalerConfig(factor=factor, width=8, blocks=2, tail=6))
    last = made.doublings[-1]
    assert isinstance(last, torch.nn.Conv2d)
    torch.nn.init.normal_(last.weight, std=0.02)
    return made


def pictures(count: int = 3, side: int = 16) -> npt.NDArray[np.uint8]:
    """Return noise in the middle of white ground."""
    made = np.full((count, side, side, 3), 255, np.uint8)
    made[:, 5:11, 5:11] = np.random.default_rng(1).integers(0, 250, (count, 6, 6, 3), np.uint8)
    return made


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_picture_is_the_same_in_any_company(precision: str) -> None:
    for chunk in (1, 2):
        upscaler = prepared(network(), precision=precision, chunk=chunk)  # type: ignore[arg-type]
        small = pictures(5)
        together = upscaler.enlarge(small)
        alone = np.concatenate([upscaler.enlarge(small[i : i + 1]) for i in range(5)])
        assert np.array_equal(together, alone)
        assert np.array_equal(upscaler.enlarge(small[::-1])[::-1], together)


def test_the_fast_path_is_within_three_levels_of_the_reference_in_fp32() -> None:
    small = pictures(4)
    reference = network()
    with torch.inference_mode():
        made = reference(torch.from_numpy(small).permute(0, 3, 1, 2).float() / 127.5 - 1)
    expected = made.add(1).mul(127.5).clamp(0, 255).permute(0, 2, 3, 1).numpy()
    inside = slice(16, 48)  # no ground that is made white
    for precision, most, mean in (("fp32", 1.5, 0.5), ("bf16", 3.0, 0.6)):
        found = prepared(network(), precision=precision).enlarge(small)  # type: ignore[arg-type]
        apart = np.abs(found.astype(np.float64) - expected)[:, inside, inside]
        assert apart.max() <= most and apart.mean() <= mean


def test_white_ground_is_pure_white() -> None:
    small = np.full((1, 16, 16, 3), 251, np.uint8)
    small[:, 6:10, 6:10] = 90
    large = prepared(network()).enlarge(small)
    white = np.ones((16, 16), bool)
    white[5:11, 5:11] = False  # the product and its neighbours
    assert (large[0][np.kron(white, np.ones((4, 4), bool))] == 255).all()
    assert (large[0, 24:40, 24:40] < 255).any(axis=2).all()


@pytest.mark.parametrize("side, size, passes", [(16, 64, 1), (16, 40, 1), (16, 200, 2), (16, 16, 0), (32, 16, 0)])
def test_it_goes_on_until_the_size_is_reached(side: int, size: int, passes: int) -> None:
    upscaler = prepared(network(), size=size)
    assert upscaler.passes(side) == passes
    assert upscaler.enlarge(pictures(1, side)).shape == (1, max(side, size), max(side, size), 3)


def test_a_bundle_gives_back_its_network(tmp_path: Path) -> None:
    bundle = save_upscaler(tmp_path / "up", network(), {"training": {}}, "card")
    upscaler = load_upscaler(str(tmp_path / "up"), size=64, precision="fp32")
    assert (upscaler.hash, upscaler.name) == (bundle.hash, "up")
    assert upscaler.settings == {"device": "cpu", "dtype": "fp32", "chunk": 1, "size": 64}
    halved = network().half().float()  # bundles keep float16
    assert np.array_equal(upscaler.enlarge(pictures()), prepared(halved, 64, precision="fp32").enlarge(pictures()))


def test_a_bundle_that_is_none_says_why(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no upscale bundle 'nowhere'"):
        load_upscaler("nowhere")
    save_bundle(tmp_path / "odd", kind="upscale", name="odd", config={"upscaler": {"factor": 3}}, weights={}, card="")
    with pytest.raises(BundleError, match="factor"):
        load_upscaler(str(tmp_path / "odd"))
