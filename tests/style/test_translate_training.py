"""Training a translation: it learns, stops, resumes on the same curve, and leaves a bundle that a template can use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from catalog_gen.bundles import load_bundle, read_weights
from catalog_gen.errors import BundleError, UsageError
from catalog_gen.style.edges import outline
from catalog_gen.style.engine import Look, open_engine
from catalog_gen.style.translate import TranslateEngine, export_bundle
from catalog_gen.style.translate_config import Config, translate_config
from catalog_gen.style.translate_data import (
    Reading,
    TranslateData,
    list_pictures,
    read_outlines,
    read_pairs,
    read_sides,
)
from catalog_gen.style.translate_networks import ResnetGenerator, UNet, initialise
from catalog_gen.style.translate_training import CHECKPOINT, TranslateRun, baselines, train_translate

TINY = {"size": 32, "width": 4, "judge_width": 4, "batch": 2, "log_every": 1, "shift": 8}
ENGINES: dict[str, dict[str, Any]] = {
    "pairs": {"engine": "pix2pix"},
    "edges": {"engine": "pix2pix", "pairs": "edges", "judge_norm": "spectral"},
    "sides": {"engine": "cyclegan", "blocks": 1, "pool": 3},
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten pairs: a square somewhere, dark red on white in a, and in the other colours in b."""
    for number in range(10):
        pixels = np.full((32, 32, 3), 255, np.uint8)
        pixels[6 + number : 18 + number, 8:22] = (140, 10, 20)
        for side, picture in (("a", pixels), ("b", 255 - pixels)):
            (tmp_path / "data" / side).mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(tmp_path / "data" / side / f"{number}.png")
    return tmp_path / "data"


@dataclass
class Watching:
    """Keeps what it is told; asks for a stop after `stop_at` images."""

    stop_at: int = 10**9
    alarm_at: int = 10**9
    steps: int = 0
    curve: list[tuple[int, Mapping[str, float]]] = field(default_factory=list)
    figures: list[Mapping[str, float]] = field(default_factory=list)
    sheets: list[tuple[tuple[int, ...], int]] = field(default_factory=list)

    def losses(self, images: int, values: Mapping[str, float]) -> str:
        self.curve.append((images, values))
        return "it diverged" if images >= self.alarm_at else ""

    def measured(self, images: int, values: Mapping[str, float]) -> None:
        self.figures.append(values)

    def sheet(self, images: int, pictures: npt.NDArray[np.uint8], columns: int) -> None:
        self.sheets.append((pictures.shape, columns))

    def should_stop(self) -> bool:
        self.steps += 1
        return 2 * self.steps >= self.stop_at


def _config(kind: str, **given: Any) -> Config:
    settings = {**TINY, **ENGINES[kind], **given}
    return translate_config(settings.pop("engine"), settings)


def _data(kind: str, folder: Path, config: Config) -> TranslateData:
    reading = Reading(config.size, folder.parent / "cache", held_out=2)
    a, b = list_pictures(folder / "a", "--a"), list_pictures(folder / "b", "--b")
    if kind == "pairs":
        return read_pairs(a, b, reading)
    return read_outlines(a, reading) if kind == "edges" else read_sides(a, b, reading)


def _run(kind: str, folder: Path, work: Path, **given: Any) -> TranslateRun:
    config = _config(kind, **given)
    return TranslateRun(_data(kind, folder, config), config, work)


def _same(a: object, b: object) -> bool:
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(_same(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(_same, a, b))
    return a == b


@pytest.mark.parametrize("kind", ENGINES)
def test_two_parts_are_the_training_in_one(kind: str, folder: Path, tmp_path: Path) -> None:
    whole, first, second = Watching(), Watching(stop_at=6), Watching()
    done = train_translate(_run(kind, folder, tmp_path / "one", images=14), tmp_path / "one" / "bundle", whole)
    stopped = train_translate(_run(kind, folder, tmp_path / "two", images=14), tmp_path / "two" / "bundle", first)
    assert (done.ending, stopped.ending, stopped.images_seen) == ("finished", "stopped", 6)
    again = train_translate(_run(kind, folder, tmp_path / "two", images=14), tmp_path / "two" / "bundle", second)
    assert again.ending == "finished" and [images for images, _ in whole.curve] == list(range(2, 15, 2))
    assert first.curve + second.curve == whole.curve
    states = [torch.load(tmp_path / part / CHECKPOINT, weights_only=True) for part in ("one", "two")]
    for key in ("players", "rng", "orders", "step", "figures"):
        assert _same(states[0][key], states[1][key]), key
    assert (
        load_bundle(str(tmp_path / "one" / "bundle"), "translate").hash
        == load_bundle(str(tmp_path / "two" / "bundle"), "translate").hash
    )


def test_pix2pix_learns_its_pairs(folder: Path, tmp_path: Path) -> None:
    run = _run("pairs", folder, tmp_path / "work", images=240, width=8, lr=2e-3, dropout=0.0)
    before, beside = run.measure(), baselines(run)
    seen = Watching()
    train_translate(run, tmp_path / "bundle", seen)
    after = seen.figures[-1]["l1_held_out"]
    assert after < before["l1_held_out"] / 2 and after < beside["l1_source"] / 2
    # The source and the target are each other's negative: |2x - 1| of white is 1, of the square a little less.
    assert 0.7 < beside["l1_source"] < 1 and 0 < beside["l1_mean"] < beside["l1_source"]


def test_what_is_watched(folder: Path, tmp_path: Path) -> None:
    for kind, names, lines in (
        ("pairs", {"l1_held_out"}, 3),
        ("edges", {"l1_held_out", "edges_held_out"}, 3),
        ("sides", {"cycle_held_out", "changed_held_out"}, 2),
    ):
        seen = Watching()
        train_translate(_run(kind, folder, tmp_path / kind, images=4, sheet_every=2), tmp_path / kind / "b", seen)
        assert seen.figures[-1].keys() == names and len(seen.figures) == 2
        assert seen.sheets == [((2 * lines, 32, 32, 3), 2)] * 2  # two are held out
        assert seen.curve[0][1]["lr"] == pytest.approx(2e-4) and seen.curve[-1][1]["lr"] == pytest.approx(2e-4)


def test_an_alarm_keeps_what_was_saved(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    early = train_translate(_run("pairs", folder, tmp_path / "a", images=8), out, Watching(alarm_at=4))
    assert (early.ending, early.alarm, early.bundle) == ("alarm", "it diverged", None) and not out.exists()
    train_translate(_run("pairs", folder, tmp_path / "a", images=4), out, Watching())
    saved = (tmp_path / "a" / CHECKPOINT).read_bytes()
    late = train_translate(_run("pairs", folder, tmp_path / "a", images=8), out, Watching(alarm_at=6))
    assert late.bundle == out and (tmp_path / "a" / CHECKPOINT).read_bytes() == saved


def test_what_is_saved_has_been_looked_at(folder: Path, tmp_path: Path) -> None:
    seldom = {"images": 8, "log_every": 1000}
    last = train_translate(_run("pairs", folder, tmp_path, **seldom), tmp_path / "b", Watching(alarm_at=8))
    stop = train_translate(_run("pairs", folder, tmp_path, **seldom), tmp_path / "b", Watching(stop_at=4, alarm_at=4))
    soon = {**seldom, "checkpoint_minutes": 1e-9}
    save = train_translate(_run("pairs", folder, tmp_path, **soon), tmp_path / "b", Watching(alarm_at=2))
    assert [each.ending for each in (last, stop, save)] == ["alarm"] * 3
    assert not (tmp_path / CHECKPOINT).exists() and not (tmp_path / "b").exists()


def test_a_checkpoint_is_for_its_own_training(folder: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    train_translate(_run("sides", folder, work, images=2), tmp_path / "bundle", Watching())
    with pytest.raises(UsageError, match="made with another cycle, lr"):
        _run("sides", folder, work, images=2, lr=1e-3, cycle=1)
    with pytest.raises(UsageError, match=r"made with another adversarial, .*engine"):
        _run("pairs", folder, work, images=2)
    assert _run("sides", folder, work, images=9, minutes=1, sheet_every=7).step == 1
    (folder / "b" / "9.png").unlink()
    with pytest.raises(UsageError, match="made on other pictures"):
        _run("sides", folder, work, images=2)
    (work / CHECKPOINT).write_bytes(b"torn")
    with pytest.raises(UsageError, match="cannot be read"):
        _run("sides", folder, work, images=2)


def test_cyclegan_leaves_the_way_that_is_asked_for(folder: Path, tmp_path: Path) -> None:
    for way in ("a-to-b", "b-to-a"):
        run = _run("sides", folder, tmp_path / "work", images=2, direction=way)
        train_translate(run, tmp_path / way, Watching())
        own = run.players.generators[way].state_dict()["layers.0.weight"]
        saved = read_weights(load_bundle(str(tmp_path / way), "translate"))["layers.0.weight"]
        assert torch.equal(saved, own.half())
    assert "direction b-to-a" in (tmp_path / "b-to-a" / "CARD.md").read_text()


@dataclass(frozen=True)
class Template:
    """The part of a template that an engine reads."""

    engine: str
    bundle: str
    features: str = "lite0"
    product_strength: float = 0.0


def _bundle(kind: str, folder: Path, **given: Any) -> tuple[Template, UNet | ResnetGenerator]:
    """A bundle of an untrained network whose weights are large enough to change a picture."""
    config = _config(kind, **given)
    shape = UNet(32, 4) if config.engine == "pix2pix" else ResnetGenerator(4, 1)
    network = initialise(shape, torch.Generator().manual_seed(1)).eval().half().float()
    about = {"sources": 1, "targets": 1, "images_seen": 2, "minutes": 0.1, "measured": {"l1_held_out": 0.25}}
    export_bundle(folder, network, config, about)
    return Template(config.engine, str(folder)), network


LOOK = Look((torch.rand(3, 8, 8),), (1.0,))


@pytest.mark.parametrize("kind", ENGINES)
def test_engine_at_its_own_size_is_the_network(kind: str, tmp_path: Path) -> None:
    template, network = _bundle(kind, tmp_path / "bundle")
    engine = open_engine(template, "cpu")
    assert isinstance(engine, TranslateEngine) and engine.whole and engine.name == template.engine
    x = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    drawn = engine.stylise(x, torch.zeros(3, 1, 32, 32), engine.prepare(LOOK))
    source = outline(x) if kind == "edges" else x
    with torch.no_grad():
        wanted = (network(source * 2 - 1) + 1) / 2
    assert torch.allclose(drawn, wanted, atol=1e-5) and float((drawn - x).abs().max()) > 0.1
    alone = torch.cat([engine.stylise(each[None], torch.zeros(1, 1, 32, 32)) for each in x])
    assert torch.allclose(drawn, alone, atol=1e-5)
    assert torch.equal(drawn, engine.stylise(x, torch.ones(3, 1, 32, 32)))  # masks are not looked at


def test_engine_keeps_a_larger_pictures_detail(tmp_path: Path) -> None:
    template, _ = _bundle("sides", tmp_path / "bundle")
    engine = open_engine(template, "cpu")
    coarse = torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(2))
    smooth = torch.nn.functional.interpolate(coarse, (96, 160), mode="bicubic").clamp(0.2, 0.8)
    lines = 0.1 * (torch.arange(160) % 2 * 2 - 1)  # finer than the trained size can hold
    product = torch.zeros(1, 1, 96, 160)
    plain, fine = engine.stylise(smooth, product), engine.stylise(smooth + lines, product)
    assert plain.shape == smooth.shape and float(plain.min()) >= 0 and float(plain.max()) <= 1
    inside = (plain > 0.15) & (plain < 0.85)
    assert int(inside.sum()) > 1000
    kept = (fine - plain - lines)[inside].abs()  # the network sees a trace of the lines at the border
    assert float(kept.mean()) < 0.01 and float((kept < 0.03).float().mean()) > 0.95


def test_engine_of_outlines_draws_from_nothing_else(tmp_path: Path) -> None:
    template, _ = _bundle("edges", tmp_path / "bundle")
    engine = open_engine(template, "cpu")
    dark, light = torch.full((1, 3, 64, 48), 0.2), torch.full((1, 3, 64, 48), 0.8)
    mask = torch.zeros(1, 1, 64, 48)
    assert torch.equal(engine.stylise(dark, mask), engine.stylise(light, mask))  # neither has an outline


def test_full_size_is_convolved_whole(tmp_path: Path) -> None:
    template, network = _bundle("sides", tmp_path / "bundle", apply="full")
    engine = open_engine(template, "cpu")
    x = torch.rand(1, 3, 45, 70, generator=torch.Generator().manual_seed(3))
    drawn = engine.stylise(x, torch.zeros(1, 1, 45, 70))
    padded = torch.nn.functional.pad(x, (0, 2, 0, 3), mode="replicate")
    with torch.no_grad():
        wanted = (network(padded * 2 - 1)[..., :45, :70] + 1) / 2
    assert torch.allclose(drawn, wanted, atol=1e-5)


def test_engine_hash_is_of_weights_and_way(tmp_path: Path) -> None:
    hashes = set()
    for name, given in (("a", {}), ("b", {}), ("c", {"apply": "full"})):
        template, _ = _bundle("sides", tmp_path / name, **given)
        hashes.add(open_engine(template, "cpu").hash)
    assert len(hashes) == 2


def test_bundles_that_do_not_fit(tmp_path: Path) -> None:
    template, _ = _bundle("sides", tmp_path / "bundle")
    with pytest.raises(BundleError, match="bundle of cyclegan, and the template's engine is pix2pix"):
        open_engine(Template("pix2pix", template.bundle), "cpu")
    with pytest.raises(BundleError, match="cyclegan needs the template's own bundle") as caught:
        open_engine(Template("cyclegan", ""), "cpu")
    assert "catalog-gen train cyclegan" in caught.value.hint
