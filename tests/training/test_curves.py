"""The picture of curves: ink where a curve runs, and what the eye is given is right."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from catalog_gen.errors import Unavailable, UsageError
from catalog_gen.training import curves
from catalog_gen.training.curves import draw_curves, loss_limits, smoothed

LOSS, MEASURE, RATE, NOTE = (43, 108, 177), (183, 82, 30), (107, 70, 193), (197, 48, 48)


def drawn(tmp_path: Path, lines: list[dict[str, object]]) -> npt.NDArray[np.int16]:
    """Return the picture of `lines` as (H, W, 3)."""
    history = tmp_path / "metrics.jsonl"
    history.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    draw_curves(history, tmp_path / "curves.png", "a training")
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith(".")] == [], "no temporary file is left"
    with Image.open(tmp_path / "curves.png") as image:
        return np.asarray(image.convert("RGB")).astype(np.int16)


def ink(picture: npt.NDArray[np.int16], colour: tuple[int, int, int]) -> npt.NDArray[np.bool_]:
    return np.asarray((abs(picture - np.array(colour)) < 12).all(axis=2))


def falling(kind: str, name: str, values: list[float]) -> list[dict[str, object]]:
    return [{"images": 100 * i, "kind": kind, name: value} for i, value in enumerate(values, 1)]


def test_each_series_has_its_panel_in_order(tmp_path: Path) -> None:
    lines = falling("loss", "d", [3, 2, 1]) + falling("loss", "g_lr", [1e-4] * 3) + falling("measure", "kid", [3, 2, 1])
    picture = drawn(tmp_path, lines)
    end = 0
    for colour in (LOSS, RATE, MEASURE):
        columns = np.flatnonzero(ink(picture, colour).any(axis=0))
        assert columns.size > 100, "a curve"
        assert columns.min() > end + 20, "right of the panel before, and clear of it"
        end = columns.max()


def test_a_falling_measure_falls(tmp_path: Path) -> None:
    curve = ink(drawn(tmp_path, falling("measure", "coverage", [0.9, 0.5, 0.1])), MEASURE)
    columns = np.flatnonzero(curve.any(axis=0))
    left, right = (float(np.flatnonzero(curve[:, column]).mean()) for column in (columns[3], columns[-4]))
    assert right - left > 80, "rows count downwards"


@pytest.mark.parametrize(("name", "ringed"), [("kid", 1), ("photo_mrr", 2)])
def test_the_best_of_the_measure_that_chooses_is_ringed(tmp_path: Path, name: str, ringed: int) -> None:
    history = tmp_path / "metrics.jsonl"
    lines = falling("measure", name, [0.5, 0.1, 0.9])
    history.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    blacks = []
    for best_by in ("", name):
        draw_curves(history, tmp_path / "curves.png", "", best_by)
        with Image.open(tmp_path / "curves.png") as image:
            picture = np.asarray(image.convert("RGB")).astype(np.int16)
        blacks.append(ink(picture, (0, 0, 0)))
    columns = np.flatnonzero(ink(picture, MEASURE).any(axis=0))
    left, right = columns.min(), columns.max()  # the first point and the last; the best is between, or the last
    where = {1: (left + right) / 2, 2: right}[ringed]
    curve_rows = np.flatnonzero(ink(picture, MEASURE).any(axis=1))
    added = (blacks[1] & ~blacks[0])[curve_rows.min() - 4 : curve_rows.max() + 5]
    ring = np.flatnonzero(added.any(axis=0))
    assert ring.size and abs(ring.mean() - where) < 5


def test_notes_are_lines_through_every_panel_and_words_below(tmp_path: Path) -> None:
    lines = falling("measure", "coverage", [0.9, 0.5]) + falling("measure", "variety", [0.9, 0.5])
    plain = drawn(tmp_path, lines)
    marked = drawn(tmp_path, [*lines, {"images": 150, "kind": "note", "text": "mode collapse: variety fell"}])
    assert not ink(plain, NOTE).any()
    assert marked.shape[0] > plain.shape[0], "the words have room of their own"
    words = slice(plain.shape[0] - 30, None)
    assert ink(marked[words], NOTE).sum() > 50
    reddish = (marked[..., 0] - marked[..., 1] > 90) & (marked[..., 1] - marked[..., 2] < 25)
    tall = np.flatnonzero(reddish[: words.start].sum(axis=0) > 60)  # a dashed line; a curve crosses a column once
    width = marked.shape[1] / curves.COLUMNS
    assert {int(column // width) for column in tall} == {0, 1}


def test_null_is_a_gap_and_an_empty_history_is_a_picture(tmp_path: Path) -> None:
    lines: list[dict[str, object]] = [
        {"images": 100 * i, "kind": "measure", "kid": None if i in (5, 6) else 0.1} for i in range(11)
    ]
    rows = ink(drawn(tmp_path, lines), MEASURE)
    columns = np.flatnonzero(rows.any(axis=0))
    assert np.diff(columns).max() > 40, "nothing joins the points on the two sides"
    assert (drawn(tmp_path, []) < 128).any(), "it says that nothing was measured"


def test_smoothing_by_hand() -> None:
    values = np.array([1.0, 2.0, np.nan, 1e6, 3.0])
    assert smoothed(values, 3).tolist() == [1.5, 1.5, (2 + 1e6) / 2, (1e6 + 3) / 2, (1e6 + 3) / 2]
    assert smoothed(np.array([1.0, 9e9, 2.0]), 3).tolist()[1] == 2.0, "a spike is not spread"
    assert np.isnan(smoothed(np.full(4, np.nan), 3)).all()


def test_a_spike_does_not_flatten_the_rest() -> None:
    values = np.linspace(1.0, 2.0, 101)
    low, high = loss_limits(values)
    assert low == pytest.approx(1 - 0.05) and high == pytest.approx(2 + 0.05)
    values[50] = 1e5
    assert loss_limits(values)[1] < 4
    constant = loss_limits(np.full(3, 7.0))
    assert constant[0] < 7 < constant[1]


def test_what_is_no_history_is_said(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    file.write_text("step,loss\n1,2\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"metrics\.jsonl:1"):
        draw_curves(file, tmp_path / "curves.png")


def test_without_matplotlib_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(Unavailable, match=r"catalog-gen\[train\]"):
        draw_curves(tmp_path / "metrics.jsonl", tmp_path / "curves.png")
