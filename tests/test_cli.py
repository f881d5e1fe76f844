"""The command line itself: what it says to wrong arguments, and the codes that cron sees."""

from __future__ import annotations

from pathlib import Path

import pytest

from catalog_gen import cli
from catalog_gen.catalog.database import open_database


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["fill-missing", "--dead-line", "05:30"], "No such option: --dead-line"),
        (["fill"], "No such command 'fill'"),
        (["fill-missing", "--limit", "many"], "Invalid value for '--limit'"),
        (["fill-missing", "--limit", "0"], "Invalid value for '--limit'"),
        (["fill-missing", "--where", "Shoes"], "--where: 'Shoes' is not NAME=VALUE"),
        (["import"], "Missing argument"),
        (["import", "none.csv", "--map", "sku"], "--map: 'sku' is not NAME=VALUE"),
    ],
)
def test_a_wrong_argument_is_one_line_and_64(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(arguments) == 64
    error = capsys.readouterr().err
    assert error.startswith("catalog-gen: ")
    assert said in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["db"], ["train"]])
def test_no_command_shows_the_help(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(arguments) == 64
    assert "Commands:" in "".join(capsys.readouterr())


def test_help_and_version_end_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--help"]) == 0
    assert cli.run(["--version"]) == 0
    assert cli.run(["fill-missing", "--help"]) == 0
    assert "--deadline" in capsys.readouterr().out


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)  # no catalog-gen.toml of the machine's
    found = f"sqlite:///{tmp_path / 'shop.sqlite3'}"
    assert cli.run(["db", "upgrade", "--database", found]) == 0
    return found


def test_import_ends_with_3_when_something_was_rejected(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    feed = Path("feed.csv")
    feed.write_text("code,title\na,A\nb,B\n", encoding="utf-8")
    assert cli.run(["import", str(feed), "--database", url]) == 64
    assert "--map sku=COLUMN" in capsys.readouterr().err
    assert cli.run(["import", str(feed), "--map", "sku=code", "--database", url]) == 0
    assert "2 rows read: 2 new" in capsys.readouterr().out
    feed.write_text("code,title\na,A\n,B\n", encoding="utf-8")
    assert cli.run(["import", str(feed), "--map", "sku=code", "--database", url]) == 3
    assert "feed.csv.rejects.csv" in capsys.readouterr().out


def test_every_import_flag_reaches_the_import(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("photos").mkdir()
    Path("photos/x.jpg").write_text("no photo", encoding="utf-8")
    Path("feed.csv").write_bytes("code;name;bild;price\né;Café;x.jpg;9\n;B;;9\n".encode("cp1252"))
    flags = ["--map", "sku=code", "--ignore", "price", "--image-column", "bild", "--images", "photos"]
    flags += ["--encoding", "cp1252", "--rejects", "bad.csv", "--database", url]
    assert cli.run(["import", "feed.csv", *flags]) == 3
    assert "1 new, 0 changed, 0 as before, 1 rejected" in capsys.readouterr().out
    bad = Path("bad.csv").read_text(encoding="utf-8")
    assert "the sku is empty" in bad
    assert "not an image of a known format" in bad
    database = open_database(url)
    with database.read() as connection:
        row = connection.exec_driver_sql("SELECT sku, title, attributes FROM cg_product").one()
    database.dispose()
    assert tuple(row) == ("é", "Café", "{}")


def test_flags_add_to_the_configured_columns(url: str) -> None:
    Path("catalog-gen.toml").write_text('[import.columns]\ntitle = "words"\n', encoding="utf-8")
    Path("feed.csv").write_text("code,words\na,A\n", encoding="utf-8")
    assert cli.run(["import", "feed.csv", "--map", "sku=code", "--database", url]) == 0
