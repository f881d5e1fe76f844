"""The commands themselves: every flag arrives, the demo works, a generator can be trained and used at once."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from catalog_gen.bundles import load_bundle
from catalog_gen.cli import run
from catalog_gen.config import Settings
from catalog_gen.pipeline.fill_missing import FillRequest
from catalog_gen.pipeline.ladder import COUNTS
from catalog_gen.pipeline.summary import OUTCOMES, RunSummary


def _summary(exit_code: int) -> RunSummary:
    counts = dict.fromkeys(("claimed", *OUTCOMES, *COUNTS), 0)
    return RunSummary("r", "finished", exit_code, counts, {"planned": 0}, {}, 0.0, 0.0, "")


def test_every_fill_missing_flag_reaches_what_it_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def job(settings: Settings, database: object, request: FillRequest, style: str, on_end: Any) -> RunSummary:
        seen.update(settings=settings, request=request)
        return _summary(3)

    monkeypatch.setattr("catalog_gen.pipeline.fill_missing.fill_missing", job)
    config = tmp_path / "shop.toml"
    config.write_text("[gan]\nmodel = 'from-file'\ncandidates = 9\n", encoding="utf-8")
    flags = (
        f"--config {config} --database sqlite:///{tmp_path}/d.sqlite3 --storage {tmp_path}/p --candidates 3 --batch 8 "
        "--device cpu --min-similarity 0.25 --where colour=red --where colour=blue --sku a --sku b --limit 7 "
        "--deadline 05:30 --max-minutes 1 --truncation 0.6 --ladder 1 --allow-parallel --log-json --verbose"
    )
    assert run(["fill-missing", *flags.split()]) == 3
    settings, request = seen["settings"], seen["request"]
    assert settings.database.url == f"sqlite:///{tmp_path}/d.sqlite3" and settings.storage.url == f"{tmp_path}/p"
    assert settings.gan.model_dump() == {
        "model": "from-file",
        "device": "cpu",
        "precision": "auto",
        "batch": 8,
        "candidates": 3,
        "truncation": 0.6,
        "ladder": 1,
        "ladder_truncation": 0.85,
        "ladder_candidates": 2,
        "ladder_below": None,
    }
    assert settings.gate.min_similarity == 0.25
    assert request.where == (("colour", "red"), ("colour", "blue")) and request.skus == ("a", "b")
    assert (request.limit, request.allow_parallel) == (7, True)
    assert abs(request.deadline.timestamp() - datetime.now().timestamp() - 60) < 30


def test_the_demo_draws_with_the_shipped_models(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["demo", "--out", str(tmp_path / "demo"), "--limit", "6"]) == 0
    said = capsys.readouterr().out
    sheet = tmp_path / "demo" / "contact-sheet.html"
    assert "pictures stored: 6" in said and sheet.as_uri() in said
    assert sheet.read_text(encoding="utf-8").count("data:image/webp;base64") == 6
    with Image.open(sheet.with_suffix(".png")) as montage:
        assert np.asarray(montage).std() > 5
    assert run(["demo", "--out", str(tmp_path / "demo"), "--limit", "4"]) == 0  # goes on where it was
    assert len(list((tmp_path / "demo" / "pictures").rglob("*.webp"))) == 10


def test_a_dry_run_writes_nothing(tmp_path: Path, tiny_gan: Path, capsys: pytest.CaptureFixture[str]) -> None:
    feed = tmp_path / "feed.csv"
    feed.write_text("sku,title\n1,Red shoe\n2,Blue bag\n3,\n", encoding="utf-8")
    config = tmp_path / "shop.toml"
    config.write_text(f"[gan]\nmodel = '{tiny_gan}'\n[database]\nurl = 'sqlite:///{tmp_path}/d.sqlite3'\n", "utf-8")
    where = ["--config", str(config)]
    assert run(["db", "upgrade", *where]) == 0
    assert run(["import", str(feed), *where]) == 0
    capsys.readouterr()
    assert run(["fill-missing", "--dry-run", "--storage", str(tmp_path / "pictures"), *where]) == 0
    said = capsys.readouterr().out
    assert "would fill 2 rows" in said and "Red shoe" in said and "1 skipped" in said
    assert "minutes more for the ladder: 24 candidates more" in said
    assert run(["runs", *where]) == 0
    assert "no runs yet" in capsys.readouterr().out
    assert not list((tmp_path / "pictures").rglob("*.webp"))


def test_a_generator_is_trained_on_the_catalogue_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two steps of the real networks: what comes out is noise, but the whole way is walked."""
    photos = tmp_path / "photos"
    photos.mkdir()
    lines = ["sku,title,colour"]
    for number in range(12):
        pixels = np.full((80, 60, 3), 255, np.uint8)
        pixels[20:60, 15:45] = (20 * number, 120, 200 - 10 * number)
        Image.fromarray(pixels).save(photos / f"p{number}.jpg")
        lines.append(f"p{number},Shirt number {number},blue")
    feed = tmp_path / "feed.csv"
    feed.write_text("\n".join([*lines, "new,Blue shirt,blue"]) + "\n", encoding="utf-8")
    where = ["--database", f"sqlite:///{tmp_path}/d.sqlite3"]
    assert run(["db", "upgrade", *where]) == 0
    assert run(["import", str(feed), "--images", str(photos), *where]) == 0
    out = tmp_path / "my-gan"
    more = ["--work-dir", str(tmp_path / "work"), "--images", "8", "--batch", "4", "--held-out", "2"]
    assert run(["train", "gan", "--out", str(out), *more, *where]) == 0
    bundle = load_bundle(str(out), "gan")
    assert bundle.config["clip_hash"] == load_bundle("product-clip", "clip").hash
    assert bundle.config["images_seen"] == 8
    config = tmp_path / "shop.toml"
    config.write_text(f"[gan]\nmodel = '{out}'\n", encoding="utf-8")
    storage = ["--storage", str(tmp_path / "pictures")]
    assert run(["fill-missing", "--config", str(config), *where, *storage]) == 0
    assert "pictures stored: 1" in capsys.readouterr().out
