"""`report` and `show` on both databases: every row is told of, whatever became of its picture; nothing is made up."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from catalog_gen.catalog.database import Database
from catalog_gen.catalog.decision_model import Decision
from catalog_gen.catalog.decisions import decide
from catalog_gen.catalog.model import Outcome, Product
from catalog_gen.cli import run
from integration.night_shop import NightShop
from integration.shop import Shop


@pytest.fixture
def nights(database: Database, database_url: str, tmp_path: Path) -> NightShop:
    return NightShop(database, database_url, tmp_path)


def block(page: Path, name: str) -> Any:
    """A data block of the page, as its script reads it."""
    text = page.read_text(encoding="utf-8")
    found = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', text, re.DOTALL)
    assert found
    return json.loads(found[1])


def products(count: int) -> list[Product]:
    return [Product(f"s{number}", f"Thing {number}", ("Shoes", "Bags")[number % 2]) for number in range(count)]


def test_a_night_is_told_whole(nights: NightShop, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nights.add(*products(8))
    twin = nights.asset("s1", (9, 9, 200))
    first = nights.night([Outcome("s0", "generated", asset=nights.asset("s0")), Outcome("s1", "generated", asset=twin)])
    reason = "similarity 0.2 below 0.3; near-duplicate of s1"
    doubtful = nights.asset("s2", (9, 9, 201), state="needs_review", reason=reason, doubt=0.7)
    second = nights.night(
        [
            Outcome("s2", "needs_review", reason, doubtful),
            Outcome("s3", "generated", asset=nights.asset("s3", (1, 1, 1), phash="00" * 8)),
            Outcome("s4", "generated", asset=nights.asset("s4", (2, 2, 2), phash="00" * 7 + "07")),
            Outcome("s5", "failed", "storing: no room for 77 bytes"),
        ],
        exit_code=3,
        message="1 rows failed",
    )
    assert run(["report", "--out", str(tmp_path / "out"), *nights.flags]) == 0
    said = capsys.readouterr().out
    # Of six planned rows, s6 and s7 were not reached.
    assert "6 rows asked for, 3 made: 2 drafts, 1 for a person to look at; 1 failed, 2 not reached." in said
    page = tmp_path / "out" / f"night-{second}.html"
    assert page.absolute().as_uri() in said

    document = json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))
    assert document["run"]["id"] == second and document["outcomes"]["failed"] == 1
    assert [night["run"] for night in document["nights"]] == [first, second]
    assert document["nights"][0]["score"] == 0.5 and document["scores"][0]["before"]["pictures"] == 2
    assert {item["sku"]: item["outcome"] for item in document["items"]} == {
        "s2": "needs_review", "s3": "generated", "s4": "generated", "s5": "failed", "s6": None, "s7": None,
    }  # fmt: skip
    nearest = {item["sku"]: item["pictures"][0]["nearest"] for item in document["items"] if item["pictures"]}
    assert (nearest["s2"]["sku"], nearest["s2"]["by"]) == ("s1", "duplicate")
    assert (nearest["s3"]["sku"], nearest["s3"]["by"], nearest["s3"]["bits"]) == ("s4", "shape", 3)
    with page.with_suffix(".csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["sku"] for row in rows] == ["s2", "s3", "s4", "s5", "s6", "s7"]
    assert rows[0]["made_with"] == "generator gan-64 dddddddd; CLIP product-clip cccccccc"

    data, images = block(page, "data"), block(page, "images")
    assert sorted(picture["sku"] for picture in data["pictures"]) == ["s2", "s3", "s4"]
    shown = {picture["sku"]: picture for picture in data["pictures"]}
    for sku, picture in shown.items():
        stored = nights.storage.get(next(i for i in document["items"] if i["sku"] == sku)["pictures"][0]["uri"])
        assert base64.b64decode(images[picture["image"]].partition(",")[2]) == stored
    beside = images[shown["s2"]["near"][4]]  # the twin is of another night, and is in the page all the same
    assert base64.b64decode(beside.partition(",")[2]) == nights.storage.get(twin.uri)
    assert shown["s2"]["near"][:2] == ["s1", "duplicate"] and shown["s2"]["version"] == 1


def test_a_large_night_is_sampled_and_says_so(nights: NightShop, tmp_path: Path) -> None:
    nights.add(*products(9))
    run_id = nights.night([Outcome(f"s{n}", "generated", asset=nights.asset(f"s{n}", (n, 90, 9))) for n in range(9)])
    page = tmp_path / "page.html"
    assert run(["report", "--run", run_id, "--sample", "4", "--out", str(page), *nights.flags]) == 0
    assert len(block(page, "data")["pictures"]) == len(block(page, "images")) == 4
    assert "4 of 9 pictures (44.4 %)" in page.read_text(encoding="utf-8")
    assert len(json.loads((tmp_path / "page.json").read_text(encoding="utf-8"))["items"]) == 9
    assert len((tmp_path / "page.csv").read_text(encoding="utf-8").splitlines()) == 10


def test_pictures_that_are_gone_or_damaged_are_told_of(
    nights: NightShop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nights.add(*products(3))
    assets = [nights.asset(f"s{number}", (number, 90, 9)) for number in range(3)]
    nights.night([Outcome(asset.sku, "generated", asset=asset) for asset in assets])
    Path(assets[0].uri.removeprefix("file://")).unlink()
    Path(assets[1].uri.removeprefix("file://")).write_bytes(b"no picture")
    assert run(["report", "--out", str(tmp_path / "n.html"), *nights.flags]) == 0
    said = capsys.readouterr()
    assert "cannot be shown (see the warnings): 2" in said.out
    assert "s0 cannot be shown" in said.err and "s1 cannot be shown" in said.err
    images = block(tmp_path / "n.html", "images")
    troubles = sorted(text[:20] for text in images.values() if text.startswith("!"))
    assert troubles == ["!is damaged: its nam", "!is missing"] and len(images) == 3


def test_a_night_that_failed_is_told_too(nights: NightShop, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nights.add(*products(1))
    nights.night([Outcome("s0", "generated", asset=nights.asset("s0"))])
    failed = nights.night([], state="failed", exit_code=69, message="s3://x: the bucket does not exist")
    assert run(["report", "--out", str(tmp_path), *nights.flags]) == 0
    assert f"run {failed}" in capsys.readouterr().out
    page = (tmp_path / f"night-{failed}.html").read_text(encoding="utf-8")
    assert "the bucket does not exist" in page and "This run recorded none." in page


@pytest.mark.parametrize("changed", [False, True])
def test_before_and_after_of_restyled_pictures(nights: NightShop, tmp_path: Path, changed: bool) -> None:
    photo = nights.photo("photo.jpg")
    nights.add(*products(2))
    drawn = nights.asset("s0")
    nights.night([Outcome("s0", "generated", asset=drawn)])
    approval = Decision("a" * 32, drawn.id, "approve")
    assert decide(nights.database, [approval], reviewer="Ada", source="desk")[0].result == "done"
    look: dict[str, Any] = {
        "kind": "restyled",
        "style": "winter",
        "variant": "square",
        "phash": "",
        "scores": {"delta_e": 1.0},
    }
    from_asset = nights.asset("s1", (0, 99, 0), source_asset_id=drawn.id, settings={"source": "asset"}, **look)
    photo_hash = hashlib.sha256(photo.read_bytes()).hexdigest()
    said = {"source": "photo", "source_uri": str(photo), "source_sha256": photo_hash}
    look["variant"] = "wide"
    from_photo = nights.asset("s1", (0, 0, 99), settings=said, **look)
    if changed:
        nights.photo("photo.jpg").write_bytes(photo.read_bytes() + b"\0")
    nights.night([Outcome("s1", "restyled", assets=(from_photo, from_asset))])
    assert run(["report", "--out", str(tmp_path / "n.html"), *nights.flags]) == 0
    data, images = block(tmp_path / "n.html", "data"), block(tmp_path / "n.html", "images")
    before = {picture["id"]: picture["before"] for picture in data["pictures"]}
    assert before[from_photo.id][1] == "the shop's photo"
    assert before[from_asset.id] == [drawn.sha256[:20], "the generated picture"]
    shown = images[before[from_photo.id][0]]
    assert shown.startswith("!the photo has changed") if changed else shown.startswith("data:image/jpeg;base64,")
    assert data["score"]["name"] == "delta_e" and data["score"]["better"] == "lower"


def test_unknown_runs_and_empty_databases_are_said(
    nights: NightShop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["report", "--out", str(tmp_path), *nights.flags]) == 64
    assert "there is no run to report on yet" in capsys.readouterr().err
    assert run(["report", "--run", "2020", "--out", str(tmp_path), *nights.flags]) == 64
    assert "there is no run '2020'" in capsys.readouterr().err
    nights.night([])
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert run(["report", "--out", str(tmp_path / "file" / "x"), *nights.flags]) == 69
    assert "cannot be written" in capsys.readouterr().err


def test_a_real_night_adds_up(shop: Shop, tmp_path: Path) -> None:
    summary = shop.fill(limit=20)
    flags = ["--database", shop.settings.database.url, "--storage", shop.settings.storage.url]
    assert run(["report", "--out", str(tmp_path / "n.html"), *flags]) == 0
    document = json.loads((tmp_path / "n.json").read_text(encoding="utf-8"))
    assert document["rows"] == 20 == sum(document["outcomes"].values())
    assert document["outcomes"]["generated"] == summary.counts["generated"]
    assert document["outcomes"]["needs_review"] == summary.counts["needs_review"]
    assert {stage["stage"]: stage["seconds"] for stage in document["stages"]} == summary.timings
    live = shop.live()
    assert {item["sku"]: item["pictures"][0]["sha256"] for item in document["items"]} == {
        sku: asset.sha256 for sku, asset in live.items()
    }
    assert len(block(tmp_path / "n.html", "data")["pictures"]) == 20


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run(["show", *arguments]) == 0
    return capsys.readouterr().out


def test_show_tells_a_product_s_history(nights: NightShop, capsys: pytest.CaptureFixture[str]) -> None:
    nights.add(Product("s0", "A red \x1b[31mshoe", "Shoes", {"colour": "red"}))
    first = nights.asset("s0")
    run_id = nights.night([Outcome("s0", "generated", asset=first)])
    decided = decide(
        nights.database, [Decision("d" * 32, first.id, "reject", reason="wrong colour")], reviewer="Ada", source="desk"
    )
    assert decided[0].result == "done"
    second = nights.asset("s0", (9, 200, 9), attempt=1)
    nights.night([Outcome("s0", "generated", asset=second)])
    said = shown(capsys, "s0", *nights.flags)
    assert "\x1b" not in said and said.startswith("s0  A red  [31mshoe\n  Shoes, colour red\n  its own image: none\n")
    places = [said.index(words) for words in (f"run {run_id} (fill-missing): generated", f"picture {first.id[:8]}",
              "Ada (desk): reject of picture", f"picture {second.id[:8]}, generated: draft")]  # fmt: skip
    assert places == sorted(places)
    assert "rejected, not live" in said and "wrong colour" in said and "attempt 2" in said
    document = json.loads(shown(capsys, "s0", "--json", *nights.flags))
    assert [event["kind"] for event in document["events"]] == ["run", "picture", "decision", "run", "picture"]
    assert document["events"][1]["picture"]["id"] == first.id and document["product"]["title"] == "A red \x1b[31mshoe"
    for arguments, words in (
        (["s00"], "there is no product 's00'"),
        (["s0", "--style", "x"], "no picture in the style"),
    ):
        assert run(["show", *arguments, *nights.flags]) == 64
        assert words in capsys.readouterr().err


def test_show_opens_local_pictures_only(
    nights: NightShop, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A viewer of the system's is a program on the path that is given a file."""
    programs = tmp_path / "bin"
    programs.mkdir()
    viewer = programs / "xdg-open"
    viewer.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/opened\n', encoding="utf-8")
    viewer.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    nights.add(*products(3))
    local = nights.asset("s0")
    remote = nights.asset("s1", uri=f"s3://bucket/{'a' * 64}.webp")
    nights.night([Outcome("s0", "generated", asset=local), Outcome("s1", "generated", asset=remote)])
    assert run(["show", "s0", "--open", *nights.flags]) == 0
    assert (tmp_path / "opened").read_text(encoding="utf-8").strip() == local.uri.removeprefix("file://")
    (tmp_path / "opened").unlink()
    assert run(["show", "s1", "--open", *nights.flags]) == 64
    assert "is not a local file" in capsys.readouterr().err
    assert run(["show", "s2", "--open", *nights.flags]) == 64
    assert "it has no picture to open" in capsys.readouterr().err
    Path(local.uri.removeprefix("file://")).write_bytes(b"something else")
    assert run(["show", "s0", "--open", *nights.flags]) == 69
    assert "is damaged" in capsys.readouterr().err
    assert not (tmp_path / "opened").exists()
    viewer.write_text("#!/bin/sh\nexit 3\n", encoding="utf-8")
    Path(local.uri.removeprefix("file://")).unlink()
    nights.asset("s0")  # the very same bytes: stored again
    assert run(["show", "s0", "--open", *nights.flags]) == 69
    assert "could not open it (exit code 3)" in capsys.readouterr().err


def test_show_draws_on_a_terminal_and_never_into_a_pipe(nights: NightShop) -> None:
    nights.add(*products(1))
    nights.night([Outcome("s0", "generated", asset=nights.asset("s0", (255, 0, 0)))])
    command = [sys.executable, "-m", "catalog_gen", "show", "s0", *nights.flags]
    environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "COLUMNS": "80", "LINES": "40"}
    for name in ("TMUX", "NO_COLOR", "KITTY_WINDOW_ID", "TERM_PROGRAM", "LC_TERMINAL"):
        environment.pop(name, None)
    piped = subprocess.run(command, env=environment, capture_output=True, check=True).stdout
    assert b"\x1b" not in piped and piped.startswith(b"s0  Thing 0")
    drawn = on_terminal(command, environment)
    assert drawn.count("▀") == 36 * 18 and "s0  Thing 0" in drawn
    red, green, blue = (int(value) for value in re.findall(r"38;2;(\d+);(\d+);(\d+)", drawn)[9 * 36 + 18])
    assert red > 230 and green < 30 and blue < 30  # the middle of the picture, as WebP keeps it
    assert "▀" not in on_terminal([*command, "--no-picture"], environment)


def on_terminal(command: list[str], environment: dict[str, str]) -> str:
    """Run a command on a terminal of its own; return what it wrote there."""
    ours, its = pty.openpty()
    process = subprocess.Popen(command, env=environment, stdin=its, stdout=its, stderr=its, close_fds=True)
    os.close(its)
    written = b""
    try:
        while part := os.read(ours, 65_536):
            written += part
    except OSError:  # Linux says so when the other end is closed
        pass
    os.close(ours)
    assert process.wait(60) == 0
    return written.decode()
