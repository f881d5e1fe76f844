"""The card tells how a training moved: a table worked out by hand, and its place in the card."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from catalog_gen.bundles import load_bundle, read_weights
from catalog_gen.gan.config import DiscriminatorConfig, GanTrainConfig, LossConfig, WatchConfig
from catalog_gen.gan.export import Provenance, recipe
from catalog_gen.gan.movement import how_it_moved, pick, with_section
from catalog_gen.gan.train import GanTrainResult, TrainContext, train_gan
from catalog_gen.training_data import TrainRow
from tests.gan.conftest import unit_rows


def measured(images: int, **figures: float | None) -> dict[str, Any]:
    return {"images": images, "kind": "measure", **figures}


def test_every_figure_has_its_column_and_the_bundle_s_line_is_bold() -> None:
    lines = [
        {"images": 500, "kind": "loss", "d": 1.0},
        measured(1000, fd=1234.56, kid=0.05124, precision=0.8, coverage=0.7, variety=0.4, memorised=0.0),
        {"images": 1500, "kind": "note", "text": "collapse, rolled back"},
        measured(20000, fd=321.0, kid=0.0438, precision=0.88, coverage=0.904, variety=0.45319, memorised=0.002),
        measured(30000, fd=None, kid=None, precision=0.5, coverage=0.25, variety=0.125, memorised=1.0),
    ]
    assert how_it_moved(lines, 20000) == (
        "All measurements on held-out products while it trained, by a network that no training used; in bold: the "
        "bundle.\nLower is better: KID x1000, FD, memorised.\n\n"
        "| images seen | KID x1000 | precision | coverage | variety | FD | memorised |\n"
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n"
        "| 1,000 | 51.2 | 0.800 | 0.700 | 0.400 | 1,234.6 | 0.000 |\n"
        "| **20,000** | **43.8** | **0.880** | **0.904** | **0.453** | **321.0** | **0.002** |\n"
        "| 30,000 | - | 0.500 | 0.250 | 0.125 | - | 1.000 |\n\n"
        "- At 1,500 images: collapse, rolled back."
    )
    assert how_it_moved(lines[:1], 0) == ""


def test_of_many_measurements_twelve_are_shown() -> None:
    assert pick(5, 2) == [0, 1, 2, 3, 4] and pick(12, 0) == list(range(12))
    assert pick(23, 4) == [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22]
    assert pick(23, 7) == [0, 2, 4, 7, 8, 10, 12, 14, 16, 18, 20, 22], "in the nearest one's place"
    assert pick(23, 1) == [0, 1, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22], "the first stays"
    assert pick(23, 21) == [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 21, 22], "and the last"
    text = how_it_moved([measured(1000 * n, kid=0.1 / n) for n in range(1, 24)], 8000)
    shown = [line.split(" | ")[0].strip("| ") for line in text.splitlines() if line.endswith("|")][2:]
    assert shown == [f"{n},000" if n != 8 else "**8,000**" for n in (1, 3, 5, 8, 9, 11, 13, 15, 17, 19, 21, 23)]
    assert text.startswith("12 of 23 measurements")


def test_a_section_takes_its_own_place() -> None:
    card = "# x\n\n## Data\nphotos\n\n## Limits\nmany\n"
    first = with_section(card, "How it moved", "up")
    assert first == "# x\n\n## Data\nphotos\n\n## How it moved\nup\n\n## Limits\nmany\n"
    assert with_section(first, "How it moved", r"down \1") == first.replace("up", r"down \1")
    assert with_section(first, "How it moved", "") == first
    assert with_section("# x\n", "How it moved", "up") == "# x\n\n## How it moved\nup\n\n"
    assert with_section(first, "Limits", "none").endswith("## How it moved\nup\n\n## Limits\nnone\n\n")


def test_the_card_goes_on_after_the_best_measurement(
    rows: list[TrainRow], tmp_path: Path, config: GanTrainConfig
) -> None:
    """Measured after 8, 16 and 24 images as 0.3, 0.1, 0.2: the bundle is the second, and its card knows the third."""
    small = DiscriminatorConfig(kind="conv", channels=(4, 8))
    quick = config.model_copy(
        update={"discriminator": small, "losses": LossConfig(perceptual=0), "images": 24,
                "watch": WatchConfig(measure_every=8)}
    )  # fmt: skip
    kids: Iterator[float] = iter((0.3, 0.1, 0.2))

    def train(images: int, *notes: str) -> GanTrainResult:
        context = TrainContext(pretrained=False, measure=lambda generator: {"kid": next(kids)})
        provenance = Provenance(origin="first@abc", notes=notes)
        longer = quick.model_copy(update={"images": images})
        return train_gan(
            rows, unit_rows(10), out=tmp_path / "bundle", work_dir=tmp_path, config=longer, provenance=provenance,
            context=context, resume=True,
        )  # fmt: skip

    def card() -> str:
        return (tmp_path / "bundle" / "CARD.md").read_text("utf-8")

    train(16)
    before = load_bundle(str(tmp_path / "bundle"), "gan")
    assert "| 8 | 300.0 |\n| **16** | **100.0** |\n\n## Limits" in card()
    assert "\n- Started from the bundle first@abc.\n" in card() and "What was tried" not in card()
    assert train(24, "layout 8: blurs").measured == {"kid": 0.1}
    after = load_bundle(str(tmp_path / "bundle"), "gan")
    assert after.hash == before.hash and read_weights(after).keys() == read_weights(before).keys()
    assert "| 8 | 300.0 |\n| **16** | **100.0** |\n| 24 | 200.0 |\n" in card()
    assert "## What was tried\n- layout 8: blurs\n\n## Limits\n" in card()
    assert train(24, "layout 8: blurs", "layout 2: does not").already
    assert "- layout 8: blurs\n- layout 2: does not\n\n## Limits\n" in card()
    assert train(24).already and "- layout 2: does not\n" in card(), "without notes, those that are there stay"
    assert json.loads((tmp_path / "bundle" / "bundle.json").read_text("utf-8"))["config"]["images_seen"] == 16


def test_notes_reach_the_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    from catalog_gen.cli import run
    from catalog_gen.pipeline.gan_request import GanRequest, Trained
    from pipeline.shop_folder import write_shop

    seen: list[GanRequest] = []

    def train(settings: object, database: object, request: GanRequest, data: object) -> Trained:
        seen.append(request)
        return Trained("")

    monkeypatch.setattr("catalog_gen.pipeline.gan_training.train_gan_on_rows", train)
    write_shop(tmp_path / "shop", 4, header="sku,title,category,colour")
    flags = ["train", "gan", "--data", str(tmp_path / "shop"), "--out", str(tmp_path / "b")]
    flags += ["--work-dir", str(tmp_path / "w")]
    assert run([*flags, "--note", "one", "--note", " two\n## lines "]) == 0
    assert seen[0].notes == ("one", "two ## lines")
    assert run([*flags, "--note", " "]) == 64
    assert "a note says nothing" in capsys.readouterr().err
    assert run([*flags, "--note", "one", "--search", "2"]) == 64
    assert "a search writes no bundle" in capsys.readouterr().err and len(seen) == 1


def test_a_card_says_what_photos_were_compared_with() -> None:
    choice = "; the comparisons are of every second photo with the nearest of 4 pictures"
    assert choice not in recipe(GanTrainConfig())
    assert choice in recipe(GanTrainConfig(losses=LossConfig(best_of=4)))
    assert choice not in recipe(GanTrainConfig(losses=LossConfig(best_of=4, layout=0, perceptual=0)))
