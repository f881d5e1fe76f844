"""Training: it learns, stops and resumes on the same curve, and leaves a bundle that draws."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from PIL import Image

from catalog_gen.bundles import load_bundle
from catalog_gen.errors import BundleError, CatalogGenError, UsageError
from catalog_gen.gan.checkpoint import CHECKPOINT
from catalog_gen.gan.config import Adversarial, AugmentConfig, GanTrainConfig, LossConfig, OptimiserConfig
from catalog_gen.gan.export import Provenance
from catalog_gen.gan.sampling import load_drawer
from catalog_gen.gan.sheet import Sheet, pick_varied
from catalog_gen.gan.step import build_players, train_step
from catalog_gen.gan.train import GanTrainResult, train_gan
from catalog_gen.training_data import TrainRow
from tests.gan.conftest import unit_rows


def _train(rows: list[TrainRow], work: Path, config: GanTrainConfig, **more: object) -> GanTrainResult:
    return train_gan(
        rows,
        unit_rows(len(rows)),
        out=work / "bundle",
        work_dir=work,
        config=config,
        pretrained=False,
        **more,  # type: ignore[arg-type]
    )


def _same(a: object, b: object) -> bool:
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(_same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return isinstance(b, list | tuple) and len(a) == len(b) and all(map(_same, a, b))
    return a == b


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_two_parts_make_the_same_curve_as_one(
    rows: list[TrainRow], tmp_path: Path, config: GanTrainConfig, precision: str
) -> None:
    config = config.model_copy(update={"precision": precision})
    whole = _train(rows, tmp_path / "whole", config)
    half = _train(rows, tmp_path / "parts", config.model_copy(update={"images": 12}))  # 3 of 8 steps, mid-pass
    torch.randn(7), np.random.random(3)  # the global states are no part of the curve
    rest = _train(rows, tmp_path / "parts", config, resume=True)
    assert (whole.steps, half.steps, rest.steps) == (8, 3, 8)
    one = torch.load(whole.checkpoint, weights_only=True)
    two = torch.load(rest.checkpoint, weights_only=True)
    for part in one.keys() - {"seconds"}:
        assert _same(one[part], two[part]), part
    assert load_bundle(str(whole.bundle), "gan").hash == load_bundle(str(rest.bundle), "gan").hash


def test_another_seed_makes_another_curve(rows: list[TrainRow], tmp_path: Path, config: GanTrainConfig) -> None:
    first = _train(rows, tmp_path / "a", config)
    second = _train(rows, tmp_path / "b", config.model_copy(update={"seed": 1}))
    assert load_bundle(str(first.bundle), "gan").hash != load_bundle(str(second.bundle), "gan").hash


def test_a_step_changes_both_players_and_nothing_frozen(config: GanTrainConfig) -> None:
    players = build_players(config, pretrained=False)
    before = {k: v.clone() for k, v in players.discriminator.state_dict().items()}
    frozen = [p.clone() for p in players.features.parameters()]
    start = [p.clone() for p in players.generator.parameters()]
    photos, text = torch.rand(4, 3, 16, 16) * 2 - 1, torch.from_numpy(unit_rows(4))
    parts = train_step(players, photos, text, torch.Generator().manual_seed(0))
    assert set(parts) == {"d", "adversarial", "layout", "perceptual"}
    assert all(torch.isfinite(value) for value in parts.values())
    assert not all(torch.equal(a, b) for a, b in zip(start, players.generator.parameters(), strict=True))
    changed = {k for k, v in players.discriminator.state_dict().items() if not torch.equal(v, before[k])}
    assert changed and not any(".mix." in name for name in changed)
    assert all(torch.equal(a, b) for a, b in zip(frozen, players.features.parameters(), strict=True))


@pytest.mark.parametrize("name", get_args(Adversarial))
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_every_adversarial_loss_and_augmentation_trains(
    config: GanTrainConfig, name: Adversarial, precision: str
) -> None:
    augment = AugmentConfig(rotate=20, scale=0.2, cutout=0.3, colour=0.5)
    update = {"losses": LossConfig(adversarial=name, mismatched=0.3), "augment": augment, "precision": precision}
    players = build_players(config.model_copy(update=update), pretrained=False)
    start = [p.clone() for p in players.generator.parameters()]
    photos, text = torch.rand(4, 3, 16, 16) * 2 - 1, torch.from_numpy(unit_rows(4))
    for _ in range(2):
        parts = train_step(players, photos, text, torch.Generator().manual_seed(0))
        assert all(torch.isfinite(value) for value in parts.values())
    assert not all(torch.equal(a, b) for a, b in zip(start, players.generator.parameters(), strict=True))


def test_clip_guidance_is_off_unless_weighed(config: GanTrainConfig) -> None:
    players = build_players(config.model_copy(update={"losses": LossConfig(clip=0.2)}), pretrained=False)
    players.clip_image = lambda images: images.mean((2, 3)).repeat(1, 2)
    photos, text = torch.rand(4, 3, 16, 16) * 2 - 1, torch.from_numpy(unit_rows(4))
    parts = train_step(players, photos, text, torch.Generator().manual_seed(0))
    assert 0 <= parts["clip"].item() <= 0.4


def test_the_layout_is_learnt(rows: list[TrainRow], tmp_path: Path, config: GanTrainConfig) -> None:
    longer = config.model_copy(update={"images": 240, "optimiser": OptimiserConfig(g_lr=5e-3), "text_noise": 0.0})
    result = _train(rows, tmp_path / "w", longer)
    drawn = load_drawer(str(result.bundle)).draw(unit_rows(10), np.arange(10)).float()
    border, middle = drawn[:, :, 0, :].mean(), drawn[:, :, 6:10, 6:10].mean()
    assert border > 200 > middle


def test_a_stop_saves_and_a_sheet_is_written(rows: list[TrainRow], tmp_path: Path, config: GanTrainConfig) -> None:
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked == 5

    sheet = Sheet(unit_rows(6, seed=9), columns=3)
    result = _train(rows, tmp_path / "w", config, should_stop=stop, sheet=sheet)
    assert result.steps == 5 and not result.finished and result.checkpoint.name == CHECKPOINT
    (written,) = (tmp_path / "w" / "sheets").glob("*.png")
    assert written.name == "00000016.png" and Image.open(written).size == (3 * 18, 2 * 18)
    assert _train(rows, tmp_path / "w", config, resume=True).finished


def test_the_time_bound_ends_it(rows: list[TrainRow], tmp_path: Path, config: GanTrainConfig) -> None:
    result = _train(rows, tmp_path / "w", config.model_copy(update={"minutes": 1e-6}))
    assert result.steps == 1 and not result.finished


def test_the_bundle_says_what_it_is(rows: list[TrainRow], tmp_path: Path, config: GanTrainConfig) -> None:
    provenance = Provenance(name="mine", clip_hash="c1", data="Our own photos", photos=10, notes=["KID 12.3"])
    result = _train(rows, tmp_path / "w", config, provenance=provenance)
    card = (result.bundle / "CARD.md").read_text("utf-8")
    assert "# mine" in card and "Our own photos; 10 photos" in card and "- KID 12.3" in card
    assert "32 images seen" in card and "catalog-gen train gan" in card
    with pytest.raises(BundleError):
        load_drawer(str(result.bundle), "another")


def test_an_unreadable_photo_is_left_out_and_texts_stay_with_theirs(
    rows: list[TrainRow], tmp_path: Path, config: GanTrainConfig
) -> None:
    rows[2].image.write_bytes(b"not a photo")
    result = _train(rows, tmp_path / "w", config.model_copy(update={"images": 4}))
    assert torch.load(result.checkpoint, weights_only=True)["photos"] == 9


def test_a_checkpoint_of_other_settings_is_refused(
    rows: list[TrainRow], tmp_path: Path, config: GanTrainConfig
) -> None:
    short = config.model_copy(update={"images": 4})
    _train(rows, tmp_path / "w", short)
    with pytest.raises(UsageError, match="another optimiser, seed"):
        _train(
            rows,
            tmp_path / "w",
            short.model_copy(update={"seed": 5, "optimiser": OptimiserConfig(g_lr=1e-3)}),
            resume=True,
        )
    with pytest.raises(CatalogGenError, match="10 photos, and there are 9"):
        _train(rows[:9], tmp_path / "w", short, resume=True)


def test_shapes_that_disagree_are_refused(rows: list[TrainRow], tmp_path: Path, config: GanTrainConfig) -> None:
    with pytest.raises(UsageError, match="embeddings are"):
        _train(
            rows, tmp_path, config.model_copy(update={"generator": config.generator.model_copy(update={"text_dim": 7})})
        )
    with pytest.raises(UsageError, match="fewer than one batch"):
        _train(rows[:3], tmp_path, config)


def test_the_sheet_shows_many_kinds_and_colours(rows: list[TrainRow]) -> None:
    picked = pick_varied(rows, 6)
    assert len(set(picked)) == 6
    assert {rows[i].category for i in picked} == {"kind 0", "kind 1", "kind 2"}
