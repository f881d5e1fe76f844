"""Restyling on both databases: what it makes and of what, what it redoes, what it refuses, what it survives."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from PIL import Image

from catalog_gen.catalog import runs, tables
from catalog_gen.errors import EXIT_OK, EXIT_PARTIAL, EXIT_SOME_FAILED, TemporaryFailure, UsageError
from catalog_gen.pipeline import restyle as job
from catalog_gen.pipeline import restyle_dry_run
from catalog_gen.provenance import read_provenance
from catalog_gen.storage import open_storage
from integration.restyle_shop import (
    RestyleShop,
    as_jpeg,
    make_parts,
    product_on_white,
    settings_for,
    xmp,
)


@pytest.fixture
def shop(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RestyleShop:
    photos = tmp_path / "photos"
    photos.mkdir()
    shop = RestyleShop(settings_for(database_url, tmp_path / "pictures"), photos)

    def load(settings: Any, style: str, outputs: Any = (), candidates: int = 1) -> Any:
        return make_parts(shop.knobs, outputs, candidates)

    monkeypatch.setattr(job, "load_parts", load)
    monkeypatch.setattr(restyle_dry_run, "load_parts", load)
    return shop


def said_of(shop: RestyleShop, asset: Any) -> dict[str, str]:
    return read_provenance(open_storage(shop.settings.storage.url).get(asset.uri))


def test_every_output_is_made_and_the_second_run_does_nothing(shop: RestyleShop) -> None:
    shop.add_approved(6)
    shop.add_photos(5)
    first = shop.restyle(include_photos=True)
    assert (first.state, first.exit_code) == ("finished", EXIT_OK)
    assert (first.counts["claimed"], first.counts["restyled"], first.counts["pictures"]) == (11, 11, 22)
    shop.check_promises(11)
    again = shop.restyle(include_photos=True)
    assert (again.planned["planned"], again.planned["up_to_date"], again.counts["claimed"]) == (0, 11, 0)
    assert "11 up_to_date" in again.describe()


def test_photos_are_left_out_unless_asked_for(shop: RestyleShop) -> None:
    shop.add_approved(2)
    shop.add_photos(3)
    assert shop.restyle().planned["no_source"] == 3
    shop.check_promises(2)


def test_pictures_of_one_size_are_stylised_together(shop: RestyleShop) -> None:
    shop.add_approved(8)
    shop.restyle()
    assert sorted(shop.knobs.drawn) == [4, 4, 4, 4], "two pages of four rows, two sizes each"


def test_a_changed_template_redoes_only_what_it_changes(shop: RestyleShop) -> None:
    shop.add_approved(4)
    shop.restyle()
    before = {place: asset.id for place, asset in shop.live().items()}
    shop.knobs.wide = 2
    second = shop.restyle()
    assert second.counts["pictures"] == 4
    after = {place: asset.id for place, asset in shop.live().items()}
    assert {place for place in after if after[place] != before[place]} == {(f"made-{n:04d}", "wide") for n in range(4)}
    shop.knobs.engine = 2
    assert shop.restyle().counts["pictures"] == 8
    shop.check_promises(4)


def test_outputs_by_name(shop: RestyleShop) -> None:
    shop.add_approved(2)
    assert shop.restyle(outputs=("wide",)).counts["pictures"] == 2
    assert {variant for _, variant in shop.live()} == {"wide"}
    assert shop.restyle().counts["pictures"] == 2
    with pytest.raises(UsageError, match=r"no output 'tall'\. It has: square, wide"):
        shop.restyle(outputs=("tall",))


def test_the_product_is_untouched_and_the_scene_is_not(shop: RestyleShop) -> None:
    shop.add_approved(1)
    shop.restyle(outputs=("square",))
    [asset] = shop.live().values()
    with Image.open(Path(asset.uri.removeprefix("file://"))) as made:
        assert made.getpixel((20, 20)) == tuple(product_on_white(0)[20, 20])
        assert made.getpixel((0, 0)) == (64, 64, 192), "grey, half turned to blue"
        assert made.getpixel((0, 63)) == (255, 255, 255), "the frame"


def test_a_generated_picture_stays_generated_with_its_chain(shop: RestyleShop) -> None:
    shop.add_approved(1)
    shop.restyle()
    source = shop.rows(sa.select(tables.asset).where(tables.asset.c.kind == "generated"))[0]
    for asset in shop.live().values():
        said = said_of(shop, asset)
        assert said["source_type"] == "trainedAlgorithmicMedia"
        assert (said["source_asset"], said["source_sha256"]) == (source.id, source.sha256)
        assert asset.source_asset_id == source.id and "source_photo" not in said
        drawn = {"prompt": "a red shoe", "gan": "gan-64@1f0c", "seed": str(2**60 + 1), "truncation": "0.85"}
        assert {name: said[name] for name in drawn} == drawn
        assert said["template"] == "winter@template-hash" and said["engine"] == "stand-in@engine-1-0"


def test_a_real_photo_makes_a_composite(shop: RestyleShop) -> None:
    shop.add_photos(1)
    shop.restyle(include_photos=True)
    for asset in shop.live().values():
        said = said_of(shop, asset)
        assert said["source_type"] == "compositeWithTrainedAlgorithmicMedia"
        assert said["source_photo"] == "photo-0000.png" and "source_asset" not in said
        assert not {"prompt", "gan", "seed"} & set(said)
        assert asset.source_asset_id is None and asset.settings["source"] == "photo"


def test_a_generated_picture_that_comes_back_as_a_photo_stays_generated(shop: RestyleShop) -> None:
    from catalog_gen.encode import encode_image

    shop.add_photos(1)
    (shop.photos / "photo-0000.png").write_bytes(encode_image(product_on_white(3), "png", 90, xmp("other-shop")))
    shop.restyle(include_photos=True)
    for asset in shop.live().values():
        said = said_of(shop, asset)
        assert (said["source_type"], said["gan"]) == ("trainedAlgorithmicMedia", "gan-64@1f0c")


def test_rows_fail_alone_each_with_its_reason(shop: RestyleShop) -> None:
    shop.add_photos(6)
    files = [shop.photos / f"photo-{index:04d}.png" for index in range(6)]
    files[0].unlink()
    files[1].write_bytes(b"not a picture")
    Image.new("RGB", (48, 48), "white").save(files[2])
    files[3].write_bytes(files[3].read_bytes()[:60])
    Image.new("RGB", (48, 48), (10, 90, 60)).save(files[4])
    summary = shop.restyle(include_photos=True)
    assert summary.exit_code == EXIT_SOME_FAILED
    assert [summary.counts[name] for name in ("failed", "needs_review", "restyled")] == [4, 1, 1]
    database = shop.database()
    reasons = {item.sku: (item.outcome, item.reason) for item in runs.list_items(database, summary.run_id)}
    database.dispose()
    expected = {0: "cannot be read", 1: "not an image", 2: "nothing but plain ground", 3: "damaged"}
    for index, words in expected.items():
        outcome, reason = reasons[f"photo-{index:04d}"]
        assert outcome == "failed" and words in reason, reason
    assert reasons["photo-0004"][0] == "needs_review" and "without a plain ground" in reasons["photo-0004"][1]


def test_a_doubtful_cut_out_is_for_a_person_to_see(shop: RestyleShop) -> None:
    shop.add_photos(1)
    shop.knobs.doubt = "two parts lie apart"
    assert shop.restyle(include_photos=True).counts["needs_review"] == 1
    rows = shop.rows(sa.select(tables.asset.c.state, tables.asset.c.reason).where(tables.asset.c.kind == "restyled"))
    assert {tuple(row) for row in rows} == {("needs_review", "the cut-out is in doubt: two parts lie apart")}


def test_a_changed_product_fails_with_its_figures_and_nothing_is_stored(shop: RestyleShop) -> None:
    shop.add_approved(2)
    shop.knobs.product_strength = 0.5
    summary = shop.restyle()
    assert (summary.counts["failed"], summary.counts["pictures"], shop.live()) == (2, 0, {})
    reason = shop.rows(sa.select(tables.work.c.reason))[0].reason
    assert reason.startswith("square: colour difference ") and "above 3; wide: colour difference" in reason
    assert shop.restyle().planned["exhausted"] == 2, "another night would fail the same way"
    shop.knobs.limit = 200.0
    assert shop.restyle().counts["restyled"] == 2, "other limits are another judgement"


def test_a_picture_that_is_not_finite_is_no_picture(shop: RestyleShop) -> None:
    shop.add_approved(1)
    shop.knobs.not_finite = True
    shop.restyle()
    assert "drew no finite picture" in shop.rows(sa.select(tables.work.c.reason))[0].reason and not shop.live()


def test_the_candidate_that_leaves_the_product_most_as_it_is(shop: RestyleShop) -> None:
    shop.add_approved(1)
    with pytest.raises(UsageError, match="--candidates: the engine stand-in makes one picture"):
        shop.restyle(candidates=3)
    shop.knobs.stochastic, shop.knobs.product_strength, shop.knobs.limit = True, 0.03, 100.0
    shop.restyle(candidates=3)
    for asset in shop.live().values():
        assert (asset.candidates, asset.settings["candidate"]) == (3, 2)
        assert said_of(shop, asset)["engine"] == "stand-in@engine-1-2"


def test_a_photo_that_changed_since_its_import_is_named(shop: RestyleShop) -> None:
    shop.add_photos(1)
    database = shop.database()
    with database.transaction() as connection:
        connection.execute(sa.update(tables.product).values(image_sha256="0" * 64))
    database.dispose()
    shop.restyle(include_photos=True)
    assert "has changed since it was imported. Import the feed" in shop.rows(sa.select(tables.work.c.reason))[0].reason


def test_a_photo_replaced_on_disk_is_made_anew(shop: RestyleShop) -> None:
    shop.add_photos(2)
    shop.restyle(include_photos=True)
    file = shop.photos / "photo-0001.png"
    file.write_bytes(as_jpeg(product_on_white(77)))
    os.utime(file, (1, 1))
    again = shop.restyle(include_photos=True)
    assert (again.planned["planned"], again.counts["pictures"]) == (1, 2)


def test_photos_by_relative_path_file_url_and_any_other_url(shop: RestyleShop) -> None:
    import fsspec

    shop.add_photos(4)
    names = [f"photo-{index:04d}" for index in range(4)]
    with fsspec.open("memory://cdn/shoe one.png?", "wb") as file:
        file.write((shop.photos / "photo-0002.png").read_bytes())
    images = [
        f"{names[0]}.png",
        (shop.photos / f"{names[1]}.png").as_uri(),
        "memory://cdn/shoe one.png?",
        "memory://no",
    ]
    database = shop.database()
    with database.transaction() as connection:
        for sku, image in zip(names, images, strict=True):
            connection.execute(sa.update(tables.product).where(tables.product.c.sku == sku).values(image=image))
    database.dispose()
    restyle = shop.settings.restyle.model_copy(update={"photos": str(shop.photos)})
    shop.settings = shop.settings.model_copy(update={"restyle": restyle})
    summary = shop.restyle(include_photos=True)
    assert (summary.counts["restyled"], summary.counts["failed"]) == (3, 1)
    failed = shop.rows(sa.select(tables.work.c.sku, tables.work.c.reason).where(tables.work.c.state == "failed"))
    assert [(row.sku, row.reason) for row in failed] == [("photo-0003", "memory://no: is missing")]


def test_revert_brings_back_what_was_live(shop: RestyleShop) -> None:
    shop.add_approved(3)
    shop.restyle()
    before = {place: asset.id for place, asset in shop.live().items()}
    shop.knobs.square = 2
    second = shop.restyle()
    database = shop.database()
    result = job.revert(shop.settings, database, second.run_id)
    assert (result.retired, result.restored) == (3, 3)
    assert job.revert(shop.settings, database, second.run_id).retired == 0
    database.dispose()
    assert {place: asset.id for place, asset in shop.live().items()} == before
    assert shop.restyle().counts["pictures"] == 3, "the outputs are stale again"


def test_a_dry_run_counts_and_measures_and_writes_nothing(shop: RestyleShop) -> None:
    shop.add_approved(3)
    shop.add_photos(1)
    database = shop.database()
    request = job.RestyleRequest("winter", include_photos=True, limit=3)
    found = restyle_dry_run.estimate(shop.settings, database, request, show=2)
    database.dispose()
    assert (found.plan.planned, found.plan.pictures, found.measured) == (3, 6, 2)
    assert found.seconds > 0 and found.bytes > 0
    text = found.describe()
    assert text.startswith("would restyle 3 products in winter, 6 pictures (square, wide)")
    assert "\n  made-0000\n  made-0001\n  and 1 more" in text
    for table in (tables.run, tables.run_item, tables.work):
        assert not shop.rows(sa.select(table))
    assert not shop.live()


def test_a_deadline_stops_in_good_order(shop: RestyleShop) -> None:
    shop.add_approved(4)
    past = datetime.now().astimezone() - timedelta(seconds=1)
    summary = shop.restyle(deadline=past)
    assert (summary.state, summary.exit_code) == ("partial", EXIT_PARTIAL)
    assert shop.restyle().exit_code == EXIT_OK
    shop.check_promises(4)


def test_a_template_has_a_lock_of_its_own(shop: RestyleShop) -> None:
    from contextlib import ExitStack

    from catalog_gen.pipeline.job import hold_job_lock

    shop.add_approved(2)
    database = shop.database()
    with ExitStack() as held:
        hold_job_lock(held, database, "restyle:summer", allow_parallel=False)
        assert shop.restyle(limit=1).counts["restyled"] == 1
        hold_job_lock(held, database, "restyle:winter", allow_parallel=False)
        with pytest.raises(TemporaryFailure, match="another restyle:winter run holds the lock"):
            shop.restyle()
        assert shop.restyle(allow_parallel=True).counts["restyled"] == 1
    database.dispose()


def start(shop: RestyleShop, *more: str) -> subprocess.Popen[str]:
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "integration.restyle_shop", "--database", shop.settings.database.url]
    command += ["--pictures", shop.settings.storage.url, *more]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(root), str(root / "tests")))}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finished(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err[-3000:]
    result: dict[str, Any] = json.loads(out)
    return result


def test_killed_and_resumed_and_then_nothing(shop: RestyleShop) -> None:
    shop.add_approved(24)
    shop.add_photos(16)
    first = start(shop, "--delay", "0.1")
    until = time.monotonic() + 120
    while len(shop.live()) < 8:
        assert time.monotonic() < until and first.poll() is None, first.communicate()
        time.sleep(0.02)
    first.send_signal(signal.SIGKILL)
    first.wait()
    done = len(shop.live())
    assert 8 <= done < 80
    second = finished(start(shop))
    assert second["counts"]["pictures"] == 80 - done
    shop.check_promises(40)
    assert finished(start(shop))["counts"]["claimed"] == 0


def test_two_workers_share_the_work_without_a_duplicate(shop: RestyleShop) -> None:
    shop.add_approved(60)
    workers = [start(shop, "--allow-parallel", "--delay", "0.05") for _ in range(2)]
    counts = [finished(worker)["counts"] for worker in workers]
    assert sum(one["restyled"] for one in counts) == 60, counts
    shop.check_promises(60)
    assets = sa.select(sa.func.count()).select_from(tables.asset).where(tables.asset.c.kind == "restyled")
    assert shop.rows(assets)[0][0] == 120
