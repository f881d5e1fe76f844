"""`evaluate` with an upscaler configured: what is measured and shown is what the job would deliver."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from catalog_gen.bundles import load_bundle
from catalog_gen.cli import run
from catalog_gen.upscale.config import UpscalerConfig
from catalog_gen.upscale.network import UpscaleNetwork
from catalog_gen.upscale.upscaler import save_upscaler
from pipeline.shop_folder import write_shop


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_pictures_are_enlarged_before_they_are_measured(tiny_gan: Path, tmp_path: Path) -> None:
    network = UpscaleNetwork(UpscalerConfig(factor=2, width=4, blocks=1, tail=3))
    last = network.doublings[-1]
    assert isinstance(last, torch.nn.Conv2d)
    torch.nn.init.constant_(last.bias, 0.5)  # everything much lighter: what is measured must have been enlarged
    save_upscaler(tmp_path / "light", network, {}, "light")
    write_shop(tmp_path / "shop", 84, header="sku,title,category,colour")
    config = tmp_path / "c.toml"
    found: dict[str, Any] = {}
    for model in ("", str(tmp_path / "light")):
        config.write_text(f"[gan]\nmodel = '{tiny_gan}'\n[upscale]\nmodel = '{model}'\nsize = 64\n", encoding="utf-8")
        flags = ["--data", str(tmp_path / "shop"), "--config", str(config), "--work-dir", str(tmp_path / "work")]
        assert run(["evaluate", "--out", str(tmp_path / "out"), "--cell", "64", *flags]) == 0
        found[model] = json.loads((tmp_path / "out" / "evaluation.json").read_text("utf-8"))
    plain, light = found.values()
    digest = load_bundle(str(tmp_path / "light"), "upscale").hash
    assert plain["upscaler"] == "none" and light["upscaler"] == f"light@{digest}"
    assert plain["view"] == light["view"] == 32, "the view is the generator's"
    markdown = (tmp_path / "out" / "evaluation.md").read_text("utf-8")
    assert f" enlarged by light ({digest[:12]}): " in markdown

    def figures(document: dict[str, Any], side: str) -> dict[str, float]:
        return {row["name"]: row[side]["value"] for row in document["metrics"] if row[side]}

    assert figures(plain, "real") == figures(light, "real")
    before, after = figures(plain, "pictures"), figures(light, "pictures")
    assert abs(after["fd"] / before["fd"] - 1) > 0.01 and after["clip"] != before["clip"]
    assert after["variety"] != before["variety"], "its draws are enlarged as well"
