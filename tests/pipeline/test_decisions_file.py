"""The decisions of a report's page, applied: once, whole, and only to what its reader saw."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa

from catalog.catalog_fixtures import add_pictures, insert_products, make_products
from catalog_gen import cli
from catalog_gen.catalog.assets import get_asset, live_asset
from catalog_gen.catalog.database import Database
from catalog_gen.catalog.decisions import audit
from catalog_gen.catalog.model import Asset
from catalog_gen.catalog.wishes import pending_wishes
from catalog_gen.config import Settings
from catalog_gen.errors import UsageError
from catalog_gen.pipeline import decisions_file
from catalog_gen.pipeline.decisions_file import apply_file, read_file

SKUS = [f"sku-0000{index}" for index in range(4)]


@pytest.fixture
def pictures(database: Database) -> list[Asset]:
    """Four products' pictures, for review."""
    insert_products(database, make_products(4))
    add_pictures(database, SKUS, state="needs_review")
    return [found for sku in SKUS if (found := live_asset(database, sku))]


def entry(picture: Asset, action: str, **changes: Any) -> dict[str, Any]:
    """A decision as a report's page writes it."""
    return {
        "id": uuid4().hex,
        "asset": picture.id,
        "version": picture.version,
        "sha256": picture.sha256,
        "action": action,
        "reason": "torn" if action == "reject" else "",
        "words": "",
        "candidates": None,
    } | changes


def saved(folder: Path, *entries: dict[str, Any], **changes: Any) -> Path:
    head = {"format": "catalog-gen-decisions", "version": 1, "run": "r", "reviewer": "Bea"}
    file = folder / "decisions.json"
    file.write_text(json.dumps(head | {"decisions": list(entries)} | changes), encoding="utf-8")
    return file


def test_decisions_are_carried_out_once(database: Database, pictures: list[Asset], tmp_path: Path) -> None:
    good, bad, again, _ = pictures
    file = saved(
        tmp_path,
        entry(good, "approve"),
        entry(bad, "reject", sha256=bad.sha256.upper()),
        entry(again, "again", words="a red boot", candidates=16),
    )
    applied = apply_file(Settings(), database, file)
    assert applied.describe() == "3 decisions: 1 approved, 1 rejected, 1 to be made again" and not applied.failed
    assert [get_asset(database, one.id).state for one in pictures] == [
        "approved",
        "rejected",
        "rejected",
        "needs_review",
    ]
    assert get_asset(database, bad.id).reason == "torn"
    wish = pending_wishes(database)["sku-00002"]
    assert (wish.words, wish.candidates, wish.requested_by) == ("a red boot", 16, "Bea")
    recorded = audit(database)
    assert {(row.reviewer, row.source) for row in recorded} == {("Bea", "file")}
    assert apply_file(Settings(), database, file).describe() == "3 decisions: 3 as before"
    assert audit(database) == recorded


def test_what_changed_since_is_named_and_the_rest_is_done(
    database: Database, pictures: list[Asset], tmp_path: Path
) -> None:
    file = saved(
        tmp_path,
        entry(pictures[0], "approve", version=2),
        entry(pictures[1], "approve", sha256="0" * 64),
        entry(pictures[2], "reject", reason=" "),
        entry(pictures[3], "approve"),
        entry(pictures[3], "reject", asset="gone"),
    )
    applied = apply_file(Settings(), database, file)
    assert applied.describe() == (
        "5 decisions: 1 approved, 4 not carried out\n"
        "  sku-00000: changed since it was looked at: it is needs_review now\n"
        "  sku-00001: the picture's file is another one (its hash differs)\n"
        "  sku-00002: a rejection needs a reason\n"
        "  there is no picture 'gone'"
    )
    assert [get_asset(database, one.id).state for one in pictures] == ["needs_review"] * 3 + ["approved"]


def test_a_file_without_a_name_is_recorded_under_the_configured_one(
    database: Database, pictures: list[Asset], tmp_path: Path
) -> None:
    file = saved(tmp_path, entry(pictures[0], "approve"), reviewer=" ")
    apply_file(Settings.model_validate({"review": {"reviewer": "Ann"}}), database, file)
    assert [row.reviewer for row in audit(database)] == ["Ann"]


def test_an_empty_file_of_decisions_is_one(database: Database, tmp_path: Path) -> None:
    assert apply_file(Settings(), database, saved(tmp_path)).describe() == "0 decisions: nothing to do"


def test_approved_pictures_are_written_back(database: Database, pictures: list[Asset], tmp_path: Path) -> None:
    with database.transaction() as connection:
        connection.execute(sa.text("CREATE TABLE shop_items (sku TEXT PRIMARY KEY, title TEXT, picture TEXT)"))
        rows = [{"sku": sku, "picture": "own.jpg" if sku == SKUS[1] else None} for sku in SKUS]
        connection.execute(sa.text("INSERT INTO shop_items VALUES (:sku, 'x', :picture)"), rows)
    columns = {"sku": "sku", "title": "title", "image": "picture"}
    settings = Settings.model_validate({"catalog": {"table": "shop_items", "columns": columns, "writeback": True}})
    actions = ("approve", "approve", "reject", "approve")
    file = saved(tmp_path, *(entry(one, action) for one, action in zip(pictures[:3], actions, strict=False)))
    assert apply_file(settings, database, file).written == [SKUS[0]]
    with database.transaction() as connection:
        connection.execute(sa.text("UPDATE shop_items SET picture = NULL WHERE sku = :sku"), {"sku": SKUS[0]})
    applied = apply_file(settings, database, file)  # as after a crash between the state and the URL
    assert applied.describe() == "3 decisions: 3 as before\n  1 URLs written to the shop's table"
    with database.read() as connection:
        told = dict(connection.execute(sa.text("SELECT sku, picture FROM shop_items")).all())  # type: ignore[arg-type]
    assert told == {SKUS[0]: pictures[0].uri, SKUS[1]: "own.jpg", SKUS[2]: None, SKUS[3]: None}


HEAD = b'{"format": "catalog-gen-decisions", "version": 1, "decisions": '
ONE = b'{"id": "a", "asset": "b", "version": 1, "sha256": "' + b"0" * 64 + b'", "action": "approve"}'


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "is damaged: Expecting value (line 1, column 1). Download it"),
        (HEAD + b'[{"id": "a"', "is damaged: Expecting ',' delimiter (line 1, column"),
        (b"\xff\xfe{}", "is not UTF-8 (byte 0)"),
        (b"\x89PNG\r\n", "is not UTF-8 (byte 0)"),
        (b"[]", "no file of decisions: it names no format. One begins with 'catalog-gen-decisions'."),
        (b'{"decisions": []}', "it names no format"),
        (b'{"format": "other-tool"}', "its format is 'other-tool'"),
        (b'{"format": "catalog-gen-decisions", "version": 2}', "has the version 2, this program reads version 1. Use"),
        (b'{"format": "catalog-gen-decisions", "version": true}', "has the version True"),
        (b'{"format": "catalog-gen-decisions"}', "has the version None"),
        (b'{"format": "catalog-gen-decisions", "version": 1}', "is damaged: decisions: field required"),
        (HEAD + b'"all"}', "is damaged: decisions: input should be a valid tuple (got 'all')"),
        (HEAD + b"[7]}", "is damaged: decisions[0]: input should be a valid dictionary"),
        (HEAD + b"[" + ONE + b", " + ONE.replace(b'"version": 1', b'"version": "1"') + b"]}", "decisions[1].version:"),
        (HEAD + b"[" + ONE.replace(b'"version": 1', b'"version": 1.5') + b"]}", "(got 1.5)"),
        (HEAD + b"[" + ONE.replace(b'"version": 1', b'"version": NaN') + b"]}", "is damaged: NaN is no JSON"),
        (HEAD + b"[" + ONE.replace(b"approve", b"publish") + b"]}", "decisions[0].action: input should be 'approve',"),
        (HEAD + b"[" + ONE.replace(b"000", b"xyz", 1) + b"]}", "decisions[0].sha256: string should match pattern"),
        (HEAD + b"[" + ONE.replace(b'"id": "a"', b'"id": ""') + b"]}", "decisions[0].id: string should have at least"),
        (HEAD + b"[" + ONE.replace(b'"id"', b'"ID"') + b"]}", "decisions[0].id: field required, and 1 more"),
        (HEAD + b"[" + ONE.replace(b'"id": "a"', b'"id": "a", "id": "b"') + b"]}", "an object has a key twice: 'id'"),
        (b"[" * 100_000, "is damaged: "),
        (b'{"format": "catalog-gen-decisions", "version": 1, "decisions": [], "x": ' + b"9" * 5_000 + b"}", "damaged"),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(data: bytes, told: str, tmp_path: Path) -> None:
    file = tmp_path / "decisions.json"
    file.write_bytes(data)
    with pytest.raises(UsageError) as refused:
        read_file(file)
    assert str(refused.value).startswith(str(file)) and told in str(refused.value)
    assert len(str(refused.value)) < 400 + len(str(file))


def test_a_damaged_end_undoes_nothing_because_nothing_was_done(
    database: Database, pictures: list[Asset], tmp_path: Path
) -> None:
    file = saved(tmp_path, entry(pictures[0], "approve"), entry(pictures[1], "approve", version="1"))
    with pytest.raises(UsageError, match=r"decisions\[1\]\.version"):
        apply_file(Settings(), database, file)
    assert audit(database) == []


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_file(tmp_path)
    with pytest.raises(UsageError, match="cannot be read"):
        read_file(tmp_path / "none.json")
    monkeypatch.setattr(decisions_file, "MAX_BYTES", 10)
    with pytest.raises(UsageError, match="over 0 MB"):
        read_file(saved(tmp_path))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_commands_end_with_the_codes_that_cron_knows(
    database: Database, pictures: list[Asset], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = ["--database", f"sqlite:///{database.path}"]
    by = ["--reviewer", "Ann"]
    file = saved(tmp_path, entry(pictures[0], "approve"), entry(pictures[1], "approve", version=9))
    commands: list[tuple[list[str], int, str]] = [
        (["review", "apply", str(file)], 3, "2 decisions: 1 approved, 1 not carried out"),
        (["review", "apply", str(tmp_path / "none.json")], 64, ""),
        (["approve", SKUS[1], *by], 0, "1 decided"),
        (["approve", SKUS[1], "other", *by], 3, "0 decided, 1 were already\n  other: no live picture"),
        (["reject", SKUS[2], "--reason", "torn", *by], 0, "1 decided"),
        (["reject", SKUS[3], "--reason", " ", *by], 3, "0 decided\n  sku-00003: a rejection needs a reason"),
        (["undo", *by], 0, "sku-00002: needs_review again"),
        (["again", SKUS[2], "--words", "a red boot", "--candidates", "9", *by], 0, "1 decided"),
        (["again", SKUS[3], "--candidates", "65", *by], 64, ""),
        (["undo", "--decision", "none", *by], 3, "there is no decision 'none'"),
        (["undo", "--reviewer", "nobody"], 3, "there is nothing to undo"),
    ]
    for arguments, code, said in commands:
        assert cli.run([*arguments, *url]) == code, arguments
        out = capsys.readouterr().out
        assert out.startswith(said) if said else not out, arguments
    assert pending_wishes(database)[SKUS[2]].candidates == 9
    assert cli.run(["review", "audit", "--by", "Ann", "--json", *url]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["action"], row["sku"]) for row in rows] == [
        ("again", SKUS[2]),
        ("undo", SKUS[2]),
        ("reject", SKUS[2]),
        ("approve", SKUS[1]),
    ]
    assert cli.run(["review", "audit", "--sku", SKUS[2], *url]) == 0
    table = capsys.readouterr().out.splitlines()
    assert table[0].split()[:3] == ["when", "(UTC)", "who"] and "(undone) torn" in table[3]
    assert cli.run(["review", "advice", "--json", *url]) == 0
    assert json.loads(capsys.readouterr().out) == {"thresholds": [], "reasons": []}
