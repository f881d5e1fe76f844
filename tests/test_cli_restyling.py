"""The flags of restyling and of its trainings: each reaches what it names, and none is taken that reaches nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from catalog_gen import cli
from catalog_gen.catalog.database import open_database
from catalog_gen.config import load_settings
from catalog_gen.errors import BundleError
from catalog_gen.pipeline.matte_training import MatteRequest
from catalog_gen.pipeline.restyle import RestyleRequest
from catalog_gen.pipeline.restyle_parts import load_parts
from catalog_gen.pipeline.style_training import StyleRequest
from catalog_gen.pipeline.translate_training import TranslateRequest, TranslateTrained


@dataclass
class Ended:
    """What a job's stand-in returns."""

    exit_code: int = 3

    def describe(self) -> str:
        return "as asked"


@pytest.fixture
def url(tmp_path: Path) -> str:
    address = f"sqlite:///{tmp_path}/catalog.sqlite3"
    database = open_database(address)
    database.upgrade()
    database.dispose()
    return address


def test_every_flag_of_restyle_reaches_the_job(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def job(*given: Any, **_: Any) -> Ended:
        seen.extend(given)
        return Ended()

    monkeypatch.setattr("catalog_gen.pipeline.restyle.restyle", job)
    flags = "--style winter --where kind=shoe --sku a --sku b --limit 7 --include-photos --outputs wide,square"
    more = f"--candidates 3 --max-minutes 5 --allow-parallel --device cpu --batch 4 --storage there --database {url}"
    assert cli.run(["restyle", *flags.split(), *more.split()]) == 3
    settings, _, request = seen
    assert isinstance(request, RestyleRequest) and request.deadline is not None
    assert (request.style, request.where, request.skus) == ("winter", (("kind", "shoe"),), ("a", "b"))
    assert (request.limit, request.include_photos, request.outputs) == (7, True, ("wide", "square"))
    assert (request.candidates, request.allow_parallel) == (3, True)
    assert (settings.restyle.device, settings.restyle.batch, settings.storage.url) == ("cpu", 4, "there")


@pytest.mark.parametrize(("verbose", "shown"), [([], 20), (["--verbose"], 1_000_000)])
def test_a_dry_run_names_everything_when_asked(
    url: str, monkeypatch: pytest.MonkeyPatch, verbose: list[str], shown: int
) -> None:
    seen: list[int] = []

    def estimate(*_: Any, show: int) -> Ended:
        seen.append(show)
        return Ended()

    monkeypatch.setattr("catalog_gen.pipeline.restyle_dry_run.estimate", estimate)
    assert cli.run(["restyle", "--style", "winter", "--dry-run", "--database", url, *verbose]) == 0
    assert seen == [shown]


def test_a_run_is_taken_back(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def take_back(_: Any, __: Any, run: str) -> Ended:
        seen.append(run)
        return Ended()

    monkeypatch.setattr("catalog_gen.pipeline.restyle.revert", take_back)
    assert cli.run(["restyle", "--revert", "20261125T1", "--database", url]) == 0
    assert seen == ["20261125T1"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("", "name one of --style and --revert"),
        ("--style winter --revert r", "name one of --style and --revert"),
        ("--revert r --limit 3", "--revert: it takes a run back whole"),
        ("--revert r --where kind=shoe", "--revert: it takes a run back whole"),
        ("--revert r --dry-run", "--revert: it takes a run back whole"),
        ("--revert r --batch 0", "--revert: it takes a run back whole"),
        ("--style winter --outputs ,", "--outputs: ',' names no output"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["restyle", *arguments.split()]) == 64
    assert said in capsys.readouterr().err


def test_the_shop_s_own_templates_are_listed_and_begun(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "catalog-gen.toml"
    config.write_text(f'[restyle]\ntemplates = "{tmp_path}/own"\n', encoding="utf-8")
    assert cli.run(["styles", "new", "spring", "--config", str(config)]) == 0
    assert (tmp_path / "own" / "spring" / "template.toml").exists()
    for command in ("show", "check"):
        assert cli.run(["styles", command, "spring", "--config", str(config)]) == 0
    assert cli.run(["styles", "list", "--config", str(config)]) == 0
    assert "spring" in capsys.readouterr().out.split("winter")[0]


def test_every_flag_of_train_style_reaches_the_training(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[StyleRequest] = []

    def train(_: Any, __: Any, request: StyleRequest) -> tuple[str, int]:
        seen.append(request)
        return "trained", 4

    monkeypatch.setattr("catalog_gen.pipeline.style_training.train_style_on_rows", train)
    flags = "--style a --style b --where kind=shoe --photos 9 --held-out 5 --images 7 --minutes 2 --batch 3 --seed 1"
    folders = ["--out", str(tmp_path / "b"), "--work-dir", str(tmp_path / "w"), "--from", "", "--database", url]
    assert cli.run(["train", "style", *flags.split(), *folders]) == 4
    given = {"images": 7, "minutes": 2, "batch": 3, "seed": 1}
    expected = StyleRequest(tmp_path / "b", tmp_path / "w", ("a", "b"), False, (("kind", "shoe"),), "", 9, 5, given)
    assert seen == [expected]


def test_every_flag_of_train_matte_reaches_the_training(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[MatteRequest] = []

    def train(_: Any, __: Any, request: MatteRequest) -> tuple[str, int]:
        seen.append(request)
        return "trained", 4

    monkeypatch.setattr("catalog_gen.pipeline.matte_training.train_matte_on_rows", train)
    flags = "--where kind=shoe --photos 9 --held-out 5 --images 7 --minutes 2 --batch 3 --seed 1"
    folders = ["--out", str(tmp_path / "b"), "--work-dir", str(tmp_path / "w"), "--database", url]
    assert cli.run(["train", "matte", *flags.split(), *folders]) == 4
    given = {"images": 7, "minutes": 2, "batch": 3, "seed": 1}
    assert seen == [MatteRequest(tmp_path / "b", tmp_path / "w", (("kind", "shoe"),), 9, 5, given)]


def test_every_flag_of_the_translations_reaches_them(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def train(*given: Any) -> TranslateTrained:
        seen.append(given)
        return TranslateTrained("trained", 4)

    monkeypatch.setattr("catalog_gen.pipeline.translate_training.train_translation", train)
    monkeypatch.setattr("catalog_gen.pipeline.translate_training.train_translation_on_rows", train)
    folders = ["--out", str(tmp_path / "b"), "--work-dir", str(tmp_path / "w")]
    flags = [
        "--direction",
        "b-to-a",
        "--size",
        "64",
        "--width",
        "8",
        "--images",
        "7",
        "--minutes",
        "2",
        "--batch",
        "3",
        "--lr",
        "0.001",
        "--seed",
        "1",
    ]
    given = {
        "direction": "b-to-a",
        "size": 64,
        "width": 8,
        "images": 7,
        "minutes": 2,
        "batch": 3,
        "lr": 0.001,
        "seed": 1,
    }
    where = (tmp_path / "b", tmp_path / "w")
    assert cli.run(["train", "pix2pix", *folders, *flags, "--data", "d", "--pairs", "edges"]) == 4
    assert seen.pop()[1] == TranslateRequest("pix2pix", *where, data=Path("d"), given={"pairs": "edges", **given})
    assert cli.run(["train", "cyclegan", *folders, *flags, "--a", "x", "--b", "y"]) == 4
    assert seen.pop()[1] == TranslateRequest("cyclegan", *where, a=Path("x"), b=Path("y"), given=given)
    rows = ["--from-where", "colour=Blue", "--to-where", "colour=Red", "--database", url]
    assert cli.run(["train", "cyclegan", *folders, *rows]) == 4
    assert seen.pop()[2:] == (TranslateRequest("cyclegan", *where), (("colour", "Blue"),), (("colour", "Red"),))
    assert cli.run(["train", "cyclegan", *folders, "--a", "x", *rows]) == 64


def test_the_matte_s_bundle_is_the_configured_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (60, 80), "white").save(tmp_path / "photos" / "a.png")
    config = tmp_path / "catalog-gen.toml"
    config.write_text('[restyle]\nmatte = "own-matte"\n', encoding="utf-8")
    asked = ["--data", str(tmp_path / "photos"), "--out", str(tmp_path / "sheet.png"), "--config", str(config)]
    assert cli.run(["styles", "preview", "studio", *asked]) == 69
    assert "no matte bundle 'own-matte'" in capsys.readouterr().err
    with pytest.raises(BundleError, match="own-matte"):
        load_parts(load_settings(config, env={}), "studio")
