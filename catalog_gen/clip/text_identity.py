"""Whose embeddings of words a CLIP makes: what a generator belongs to.

A generator reads embeddings of words and never those of pictures, so it goes with every CLIP whose text tower is the
one that it was trained on, whatever became of the image tower.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalog_gen.clip.architecture import TEXT_FILES

if TYPE_CHECKING:
    from torch import Tensor

    from catalog_gen.bundles import Bundle

TEXT_TENSORS = "text."  # how open_clip's names of the text tower's tensors begin


@dataclass(frozen=True)
class TextIdentity:
    """A CLIP as its words see it.

    clip_hash: the model hash. text_hash: of its text tower alone, empty where it is not a bundle. text_of: hash of the
    bundle whose text tower it took over unchanged, empty where it took none.
    """

    clip_hash: str
    text_hash: str = ""
    text_of: str = ""

    @property
    def origin(self) -> str:
        """The hash of the bundle that the text tower was trained in."""
        return self.text_of or self.clip_hash

    def fits(self, config: Mapping[str, Any]) -> bool:
        """Return whether a GAN bundle with this config was trained on these embeddings; True where it does not say.

        A bundle that is older than hashes of text towers knows its CLIP's model hash alone.
        """
        trained_on = str(config.get("text_hash") or "")
        if trained_on and self.text_hash:
            return trained_on == self.text_hash
        clip = str(config.get("clip_hash") or "")
        return not clip or clip in (self.clip_hash, self.text_of)


UNKNOWN = TextIdentity("")


def text_origin(bundle: Bundle) -> str:
    """Return the hash of the bundle that the text tower of this CLIP's bundle was trained in."""
    return str(bundle.config.get("text_of") or bundle.hash)


def text_hash(weights: Mapping[str, Tensor], model_config: Mapping[str, Any], text_folder: Path) -> str:
    """Return the sha256, in hex, of all that an embedding of words follows from.

    weights: an open_clip state dict, of which the text tower's tensors count, in float16 as a bundle keeps them.
    model_config: the open_clip config. text_folder: the tokenizer's files and the tower's config.
    """
    import torch

    shape = {"embed_dim": model_config["model_cfg"]["embed_dim"], "text_cfg": model_config["model_cfg"]["text_cfg"]}
    digest = hashlib.sha256(json.dumps(shape, sort_keys=True).encode())
    for name in TEXT_FILES:
        digest.update(f"\n{name}\n".encode() + hashlib.sha256((text_folder / name).read_bytes()).digest())
    for name in sorted(name for name in weights if name.startswith(TEXT_TENSORS)):
        tensor = weights[name].detach().cpu()
        stored = (tensor.half() if tensor.is_floating_point() else tensor).contiguous()
        digest.update(f"\n{name} {tuple(stored.shape)} {stored.dtype}\n".encode())
        digest.update(stored.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
