"""`train gan` as it is typed: measured while it trains, fine-tuned, searched, stopped by an alarm, in two processes."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from catalog_gen.bundles import load_bundle, read_weights
from catalog_gen.cli import run
from catalog_gen.gan.settings import parse_settings

ROWS = 70
SMALL = [
    *("--set", "generator.channels=[16, 16, 16, 8, 8]"),
    *("--set", "discriminator.head_width=8"),
    *("--set", "discriminator.pixel_widths=[8, 8]"),
]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> object:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a feed of 70 products and their photos: shirts and shoes, blocks of their own colour on white."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "images").mkdir()
    chance = np.random.default_rng(0)
    lines = ["sku,title,category,colour"]
    for number in range(ROWS):
        pixels = np.full((64, 48, 3), 255, np.uint8)
        top = 8 if number % 2 else 40
        pixels[top : top + 20, 6 + number % 20 : 40] = chance.integers(0, 200, 3)
        Image.fromarray(pixels).save(folder / "images" / f"p{number}.png")
        kind = "Shirts" if number % 2 else "Shoes"
        lines.append(f"p{number},{kind} number {number},{kind},{'red' if number % 3 else 'blue'}")
    (folder / "feed.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def arguments(shop: Path, folder: Path, *more: str, name: str = "bundle") -> list[str]:
    paths = ["--data", str(shop), "--out", str(folder / name), "--work-dir", str(folder / f"work-{name}")]
    return ["train", "gan", *paths, "--batch", "4", "--held-out", "14", *more]


def by_hash(sku: str) -> str:
    return hashlib.sha256(f"0:{sku}".encode()).hexdigest()


def measured(folder: Path) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text("utf-8").splitlines()]
    return [line for line in lines if line["kind"] == "measure"]


def test_it_measures_on_held_out_products_and_keeps_the_best(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = [*SMALL, "--images", "24", "--set", "watch.measure_every=8", "--set", "losses.clip=0.1"]
    assert run(arguments(shop, tmp_path, *more)) == 0
    found = measured(tmp_path / "work-bundle")
    assert [line["images"] for line in found] == [8, 16, 24]
    bundle = load_bundle(str(tmp_path / "bundle"), "gan")
    best = min(found, key=lambda line: line["kid"])  # type: ignore[arg-type,return-value]
    assert bundle.config["images_seen"] == best["images"]
    assert bundle.config["measured"]["kid"] == pytest.approx(best["kid"], rel=1e-4)
    assert bundle.config["held_out"] == 14 and bundle.config["training"]["losses"]["clip"] == 0.1
    assert bundle.config["training"]["augment"]["adaptive"], "70 photos are few"
    assert "the bundle, on held-out products: fd " in capsys.readouterr().out
    assert Image.open(tmp_path / "work-bundle" / "curves.png").width > 400
    assert list((tmp_path / "work-bundle" / "tensorboard").glob("events.out.tfevents.*"))


def test_a_bundle_is_fine_tuned_for_one_category(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    off = ["--set", "watch.measure_every=0"]
    assert run(arguments(shop, tmp_path, *SMALL, *off, "--images", "8", name="first")) == 0
    first = str(tmp_path / "first")
    tuning = ["--from", first, "--where", "category=Shoes", "--images", "4", "--seed", "5", *off]
    assert run(arguments(shop, tmp_path, *tuning, "--set", "optimiser.g_lr=1e-6", name="shoes")) == 0
    before, after = load_bundle(first, "gan"), load_bundle(str(tmp_path / "shoes"), "gan")
    assert before.config["generator"] == after.config["generator"] and before.hash != after.hash
    old, new = read_weights(before), read_weights(after)
    weights = [name for name in old if name.endswith("weight") and old[name].ndim == 4]
    for name in weights:  # a step at a rate of a millionth stays where the bundle was
        torch.testing.assert_close(old[name].float(), new[name].float(), atol=1e-4, rtol=1e-2)
    card = (tmp_path / "shoes" / "CARD.md").read_text("utf-8")
    shoes = [f"p{number}" for number in range(0, ROWS, 2)]
    ranked = sorted((f"p{number}" for number in range(ROWS)), key=by_hash)
    held = [sku for sku in shoes if sku in ranked[:14]]
    rule = {"seed": 0, "up_to": by_hash(ranked[13])}
    assert before.config["held_out_rule"] == after.config["held_out_rule"] == rule, "also with another seed"
    assert after.config["held_out"] == len(held) and after.config["training"]["seed"] == 5
    assert f"Started from the bundle first@{before.hash[:12]}" in card
    assert f"; {len(shoes) - len(held)} photos were used" in card
    shirts = [f"p{number}" for number in range(1, ROWS, 2) if f"p{number}" not in ranked[:14]]
    counts = {"Shirts": len(shirts), "Shoes": len(shoes) - len(held)}
    assert before.config["categories"] == after.config["categories"] == counts, "what the bundle before had seen counts"
    report = json.loads((tmp_path / "work-shoes" / "data.json").read_text("utf-8"))
    assert report["held_out"] == len(held) and report["held_out_missing"] == max(0, 7 - len(held))
    capsys.readouterr()
    one = ["--from", first, "--images", "4", "--where", f"sku={ranked[0]}", *off]
    assert run(arguments(shop, tmp_path, *one, name="one")) == 64
    assert "no row is left to learn from: its bundle held them all out" in capsys.readouterr().err
    assert run(arguments(shop, tmp_path, *tuning, "--set", "generator.norm=adaptive", name="no")) == 64
    assert "generator.norm is the bundle's own" in capsys.readouterr().err


def test_a_bundle_is_grown(shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    off = ["--set", "watch.measure_every=0"]
    assert run(arguments(shop, tmp_path, *SMALL, *off, "--images", "8", name="first")) == 0
    first = load_bundle(str(tmp_path / "first"), "gan")
    size = 2 * first.config["generator"]["image_size"]
    growing = ["--from", str(tmp_path / "first"), "--images", "4", *off]
    assert run(arguments(shop, tmp_path, *growing, "--grow", str(size), name="grown")) == 0
    grown = load_bundle(str(tmp_path / "grown"), "gan")
    assert grown.config["generator"]["image_size"] == size
    assert f"grown to {size} px" in (tmp_path / "grown" / "CARD.md").read_text("utf-8")
    old, new = read_weights(first), read_weights(grown)
    for name in ("seed.weight", "stages.0.conv.weight"):  # what two steps leave of it
        assert np.corrcoef(old[name].float().ravel(), new[name].float().ravel())[0, 1] > 0.9
    capsys.readouterr()
    assert run(arguments(shop, tmp_path, *growing, "--grow", "40", name="odd")) == 64
    assert "40 px is no doubling of the bundle's" in capsys.readouterr().err
    assert run(arguments(shop, tmp_path, *off, "--grow", str(size), name="none")) == 64
    assert "no bundle whose generator it could grow" in capsys.readouterr().err


def test_a_search_tries_settings_and_says_how_to_go_on(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space = tmp_path / "space.toml"
    space.write_text('losses.layout = [0, 8]\nlosses.adversarial = ["hinge"]\n', encoding="utf-8")
    more = [*SMALL, "--images", "8", "--search", "2", "--sampler", "grid", "--space", str(space)]
    assert run(arguments(shop, tmp_path, *more)) == 0
    said = capsys.readouterr().out
    assert "2 trials" in said
    (advice,) = re.findall("train it for longer, without --search, with: (.*)", said)
    best = json.loads((tmp_path / "work-bundle" / "search.json").read_text("utf-8"))["best"]["params"]
    assert parse_settings([word for word in shlex.split(advice) if "=" in word]) == parse_settings(SMALL[1::2]) | best
    assert shlex.split(advice)[:2] == ["--batch", "4"] and "images" not in advice
    result = json.loads((tmp_path / "work-bundle" / "search.json").read_text("utf-8"))
    assert sorted(trial["params"]["losses.layout"] for trial in result["trials"]) == [0, 8]
    assert all(trial["state"] == "complete" and trial["value"] > 0 for trial in result["trials"])
    assert Image.open(tmp_path / "work-bundle" / "search.png").width > 400
    assert not (tmp_path / "bundle").exists(), "a search trains in short: it leaves no bundle to use"


def test_a_divergence_ends_it_with_a_line_and_a_code(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = ["--set", "optimiser.g_lr=1e30", "--set", "watch.log_every=1", "--set", "precision=fp32"]
    assert run(arguments(shop, tmp_path, *SMALL, *broken, "--images", "80")) == 4
    said = capsys.readouterr().out
    assert "stopped by an alarm" in said and "divergence at " in said and "no bundle was good enough" in said


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--set", "losses.layuot=3"], "losses.layout"),
        (["--set", "optimiser.name=adagrad"], "optimiser.name"),
        (["--search", "2", "--sampler", "random"], "neither bayesian nor grid"),
        (["--sampler", "grid"], "there is no search that it could guide"),
        (["--space", "space.toml"], "there is no search to try it"),
        (["--search", "2", "--set", "watch.measure_every=8"], "a search measures each trial 4 times"),
        (["--set", "images=8"], "--images 4 and --set images=8"),
        (["--set", "generator.text_dim=512"], "generator.text_dim follows from clip.model"),
        (["--set", "device=cuda"], "device follows from gan.device"),
        (["--batch", "10", "--set", "optimiser.accumulate=3"], "multiple of 3"),
        (["--from", "nothing-here"], "there is no gan bundle"),
    ],
)
def test_wrong_settings_are_named(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], given: list[str], said: str
) -> None:
    assert run(arguments(shop, tmp_path, "--images", "4", *given)) in (64, 69)
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("catalog-gen: ")]
    assert len(lines) == 1 and said in lines[0]


def test_a_launcher_starts_it_in_two_processes(shop: Path, tmp_path: Path) -> None:
    more = [*SMALL, "--images", "8", "--set", "watch.measure_every=4"]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*launcher, "-m", "catalog_gen", *arguments(shop, tmp_path, *more)]
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False, timeout=280)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("8 images on 56 photos") == 1, "one of them speaks"
    assert load_bundle(str(tmp_path / "bundle"), "gan").config["images_seen"] in (4, 8)
    assert [line["images"] for line in measured(tmp_path / "work-bundle")] == [4, 8]
