"""Training the matte's prior at a size that takes seconds: real labels, examples and checkpoints."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from catalog_gen.errors import UsageError
from catalog_gen.style import prior_data
from catalog_gen.style.prior import Prior, PriorConfig
from catalog_gen.style.prior_data import Labelled, bleached_example, example, label, labelled_photos
from catalog_gen.style.prior_training import PriorTrainConfig, PriorTrainer, measure, prior_losses
from style.drawn_products import SIZE, colour, on_ground, shirt, true_alpha

TINY = PriorTrainConfig(batch=2, images=8, report_every=1, network=PriorConfig((4, 6, 8), 1))
WHITE, NEAR = colour(1, 1, 1), colour(0.93, 0.95, 0.96)
LEFT = (224 - SIZE[0]) // 2  # px of ground beside a photo that is laid on a square


def photo(red: float = 0.7) -> Image.Image:
    return on_ground(true_alpha(shirt), colour(red, 0.1, 0.15), NEAR)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Labelled:
    folder = tmp_path_factory.mktemp("photos")
    files = [folder / f"{number}.png" for number in range(3)]
    for number, file in enumerate(files):
        photo(0.2 * number).save(file)
    return labelled_photos([(file.stem, file) for file in files], folder)


def ignore(images: int, value: object) -> None:
    pass


def test_a_label_is_the_matte_on_a_square_of_the_ground() -> None:
    found = label(photo())
    assert found is not None
    rgba, ground = found
    assert ground.tolist() == [237, 242, 245]  # 0.93, 0.95 and 0.96 of 255, rounded
    assert (rgba[:, :LEFT, :3] == ground).all() and (rgba[:, -LEFT:, 3] == 0).all()
    assert np.abs(rgba[:, LEFT:-LEFT, 3] / 255 - true_alpha(shirt)).mean() < 0.005
    assert np.abs(rgba[112, 112, :3].astype(int) - [178, 26, 38]).max() <= 1


def test_an_unevenly_lit_ground_is_level_on_the_label() -> None:
    slope = np.linspace(0.8, 0.95, SIZE[1], dtype=np.float32)[:, None, None] * WHITE
    found = label(on_ground(true_alpha(shirt), colour(0.7, 0.1, 0.15), slope))
    assert found is not None
    outside = found[0][found[0][..., 3] == 0][:, :3].astype(int)
    assert np.abs(outside - found[1]).max() <= 3


def test_what_is_in_doubt_is_no_label() -> None:
    assert label(on_ground(true_alpha(shirt), colour(0.99, 0.99, 0.99), WHITE, quality=85)) is None  # white on white
    assert label(Image.new("RGB", (90, 90), (240, 240, 240))) is None  # nothing there
    texture = np.random.default_rng(0).integers(0, 255, (90, 90, 3)).astype(np.uint8)
    assert label(Image.fromarray(texture)) is None  # no plain ground


def test_labels_are_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo().save(tmp_path / "good.png")
    (tmp_path / "damaged.png").write_bytes(b"no photo")
    asked = [("good", tmp_path / "good.png"), ("damaged", tmp_path / "damaged.png")]
    first = labelled_photos(asked, tmp_path)
    assert first.skus == ["good"] and first.rgba.shape == (1, 224, 224, 4)
    monkeypatch.setattr(prior_data, "label", lambda _: pytest.fail("cut out again"))
    assert np.array_equal(labelled_photos(asked, tmp_path).rgba, first.rgba)


def test_photos_without_a_clear_product_are_refused(tmp_path: Path) -> None:
    Image.new("RGB", (90, 90)).save(tmp_path / "plain.png")
    with pytest.raises(UsageError, match="none of 1 photos"):
        labelled_photos([("plain", tmp_path / "plain.png")], tmp_path)


def test_bleaching_leaves_ground_and_alpha_as_they_were(labelled: Labelled) -> None:
    for seed in range(6):
        shown = bleached_example(labelled, 1, np.random.default_rng(seed))
        rgba = labelled.rgba[1].astype(int)
        clear = np.asarray(Image.fromarray(labelled.rgba[1][..., 3]).resize((28, 28), Image.Resampling.BOX)) == 0
        blocks = np.abs(shown.picture.astype(int) - rgba[..., :3]).max(axis=-1).reshape(28, 8, 28, 8).max(axis=(1, 3))
        assert blocks[clear].mean() < 3  # JPEG's own
        assert np.array_equal(shown.alpha, labelled.rgba[1][..., 3] / np.float32(255))
        before, after = (np.abs(p[..., 0] - 237)[rgba[..., 3] == 255].mean() for p in (rgba, shown.picture.astype(int)))
        assert after < 0.9 * before


def test_examples_are_many_and_follow_from_their_seed(labelled: Labelled) -> None:
    made = [example(labelled, 0, np.random.default_rng(seed)) for seed in range(40)]
    again = example(labelled, 0, np.random.default_rng(7))
    assert np.array_equal(made[7].picture, again.picture) and np.array_equal(made[7].alpha, again.alpha)
    assert len({one.picture.tobytes() for one in made}) == 40
    assert all(one.picture.shape == (224, 224, 3) and one.alpha.shape == (224, 224) for one in made)
    assert all(one.alpha.min() >= 0 and one.alpha.max() == 1 for one in made)
    unmoved = labelled.rgba[0][..., 3] / np.float32(255)
    assert 0 < sum(np.array_equal(one.alpha, unmoved) for one in made) < 20
    grounds = {tuple(one.ground.tolist()) for one in made}
    assert 4 < len(grounds) < 25  # one in four has another


def test_losses_are_those_worked_out_by_hand() -> None:
    logits = torch.tensor([[[[0.0, 0.0]]], [[[math.log(3), -math.log(3)]]]])  # probabilities 1/2 1/2, 3/4 1/4
    alphas = torch.tensor([[[[1.0, 0.0]]], [[[1.0, 0.0]]]])
    found = prior_losses(logits, alphas)
    assert found["entropy"].item() == pytest.approx((2 * math.log(2) + 2 * math.log(4 / 3)) / 4, abs=1e-6)
    assert found["overlap"].item() == pytest.approx(1 - (2 / 3 + 2.5 / 3) / 2, abs=1e-6)


def test_a_resumed_training_continues_the_same_curve(tmp_path: Path, labelled: Labelled) -> None:
    whole = PriorTrainer(TINY, labelled, "these")
    curve = [whole.train_step()["total"] for _ in range(4)]

    first = PriorTrainer(TINY, labelled, "these")
    seen: list[float] = []
    file = tmp_path / "checkpoint.pt"
    assert not first.run(file, lambda _, losses: seen.append(losses["total"]), ignore, lambda: len(seen) == 2)
    second = PriorTrainer(TINY, labelled, "these")
    second.load(file)
    assert second.images == 4
    assert second.run(file, lambda _, losses: seen.append(losses["total"]), ignore, lambda: False)

    assert seen == curve
    for mine, theirs in zip(second.average.state_dict().values(), whole.average.state_dict().values(), strict=True):
        assert torch.equal(mine, theirs)


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path, labelled: Labelled) -> None:
    file = tmp_path / "checkpoint.pt"
    PriorTrainer(TINY, labelled, "these").save(file)
    PriorTrainer(replace(TINY, images=80, minutes=3), labelled, "these").load(file)  # bounds may change
    with pytest.raises(UsageError, match="another training"):
        PriorTrainer(TINY, labelled, "others").load(file)
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(UsageError, match="cannot be read"):
        PriorTrainer(TINY, labelled, "these").load(file)


def test_one_batch_can_be_learnt(labelled: Labelled) -> None:
    trainer = PriorTrainer(replace(TINY, images=10_000, learning_rate=1.0), labelled)
    losses = []
    for _ in range(30):
        trainer.step = 0  # the same pictures again, at the warmup's first rate
        losses.append(trainer.train_step()["total"])
    assert min(losses[-5:]) < 0.8 * losses[0]
    assert trainer.sheet().shape == (3, 3 * 224, 2 * 224)


def test_the_measure_is_of_both_mattes(labelled: Labelled) -> None:
    torch.manual_seed(0)
    found = measure(labelled, Prior(PriorTrainer(TINY, labelled).average, ""), 2, 0)
    assert set(found) == {"colours", "prior"}
    assert all(0 <= one.overlap <= 1 and one.error >= 0 for one in found.values())
    assert found == measure(labelled, Prior(PriorTrainer(TINY, labelled).average, ""), 2, 0)
