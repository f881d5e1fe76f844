"""A real product CLIP, small in nothing but its training: MiniLM and Lite0 as they are, random heads."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from clip_fixtures import draw_rows

from catalog_gen.clip.architecture import TEXT_FILES, build, product_clip_config
from catalog_gen.clip.config import ClipTrainConfig
from catalog_gen.clip.publish import Trained, publish
from catalog_gen.clip.towers import minilm_folder
from catalog_gen.training_data import HeldOut, TrainRow


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Small steps on a busy machine wait for each other's threads far longer than they work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def small_tower(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text tower of MiniLM's kind with its tokenizer, one layer of 32 numbers, at random: steps in milliseconds."""
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("towers") / "small"
    torch.manual_seed(0)
    shape = BertConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64)
    BertModel(shape).save_pretrained(folder)
    for file in TEXT_FILES[1:]:
        shutil.copy(minilm_folder() / file, folder / file)
    return folder


@pytest.fixture(scope="session")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[TrainRow]:
    return draw_rows(tmp_path_factory.mktemp("photos"))


@pytest.fixture
def small(small_tower: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Train a small text tower in place of MiniLM."""
    monkeypatch.setattr("catalog_gen.clip.towers.minilm_folder", lambda: small_tower)


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    config = ClipTrainConfig(name="test-clip", embed_dim=64, image_size=64, score_size=48, draft_size=32)
    model_config = product_clip_config(config.embed_dim, config.image_size, config.context_length, config.dropout)
    model, _ = build(model_config, minilm_folder(), pretrained_text=True)
    calibration = {"threshold": 0.2, "false_pass": 0.1, "matched": {}, "mismatched": {}}
    folder = tmp_path_factory.mktemp("bundles") / "test-clip"
    publish(
        folder,
        Trained(model, model_config, config, {"photo_r1": 0.5}, calibration, 10, 60.0, HeldOut()),
        minilm_folder(),
    )
    return folder
