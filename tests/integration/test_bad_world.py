"""Everything that can be wrong before the first row: each ends with its code and one clear line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from catalog.catalog_fixtures import insert_products
from catalog_gen.bundles import save_bundle
from catalog_gen.catalog.database import open_database
from catalog_gen.catalog.model import Product
from catalog_gen.cli import run
from integration.conftest import TINY
from tests.storage_fixtures import s3_server

World = Callable[[Path, Path], list[str]]
"""(an empty folder, the tiny GAN's bundle) -> the command line that must fail."""


def _ready(folder: Path) -> str:
    url = f"sqlite:///{folder / 'shop.sqlite3'}"
    database = open_database(url)
    database.upgrade()
    database.dispose()
    return url


def _fill(folder: Path, gan: Path | str, *more: str) -> list[str]:
    config = folder / "config.toml"
    config.write_text(f"[gan]\nmodel = {json.dumps(str(gan))}\n", encoding="utf-8")
    storage = [] if "--storage" in more else ["--storage", str(folder / "pictures")]
    return ["fill-missing", "--config", str(config), "--database", _ready(folder), *storage, *more]


def _config(folder: Path, text: str) -> list[str]:
    (folder / "bad.toml").write_text(text, encoding="utf-8")
    return ["status", "--config", str(folder / "bad.toml")]


def _damaged(folder: Path, gan: Path, damage: Callable[[Path], None]) -> list[str]:
    copy = folder / "bundle"
    shutil.copytree(gan, copy)
    damage(copy)
    return _fill(folder, copy)


def _flip_a_byte(bundle: Path) -> None:
    weights = bundle / "weights.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(bytes(data))


def _other_shape(folder: Path, gan: Path) -> list[str]:
    from catalog_gen.gan.generator import Generator

    config = {"generator": TINY.model_dump(mode="json") | {"w_dim": 8}, "clip_hash": ""}
    weights = Generator(TINY).state_dict()
    save_bundle(folder / "odd", kind="gan", name="odd", config=config, weights=weights, card="# odd\n")
    return _fill(folder, folder / "odd")


def _other_clip(folder: Path, gan: Path) -> list[str]:
    from catalog_gen.gan.generator import Generator

    config = {"generator": TINY.model_dump(mode="json"), "clip_hash": "0" * 64}
    save_bundle(
        folder / "odd", kind="gan", name="odd", config=config, weights=Generator(TINY).state_dict(), card="# odd\n"
    )
    return _fill(folder, folder / "odd")


def _a_file_where_pictures_go(folder: Path, gan: Path) -> list[str]:
    (folder / "file").write_text("in the way", encoding="utf-8")
    return _fill(folder, gan, "--storage", str(folder / "file" / "pictures"))


def _newer_schema(folder: Path, gan: Path) -> list[str]:
    command = _fill(folder, gan)
    database = open_database(command[command.index("--database") + 1])
    with database.transaction() as connection:
        connection.execute(sa.text("UPDATE cg_alembic_version SET version_num = '9999'"))
    database.dispose()
    return command


def _no_image_column(folder: Path, gan: Path) -> list[str]:
    command = _fill(folder, gan)
    url = command[command.index("--database") + 1]
    database = open_database(url)
    with database.transaction() as connection:
        connection.execute(sa.text("CREATE TABLE goods (sku TEXT, name TEXT, picture TEXT)"))
    database.dispose()
    config = Path(command[command.index("--config") + 1])
    text = '[catalog]\ntable = "goods"\n[catalog.columns]\ntitle = "name"\nimage = "pictur"\n'
    config.write_text(config.read_text(encoding="utf-8") + text, encoding="utf-8")
    return command


def _unknown_field(folder: Path, gan: Path) -> list[str]:
    command = _fill(folder, gan, "--where", "kolour=red")
    database = open_database(command[command.index("--database") + 1])
    insert_products(database, [Product("1", "Red shoe", "shoe", {"colour": "red"})])
    database.dispose()
    return command


WORLDS: dict[str, tuple[World, int, tuple[str, ...]]] = {
    "no such bundle": (lambda f, g: _fill(f, "nowhere"), 69, ("nowhere", "gan-64")),
    "bundle changed on disk": (lambda f, g: _damaged(f, g, _flip_a_byte), 69, ("weights.safetensors", "hash")),
    "bundle without weights": (
        lambda f, g: _damaged(f, g, lambda b: (b / "weights.safetensors").unlink()),
        69,
        ("weights.safetensors",),
    ),
    "bundle of another shape": (_other_shape, 69, ("odd",)),
    "generator of another CLIP": (_other_clip, 69, ("trained on the CLIP 000000000000",)),
    "a CLIP bundle as generator": (lambda f, g: _fill(f, "product-clip"), 69, ("product-clip",)),
    "no tables": (
        lambda f, g: ["fill-missing", "--database", f"sqlite:///{f / 'new.sqlite3'}"],
        78,
        ("catalog-gen db upgrade",),
    ),
    "newer tables": (_newer_schema, 78, ("9999",)),
    "no database server": (
        lambda f, g: ["status", "--database", "postgresql://job:secret@127.0.0.1:1/shop"],
        69,
        ("job:***@127.0.0.1",),
    ),
    "no folder for the database": (
        lambda f, g: ["status", "--database", f"sqlite:///{f}/none/shop.sqlite3"],
        69,
        ("none", "does not exist"),
    ),
    "another kind of database": (lambda f, g: ["status", "--database", "mysql://h/d"], 78, ("mysql",)),
    "no URL at all": (lambda f, g: ["status", "--database", "shop"], 78, ("shop",)),
    "a file where pictures go": (_a_file_where_pictures_go, 69, ("pictures",)),
    "unknown scheme": (lambda f, g: _fill(f, g, "--storage", "s4://bucket"), 78, ("s4",)),
    "an attached table without the column": (_no_image_column, 78, ("pictur", "picture")),
    "unknown key": (lambda f, g: _config(f, "[gan]\nmodle = 'x'\n"), 78, ("bad.toml", "gan.modle", "gan.model")),
    "wrong type": (lambda f, g: _config(f, "[gan]\ncandidates = 'x'\n"), 78, ("bad.toml", "gan.candidates")),
    "no such config": (lambda f, g: ["status", "--config", str(f / "none.toml")], 78, ("none.toml",)),
    "unknown field": (_unknown_field, 64, ("kolour", "colour")),
    "half a condition": (lambda f, g: _fill(f, g, "--where", "colour"), 64, ("--where", "NAME=VALUE")),
    "no time of day": (lambda f, g: _fill(f, g, "--deadline", "half five"), 64, ("--deadline", "HH:MM")),
    "unknown flag": (lambda f, g: ["fill-missing", "--candidate", "3"], 64, ("--candidate",)),
    "unknown command": (lambda f, g: ["fil-missing"], 64, ("fil-missing",)),
    "no such feed": (lambda f, g: ["import", str(f / "none.csv"), "--database", _ready(f)], 64, ("none.csv",)),
    "nothing to train on": (
        lambda f, g: ["train", "gan", "--out", f"{f}/o", "--work-dir", f"{f}/w", "--database", _ready(f)],
        64,
        ("--images",),
    ),
    "no picture to replay": (lambda f, g: ["replay", "none", "--database", _ready(f)], 64, ("none",)),
    "no run to show": (lambda f, g: ["sheet", "--database", _ready(f)], 64, ("fill-missing",)),
}


@pytest.mark.parametrize("name", WORLDS)
def test_one_clear_line(
    name: str, tmp_path: Path, tiny_gan: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    world, code, parts = WORLDS[name]
    command = world(tmp_path, tiny_gan)
    capsys.readouterr()
    assert run(command) == code
    said = capsys.readouterr()
    lines = [line for line in said.err.splitlines() if line.startswith("catalog-gen:")]
    assert len(lines) == 1 and "Traceback" not in said.err, said.err
    assert all(part in lines[0] for part in parts), lines[0]
    assert "secret" not in said.err


def test_a_bucket_that_is_read_only(tmp_path: Path, tiny_gan: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with s3_server() as server:
        command = _fill(tmp_path, tiny_gan, "--storage", server.make_bucket("pictures"))
        config = Path(command[command.index("--config") + 1])
        options = server.options()
        text = "[storage.options]\n" + "".join(
            f"{name} = {json.dumps(options[name])}\n" for name in ("endpoint_url", "key", "secret")
        )
        config.write_text(config.read_text(encoding="utf-8") + text, encoding="utf-8")
        server.read_only = True
        assert run(command) == 69
    assert "pictures" in capsys.readouterr().err
