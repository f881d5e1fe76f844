"""A generator goes with every CLIP whose text tower is its own, and with no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from catalog_gen.bundles import load_bundle, read_weights
from catalog_gen.clip.model import load_clip
from catalog_gen.clip.text_identity import TextIdentity, text_hash

OLD, NEW = {"clip_hash": "c1"}, {"clip_hash": "c1", "text_hash": "t1"}


@pytest.mark.parametrize(
    ("clip", "config", "fits"),
    [
        (TextIdentity("c1", "t1"), OLD, True),
        (TextIdentity("c2", "t1"), OLD, False),
        (TextIdentity("c2", "t1", text_of="c1"), OLD, True),
        (TextIdentity("c2", "t1"), NEW, True),
        (TextIdentity("c2", "t2", text_of="c1"), NEW, False),
        (TextIdentity("c1"), NEW, True),
        (TextIdentity("c2"), NEW, False),
        (TextIdentity("c2", "t2"), {"clip_hash": ""}, True),
        (TextIdentity("c2", "t2"), {}, True),
    ],
)
def test_what_a_generator_belongs_to(clip: TextIdentity, config: dict[str, str], fits: bool) -> None:
    assert clip.fits(config) is fits


def test_only_what_words_go_through_counts(clip_folder: Path, tmp_path: Path) -> None:
    clip = load_clip(str(clip_folder))
    weights = read_weights(load_bundle(str(clip_folder), "clip"))
    shape = {"model_cfg": {"embed_dim": 64, "text_cfg": {"context_length": 64}}}
    text = clip_folder / "text"
    found = text_hash(weights, shape, text)
    wider = {name: tensor.float() for name, tensor in weights.items()}
    assert text_hash(wider, shape, text) == found, "as a bundle would keep them"
    visual = {name: tensor + 1 if name.startswith("visual.") else tensor for name, tensor in weights.items()}
    assert text_hash(visual, shape, text) == found, "the image tower has no part in it"
    name = "text.proj.weight"
    assert text_hash(weights | {name: weights[name] + 1}, shape, text) != found
    assert text_hash(weights, {"model_cfg": {"embed_dim": 32, "text_cfg": {"context_length": 64}}}, text) != found
    for file in text.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    assert text_hash(weights, shape, tmp_path) == found
    (tmp_path / "vocab.txt").write_bytes((text / "vocab.txt").read_bytes() + b"x\n")
    assert text_hash(weights, shape, tmp_path) != found
    assert clip.config["text_hash"] == clip.text_hash, "a bundle states what its loader finds"
    assert len(clip.text_hash) == 64 and clip.text.origin == clip.hash
