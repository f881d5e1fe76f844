"""Training the style networks at a size that takes seconds: the real losses, data and checkpoints."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from catalog_gen.errors import UsageError
from catalog_gen.style.arbitrary import ArbitraryEngine
from catalog_gen.style.engine import Look
from catalog_gen.style.fast import FastEngine
from catalog_gen.style.features import FeatureNetwork, load_features
from catalog_gen.style.network import NetworkConfig
from catalog_gen.style.style_data import ContentSource, StylePool, choose_styles
from catalog_gen.style.style_losses import LossWeights, style_losses, targets_of, total
from catalog_gen.style.style_training import ArbitraryTask, FastTask, StyleTrainConfig, StyleTrainer
from catalog_gen.style.textures import FAMILIES, ground, texture

TINY = StyleTrainConfig(
    batch=2, size=32, style_size=32, textures=10, network=NetworkConfig(4, 6, 8, 1, (1,), 2), report_every=1, images=8
)


@pytest.fixture(scope="module")
def features() -> FeatureNetwork:
    return load_features("lite0")


@pytest.fixture(scope="module")
def photos() -> npt.NDArray[np.uint8]:
    """Coloured squares on white."""
    made = np.full((6, 32, 32, 3), 255, np.uint8)
    for index in range(6):
        made[index, 8:24, 8:24] = (30 * index, 80, 200 - 30 * index)
    return made


def style_images() -> dict[str, Tensor]:
    made = [texture(np.random.default_rng(seed), 48) for seed in (1, 2)]
    return {name: torch.from_numpy(m).permute(2, 0, 1) for name, m in zip(("one", "two"), made, strict=True)}


def fast_trainer(features: FeatureNetwork, photos: npt.NDArray[np.uint8], config: StyleTrainConfig) -> StyleTrainer:
    torch.manual_seed(config.seed)
    task = FastTask(config, features, style_images())
    return StyleTrainer(task, config, features, ContentSource(photos, config.seed, made=4), "these photos")


def ignore(images: int, value: object) -> None:
    pass


def test_a_resumed_training_continues_the_same_curve(
    tmp_path: Path, features: FeatureNetwork, photos: npt.NDArray[np.uint8]
) -> None:
    whole = fast_trainer(features, photos, TINY)
    curve = [whole.train_step()["total"] for _ in range(4)]

    first = fast_trainer(features, photos, TINY)
    seen: list[float] = []
    assert not first.run(
        tmp_path / "checkpoint.pt", lambda _, losses: seen.append(losses["total"]), ignore, lambda: len(seen) == 2
    )
    second = fast_trainer(features, photos, TINY)
    second.load(tmp_path / "checkpoint.pt")
    assert second.images == 4
    assert second.run(tmp_path / "checkpoint.pt", lambda _, losses: seen.append(losses["total"]), ignore, lambda: False)

    assert seen == curve
    for mine, theirs in zip(second.average.parameters(), whole.average.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_a_checkpoint_of_another_training_is_refused(
    tmp_path: Path, features: FeatureNetwork, photos: npt.NDArray[np.uint8]
) -> None:
    file = tmp_path / "checkpoint.pt"
    fast_trainer(features, photos, TINY).save(file)

    fast_trainer(features, photos, replace(TINY, images=80, minutes=3)).load(file)  # bounds may change
    with pytest.raises(UsageError, match="another training"):
        fast_trainer(features, photos, replace(TINY, learning_rate=1e-4)).load(file)
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(UsageError, match="cannot be read"):
        fast_trainer(features, photos, TINY).load(file)


def test_one_batch_can_be_learnt_and_the_bundle_serves(
    tmp_path: Path, features: FeatureNetwork, photos: npt.NDArray[np.uint8]
) -> None:
    trainer = fast_trainer(features, photos, replace(TINY, learning_rate=3.0))  # its warmup begins at a hundredth
    before = trainer.modules["network"].last.weight.detach().clone()
    losses = []
    for _ in range(25):
        trainer.step = 0  # the same pictures again
        losses.append(trainer.train_step()["total"])

    assert min(losses[-5:]) < losses[0] - 0.04  # each loss is relative: 32 px and a tiny network reach no further
    assert not torch.equal(before, trainer.modules["network"].last.weight)
    sheet = trainer.sheet(rows=2)
    assert sheet.shape == (3, 32 * 3, 32 * 3)  # a line of styles and two of contents; contents and two styles
    engine = FastEngine(trainer.task.save(tmp_path / "fast", trainer.average, "# fast\n"), "cpu")
    assert [style.name for style in engine.learnt] == ["one", "two"]
    engine.prepare(Look(tuple(style_images().values()), (0.5, 0.5)))


def test_the_predictor_learns_too(tmp_path: Path, features: FeatureNetwork, photos: npt.NDArray[np.uint8]) -> None:
    pool = StylePool(32, 10, photos, list(style_images().values()), 0)
    task = ArbitraryTask(TINY, features, pool, list(style_images().values()))
    trainer = StyleTrainer(task, TINY, features, ContentSource(photos, 0, made=4))
    before = {name: value.clone() for name, value in trainer.modules["predictor"].named_parameters()}

    assert all(math.isfinite(value) for value in trainer.train_step().values())

    changed = [not torch.equal(before[n], v) for n, v in trainer.modules["predictor"].named_parameters()]
    assert all(changed)
    engine = ArbitraryEngine(task.save(tmp_path / "any", trainer.average, "# any\n"), features, "cpu")
    assert torch.isfinite(engine.prepare(Look((style_images()["one"],), (1.0,))).code).all()


def test_what_a_step_sees_follows_from_its_number(photos: npt.NDArray[np.uint8]) -> None:
    source, again = ContentSource(photos, 7, made=4), ContentSource(photos, 7, made=4)

    assert torch.equal(source.draw(3, 4).images, again.draw(3, 4).images)
    assert not torch.equal(source.draw(3, 4).images, source.draw(4, 4).images)
    content = source.draw(0, 4)
    assert content.images.min() >= 0 and content.images.max() <= 1
    assert (content.valid[[1, 3]] == 1).all()  # whole pictures
    assert (content.valid[[0, 2]] == 0).flatten(1).any(1).all()  # scenes around a product
    assert sorted(choose_styles(0, 5, 6, 3).tolist()) == [0, 0, 1, 1, 2, 2]


def test_textures_are_pictures_and_differ() -> None:
    for family in FAMILIES:
        field = family(np.random.default_rng(0), 24)
        assert field.shape == (24, 24) and np.isfinite(field).all() and field.std() > 0
    made = [make(np.random.default_rng(seed), 24) for make in (texture, ground) for seed in range(4)]
    assert all(m.shape == (24, 24, 3) and m.dtype == np.float32 and m.min() >= 0 and m.max() <= 1 for m in made)
    assert np.array_equal(made[0], texture(np.random.default_rng(0), 24))
    assert not np.array_equal(made[0], made[1])


def test_a_style_is_at_no_distance_from_itself(features: FeatureNetwork) -> None:
    image = style_images()["one"][None]
    losses = style_losses(features, image, image, targets_of(features, features(image)))

    assert [losses[name].item() for name in ("style", "moments", "content", "layout")] == pytest.approx(
        [0] * 4, abs=1e-9
    )
    across, down = image.diff(dim=3).abs().mean(), image.diff(dim=2).abs().mean()
    assert losses["variation"].item() == pytest.approx((across + down).item())
    assert total(losses, LossWeights(variation=2.0)).item() == pytest.approx(2 * (across + down).item(), rel=1e-5)
