"""Bundles: saved whole or not at all, and refused with a reason when a byte of them is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from catalog_gen import bundles
from catalog_gen.bundles import Bundle, load_bundle, load_into, read_weights, replace_card, save_bundle
from catalog_gen.errors import BundleError


def save(folder: Path, *, value: float = 0.5, card: str = "# a card", name: str = "small") -> Bundle:
    module = torch.nn.Linear(3, 2)
    torch.nn.init.constant_(module.weight, value)
    torch.nn.init.zeros_(module.bias)
    return save_bundle(
        folder,
        kind="clip",
        name=name,
        config={"embed_dim": 2, "threshold": 0.25},
        weights=module.state_dict(),
        card=card,
        extra={"text/config.json": b"{}"},
    )


def test_a_bundle_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    saved = save(tmp_path / "one")
    loaded = load_bundle(str(tmp_path / "one"), "clip")
    assert loaded == saved
    assert loaded.config == {"embed_dim": 2, "threshold": 0.25}
    tensors = read_weights(loaded)
    assert tensors["weight"].dtype == torch.float16
    module = torch.nn.Linear(3, 2)
    load_into(module, tensors, loaded)
    assert module.weight.dtype == torch.float32
    assert torch.equal(module.weight, torch.full((2, 3), 0.5))


def test_the_hash_follows_from_the_model_and_not_from_its_name_or_card(tmp_path: Path) -> None:
    first = save(tmp_path / "a")
    assert save(tmp_path / "b").hash == first.hash
    assert save(tmp_path / "c", card="# other", name="other").hash == first.hash
    assert save(tmp_path / "d", value=0.75).hash != first.hash


def test_saving_again_replaces_the_bundle_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    save(tmp_path / "one")
    new = save(tmp_path / "one", value=2.0)
    assert load_bundle(str(tmp_path / "one"), "clip").hash == new.hash
    assert [entry.name for entry in tmp_path.iterdir()] == ["one"]


def test_a_failed_save_leaves_the_old_bundle(tmp_path: Path) -> None:
    old = save(tmp_path / "one")
    with pytest.raises(BundleError, match="not finite"):
        save(tmp_path / "one", value=float("inf"))
    with pytest.raises(BundleError, match="not finite"):
        save(tmp_path / "one", value=1e6)  # finite, but not in float16
    assert load_bundle(str(tmp_path / "one"), "clip").hash == old.hash
    assert [entry.name for entry in tmp_path.iterdir()] == ["one"]


def test_a_folder_of_something_else_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(BundleError, match="something else"):
        save(tmp_path)
    assert (tmp_path / "notes.txt").read_text(encoding="utf-8") == "mine"


def test_missing_bundles_name_the_shipped_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundles, "SHIPPED", tmp_path)
    save(tmp_path / "small-clip")
    with pytest.raises(BundleError, match="shipped one: small-clip"):
        load_bundle("no-such", "clip")
    with pytest.raises(BundleError, match="shipped one: none"):
        load_bundle("no-such", "gan")
    with pytest.raises(BundleError):
        load_bundle("", "clip")
    assert load_bundle("small-clip", "clip").name == "small"


def test_the_wrong_kind_is_named(tmp_path: Path) -> None:
    save(tmp_path / "one")
    with pytest.raises(BundleError, match="this is a clip bundle, and a gan bundle is needed"):
        load_bundle(str(tmp_path / "one"), "gan")


@pytest.mark.parametrize("file", ["weights.safetensors", "CARD.md", "text/config.json"])
def test_a_changed_file_is_refused(tmp_path: Path, file: str) -> None:
    save(tmp_path / "one")
    changed = tmp_path / "one" / file
    content = bytearray(changed.read_bytes())
    content[-1] ^= 1
    changed.write_bytes(bytes(content))
    with pytest.raises(BundleError, match="wrong hash") as raised:
        load_bundle(str(tmp_path / "one"), "clip")
    assert file in str(raised.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    save(tmp_path / "one")
    (tmp_path / "one" / "weights.safetensors").unlink()
    with pytest.raises(BundleError, match=r"weights\.safetensors: the bundle's file is missing"):
        load_bundle(str(tmp_path / "one"), "clip")


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        ({"format": 9}, "format 9 is not known"),
        ({"files": {"../outside": "0"}}, "not a file inside"),
        ({"files": {"/etc/passwd": "0"}}, "not a file inside"),
        ({"files": {"CARD.md": 3}}, "no usable hash for CARD.md"),
        ({"config": []}, "no usable 'config'"),
        ({"name": None}, "no usable 'name'"),
    ],
)
def test_a_bad_manifest_is_refused(tmp_path: Path, edit: dict[str, object], reason: str) -> None:
    save(tmp_path / "one")
    manifest = tmp_path / "one" / "bundle.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text("utf-8")) | edit), encoding="utf-8")
    with pytest.raises(BundleError, match=reason):
        load_bundle(str(tmp_path / "one"), "clip")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\x80"])
def test_a_manifest_that_is_not_json_is_refused(tmp_path: Path, text: str) -> None:
    save(tmp_path / "one")
    (tmp_path / "one" / "bundle.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(BundleError):
        load_bundle(str(tmp_path / "one"), "clip")


def test_a_folder_without_a_manifest_is_named(tmp_path: Path) -> None:
    (tmp_path / "weights.safetensors").write_bytes(b"x")
    with pytest.raises(BundleError, match="no bundle"):
        load_bundle(str(tmp_path), "clip")


def test_weights_that_do_not_fit_are_named(tmp_path: Path) -> None:
    bundle = save(tmp_path / "one")
    tensors = read_weights(bundle)
    with pytest.raises(BundleError, match=r"the tensor weight is \(2, 3\), and the model's is \(5, 3\)"):
        load_into(torch.nn.Linear(3, 5), tensors, bundle)
    with pytest.raises(BundleError, match="which the model does not have"):
        load_into(torch.nn.Linear(3, 2, bias=False), tensors, bundle)
    with pytest.raises(BundleError, match="lacks the tensor bias"):
        load_into(torch.nn.Linear(3, 2), {"weight": tensors["weight"]}, bundle)


def test_damaged_weights_with_the_right_hash_are_refused(tmp_path: Path) -> None:
    bundle = save_bundle(
        tmp_path / "one",
        kind="gan",
        name="x",
        config={},
        weights=None,
        card="",
        extra={"weights.safetensors": b"not tensors"},
    )
    with pytest.raises(BundleError, match="cannot be read"):
        read_weights(bundle)


def test_importing_bundles_imports_no_torch() -> None:
    code = "import sys, catalog_gen.bundles; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_bundle_that_ships_is_whole() -> None:
    """A card that was edited without its hash would be found by the first user."""
    names = sorted(folder.name for folder in bundles.SHIPPED.iterdir() if (folder / "bundle.json").exists())
    drawing = {"product-clip", "gan-64", "gan-128", "upscale-4x"}
    assert drawing | {"lite0", "matte", "style-arbitrary", "style-fast"} <= set(names)
    for name in names:
        kind = json.loads((bundles.SHIPPED / name / "bundle.json").read_text(encoding="utf-8"))["kind"]
        bundle = load_bundle(name, kind)
        assert bundle.name == name and read_weights(bundle)


def test_a_card_can_be_replaced(tmp_path: Path) -> None:
    saved = save(tmp_path / "one")
    replace_card(saved, "# another card\n")
    assert load_bundle(str(tmp_path / "one"), "clip") == saved, "its hashes are whole, and the model is the same"
    assert (tmp_path / "one" / "CARD.md").read_text("utf-8") == "# another card\n"
    assert (tmp_path / "one" / "text" / "config.json").read_bytes() == b"{}"
    assert [path.name for path in tmp_path.iterdir()] == ["one"]
    save(tmp_path / "one", value=0.75)
    with pytest.raises(BundleError, match="another bundle is here by now"):
        replace_card(saved, "# late")
