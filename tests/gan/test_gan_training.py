"""Training: it learns, stops and resumes on the same curve, and leaves a bundle that draws."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from catalog_gen.bundles import load_bundle
from catalog_gen.clip.text_identity import TextIdentity
from catalog_gen.errors import BundleError, CatalogGenError, UsageError
from catalog_gen.gan.checkpoint import BEST, CHECKPOINT
from catalog_gen.gan.config import (
    AugmentConfig,
    DiscriminatorConfig,
    GanTrainConfig,
    LossConfig,
    OptimiserConfig,
    WatchConfig,
)
from catalog_gen.gan.export import Provenance
from catalog_gen.gan.generator import Generator
from catalog_gen.gan.players import build_players
from catalog_gen.gan.sampling import load_drawer
from catalog_gen.gan.sheet import Sheet
from catalog_gen.gan.step import train_step
from catalog_gen.gan.train import GanTrainResult, TrainContext, train_gan
from catalog_gen.training_data import TrainRow, pick_varied
from tests.gan.conftest import unit_rows


def _train(rows: list[TrainRow], work: Path, config: GanTrainConfig, **more: Any) -> GanTrainResult:
    given = {name: more.pop(name) for name in ("resume", "provenance") if name in more}
    context = TrainContext(pretrained=False, **more)
    texts = unit_rows(len(rows))
    return train_gan(rows, texts, out=work / "bundle", work_dir=work, config=config, context=context, **given)


def _same(a: object, b: object) -> bool:
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(_same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return isinstance(b, list | tuple) and len(a) == len(b) and all(map(_same, a, b))
    return a == b


EVERYTHING = {
    "plain": {"precision": "fp32"},
    "bf16": {"precision": "bf16"},
    "all of it": {
        "precision": "fp32",
        "discriminator": DiscriminatorConfig(head_width=4, pixel_widths=(4,), dropout=0.3),
        "augment": AugmentConfig(rotate=10, scale=0.2, cutout=0.3, colour=0.2, adaptive=True, adapt_images=20),
        "losses": LossConfig(
            adversarial="relativistic", r1=0.1, r2=0.1, penalty_every=2, laplacian=1, mismatched_g=0.5
        ),
        "optimiser": OptimiserConfig(name="adamw", weight_decay=0.01, warmup_images=8, decay="cosine", accumulate=2),
        "checkpointing": True,
    },
}


@pytest.mark.parametrize("settings", list(EVERYTHING))
def test_two_parts_make_the_same_curve_as_one(
    rows: list[TrainRow], tmp_path: Path, config: GanTrainConfig, settings: str
) -> None:
    config = config.model_copy(update=EVERYTHING[settings])
    whole = _train(rows, tmp_path / "whole", config)
    half = _train(rows, tmp_path / "parts", config, should_stop=_after(4))  # of 8 steps, in the middle of a pass
    torch.randn(7), np.random.random(3)  # the global states are no part of the curve
    rest = _train(rows, tmp_path / "parts", config, resume=True)
    assert (whole.steps, half.steps, rest.steps) == (8, 4, 8)
    one = torch.load(whole.checkpoint, weights_only=True)
    two = torch.load(rest.checkpoint, weights_only=True)
    for state, folder in ((one, "whole"), (two, "parts")):
        assert state["guard"].pop("published") == str(tmp_path / folder / "bundle")
    for part in one.keys() - {"seconds"}:
        assert _same(one[part], two[part]), part
    assert load_bundle(str(whole.bundle), "gan").hash == load_bundle(str(rest.bundle), "gan").hash


def _after(steps: int) -> Any:
    """A `should_stop` that says yes after `steps` steps; it is asked before the first one as well."""
    asked = iter(range(10**6))
    return lambda: next(asked) >= steps


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


def test_the_layout_is_learnt(rows: list[TrainRow], tmp_path: Path, config: GanTrainConfig) -> None:
    longer = config.model_copy(update={"images": 240, "optimiser": OptimiserConfig(g_lr=5e-3), "text_noise": 0.0})
    result = _train(rows, tmp_path / "w", longer)
    drawn = load_drawer(str(result.bundle)).draw(unit_rows(10), np.arange(10)).float()
    border, middle = drawn[:, :, 0, :].mean(), drawn[:, :, 6:10, 6:10].mean()
    assert border > 200 > middle


def test_a_stop_saves_and_a_sheet_is_written(rows: list[TrainRow], tmp_path: Path, config: GanTrainConfig) -> None:
    sheet = Sheet(unit_rows(6, seed=9), columns=3)
    result = _train(rows, tmp_path / "w", config, should_stop=_after(5), sheet=sheet)
    assert result.steps == 5 and not result.finished and result.checkpoint.name == CHECKPOINT
    assert result.ending == "stopped"
    (written,) = (tmp_path / "w" / "sheets").glob("*.png")
    assert written.name == "00000016.png" and Image.open(written).size == (3 * 18, 2 * 18)
    assert _train(rows, tmp_path / "w", config, resume=True).finished


def test_the_time_bound_ends_it(rows: list[TrainRow], tmp_path: Path, config: GanTrainConfig) -> None:
    result = _train(rows, tmp_path / "w", config.model_copy(update={"minutes": 1e-6}))
    assert result.steps == 1 and not result.finished


def test_the_bundle_says_what_it_is(rows: list[TrainRow], tmp_path: Path, config: GanTrainConfig) -> None:
    provenance = Provenance(
        name="mine", clip=TextIdentity("c1", "t1"), data="Our own photos", photos=10, notes=["KID 12.3"]
    )
    result = _train(rows, tmp_path / "w", config, provenance=provenance)
    card = (result.bundle / "CARD.md").read_text("utf-8")
    assert "# mine" in card and "Our own photos; 10 photos" in card and "- KID 12.3" in card
    assert "32 images seen" in card and "catalog-gen train gan" in card
    with pytest.raises(BundleError):
        load_drawer(str(result.bundle), TextIdentity("another", "t2"))


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
    with pytest.raises(UsageError, match="other products, other words or another CLIP"):
        _train(rows[::-1], tmp_path / "w", short, resume=True)
    with pytest.raises(UsageError, match="other products, other words or another CLIP"):
        _train(rows, tmp_path / "w", short, resume=True, provenance=Provenance(clip=TextIdentity("another")))
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


def test_a_damaged_checkpoint_is_named(rows: list[TrainRow], tmp_path: Path, config: GanTrainConfig) -> None:
    result = _train(rows, tmp_path / "w", config.model_copy(update={"images": 4}))
    result.checkpoint.write_bytes(result.checkpoint.read_bytes()[:1000])
    with pytest.raises(UsageError, match=r"checkpoint\.pt: the checkpoint cannot be read"):
        _train(rows, tmp_path / "w", config, resume=True)


def _measures(*kids: float, **others: float) -> Any:
    """A measurement that says each of `kids` in turn."""
    said = iter(kids)
    return lambda generator: {"kid": next(said), "variety": 1.0, "coverage": 1.0, "memorised": 0.0} | others


def _weights(folder: Path, name: str) -> dict[str, torch.Tensor]:
    state: dict[str, Any] = torch.load(folder / name, weights_only=True)
    return dict(state["players"]["average"])


def test_the_bundle_is_the_best_one_and_not_the_last(
    rows: list[TrainRow], tmp_path: Path, config: GanTrainConfig
) -> None:
    config = config.model_copy(update={"watch": WatchConfig(measure_every=8)})
    result = _train(rows, tmp_path / "w", config, measure=_measures(0.5, 0.2, 0.4, 0.3))
    assert result.finished and result.measured["kid"] == 0.2
    bundle = load_bundle(str(result.bundle), "gan")
    assert bundle.config["images_seen"] == 16 and bundle.config["measured"]["kid"] == 0.2
    assert torch.load(tmp_path / "w" / BEST, weights_only=True)["step"] == 4
    assert "kid 0.2" in (result.bundle / "CARD.md").read_text("utf-8")  # type: ignore[operator]


def test_the_bundle_is_the_last_one_where_that_is_wanted(
    rows: list[TrainRow], tmp_path: Path, config: GanTrainConfig
) -> None:
    config = config.model_copy(update={"watch": WatchConfig(measure_every=8, keep="last")})
    result = _train(rows, tmp_path / "w", config, measure=_measures(0.5, 0.2, 0.4, 0.3))
    assert result.finished and result.measured["kid"] == 0.3
    assert load_bundle(str(result.bundle), "gan").config["images_seen"] == 32
    assert torch.load(tmp_path / "w" / BEST, weights_only=True)["step"] == 8


def test_measures_that_are_no_numbers_are_not_kept_even_last(
    rows: list[TrainRow], tmp_path: Path, config: GanTrainConfig
) -> None:
    config = config.model_copy(update={"watch": WatchConfig(measure_every=8, keep="last")})
    result = _train(rows, tmp_path / "w", config, measure=_measures(0.5, 0.2, 0.4, float("nan")))
    assert result.measured["kid"] == 0.4
    assert load_bundle(str(result.bundle), "gan").config["images_seen"] == 24


def test_a_resumed_training_remembers_its_best(rows: list[TrainRow], tmp_path: Path, config: GanTrainConfig) -> None:
    config = config.model_copy(update={"watch": WatchConfig(measure_every=8)})
    _train(rows, tmp_path / "w", config, measure=_measures(0.1), should_stop=_after(3))
    result = _train(rows, tmp_path / "w", config, resume=True, measure=_measures(0.5, 0.4, 0.3))
    assert result.measured["kid"] == 0.1
    assert load_bundle(str(result.bundle), "gan").config["images_seen"] == 8


def test_divergence_stops_and_spares_what_was_saved(
    rows: list[TrainRow], tmp_path: Path, config: GanTrainConfig
) -> None:
    good = _train(rows, tmp_path / "w", config.model_copy(update={"images": 16}))
    broken = config.model_copy(update={"images": 4000, "watch": WatchConfig(measure_every=0)})

    def poison(generator: Generator) -> None:
        raise AssertionError("nothing is measured here")

    state = torch.load(good.checkpoint, weights_only=True)
    state["players"]["generator"]["to_rgb.bias"].fill_(float("nan"))
    torch.save(state, good.checkpoint)
    hash_before = load_bundle(str(good.bundle), "gan").hash
    result = _train(rows, tmp_path / "w", broken, resume=True, measure=poison)
    assert result.ending == "alarm" and "diverge" in result.alarm.lower()
    assert result.steps == 25, "it is noticed when the losses are next looked at"
    assert load_bundle(str(good.bundle), "gan").hash == hash_before


def test_the_time_bound_leaves_time_to_measure(rows: list[TrainRow], tmp_path: Path, config: GanTrainConfig) -> None:
    config = config.model_copy(update={"minutes": 1e-6, "watch": WatchConfig(measure_every=8)})
    result = _train(rows, tmp_path / "w", config, measure=_measures(0.4))
    assert result.ending == "stopped" and result.measured["kid"] == 0.4


def test_the_best_is_not_looked_for_in_another_folder(
    rows: list[TrainRow], tmp_path: Path, config: GanTrainConfig
) -> None:
    config = config.model_copy(update={"watch": WatchConfig(measure_every=8)})
    _train(rows, tmp_path / "w", config, measure=_measures(0.1), should_stop=_after(3))
    context = TrainContext(pretrained=False, measure=_measures(0.5))
    texts, other = unit_rows(len(rows)), tmp_path / "other"
    with pytest.raises(UsageError, match=r"best bundle goes to .*bundle"):
        train_gan(rows, texts, out=other, work_dir=tmp_path / "w", config=config, resume=True, context=context)


def test_another_training_s_bundle_is_not_claimed(rows: list[TrainRow], tmp_path: Path, config: GanTrainConfig) -> None:
    _train(rows, tmp_path / "w", config)
    broken = config.model_copy(
        update={"optimiser": OptimiserConfig(g_lr=1e30), "watch": WatchConfig(log_every=1, measure_every=0)}
    )
    result = _train(rows, tmp_path / "w", broken)
    assert result.ending == "alarm" and result.bundle is None


def test_an_alarm_at_the_last_measurement_is_one(rows: list[TrainRow], tmp_path: Path, config: GanTrainConfig) -> None:
    config = config.model_copy(update={"watch": WatchConfig(measure_every=16)})
    said = iter([0.0, 0.9])

    def measure(generator: Generator) -> Mapping[str, float]:
        memorised = next(said)
        return {"kid": 0.5 - memorised / 2, "variety": 1.0, "coverage": 1.0, "memorised": memorised}

    result = _train(rows, tmp_path / "w", config, measure=measure)
    assert result.ending == "alarm" and "memorisation at 32 images" in result.alarm
    assert load_bundle(str(result.bundle), "gan").config["images_seen"] == 16


def test_a_measurement_with_an_alarm_is_no_mark_to_beat(
    rows: list[TrainRow], tmp_path: Path, config: GanTrainConfig
) -> None:
    config = config.model_copy(update={"watch": WatchConfig(measure_every=8, on_alarm="log")})
    said = iter([(0.5, 0.0), (0.1, 0.9), (0.3, 0.0), (0.2, 0.0)])

    def measure(generator: Generator) -> Mapping[str, float]:
        kid, memorised = next(said)
        return {"kid": kid, "variety": 1.0, "coverage": 1.0, "memorised": memorised}

    result = _train(rows, tmp_path / "w", config, measure=measure)
    assert result.finished and result.measured["kid"] == 0.2


def test_a_kill_while_the_best_is_written_loses_no_bundle(
    rows: list[TrainRow], tmp_path: Path, config: GanTrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config.model_copy(update={"watch": WatchConfig(measure_every=8)})

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("catalog_gen.gan.train.export_bundle", killed)
        with pytest.raises(KeyboardInterrupt):
            _train(rows, tmp_path / "w", config, measure=_measures(0.1))
    result = _train(rows, tmp_path / "w", config, resume=True, measure=_measures(0.1, 0.3, 0.4, 0.5))
    assert result.bundle is not None and load_bundle(str(result.bundle), "gan").config["measured"]["kid"] == 0.1


def test_weights_that_no_bundle_can_hold_are_a_divergence(
    rows: list[TrainRow], tmp_path: Path, config: GanTrainConfig
) -> None:
    good = _train(rows, tmp_path / "w", config.model_copy(update={"images": 16}))
    state = torch.load(good.checkpoint, weights_only=True)
    state["players"]["average"]["to_rgb.bias"].fill_(1e30)
    torch.save(state, good.checkpoint)
    longer = config.model_copy(update={"images": 4000})
    result = _train(rows, tmp_path / "w", longer, resume=True)
    assert result.ending == "alarm" and "to_rgb.bias is beyond half precision" in result.alarm


def test_collapse_takes_it_back_to_the_best_with_half_the_rate(
    rows: list[TrainRow], tmp_path: Path, config: GanTrainConfig
) -> None:
    watch = WatchConfig(measure_every=4, on_alarm="rollback", max_rollbacks=1)
    config = config.model_copy(update={"watch": watch, "images": 40})
    varieties = iter([1.0, 1.0, 0.9, 0.1, 0.9, 0.9, 0.1, 0.9, 0.9, 0.9])
    kids = iter([0.5, 0.4, 0.3, 0.2, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6])
    seen: list[dict[str, torch.Tensor]] = []

    def measure(generator: Generator) -> Mapping[str, float]:
        seen.append({name: value.clone() for name, value in generator.state_dict().items()})
        return {"kid": next(kids), "variety": next(varieties), "coverage": 1.0, "memorised": 0.0}

    result = _train(rows, tmp_path / "w", config, measure=measure)
    assert result.ending == "alarm" and "collapse" in result.alarm.lower(), "the second one is not forgiven"
    assert result.steps == 7 and result.measured["kid"] == 0.3, "a collapsed generator is never the best"
    best = _weights(tmp_path / "w", BEST)  # measured and exported with norms settled anew: the same weights
    assert all(_same(best[name], value) for name, value in seen[2].items() if "running" not in name)
    lines = [json.loads(line) for line in (tmp_path / "w" / "metrics.jsonl").read_text("utf-8").splitlines()]
    notes = [line for line in lines if line["kind"] == "note"]
    assert [note["images"] for note in notes] == [16, 28]
