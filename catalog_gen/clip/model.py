"""CLIP as the job uses it: texts and pictures in, unit vectors out. open_clip is the one way in.

A model is a bundle, shipped or the shop's own, or any of open_clip's architectures with weights that the user names.
An embedding is part of a row's record, so it must not depend on which other rows shared its batch: texts run in groups
of like length, rounded up from the text alone, in chunks of a fixed number of rows.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from catalog_gen.bundles import load_bundle, load_into, read_weights
from catalog_gen.clip.architecture import OPEN_CLIP_CONFIG, build, quiet
from catalog_gen.clip.data import fold_norms, photo_views, resize, show
from catalog_gen.clip.text_identity import TextIdentity, text_hash
from catalog_gen.errors import BundleError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

logger = logging.getLogger(__name__)

OPEN_CLIP = "open_clip:"
DEFAULT_CLIP = "product-clip"
ROWS = 16  # rows of every chunk that runs, short ones filled up: one shape, one order of summation, the same bits
LENGTH_STEP = 8
ViewName = Literal["score", "photo"]


@dataclass(frozen=True)
class _Normalisation:
    mean: tuple[float, ...]
    std: tuple[float, ...]


class ClipModel:
    """A loaded CLIP. `config` is its bundle's (empty for a model that is no bundle), `text` what words go through."""

    def __init__(
        self, model: Any, tokenizer: Any, *, name: str, text: TextIdentity, config: Mapping[str, Any], device: str
    ) -> None:
        self.name, self.text, self.config, self.device = name, text, dict(config), torch.device(device)
        self._model = model.eval().requires_grad_(False).to(self.device)
        self._tokenizer = tokenizer
        preprocess: dict[str, Any] = dict(model.visual.preprocess_cfg)
        size: Any = self.config.get("image_size", preprocess["size"])
        self.image_size = int(size if isinstance(size, int) else size[0])
        self.score_size = int(self.config.get("score_size", self.image_size))
        self._normalisation = _Normalisation(tuple(preprocess["mean"]), tuple(preprocess["std"]))
        self._tower = _image_tower(self._model, self.device)
        if self.config:  # a product CLIP, whose trunk is known
            fold_norms(self._model.visual.trunk)
        _settle_precision(self._model.visual)
        if self._reads_any_length():
            _settle_precision(self._model.text)
        self.embed_dim = int(self.embed_texts(["a product"]).shape[1])

    @property
    def hash(self) -> str:
        """The model hash."""
        return self.text.clip_hash

    @property
    def text_hash(self) -> str:
        """The hash of its text tower alone; empty for a model that is no bundle."""
        return self.text.text_hash

    @property
    def threshold(self) -> float | None:
        """The cosine that 95 % of real photos reach in the score view; None where nobody has measured it."""
        value = self.config.get("threshold")
        return None if value is None else float(value)

    @torch.inference_mode()
    def embed_texts(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return (B, D) float32 unit-norm embeddings; each has the same bits whatever else is in the batch.

        Longer texts than the model reads are cut by its tokenizer; a text without letters still gets a finite vector.
        """
        distinct = list(dict.fromkeys(texts))
        tokens = self._tokenise(distinct)
        found: dict[str, npt.NDArray[np.float32]] = {}
        groups: dict[int, list[int]] = {}
        for i, row in enumerate(tokens):
            groups.setdefault(len(row), []).append(i)
        for members in groups.values():
            for start in range(0, len(members), ROWS):
                chunk = members[start : start + ROWS]
                filled = torch.stack([tokens[i] for i in chunk] + [tokens[chunk[0]]] * (ROWS - len(chunk)))
                vectors = self._encode_text(filled.to(self.device))
                for i, vector in zip(chunk, vectors, strict=False):
                    found[distinct[i]] = vector
        dim = getattr(self, "embed_dim", 0)
        return np.stack([found[text] for text in texts]) if texts else np.zeros((0, dim), np.float32)

    @torch.inference_mode()
    def embed_images(self, images: Tensor, view: ViewName = "score") -> npt.NDArray[np.float32]:
        """Return (B, D) float32 unit-norm embeddings of square RGB pictures, (B, 3, H, W): [0, 1], or uint8.

        view: "score" shows a generated picture once, at the model's `score_size`; "photo" is for photographs, the mean
        of several views around its `image_size`, slower and better.
        A picture's embedding does not depend on the others in the batch.
        """
        parts = []
        for start in range(0, len(images), ROWS):
            chunk = images[start : start + ROWS].to(self.device)
            filled = F.pad(chunk, (0, 0, 0, 0, 0, 0, 0, ROWS - len(chunk)))
            shown = [resize(filled, self.score_size)] if view == "score" else self._photo_views(filled)
            vectors = [F.normalize(self._tower(self._normalise(one)).float(), dim=-1) for one in shown]
            parts.append(_unit(torch.stack(vectors).mean(0))[: len(chunk)])
        return np.concatenate(parts) if parts else np.zeros((0, self.embed_dim), np.float32)

    def _photo_views(self, images: Tensor) -> list[Tensor]:
        draft_size = self.config.get("draft_size")
        if draft_size is None:  # not a product CLIP: it knows one view
            return [resize(images, self.image_size)]
        square = resize(images, self.image_size)
        unused = torch.Generator()  # these views move nothing
        return [show(square, view, unused) for view in photo_views(self.image_size, self.score_size, int(draft_size))]

    def encode_images(self, images: Tensor, view: ViewName = "score") -> Tensor:
        """Return (B, D) unit-norm embeddings of (B, 3, H, W) in [0, 1], with gradients, for guidance."""
        size = self._size(view)
        if images.shape[-2:] != (size, size):
            images = F.interpolate(images, (size, size), mode="bilinear", antialias=True, align_corners=False)
        return F.normalize(self._tower(self._normalise(images)).float(), dim=-1)

    def _size(self, view: ViewName) -> int:
        return self.score_size if view == "score" else self.image_size

    def _normalise(self, images: Tensor) -> Tensor:
        mean = torch.tensor(self._normalisation.mean, device=images.device).view(1, 3, 1, 1)
        std = torch.tensor(self._normalisation.std, device=images.device).view(1, 3, 1, 1)
        return ((images - mean) / std).contiguous(memory_format=torch.channels_last)

    def _encode_text(self, tokens: Tensor) -> npt.NDArray[np.float32]:
        with _half_precision(self.device) if self._reads_any_length() else nullcontext():
            return _unit(self._model.encode_text(tokens))

    def _reads_any_length(self) -> bool:
        """Whether the text tower masks its padding, as open_clip's Hugging Face towers do; its own want one length."""
        plain = not getattr(self._tokenizer, "tokenizer_mode", "") and not getattr(
            self._tokenizer, "strip_sep_token", False
        )
        return (
            plain
            and hasattr(self._tokenizer, "tokenizer")
            and hasattr(self._model, "text")
            and hasattr(self._model.text, "pooler")
        )

    def _tokenise(self, texts: Sequence[str]) -> list[Tensor]:
        """Return each text's tokens, padded to the next multiple of 8, or to the whole context where that is fixed."""
        if not texts:
            return []
        if not self._reads_any_length():
            return list(self._tokenizer(list(texts)))
        limit = int(self._tokenizer.context_length)
        clean = [self._tokenizer.clean_fn(text) for text in texts]
        found = self._tokenizer.tokenizer(clean, truncation=True, max_length=limit)["input_ids"]
        pad = int(self._model.text.config.pad_token_id)
        rows = []
        for ids in found:
            length = min(limit, -(-len(ids) // LENGTH_STEP) * LENGTH_STEP)
            rows.append(torch.tensor(ids + [pad] * (length - len(ids))))
        return rows


def load_clip(spec: str = DEFAULT_CLIP, device: str = "cpu", *, pretrained: str | None = None) -> ClipModel:
    """Return the CLIP that `spec` names, ready to embed on `device`.

    spec: a bundle (a shipped one's name, or a folder), which needs no network; or `open_clip:ARCH`, any architecture of
    open_clip, with `pretrained` its tag (fetched by open_clip) or a local weights file.
    Raises BundleError for a bundle that is missing or damaged, an unknown architecture or tag, or weights that
    cannot be fetched.
    """
    if spec.startswith(OPEN_CLIP):
        return _load_open_clip(spec.removeprefix(OPEN_CLIP), device, pretrained)
    if pretrained:
        raise BundleError(
            f"{spec!r} is a bundle and brings its own weights",
            hint=f"Write {OPEN_CLIP}ARCH to name pretrained ones.",
        )
    bundle = load_bundle(spec, "clip")
    config = read_open_clip_config(bundle.path / OPEN_CLIP_CONFIG)
    text_folder = bundle.path / config["model_cfg"]["text_cfg"]["hf_model_name"]
    model, tokenizer = build(config, text_folder)
    weights = read_weights(bundle)
    load_into(model, weights, bundle)
    text = TextIdentity(bundle.hash, text_hash(weights, config, text_folder), str(bundle.config.get("text_of") or ""))
    return ClipModel(model, tokenizer, name=bundle.name, text=text, config=bundle.config, device=device)


def read_open_clip_config(file: Path) -> dict[str, Any]:
    """Return a bundle's open_clip config. Raises BundleError when it is none, or reaches out of the bundle."""
    try:
        config = json.loads(file.read_text("utf-8"))
        name = config["model_cfg"]["text_cfg"]["hf_model_name"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BundleError(f"is no open_clip config with a text tower ({error!r})", where=str(file)) from error
    if not isinstance(name, str) or not (file.parent / name).resolve().is_relative_to(file.parent.resolve()):
        raise BundleError(f"the text tower {name!r} is not inside the bundle", where=str(file))
    return dict(config)


def _load_open_clip(arch: str, device: str, pretrained: str | None) -> ClipModel:
    import open_clip

    known = open_clip.list_models()
    if arch not in known:
        near = ", ".join(difflib.get_close_matches(arch, known, 3, 0.4)) or ", ".join(known[:5])
        raise BundleError(f"open_clip has no architecture {arch!r}", hint=f"Near it: {near}.")
    if not pretrained:
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(arch)) or "none"
        raise BundleError(f"{OPEN_CLIP}{arch} needs its weights named", hint=f"Tags: {tags}; or give a local file.")
    try:
        with quiet():
            model = open_clip.create_model(arch, pretrained=pretrained, pretrained_text=False)
            tokenizer = open_clip.get_tokenizer(arch)
    except Exception as error:  # open_clip, the hub's client and torch each raise their own here
        raise BundleError(
            f"the weights {pretrained!r} cannot be loaded ({error})",
            where=f"{OPEN_CLIP}{arch}",
            hint="Without a network, give a local .safetensors file.",
        ) from error
    name = f"{OPEN_CLIP}{arch}"
    text = TextIdentity(_state_hash(model, arch, pretrained))
    return ClipModel(model, tokenizer, name=name, text=text, config={}, device=device)


def _state_hash(model: Any, arch: str, pretrained: str) -> str:
    tag = "file" if "." in pretrained or "/" in pretrained else pretrained  # a file's place says nothing about it
    digest = hashlib.sha256(f"{arch}\n{tag}\n".encode())
    for name, tensor in model.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _image_tower(model: Any, device: torch.device) -> Callable[[Tensor], Tensor]:
    """Return the image tower as it runs: convolutions in bfloat16, channels last, as the head was trained on them."""
    visual = model.visual

    def run(images: Tensor) -> Tensor:
        with _half_precision(device):
            return visual(images)  # type: ignore[no-any-return]

    return run


def _settle_precision(tower: torch.nn.Module) -> None:
    """Keep the weights that autocast reads in bfloat16: the same bits, without casting them anew for every chunk."""
    for module in tower.modules():
        if isinstance(module, torch.nn.Linear | torch.nn.Conv2d):
            module.to(torch.bfloat16)


def _half_precision(device: torch.device) -> AbstractContextManager[Any]:
    return torch.autocast(device.type, dtype=torch.bfloat16)


def _unit(vectors: Tensor) -> npt.NDArray[np.float32]:
    found = F.normalize(vectors.float(), dim=-1).cpu().numpy()
    return np.asarray(found, dtype=np.float32)
