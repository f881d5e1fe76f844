"""`evaluate` frames photos as the generator learnt to: a bundle trained on cropped ones is judged against those."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from catalog_gen.bundles import load_bundle, read_weights, save_bundle
from catalog_gen.cli import run

COLOURS = {"red": (180, 30, 40), "blue": (30, 60, 150)}
ROWS, HELD_OUT, EDGE = 60, 12, (10, 200, 90)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty wide photos (64 x 32 px): a coloured square in the middle, a quarter of green at each side, no white."""
    folder = tmp_path_factory.mktemp("wide")
    (folder / "photos").mkdir()
    lines = ["sku,title,category,colour"]
    for number in range(ROWS):
        colour, kind = list(COLOURS)[number // 2 % 2], ("bag", "shoe")[number % 2]
        pixels = np.empty((32, 64, 3), np.uint8)
        pixels[:] = EDGE
        pixels[:, 16:48] = COLOURS[colour]
        pixels[8 * (number % 2) + number % 7 :][:8, 20:44] = number * 4
        Image.fromarray(pixels).save(folder / "photos" / f"p{number}.png")
        lines.append(f"p{number},{colour} {kind} model {number},{kind},{colour}")
    (folder / "feed.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "catalog-gen.toml").write_text(f"[database]\nurl = 'sqlite:///{folder}/d.sqlite3'\n", encoding="utf-8")
    where = ["--config", str(folder / "catalog-gen.toml")]
    assert run(["db", "upgrade", *where]) == 0
    assert run(["import", str(folder / "feed.csv"), "--images", str(folder / "photos"), *where]) == 0
    return folder


@pytest.mark.parametrize("fit", ["crop", "letterbox"])
def test_photos_are_framed_as_the_bundle_says(shop: Path, tiny_gan: Path, tmp_path: Path, fit: str) -> None:
    bundle = load_bundle(str(tiny_gan), "gan")
    config = bundle.config | {"training": {"seed": 0, "fit": fit}, "held_out": HELD_OUT}
    save_bundle(tmp_path / fit, kind="gan", name=fit, config=config, weights=read_weights(bundle), card="# x\n")
    flags = ["--gan", str(tmp_path / fit), "--out", str(tmp_path / "out"), "--work-dir", str(tmp_path / "cache")]
    assert run(["evaluate", *flags, "--config", str(shop / "catalog-gen.toml")]) == 0
    found = list((tmp_path / "cache").rglob("photos-32-*.npy"))
    assert found and {file.name.split("-")[2] for file in found} == {fit}
    for file in found:
        photos = np.load(file)
        corners = photos[:, [0, 0, -1, -1], [0, -1, 0, -1]].reshape(-1, 3)
        if fit == "letterbox":  # 32 px wide and 16 high, in the middle of white
            assert (corners == 255).all() and np.abs(photos[:, 16, 1].astype(int) - EDGE).max() < 8
        else:  # the square in the middle, to its corners, and nothing of the green
            of_products = [np.abs(corners.astype(int) - colour).max(axis=1) < 8 for colour in COLOURS.values()]
            assert np.logical_or(*of_products).all()
