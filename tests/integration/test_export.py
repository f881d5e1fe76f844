"""Exports of a real database and storage: what goes, what is held back, and what is told to the database after."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from catalog_gen import cli
from catalog_gen.catalog import publishing
from catalog_gen.catalog.decisions import Decision, decide
from catalog_gen.catalog.model import Product
from catalog_gen.encode import encode_image
from catalog_gen.errors import ConfigError, TemporaryFailure, TransientError, UsageError
from catalog_gen.export.formats import ExportFile
from catalog_gen.pipeline import export as job
from export.feed_validators import google_tsv, google_xml, shopify_csv
from integration.export_shop import CDN, ExportShop, box, marked, settings_for
from storage_fixtures import s3_server


@pytest.fixture
def shop(database_url: str, database: object, tmp_path: Path) -> ExportShop:
    return ExportShop(settings_for(database_url, tmp_path), tmp_path)


@pytest.fixture
def small(tmp_path: Path, sqlite_template: Path) -> ExportShop:
    """On SQLite alone, for what has nothing to do with the database."""
    file = tmp_path / "shop.sqlite3"
    file.write_bytes(sqlite_template.read_bytes())
    return ExportShop(settings_for(f"sqlite:///{file}", tmp_path), tmp_path)


def test_a_photo_a_restyled_and_a_drawn_picture_go_in_this_order(shop: ExportShop) -> None:
    shop.add(
        Product("1", "Red shoe", "Shoes", {"colour": "Red"}, shop.photo("red shoe.png")), Product("2", "No picture")
    )
    drawn, restyled = shop.draw("1"), shop.restyle("1")
    summary = shop.export("shopify", "p.csv")
    rows = shop.lines("p.csv")
    assert [row["Image Position"] for row in rows] == ["1", "2", "3"]
    assert rows[0]["Image Src"] == "https://shop.example.com/photos/red%20shoe.png"
    assert re.fullmatch(rf"{CDN}/[0-9a-f]{{2}}/[0-9a-f]{{2}}/[0-9a-f]{{64}}\.jpg", rows[1]["Image Src"])
    assert rows[2]["Image Src"].endswith(".webp")
    assert (summary.exit_code, summary.products, summary.pictures) == (0, 1, 3)
    assert set(shop.states()) == {drawn, restyled} and shopify_csv((shop.folder / "p.csv").read_bytes()) == []


def test_publishing_comes_after_the_file_and_changes_nothing_in_it(shop: ExportShop) -> None:
    shop.configure(export__shopify={"generated_main": True})
    shop.add(*(Product(f"{n}", f"Shoe {n}") for n in range(3)))
    ids = [shop.draw(f"{n}") for n in range(3)]
    waiting = shop.draw("2", state="needs_review", kind="restyled", style="winter", variant="square")
    first = shop.export("shopify", "p.csv", publish=True)
    before = (shop.folder / "p.csv").read_bytes()
    again = shop.export("shopify", "p.csv", publish=True)
    assert (first.published, again.published, again.changed) == (3, 0, 0)
    assert (shop.folder / "p.csv").read_bytes() == before
    assert shop.states() == dict.fromkeys(ids, ("published", 2)) | {waiting: ("needs_review", 1)}
    shop.export("csv", "p2.csv", publish=True)
    database = shop.database()
    assert publishing.channels_of(database, ids) == {each: ["shopify", "csv"] for each in ids}
    database.dispose()


def break_file(shop: ExportShop, sku: str, how: Callable[[Path], object]) -> None:
    database = shop.database()
    asset = publishing.exportable(database, [sku])[sku][0]
    database.dispose()
    how(Path(asset.uri.removeprefix("file://")))


def test_a_picture_that_is_missing_damaged_or_unmarked_is_held_back_and_the_rest_goes(small: ExportShop) -> None:
    small.configure(export__shopify={"generated_main": True})
    small.add(*(Product(f"{n}", f"Shoe {n}") for n in range(1, 7)))
    for sku in ("1", "2", "6"):
        small.draw(sku)
    small.draw("3", data=encode_image(box(64, 3), "webp", 90))  # no metadata at all
    small.draw("4", data=encode_image(box(64, 4), "webp", 90, marked("4", "compositeWithTrainedAlgorithmicMedia")))
    small.draw("5", data=b"no picture")
    break_file(small, "1", lambda path: path.unlink())
    break_file(small, "2", lambda path: path.write_bytes(path.read_bytes()[:-1]))
    summary = small.export("shopify", "p.csv", publish=True)
    reasons = {sku: (rule, reason) for sku, what, rule, reason in small.held("p.csv") if what == "picture"}
    assert {sku: rule for sku, (rule, _) in reasons.items()} == {
        "1": "missing", "2": "damaged", "3": "marking", "4": "marking", "5": "damaged",
    }  # fmt: skip
    assert reasons["2"][1].startswith("is damaged: its name promises sha256")
    assert reasons["3"][1] == "its metadata lost the mark of AI media (IPTC DigitalSourceType)"
    assert [row["Handle"] for row in small.lines("p.csv")] == ["6"]
    assert (summary.exit_code, summary.published, sum(summary.held.values())) == (3, 1, 10)


def test_a_dry_run_checks_all_and_writes_nothing(small: ExportShop) -> None:
    small.add(Product("1", "Red shoe", image=small.photo("1.png")), Product("2", "Blue shoe"))
    small.restyle("1")
    small.draw("2")
    summary = small.export("shopify", "p.csv", dry_run=True, publish=True)
    assert (summary.products, summary.held[("product", "main")], summary.exit_code) == (1, 1, 3)
    assert "1 products with 2 pictures would be exported for shopify" in summary.describe()
    assert not list(small.folder.glob("*.csv*"))
    assert {state for state, _ in small.states().values()} == {"approved"}


def test_an_export_that_dies_before_publishing_is_finished_by_the_next(
    shop: ExportShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.add(Product("1", "Red shoe"))
    asset = shop.draw("1")

    def down(*_: Any) -> None:
        raise TransientError("the database is gone")

    with monkeypatch.context() as patch, pytest.raises(TemporaryFailure, match="publishing still fails"):
        patch.setattr(job, "publish", down)
        shop.export("csv", "p.csv", publish=True)
    assert len(shop.lines("p.csv")) == 1 and shop.states() == {asset: ("approved", 1)}
    assert shop.export("csv", "p.csv", publish=True).published == 1
    assert shop.states() == {asset: ("published", 2)}


def test_a_picture_rejected_while_the_file_was_written_is_not_published(
    shop: ExportShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.add(Product("1", "Red shoe"), Product("2", "Blue shoe"))
    kept, rejected = shop.draw("1"), shop.draw("2")
    commit = ExportFile.commit

    def commit_then_reject(file: ExportFile) -> None:
        commit(file)
        database = shop.database()
        decide(database, [Decision("d1", rejected, "reject", reason="too dark")], reviewer="ops", source="command")
        database.dispose()

    monkeypatch.setattr(ExportFile, "commit", commit_then_reject)
    summary = shop.export("csv", "p.csv", publish=True)
    assert (summary.published, summary.changed, summary.exit_code) == (1, 1, 3)
    assert {each: state for each, (state, _) in shop.states().items()} == {kept: "published", rejected: "rejected"}
    assert "1 pictures changed meanwhile, and were not published" in summary.describe()


def test_an_export_of_nothing_leaves_yesterday_s_file(small: ExportShop) -> None:
    small.add(Product("1", "Red shoe"))
    small.draw("1")
    (small.folder / "p.csv").write_text("yesterday's")
    summary = small.export("shopify", "p.csv")
    assert (small.folder / "p.csv").read_text() == "yesterday's"
    assert (summary.paths, summary.exit_code) == ([], 3)
    assert [rule for _, _, rule, _ in small.held("p.csv")] == ["main", "generated"]


def test_an_overlay_is_known_from_the_picture_or_from_its_template(small: ExportShop) -> None:
    photo = small.photo("a.png", side=96)
    small.add(*(Product(f"{n}", f"Shoe {n}", image=photo) for n in range(1, 5)))
    old = {"settings": {"source": "photo"}}  # as recorded before overlays were noted
    small.restyle("1", settings={"source": "photo", "overlays": ["frame"]})
    small.restyle("2", style="winter", variant="wide", **old)
    small.restyle("3", style="winter", variant="square", **old)  # its texts are on "wide" alone
    small.restyle("4", style="gone", **old)
    small.configure(export__google={"feed": "supplemental", "min_side": 90})
    small.export("google", "f.tsv")
    assert [(sku, rule) for sku, _, rule, _ in small.held("f.tsv")] == [
        ("1", "overlay"),
        ("2", "overlay"),
        ("4", "overlay"),
    ]
    small.export("csv", "p.csv")  # where an overlay does no harm
    overlays = {row["sku"]: row["overlays"] for row in small.lines("p.csv") if row["style"]}
    assert overlays == {"1": "frame", "2": "text", "3": "", "4": "unknown"}
    links = {row["id"]: row["additional_image_link"] for row in small.lines("f.tsv", "\t")}
    assert {sku: bool(link) for sku, link in links.items()} == {"1": False, "2": False, "3": True, "4": False}
    small.export("google", "f.xml")
    assert google_tsv((small.folder / "f.tsv").read_bytes(), supplemental=True) == []
    assert google_xml((small.folder / "f.xml").read_bytes(), supplemental=True) == []


def test_one_style_of_several(small: ExportShop) -> None:
    small.add(Product("1", "Red shoe"))
    small.restyle("1", style="winter")
    small.restyle("1", style="summer")
    small.export("csv", "p.csv", styles=("winter",))
    assert [row["style"] for row in small.lines("p.csv")] == ["winter"]
    with pytest.raises(UsageError, match=r"no approved picture has the style 'wintre'\. Did you mean winter\?"):
        small.export("csv", "p.csv", styles=("wintre",))


def test_photos_without_a_public_address_are_told(small: ExportShop) -> None:
    small.configure(export__photo_url="")
    small.add(Product("1", "Red shoe", image=small.photo("1.png")))
    assert small.export("shopify", "p.csv", include_photos=True).products == 0
    assert small.held("p.csv")[1][3] == "has no public address (export.photo_url)"


def test_a_photo_that_cannot_be_read_costs_itself_only(small: ExportShop) -> None:
    small.configure(export__shopify={"generated_main": True})
    small.add(Product("1", "Red shoe", image="gone.png"))
    small.draw("1")
    assert small.export("shopify", "p.csv").pictures == 1
    assert [row[:3] for row in small.held("p.csv")] == [("1", "picture", "missing")]


def test_pictures_in_a_bucket_are_exported_by_their_public_address(small: ExportShop) -> None:
    small.add(Product("1", "Red shoe"))
    with s3_server() as server:
        storage = {"url": f"{server.make_bucket('shop')}/pictures", "options": server.options()}
        small.configure(storage__url=storage["url"], storage__options=storage["options"])
        small.draw("1")
        small.export("csv", "p.csv")
    (row,) = small.lines("p.csv")
    assert row["url"] == row["stored_at"].replace("s3://shop/pictures", CDN)


def test_where_skus_and_limit_narrow_an_export(small: ExportShop) -> None:
    small.add(*(Product(f"{n}", f"Shoe {n}", "Shoes" if n % 2 else "Boots") for n in range(10)))
    for n in range(10):
        small.draw(f"{n}")

    def exported(**request: Any) -> list[str]:
        small.export("csv", "p.csv", **request)
        return [row["sku"] for row in small.lines("p.csv")]

    assert exported(where=(("category", "Boots"),)) == ["0", "2", "4", "6", "8"]
    assert exported(where=(("category", "Boots"),), limit=2) == ["0", "2"]
    assert exported(skus=("7", "3", "none")) == ["3", "7"]
    assert small.held("p.csv") == [("none", "product", "unknown", "has no approved picture, or is no row")]


@pytest.mark.parametrize(
    ("channel", "name", "change", "said"),
    [
        ("ebay", "p.csv", {}, r"there is no channel 'ebay'\. Channels: google, shopify, csv, parquet, shop"),
        ("google", "p.csv", {}, r"an export for google is a \.tsv or \.txt or \.xml file"),
        ("shopify", "p.csv", {"export__public_url": ""}, r"export\.public_url: shopify opens pictures by public addr"),
        ("shop", "p.csv", {}, r"not written to\. Set writeback = true in \[catalog\]"),
    ],
)
def test_what_cannot_be_is_told_before_anything_is_read(
    small: ExportShop, channel: str, name: str, change: dict[str, Any], said: str
) -> None:
    small.configure(**change)
    with pytest.raises((UsageError, ConfigError), match=said):
        small.export(channel, name)
    assert not (small.folder / name).exists()


def test_the_command_ends_with_3_when_something_was_held_back(
    small: ExportShop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small.add(Product("1", "Red shoe", image=small.photo("1.png")), Product("2", "Blue shoe"))
    small.restyle("1")
    small.draw("2")
    monkeypatch.chdir(small.folder)
    monkeypatch.setenv("CATALOG_GEN_EXPORT__PUBLIC_URL", CDN)
    monkeypatch.setenv("CATALOG_GEN_EXPORT__PHOTO_URL", "https://shop.example.com/photos")
    monkeypatch.setenv("CATALOG_GEN_RESTYLE__PHOTOS", str(small.folder / "photos"))
    flags = ["--database", small.settings.database.url, "--storage", small.settings.storage.url]
    assert cli.run(["export", "shopify", "--out", "p.csv", "--publish", *flags]) == 3
    said = capsys.readouterr().out
    assert said.splitlines()[:3] == [
        "1 products with 2 pictures exported for shopify",
        "  p.csv",
        "  1 products held back:",
    ]
    assert "1 pictures published" in said and "p.csv.held-back.csv" in said
    assert cli.run(["export", "shopify", "--out", "p.csv", "--sku", "1", *flags]) == 0
