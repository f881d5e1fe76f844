"""`--data`: a folder with a feed and photos becomes a training's rows, and says plainly why when it cannot."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from shop_folder import photo, write_feed, write_shop

from catalog_gen.cli import run
from catalog_gen.config import Settings, load_settings
from catalog_gen.errors import ConfigError, UsageError
from catalog_gen.pipeline.clip_training import ClipRequest
from catalog_gen.pipeline.gan_request import GanRequest, Trained
from catalog_gen.pipeline.training_data import DataChoices
from catalog_gen.pipeline.training_source import training_rows, training_source
from catalog_gen.training_data import TrainRow


def settings(**flags: Any) -> Settings:
    return load_settings(env={}, use_default_file=False, flags=flags)


def rows_of(data: Path, work: Path, chosen: Settings | None = None) -> list[TrainRow]:
    with training_source(chosen or settings(), data, work) as source:
        return training_rows(source.settings, source.database, ())


@pytest.mark.parametrize("images", ["images", "photos of ours", "."])
def test_a_folder_becomes_rows(tmp_path: Path, images: str) -> None:
    write_shop(tmp_path / "shop", 4, images)
    rows = rows_of(tmp_path / "shop", tmp_path / "work")
    assert [(row.sku, row.category, row.colour) for row in rows] == [
        ("p0", "Bags", "red"),
        ("p1", "Shirts", "blue"),
        ("p2", "Shirts", "red"),
        ("p3", "Bags", "blue"),
    ]
    assert rows[1].prompt.startswith("Shirt number 1") and "blue" in rows[1].prompt
    assert [row.image for row in rows] == [tmp_path / "shop" / images / f"p{i}.png" for i in range(4)]
    with (tmp_path / "work" / "data.rejects.csv").open(newline="") as file:
        assert [row["kind"] for row in csv.DictReader(file)] == ["row"]


def test_the_feed_itself_may_be_named(tmp_path: Path) -> None:
    feed = write_shop(tmp_path / "shop", 3)
    write_feed(tmp_path / "shop" / "other.csv", ["sku,title", "x,y"])
    with pytest.raises(UsageError, match=r"2 feeds in the folder \(feed.csv, other.csv\)") as caught:
        rows_of(tmp_path / "shop", tmp_path / "work")
    assert "--data FILE" in caught.value.hint
    assert len(rows_of(feed, tmp_path / "work")) == 3


def test_nothing_is_written_into_the_folder_and_again_changes_nothing(tmp_path: Path) -> None:
    write_shop(tmp_path / "shop", 3)
    before = sorted(tmp_path.joinpath("shop").rglob("*"))
    first = rows_of(tmp_path / "shop", tmp_path / "work")
    with training_source(settings(), tmp_path / "shop", tmp_path / "work") as source:
        assert training_rows(source.settings, source.database, ()) == first
    assert sorted(tmp_path.joinpath("shop").rglob("*")) == before


def test_rows_of_an_earlier_feed_do_not_stay(tmp_path: Path) -> None:
    feed = write_shop(tmp_path / "shop", 4)
    rows_of(tmp_path / "shop", tmp_path / "work")
    write_feed(feed, feed.read_text().splitlines()[:3])
    assert [row.sku for row in rows_of(tmp_path / "shop", tmp_path / "work")] == ["p0", "p1"]
    photo(99).save(tmp_path / "shop" / "images" / "number 0.png")
    write_feed(feed, ["sku,title,words", "p0,number 0,something"])
    chosen = settings(**{"import.columns.sku": "title", "import.columns.title": "words"})
    assert [row.sku for row in rows_of(feed, tmp_path / "work", chosen)] == ["number 0"]


def test_photos_may_be_named_in_a_column(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    (folder / "deep" / "down").mkdir(parents=True)
    photo(1).save(folder / "deep" / "down" / "one.png")
    write_feed(folder / "feed.csv", ["sku,title,picture", "a,A thing,deep/down/one.png", "b,Another,deep/gone.png"])
    with training_source(settings(**{"import.columns.image": "picture"}), folder, tmp_path / "work") as source:
        (row,) = training_rows(source.settings, source.database, ())
        assert row.sku == "a"
        (refused,) = source.unusable
    assert refused.sku == "b" and refused.path.endswith("gone.png") and "No such file" in refused.reason


def test_damaged_photos_are_handed_on(tmp_path: Path) -> None:
    write_shop(tmp_path / "shop", 4)
    (tmp_path / "shop" / "images" / "p2.png").write_bytes(b"")
    for _ in range(2):
        with training_source(settings(), tmp_path / "shop", tmp_path / "work") as source:
            assert len(training_rows(source.settings, source.database, ())) == 3
            (refused,) = source.unusable
        assert (refused.sku, refused.reason) == ("p2", "the file is empty")


def test_the_shop_s_own_table_is_not_looked_at(tmp_path: Path) -> None:
    write_shop(tmp_path / "shop", 2)
    attached = settings(**{"catalog.table": "no_such_table"})
    assert len(rows_of(tmp_path / "shop", tmp_path / "work", attached)) == 2


def test_without_data_the_catalogue_is_opened(tmp_path: Path) -> None:
    own = settings(**{"database.url": f"sqlite:///{tmp_path}/d.sqlite3"})
    with pytest.raises(ConfigError, match="db upgrade"), training_source(own, None, tmp_path / "work"):
        pass
    assert not (tmp_path / "work").exists()


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    shop, work = tmp_path / "shop", tmp_path / "work"
    with pytest.raises(UsageError, match="No such file"):
        rows_of(shop, work)
    shop.mkdir()
    with pytest.raises(UsageError, match="no feed"):
        rows_of(shop, work)
    feed = write_feed(shop / "feed.csv", ["sku,title", "a,A thing"])
    with pytest.raises(UsageError, match="no photos beside the feed"):
        rows_of(shop, work)
    (shop / "images").mkdir()
    photo(1).save(shop / "images" / "other.png")
    with pytest.raises(UsageError, match=r"no photo in .*images has a row's sku as its name \(one is other.png\)"):
        rows_of(shop, work)
    shutil.rmtree(shop / "images")
    write_feed(feed, ["sku,title,image", "a,A thing,"])
    with pytest.raises(UsageError, match="no row names a photo in its column image"):
        rows_of(shop, work)
    (tmp_path / "file").write_text("")
    write_shop(shop, 1)
    with pytest.raises(UsageError, match="cannot be made"):
        rows_of(shop, tmp_path / "file" / "work")


@pytest.mark.parametrize("kind", ["gan", "clip"])
def test_every_data_flag_arrives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    seen: dict[str, Any] = {}

    def note(chosen: Settings, database: Any, where: Any, options: Mapping[str, Any], data: DataChoices) -> None:
        seen.update(settings=chosen, rows=training_rows(chosen, database, where), options=options, data=data)

    def clip(chosen: Settings, database: Any, request: ClipRequest, data: DataChoices) -> tuple[str, int]:
        note(chosen, database, request.where, request.given, data)
        return "done", 0

    def gan(chosen: Settings, database: Any, request: GanRequest, data: DataChoices) -> Trained:
        note(chosen, database, request.where, request.given, data)
        return Trained("done")

    monkeypatch.setattr("catalog_gen.pipeline.clip_training.train_clip_on_catalogue", clip)
    monkeypatch.setattr("catalog_gen.pipeline.gan_training.train_gan_on_rows", gan)
    write_shop(tmp_path / "shop", 3, header="id,words,kind,colour")
    (tmp_path / "shop" / "images" / "p1.png").write_bytes(b"")
    flags = ["--data", str(tmp_path / "shop"), "--map", "sku=id", "--map", "title=words", "--map", "category=kind"]
    flags += ["--check-data", "--drop-duplicates", "--where", "category=Shirts"]
    flags += ["--out", str(tmp_path / "out"), "--work-dir", str(tmp_path / "work")]
    assert run(["train", kind, *flags, *(["--fit", "crop"] if kind == "gan" else [])]) == 0
    assert [row.sku for row in seen["rows"]] == ["p2"]
    assert (seen["data"].drop_duplicates, seen["data"].check_only) == (True, True)
    assert [each.sku for each in seen["data"].refused] == ["p1"]
    assert seen["options"].get("fit") == ("crop" if kind == "gan" else None)
    assert run(["train", kind, *flags[:8], "--out", "o", "--work-dir", str(tmp_path / "work")]) == 0
    assert seen["data"] == DataChoices(refused=seen["data"].refused)


@pytest.mark.parametrize("command", [["train", "clip"], ["train", "gan"], ["evaluate"]])
def test_a_map_without_a_folder_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    where = ["--out", str(tmp_path / "o"), "--work-dir", str(tmp_path / "work")]
    assert run([*command, "--map", "sku=id", *where]) == 64
    assert "--map: it maps the columns of --data, which is not given" in capsys.readouterr().err


def test_another_fit_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "gan", "--fit", "squeeze", "--out", "o", "--work-dir", str(tmp_path / "work")]) == 64
    assert "neither letterbox nor crop" in capsys.readouterr().err
