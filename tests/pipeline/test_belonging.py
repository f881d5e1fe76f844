"""A generator goes on being used, and trained, with every CLIP that has its text tower."""

from __future__ import annotations

from pathlib import Path

import pytest

from catalog_gen.bundles import Bundle, load_bundle
from catalog_gen.clip.model import load_clip
from catalog_gen.clip.text_identity import TextIdentity
from catalog_gen.errors import BundleError, UsageError
from catalog_gen.gan.config import GanTrainConfig
from catalog_gen.gan.run import data_key
from catalog_gen.gan.sampling import load_drawer
from catalog_gen.pipeline.clip_training import ClipRequest, _config
from catalog_gen.pipeline.gan_training import _for_clip
from catalog_gen.training_data import TrainRow

SHIPPED = load_bundle("gan-64", "gan")


def of(config: dict[str, str]) -> Bundle:
    return Bundle("mine", "gan", Path("mine"), config, "g1")


def test_the_generator_that_ships_goes_with_the_clip_that_ships() -> None:
    clip = load_clip()
    assert clip.text.fits(SHIPPED.config) and load_drawer("gan-64", clip.text).hash == SHIPPED.hash
    successor = TextIdentity("another", clip.text_hash, text_of=clip.text.origin)
    assert load_drawer("gan-64", successor).hash == SHIPPED.hash
    with pytest.raises(BundleError, match=f"was trained on the CLIP {SHIPPED.config['clip_hash'][:12]}"):
        load_drawer("gan-64", TextIdentity("another", "t2"))


def test_a_training_goes_on_with_the_same_words_alone() -> None:
    clip, config = load_clip(), GanTrainConfig()
    assert _for_clip(config, clip, of({"clip_hash": "c1", "text_hash": clip.text_hash})) is config
    with pytest.raises(BundleError, match="another text tower than that of product-clip"):
        _for_clip(config, clip, of({"clip_hash": "c1", "text_hash": "t1"}))
    with pytest.raises(BundleError, match="another text tower"):
        _for_clip(config, clip, of({"clip_hash": "c1"}))


def test_a_checkpoint_knows_its_words_under_a_later_image_tower() -> None:
    rows = [TrainRow("s1", "Red shoe", "Shoes", "Red", Path("p.jpg"))]
    first, later = TextIdentity("c1", "t1"), TextIdentity("c2", "t1", text_of="c1")
    assert data_key(rows, later.origin) == data_key(rows, first.origin) != data_key(rows, "c2")


def test_from_a_bundle_only_the_last_phase_is_set() -> None:
    start = load_bundle("product-clip", "clip")
    request = ClipRequest(Path("mine"), Path("work"), given={"last_stages.epochs": 2, "seed": 5})
    config = _config(request, start)
    assert (config.name, config.last_stages.epochs, config.seed) == ("mine", 2, 5)
    assert config.embed_dim == start.config["embed_dim"] and config.epochs == start.config["training"]["epochs"]
    for key, value in (("epochs", 3), ("embed_dim", 8), ("held_out", 40)):
        assert _config(ClipRequest(Path("mine"), Path("work"), given={key: value}), None).model_dump()[key] == value
        with pytest.raises(UsageError, match=f"{key} is the bundle's own"):
            _config(ClipRequest(Path("mine"), Path("work"), given={key: value}), start)
