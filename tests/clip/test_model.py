"""Embeddings: unit, finite, and the same bits whatever else is in the batch."""

from __future__ import annotations

import json
import os
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest
import torch

from catalog_gen.bundles import SHIPPED
from catalog_gen.clip.model import DEFAULT_CLIP, ClipModel, load_clip
from catalog_gen.errors import BundleError

TEXTS = [
    "Puma Men Blue Tee",
    "Linen dress",
    "",
    "👗👗👗",
    "赤いドレス、綿",
    "black leather office shoes for men with laces and a rubber sole",
    "word " * 300,
]
KINDS = ("red hat", "red bag", "navy blue hat", "navy blue bag")
OTHERS = [f"{kind} number {i}" for i in range(17) for kind in KINDS]


@pytest.fixture(scope="session", params=["untrained", "shipped"])
def clip(request: pytest.FixtureRequest, clip_folder: Path) -> ClipModel:
    if request.param == "untrained":
        return load_clip(str(clip_folder))
    if not (SHIPPED / DEFAULT_CLIP).exists():
        pytest.skip("no bundle ships with this checkout")
    return load_clip(DEFAULT_CLIP)


def test_texts_get_finite_unit_vectors(clip: ClipModel) -> None:
    vectors = clip.embed_texts(TEXTS)
    assert vectors.shape == (len(TEXTS), clip.embed_dim) and vectors.dtype == np.float32
    assert np.isfinite(vectors).all()
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_a_text_has_the_same_bits_alone_and_among_others(clip: ClipModel) -> None:
    alone = np.stack([clip.embed_texts([text])[0] for text in TEXTS])
    among = clip.embed_texts([*OTHERS, *TEXTS, *OTHERS[::-1], *TEXTS])
    assert np.array_equal(among[len(OTHERS) : len(OTHERS) + len(TEXTS)], alone)
    assert np.array_equal(among[-len(TEXTS) :], alone)
    assert np.array_equal(clip.embed_texts(OTHERS[::-1])[::-1], clip.embed_texts(OTHERS))


def test_different_texts_differ(clip: ClipModel) -> None:
    vectors = clip.embed_texts(["Red dress", "Black shoes"])
    assert float(vectors[0] @ vectors[1]) < 0.999


def test_no_text_and_no_picture(clip: ClipModel) -> None:
    assert clip.embed_texts([]).shape == (0, clip.embed_dim)
    assert clip.embed_images(torch.zeros(0, 3, 64, 64)).shape == (0, clip.embed_dim)


@pytest.mark.parametrize("view", ["score", "photo"])
def test_pictures_get_unit_vectors_that_do_not_depend_on_the_batch(clip: ClipModel, view: str) -> None:
    pictures = torch.rand(37, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    vectors = clip.embed_images(pictures, view=view)  # type: ignore[arg-type]
    assert vectors.shape == (37, clip.embed_dim) and vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert np.array_equal(clip.embed_images(pictures[5:6], view=view)[0], vectors[5])  # type: ignore[arg-type]


def test_guidance_sees_what_scoring_sees_and_has_gradients(clip: ClipModel) -> None:
    rows = torch.linspace(0, 1, 64).view(1, 1, 64, 1).expand(2, 3, 64, 64).clone()
    pictures = rows.requires_grad_(True)
    encoded = clip.encode_images(pictures)
    scored = clip.embed_images(pictures.detach())
    assert float((encoded[0].detach() * torch.from_numpy(scored[0])).sum()) > 0.95
    (encoded @ torch.from_numpy(scored[0])).sum().backward()  # type: ignore[no-untyped-call]
    assert pictures.grad is not None and bool(pictures.grad.abs().sum() > 0)


def test_the_bundle_says_how_it_is_used(clip_folder: Path) -> None:
    clip = load_clip(str(clip_folder))
    assert (clip.image_size, clip.score_size, clip.embed_dim, clip.name) == (64, 48, 64, "test-clip")
    assert clip.threshold == 0.2
    assert len(clip.hash) == 64


def test_a_bundle_loads_without_network_and_leaves_the_environment_alone(
    clip_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a bundle asked for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    load_clip(str(clip_folder))
    assert "HF_HUB_OFFLINE" not in os.environ


def test_a_bundle_moved_elsewhere_is_the_same_model(clip_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(clip_folder, tmp_path / "moved here")
    moved, first = load_clip(str(tmp_path / "moved here")), load_clip(str(clip_folder))
    assert moved.hash == first.hash
    assert np.array_equal(moved.embed_texts(TEXTS), first.embed_texts(TEXTS))


def test_a_text_tower_outside_the_bundle_is_refused(clip_folder: Path, tmp_path: Path) -> None:
    import hashlib

    shutil.copytree(clip_folder, tmp_path / "one")
    file, manifest = tmp_path / "one" / "open_clip_config.json", tmp_path / "one" / "bundle.json"
    config = json.loads(file.read_text("utf-8"))
    config["model_cfg"]["text_cfg"]["hf_model_name"] = "../elsewhere"
    file.write_text(json.dumps(config), encoding="utf-8")
    described = json.loads(manifest.read_text("utf-8"))
    described["files"]["open_clip_config.json"] = hashlib.sha256(file.read_bytes()).hexdigest()
    manifest.write_text(json.dumps(described), encoding="utf-8")
    with pytest.raises(BundleError, match="not inside the bundle"):
        load_clip(str(tmp_path / "one"))


def test_pretrained_beside_a_bundle_is_refused(clip_folder: Path) -> None:
    with pytest.raises(BundleError, match="brings its own weights"):
        load_clip(str(clip_folder), pretrained="laion2b_s34b_b79k")


@pytest.mark.parametrize(
    ("spec", "pretrained", "reason"),
    [
        ("open_clip:ViT-B-23", "x", "no architecture 'ViT-B-23'.*ViT-B-32"),
        ("open_clip:ViT-B-32", None, "needs its weights named.*laion2b_s34b_b79k"),
        ("open_clip:ViT-B-32", "/no/such/file.safetensors", "cannot be loaded"),
        ("no-such-clip", None, "there is no clip bundle"),
    ],
)
def test_what_cannot_be_loaded_is_said(spec: str, pretrained: str | None, reason: str) -> None:
    with pytest.raises(BundleError, match=reason):
        load_clip(spec, pretrained=pretrained)


def test_any_open_clip_architecture_by_name_and_file(tmp_path: Path) -> None:
    import open_clip
    from safetensors.torch import save_file

    torch.manual_seed(0)
    arch = "ViT-S-32-alt"
    model = open_clip.create_model(arch)
    file = tmp_path / "weights.safetensors"
    save_file({name: tensor.half() for name, tensor in model.state_dict().items()}, file)
    clip = load_clip(f"open_clip:{arch}", pretrained=str(file))
    assert clip.score_size == clip.image_size == 224 and clip.threshold is None
    alone = clip.embed_texts(["Red dress"])
    assert np.array_equal(clip.embed_texts(["Black shoes", "Red dress", "x" * 2000])[1], alone[0])
    assert clip.embed_images(torch.rand(2, 3, 64, 64)).shape == (2, clip.embed_dim)
    (tmp_path / "copy").mkdir()
    copy = shutil.copy(file, tmp_path / "copy" / "renamed.safetensors")
    assert load_clip(f"open_clip:{arch}", pretrained=str(copy)).hash == clip.hash
