"""The last phase: the image tower's last stages learn while the words rest, and it costs what it should."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from clip_fixtures import CONFIG, after, changed, measures, train

from catalog_gen.bundles import load_bundle, read_weights
from catalog_gen.clip.architecture import OPEN_CLIP_CONFIG, build
from catalog_gen.clip.config import ClipTrainConfig, LastStagesConfig
from catalog_gen.clip.last_stages import LastStages, StageLessons
from catalog_gen.clip.maps import early, late, trunk_hash
from catalog_gen.clip.model import load_clip, read_open_clip_config
from catalog_gen.clip.text_tower import TextTower
from catalog_gen.clip.towers import Towers, bundle_towers
from catalog_gen.clip.train import ClipTrainResult, train_clip
from catalog_gen.clip.trainer import STAGES_CHECKPOINT
from catalog_gen.errors import ConfigError, UsageError
from catalog_gen.training_data import TrainRow, hold_out

LAST = {"last_stages__stages": 2, "last_stages__epochs": 2, "last_stages__batch_size": 8, "last_stages__rewordings": 1}
pytestmark = pytest.mark.usefixtures("small")


@pytest.fixture(scope="module")
def first(rows: list[TrainRow], tmp_path_factory: pytest.TempPathFactory, small_tower: Path) -> ClipTrainResult:
    """A bundle of both towers, without the last phase."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("catalog_gen.clip.towers.minilm_folder", lambda: small_tower)
        return train(rows, tmp_path_factory.mktemp("first"), changed(head_lr=3e-3))


@pytest.fixture
def towers(first: ClipTrainResult) -> Towers:
    return bundle_towers(load_bundle(str(first.bundle), "clip"))


def go_on(
    rows: list[TrainRow], folder: Path, first: ClipTrainResult, config: ClipTrainConfig, steps: int = 10**6
) -> ClipTrainResult:
    start = load_bundle(str(first.bundle), "clip")
    where = {"out": folder / "out", "work_dir": folder / "work"}
    return train_clip(rows, **where, config=config, should_stop=after(steps), start=start)  # type: ignore[arg-type]


def test_the_words_rest_and_the_last_stages_learn(rows: list[TrainRow], first: ClipTrainResult, tmp_path: Path) -> None:
    result = go_on(rows, tmp_path, first, changed(**LAST, last_stages__lr=1e-3, head_lr=1.0, embed_dim=8))
    assert result.finished and result.steps == 2 * 5, "the last phase alone: five steps of eight an epoch"
    before, after_ = load_bundle(str(first.bundle), "clip"), load_bundle(str(result.bundle), "clip")
    ours, theirs = read_weights(after_), read_weights(before)
    assert ours.keys() == theirs.keys() and all(ours[name].dtype == theirs[name].dtype for name in ours)
    unlike = {name for name in ours if not torch.equal(ours[name], theirs[name])}
    assert not any(name.startswith("text.") or "running_" in name or name == "logit_scale" for name in unlike)
    kept = (result.epoch or 0) > 0
    learning = ("visual.trunk.blocks.5.", "visual.trunk.blocks.6.", "visual.trunk.conv_head.", "visual.trunk.bn2.")
    assert all(name.startswith((*learning, "visual.head.")) for name in unlike) and bool(unlike) == kept
    assert read_open_clip_config(after_.path / OPEN_CLIP_CONFIG) == read_open_clip_config(
        before.path / OPEN_CLIP_CONFIG
    )
    assert after_.config["text_of"] == before.hash and after_.config["text_hash"] == before.config["text_hash"]
    assert result.metrics["photo_mrr"] >= first.metrics["photo_mrr"] - 0.01, "what it started from is kept, if best"
    clips = load_clip(str(first.bundle)), load_clip(str(result.bundle))
    words = [clip.embed_texts([row.prompt for row in rows[:9]]) for clip in clips]
    assert np.array_equal(*words), "bit for bit"
    assert clips[1].text.fits({"clip_hash": first.hash}) and clips[1].hash != first.hash
    trained = after_.config["training"]
    assert (trained["head_lr"], trained["embed_dim"], trained["from"]) == (3e-3, 16, before.hash), "as it was trained"
    assert after_.config["held_out_rule"]["up_to"] == hold_out(rows, 8).up_to
    card = (after_.path / "CARD.md").read_text("utf-8")
    assert f"As tiny@{before.hash[:12]}, before: both towers" in card and "photo_mrr" in card
    assert f"photo_r1 {first.metrics['photo_r1']} to {result.metrics['photo_r1']}" in card


def test_a_whole_training_ends_with_it_and_goes_on_where_it_was_stopped(rows: list[TrainRow], tmp_path: Path) -> None:
    config = changed(**LAST, epochs=1)
    whole = train(rows, tmp_path / "whole", config)
    assert whole.finished and whole.steps == 5 + 10
    first = train(rows, tmp_path / "parts", config, stop=after(3))
    assert (first.finished, first.bundle) == (False, None)
    second = train(rows, tmp_path / "parts", config, stop=after(6))
    assert second.ending == "stopped" and second.steps > 5, "in the last phase"
    last = train(rows, tmp_path / "parts", config)
    assert last.finished and last.hash == whole.hash and last.metrics == whole.metrics
    assert measures(tmp_path / "parts") == measures(tmp_path / "whole")
    assert [line["images"] for line in measures(tmp_path / "whole")] == [40, 40, 80, 120], "one before the phase"
    config = changed(**LAST, epochs=1, last_stages__lr=1e-3)
    with pytest.raises(ConfigError, match=STAGES_CHECKPOINT):
        train(rows, tmp_path / "whole", config)


def test_nothing_is_left_to_learn(rows: list[TrainRow], first: ClipTrainResult, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="only the last stages learn"):
        go_on(rows, tmp_path, first, CONFIG)


def test_the_two_halves_of_the_trunk_make_the_whole(towers: Towers) -> None:
    trunk = towers.model.visual.trunk.eval()
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        for stages in (0, 2, 3, 6):
            torch.testing.assert_close(late(trunk, early(trunk, images, stages), stages), trunk(images))


def test_only_what_maps_go_through_names_them(towers: Towers) -> None:
    trunk = towers.model.visual.trunk
    found = trunk_hash(trunk, 2)
    with torch.no_grad():
        trunk.blocks[5][0].conv_pw.weight.add_(1)
        trunk.conv_head.weight.add_(1)
    assert trunk_hash(trunk, 2) == found != trunk_hash(trunk, 1)
    with torch.no_grad():
        trunk.blocks[4][0].conv_pw.weight.add_(1)
    assert trunk_hash(trunk, 2) != found


def a_learner(towers: Towers, **settings: Any) -> LastStages:
    """Six products of eight maps, the first and the fourth of one prompt, embedded in two dimensions more than rows."""
    chance = np.random.default_rng(0)
    maps = [chance.standard_normal((8, 4, 4, 112)).astype(np.float16) for _ in range(4)]
    texts = F.normalize(torch.from_numpy(chance.standard_normal((2, 6, 16))).float(), dim=-1)
    texts[:, 3] = texts[:, 0]
    lessons = StageLessons(maps, np.array([7, 1, 2, 3, 4, 5]), [0, 2], [1, 3], texts, torch.tensor([0, 1, 2, 0, 3, 4]))
    text = TextTower(towers.model.text, towers.tokenizer.tokenizer, 16, False)
    return LastStages(towers.model, text, lessons, LastStagesConfig(stages=2, batch_size=2, **settings), 0)


def test_the_loss_by_hand(towers: Towers) -> None:
    """Against all rows' words and all photos as last seen; a row with the same prompt counts on neither side."""
    learner = a_learner(towers)
    learner.memory = F.normalize(torch.randn(6, 16, generator=torch.Generator().manual_seed(2)), dim=-1)
    images = F.normalize(torch.randn(2, 16, generator=torch.Generator().manual_seed(1)), dim=-1)
    rows_, words = torch.tensor([3, 1]), learner.lessons.texts[0]
    expected = 0.0
    for i, row in enumerate(rows_.tolist()):
        others = [other for other in range(6) if (other, row) != (0, 3)]
        for query, keys, fresh in ((images[i], words, words), (words[row], learner.memory, images)):
            now = {row: fresh[j if fresh is images else row] for j, row in enumerate(rows_.tolist())}
            logits = torch.tensor([learner.scale * float(query @ now.get(other, keys[other])) for other in others])
            expected += float(logits.logsumexp(0) - logits[others.index(row)]) / 4
    assert float(learner._loss(images, words[rows_], rows_)) == pytest.approx(expected, rel=1e-4)


def test_a_place_is_where_a_rows_map_lies(towers: Towers) -> None:
    learner = a_learner(towers, photo_view_share=1.0)
    features, order = learner._look(np.array([0]), np.random.default_rng(0))
    plain = [learner._features(learner.lessons.maps[view][7:8]) for view in (0, 2)]
    assert order.tolist() == [0] and any(torch.allclose(features, each, atol=1e-5) for each in plain)


def test_the_average_and_the_memory_follow(towers: Towers) -> None:
    learner = a_learner(towers, average=0.0)
    assert (learner.batch_size, learner.steps_per_epoch) == (2, 3)
    memory = learner.memory.clone()
    learner.step(0, np.array([1, 4]))
    assert all(torch.equal(learner.average[name], p) for name, p in learner.trained.items()), "no average but the last"
    moved = (learner.memory != memory).any(1).tolist()
    assert moved == [False, True, False, False, True, False]
    state = learner.state_dict()
    said = learner.step(1, np.array([0, 2]))
    learner.load_state_dict(state)
    assert learner.step(1, np.array([0, 2])) == said


def test_a_bundles_towers_build_what_open_clip_builds(first: ClipTrainResult, towers: Towers) -> None:
    folder = load_bundle(str(first.bundle), "clip").path
    again, _ = build(read_open_clip_config(folder / OPEN_CLIP_CONFIG), folder / "text")
    assert again.state_dict().keys() == towers.model.state_dict().keys()
