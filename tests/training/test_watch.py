"""What a watched training leaves behind, read back with each tool's own reader."""

from __future__ import annotations

import json
import logging
import math
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from catalog_gen.errors import Unavailable, UsageError
from catalog_gen.training.history import read_history
from catalog_gen.training.watch import Watch, Watched

SETTINGS = {"images": 400, "losses": {"layout": 8.0}}


def opened(folder: Path, resume_at: int | None = None, project: str = "") -> Watch:
    return Watch(folder, Watched("jackets", SETTINGS, best_by="kid", wandb=project), resume_at=resume_at)


def tensorboard(folder: Path) -> EventAccumulator:
    read = EventAccumulator(str(folder / "tensorboard"))
    read.Reload()
    return read


def test_everything_is_recorded(tmp_path: Path) -> None:
    Image.fromarray(np.full((6, 9, 3), (200, 10, 30), np.uint8)).save(tmp_path / "sheet.png")
    with opened(tmp_path) as watch:
        watch.losses(100, {"d": 1.5, "g_lr": 1e-4})
        watch.losses(200, {"d": math.nan, "g_lr": 1e-4})
        watch.measured(200, {"kid": 0.25})
        watch.sheet(200, tmp_path / "sheet.png")
        watch.note(200, "divergence at 200 images: »d«")
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert lines == [
        {"images": 100, "kind": "loss", "d": 1.5, "g_lr": 1e-4},
        {"images": 200, "kind": "loss", "d": None, "g_lr": 1e-4},
        {"images": 200, "kind": "measure", "kid": 0.25},
        {"images": 200, "kind": "note", "text": "divergence at 200 images: »d«"},
    ]
    board = tensorboard(tmp_path)
    assert [(event.step, event.value) for event in board.Scalars("measure/kid")] == [(200, 0.25)]
    assert [event.step for event in board.Scalars("loss/d")] == [100, 200]
    (sheet,) = board.Images("sheet")
    assert (sheet.width, sheet.height, sheet.step) == (9, 6, 200)
    assert '"layout": 8.0' in board.Tensors("settings/text_summary")[0].tensor_proto.string_val[0].decode()
    with Image.open(tmp_path / "curves.png") as picture:
        assert np.asarray(picture.convert("L")).min() < 100


def test_a_line_is_on_disk_before_the_next_step(tmp_path: Path) -> None:
    with opened(tmp_path) as watch:
        watch.losses(100, {"d": 1.5})
        assert read_history(tmp_path / "metrics.jsonl") == [{"images": 100, "kind": "loss", "d": 1.5}]
        assert not (tmp_path / "curves.png").exists()
        watch.measured(100, {"kid": 0.25})
        assert (tmp_path / "curves.png").exists(), "curves are there while the training runs"


def test_resuming_takes_back_what_the_crash_lost(tmp_path: Path) -> None:
    with opened(tmp_path) as watch:
        for images in (100, 200, 300, 400):
            watch.losses(images, {"d": images / 100})
    with (tmp_path / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"images": 150, "kind": "lo')  # the process died in the middle of a line
    with opened(tmp_path, resume_at=200) as watch:
        watch.losses(300, {"d": 30.0})
    assert [(line["images"], line["d"]) for line in read_history(tmp_path / "metrics.jsonl")] == [
        (100, 1.0),
        (200, 2.0),
        (300, 30.0),
    ]
    events = tensorboard(tmp_path).Scalars("loss/d")
    assert [(event.step, event.value) for event in events] == [(100, 1.0), (200, 2.0), (300, 30.0)]


def test_starting_anew_forgets_the_training_before(tmp_path: Path) -> None:
    for value in (1.0, 2.0):
        with opened(tmp_path) as watch:
            watch.losses(100, {"d": value})
    assert read_history(tmp_path / "metrics.jsonl") == [{"images": 100, "kind": "loss", "d": 2.0}]
    assert [event.value for event in tensorboard(tmp_path).Scalars("loss/d")] == [2.0]


def test_a_broken_line_in_the_middle_is_no_crash(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"images": 1, "kind": "loss"}\nhello\n', encoding="utf-8")
    with pytest.raises(UsageError, match=r"metrics\.jsonl:2"):
        opened(tmp_path, resume_at=1)


def test_an_error_in_the_training_closes_the_files_and_goes_on_up(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), opened(tmp_path) as watch:
        watch.losses(100, {"d": 1.0})
        raise ZeroDivisionError
    assert (tmp_path / "curves.png").exists()
    assert [event.value for event in tensorboard(tmp_path).Scalars("loss/d")] == [1.0]


@pytest.mark.parametrize(
    "module, project, extra",
    [("torch.utils.tensorboard", "", "train"), ("matplotlib", "", "train"), ("wandb", "shop", "wandb")],
)
def test_a_missing_package_names_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, project: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(Unavailable, match=rf"pip install 'catalog-gen\[{extra}\]'"):
        opened(tmp_path, project=project)


def wandb_records(folder: Path) -> list[Any]:
    """Return the records of every offline run in `folder`: LevelDB's log format, protobuf inside."""
    from wandb.proto import wandb_internal_pb2

    records = []
    for file in sorted(folder.glob("wandb/offline-run-*/run-*.wandb")):
        data, at, whole = file.read_bytes(), 7, b""
        while at + 7 <= len(data):
            left = 32768 - at % 32768
            if left < 7:  # a block's end too small for a header
                at += left
                continue
            _, length, kind = struct.unpack("<IHB", data[at : at + 7])
            whole += data[at + 7 : at + 7 + length]
            at += 7 + length
            if kind in (1, 4):  # a full record, or the last part of one
                record = wandb_internal_pb2.Record()
                record.ParseFromString(whole)
                records.append(record)
                whole = b""
    return records


def test_weights_and_biases_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    Image.fromarray(np.zeros((6, 9, 3), np.uint8)).save(tmp_path / "sheet.png")
    with opened(tmp_path, project="shop") as watch:
        watch.losses(100, {"d": 1.5})
        watch.measured(100, {"kid": 0.25})
        watch.sheet(100, tmp_path / "sheet.png")
    with opened(tmp_path, resume_at=100, project="shop") as watch:
        watch.losses(200, {"d": 1.25})
    records = wandb_records(tmp_path)
    runs = [record.run for record in records if record.HasField("run")]
    assert {run.run_id for run in runs} == {(tmp_path / "wandb-id").read_text(encoding="utf-8")}
    assert {run.project for run in runs} == {"shop"} and {run.display_name for run in runs} == {"jackets"}
    history = [
        {(item.key or item.nested_key[0]): json.loads(item.value_json) for item in record.history.item}
        for record in records
        if record.HasField("history")
    ]
    seen = [(row["images"], row.get("loss/d"), row.get("measure/kid")) for row in history]
    assert seen == [(100, 1.5, None), (100, None, 0.25), (100, None, None), (200, 1.25, None)]
    assert list(tmp_path.glob("wandb/offline-run-*/files/media/images/sheet*.png")), "the sheet itself is kept"


def test_a_training_outlives_weights_and_biases(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A run that was finished under the training's feet refuses every call, as a lost service does."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    import wandb

    with caplog.at_level(logging.WARNING, "catalog_gen"), opened(tmp_path, project="shop") as watch:
        assert wandb.run is not None
        wandb.run.finish()
        watch.losses(100, {"d": 1.5})
        watch.losses(200, {"d": 1.25})
    assert [line["d"] for line in read_history(tmp_path / "metrics.jsonl")] == [1.5, 1.25]
    said = [record.getMessage() for record in caplog.records if record.name.startswith("catalog_gen")]
    assert len(said) == 1 and "Weights & Biases" in said[0] and "goes on" in said[0]
