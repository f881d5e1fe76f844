"""The product CLIP's shape, said in open_clip's own words, and built by open_clip.

The bundle names its text tower and tokenizer by a folder relative to itself; open_clip wants a path that it can open,
so the config is written out with absolute paths to a temporary folder and handed over as `local-dir:`.
"""

from __future__ import annotations

import copy
import json
import logging
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from catalog_gen.clip.data import IMAGENET_MEAN, IMAGENET_STD

OPEN_CLIP_CONFIG = "open_clip_config.json"
TEXT_FOLDER = "text"
TEXT_FILES = (
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
)


def product_clip_config(embed_dim: int, image_size: int, context_length: int, dropout: float) -> dict[str, Any]:
    """Return the open_clip config of an EfficientNet-Lite0 with an MLP head beside a mean-pooled MiniLM."""
    return {
        "model_cfg": {
            "embed_dim": embed_dim,
            "vision_cfg": {
                "timm_model_name": "tf_efficientnet_lite0",
                "timm_model_pretrained": False,
                "timm_pool": "avg",
                "timm_proj": "mlp",
                "timm_drop": dropout,
                "image_size": image_size,
            },
            "text_cfg": {
                "hf_model_name": TEXT_FOLDER,
                "hf_tokenizer_name": TEXT_FOLDER,
                "hf_pooler_type": "mean_pooler",
                "hf_proj_type": "linear",
                "context_length": context_length,
            },
        },
        "preprocess_cfg": {
            "size": image_size,
            "mode": "RGB",
            "mean": list(IMAGENET_MEAN),
            "std": list(IMAGENET_STD),
            "interpolation": "bicubic",
            "resize_mode": "longest",
            "fill_color": 255,
        },
    }


def build(config: Mapping[str, Any], text_folder: Path, *, pretrained_text: bool = False) -> tuple[Any, Any]:
    """Return (model, tokenizer) as open_clip builds them, without asking the hub for anything.

    config: what `product_clip_config` returns. text_folder: the Hugging Face files of the text tower and its tokenizer,
    with its weights where `pretrained_text` is set; every other weight starts at random.
    """
    import open_clip

    resolved = copy.deepcopy(dict(config))
    for name in ("hf_model_name", "hf_tokenizer_name"):
        resolved["model_cfg"]["text_cfg"][name] = str(text_folder.resolve())
    with tempfile.TemporaryDirectory(prefix="catalog-gen-clip-") as folder, offline(), quiet():
        Path(folder, OPEN_CLIP_CONFIG).write_text(json.dumps(resolved), encoding="utf-8")
        spec = f"local-dir:{folder}"
        model = open_clip.create_model(spec, load_weights=False, pretrained_text=pretrained_text)
        tokenizer = open_clip.tokenizer.HFTokenizer(  # get_tokenizer would look for it beside the temporary config
            str(text_folder.resolve()), context_length=resolved["model_cfg"]["text_cfg"]["context_length"]
        )
    return model, tokenizer


@contextmanager
def offline() -> Iterator[None]:
    """Keep transformers from asking the hub about a folder that is all here."""
    before = os.environ.get("HF_HUB_OFFLINE")
    os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["HF_HUB_OFFLINE"]
        else:
            os.environ["HF_HUB_OFFLINE"] = before


@contextmanager
def quiet() -> Iterator[None]:
    """Silence open_clip's warnings on the root logger that weights are missing: they are loaded right after."""
    root = logging.getLogger()

    def keep(record: logging.LogRecord) -> bool:
        return record.levelno >= logging.ERROR or "open_clip" not in record.pathname

    root.addFilter(keep)
    try:
        yield
    finally:
        root.removeFilter(keep)
