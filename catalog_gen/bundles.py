"""A model bundle: one folder with a model's weights, its config, its card, and the hash of each.

    product-clip/
      bundle.json           {"format": 1, "kind": "clip", "name": ..., "config": {...}, "files": {file name: sha256}}
      weights.safetensors
      CARD.md               what it is, what it learned from, how good it is
      ...                   what else the kind needs (a tokenizer, an open_clip config)

Nothing in a bundle is unpickled, and every file is checked before it is used: a bundle comes from a download, a copy
over a flaky network, or a hand that edited one file. The bundle's hash is the "model hash" of every record.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from catalog_gen.errors import BundleError

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

FORMAT = 1
MANIFEST = "bundle.json"
CARD = "CARD.md"
WEIGHTS = "weights.safetensors"
KINDS = ("clip", "features", "gan", "matte", "style", "translate", "upscale")
SHIPPED = Path(__file__).parent / "weights"


@dataclass(frozen=True)
class Bundle:
    """A checked bundle. `hash` is the sha256, in hex, of its kind, config and files; its name and card are no part."""

    name: str
    kind: str
    path: Path
    config: dict[str, Any]
    hash: str


def shipped_bundles(kind: str | None = None) -> list[str]:
    """Return the names of the bundles that come with the package, of one kind or of all."""
    names = []
    for manifest in sorted(SHIPPED.glob(f"*/{MANIFEST}")):
        if kind is None or _read_manifest(manifest.parent).get("kind") == kind:
            names.append(manifest.parent.name)
    return names


def load_bundle(spec: str, kind: str) -> Bundle:
    """Return the bundle that `spec` names: a folder's path, or the name of a shipped one.

    Raises BundleError when it is missing, incomplete, changed since it was saved, of another kind, or of a format that
    this version does not know.
    """
    folder = _find(spec, kind)
    manifest = _read_manifest(folder)
    where = str(folder / MANIFEST)
    if manifest["format"] != FORMAT:
        raise BundleError(
            f"bundle format {manifest['format']!r} is not known, this version reads {FORMAT}",
            where=where,
            hint="Upgrade catalog-gen, or train the bundle anew.",
        )
    if manifest["kind"] != kind:
        raise BundleError(f"this is a {manifest['kind']} bundle, and a {kind} bundle is needed", where=where)
    files: dict[str, str] = manifest["files"]
    for name, expected in files.items():
        _check_file(folder, name, expected)
    return Bundle(manifest["name"], kind, folder, manifest["config"], _model_hash(kind, manifest["config"], files))


def save_bundle(
    folder: Path,
    *,
    kind: str,
    name: str,
    config: Mapping[str, Any],
    weights: Mapping[str, Tensor] | None,
    card: str,
    extra: Mapping[str, bytes | Path] | None = None,
    half: bool = True,
) -> Bundle:
    """Write a bundle to `folder`, replacing one that is there, and return it as `load_bundle` reads it.

    weights: name to tensor, floating ones stored as float16 when `half`. extra: further files by their name, which may
    hold a subfolder. It is written beside its place and renamed, so a crash leaves the old bundle or the new one.
    Raises BundleError when a weight is not finite in float16, or when the folder holds something that is no bundle.
    """
    if kind not in KINDS:
        raise BundleError(f"{kind!r} is no kind of bundle", hint=f"Known: {', '.join(KINDS)}.")
    check_place(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        if weights is not None:
            _write_weights(part / WEIGHTS, weights, half)
        (part / CARD).write_text(card, encoding="utf-8")
        for file, content in (extra or {}).items():
            target = _inside(part, file)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content if isinstance(content, bytes) else content.read_bytes())
        files = {file.relative_to(part).as_posix(): _sha256(file) for file in sorted(part.rglob("*")) if file.is_file()}
        manifest = {"format": FORMAT, "kind": kind, "name": name, "config": dict(config), "files": files}
        _write_manifest(part, manifest)
        for entry in (part, *part.rglob("*")):  # temporary folders and safetensors' files are the owner's alone
            entry.chmod(0o755 if entry.is_dir() else 0o644)
        _replace_folder(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return load_bundle(str(folder), kind)


def replace_card(bundle: Bundle, card: str) -> None:
    """Put another card into the bundle's folder; model and hash stay. Whoever reads finds the old one or the new one.

    Raises BundleError when the folder is not the bundle any more.
    """
    folder = bundle.path
    if load_bundle(str(folder), bundle.kind).hash != bundle.hash:
        raise BundleError("another bundle is here by now", where=str(folder))
    part = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        shutil.copytree(folder, part, dirs_exist_ok=True)
        (part / CARD).write_text(card, encoding="utf-8")
        manifest = _read_manifest(part)
        manifest["files"][CARD] = _sha256(part / CARD)
        _write_manifest(part, manifest)
        _replace_folder(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def check_place(folder: Path) -> None:
    """Raise BundleError when `folder` holds something that is no bundle: one is not written in its place."""
    if folder.exists() and not (folder / MANIFEST).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise BundleError("something else is here, and it stays", where=str(folder), hint="Choose another folder.")


def read_weights(bundle: Bundle, filename: str = WEIGHTS) -> dict[str, Tensor]:
    """Return the bundle's tensors by name, as stored (usually float16); raises BundleError when they cannot be read."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    file = bundle.path / filename
    try:
        return dict(load_file(file))
    except (OSError, SafetensorError) as error:
        raise BundleError(f"the weights cannot be read ({error})", where=str(file)) from error


def load_into(module: Module, tensors: Mapping[str, Tensor], bundle: Bundle) -> None:
    """Copy the tensors into the module, converted to its own types.

    Raises BundleError naming the first tensor that is missing, unexpected, or of another shape, before any is copied.
    """
    own = module.state_dict()
    where = str(bundle.path)
    for name, value in own.items():
        if name not in tensors:
            raise BundleError(f"the bundle lacks the tensor {name}", where=where)
        if tensors[name].shape != value.shape:
            theirs, ours = tuple(tensors[name].shape), tuple(value.shape)
            raise BundleError(f"the tensor {name} is {theirs}, and the model's is {ours}", where=where)
    for name in tensors:
        if name not in own:
            raise BundleError(f"the bundle holds the tensor {name}, which the model does not have", where=where)
    module.load_state_dict(dict(tensors), strict=True)


def _find(spec: str, kind: str) -> Path:
    direct = Path(spec).expanduser()
    shipped = SHIPPED / spec
    is_name = bool(spec) and PurePosixPath(spec).name == spec and spec not in (".", "..")
    for folder in (direct, *([shipped] if is_name else [])):
        if spec and (folder / MANIFEST).is_file():
            return folder
    if spec and direct.is_dir() and any(direct.iterdir()):
        raise BundleError(f"the folder has no {MANIFEST}, so it is no bundle", where=str(direct))
    names = ", ".join(shipped_bundles(kind)) or "none"
    raise BundleError(f"there is no {kind} bundle {spec!r}", hint=f"Give a folder, or a shipped one: {names}.")


def _read_manifest(folder: Path) -> dict[str, Any]:
    file = folder / MANIFEST
    try:
        manifest = json.loads(file.read_text("utf-8"))
    except OSError as error:
        raise BundleError(f"cannot be read ({error.strerror or error})", where=str(file)) from error
    except ValueError as error:
        raise BundleError(f"is not JSON ({error})", where=str(file), hint="Copy the bundle again.") from error
    expected = {"format": int, "kind": str, "name": str, "config": dict, "files": dict}
    for key, of_type in expected.items():
        if not isinstance(manifest, dict) or not isinstance(manifest.get(key), of_type):
            raise BundleError(f"has no usable {key!r}", where=str(file), hint="Copy the bundle again.")
    for name, digest in manifest["files"].items():
        if not isinstance(digest, str):
            raise BundleError(f"has no usable hash for {name}", where=str(file), hint="Copy the bundle again.")
    return dict(manifest)


def _write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    text = json.dumps(manifest, indent=2, ensure_ascii=False, sort_keys=True, allow_nan=False)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def _check_file(folder: Path, name: str, expected: str) -> None:
    file = _inside(folder, name)
    try:
        found = _sha256(file)
    except FileNotFoundError as error:
        raise BundleError("the bundle's file is missing", where=str(file), hint="Copy the bundle again.") from error
    except OSError as error:
        raise BundleError(f"cannot be read ({error.strerror or error})", where=str(file)) from error
    if found != expected:
        raise BundleError(
            f"wrong hash: the file is {found[:12]} and the bundle says {expected[:12]}",
            where=str(file),
            hint="It changed after it was saved; copy the bundle again.",
        )


def _inside(folder: Path, name: str) -> Path:
    pure = PurePosixPath(name)
    if not name or pure.is_absolute() or ".." in pure.parts or "\\" in name or ":" in name:
        raise BundleError(f"{name!r} is not a file inside the bundle", where=str(folder))
    return folder / pure


def _model_hash(kind: str, config: Mapping[str, Any], files: Mapping[str, str]) -> str:
    content = {
        "kind": kind,
        "config": config,
        "files": {name: h for name, h in files.items() if name != CARD},
    }
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _write_weights(file: Path, weights: Mapping[str, Tensor], half: bool) -> None:
    import torch
    from safetensors.torch import save_file

    stored = {}
    for name, tensor in weights.items():
        value = tensor.detach().cpu().contiguous()
        if half and value.is_floating_point():
            value = value.to(torch.float16)
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise BundleError(f"the tensor {name} is not finite as {value.dtype}", where=str(file))
        stored[name] = value.clone()  # tensors that share memory cannot be stored as two
    save_file(stored, file)


def _replace_folder(part: Path, folder: Path) -> None:
    """Put `part` in the place of `folder`; no folder can be renamed over a full one, so the old one steps aside."""
    aside = part.with_name(part.name + "-old")
    if folder.exists():
        folder.replace(aside)
    try:
        part.replace(folder)
    except OSError:
        if aside.exists():
            aside.replace(folder)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
