"""Turning a trained product CLIP into a bundle: weights, open_clip config, tokenizer, thresholds and card."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from catalog_gen.bundles import Bundle, save_bundle
from catalog_gen.clip.architecture import OPEN_CLIP_CONFIG, TEXT_FILES, TEXT_FOLDER
from catalog_gen.clip.config import ClipTrainConfig
from catalog_gen.clip.polish import POLISH
from catalog_gen.clip.text_identity import text_hash, text_origin
from catalog_gen.training_data import HeldOut

MOVED = ("photo_r1", "photo_r10", "score_r1", "score_r10", "top1_same_category", "top1_same_colour")


@dataclass(frozen=True)
class Trained:
    """A finished training: the model, its open_clip config, and what was measured."""

    model: Any
    model_config: Mapping[str, Any]
    config: ClipTrainConfig
    metrics: Mapping[str, float]
    calibration: Mapping[str, Any]
    products: int
    seconds: float
    rule: HeldOut
    epoch: float | None = None  # of the last phase that bettered anything: the best, and kept; None: the last
    start: Bundle | None = None  # whose towers it started from, and whose text tower it has


def publish(out: Path, trained: Trained, text_folder: Path) -> Bundle:
    """Write the bundle to `out` and return it."""
    config, calibration = trained.config, trained.calibration
    shipped = json.loads(json.dumps(trained.model_config))
    shipped["model_cfg"]["vision_cfg"]["timm_drop"] = 0.0
    extra: dict[str, bytes | Path] = {OPEN_CLIP_CONFIG: (json.dumps(shipped, indent=2, sort_keys=True) + "\n").encode()}
    extra |= {f"{TEXT_FOLDER}/{file}": text_folder / file for file in TEXT_FILES}
    weights = trained.model.state_dict()
    content = {
        "text_hash": text_hash(weights, shipped, text_folder),
        "text_of": text_origin(trained.start) if trained.start else "",
        "embed_dim": config.embed_dim,
        "image_size": config.image_size,
        "score_size": config.score_size,
        "draft_size": config.draft_size,
        "threshold": calibration["threshold"],
        "calibration": dict(calibration),
        "metrics": dict(trained.metrics),
        "held_out_rule": asdict(trained.rule),
        "training": config.model_dump(mode="json")
        | {"products": trained.products, "polish": asdict(POLISH), "kept_epoch": trained.epoch}
        | ({"from": trained.start.hash} if trained.start else {}),
    }
    return save_bundle(
        out,
        kind="clip",
        name=config.name,
        config=content,
        weights=weights,
        card=card(trained),
        extra=extra,
    )


def card(trained: Trained) -> str:
    """Return the model card: what it is, what it learned, how good it was on products that it had not seen."""
    config, calibration = trained.config, trained.calibration
    figures = "\n".join(f"| {name} | {value} |" for name, value in trained.metrics.items())
    size, draft, score = config.image_size, config.draft_size, config.score_size
    unfrozen = config.last_stages.stages
    frozen = f"frozen but for its last {unfrozen} stages" if unfrozen else "frozen"
    phases = "\n".join([_joint_phase(trained), *([_last_phase(trained)] if unfrozen else [])])
    kept = "" if trained.epoch is None else f"\nEpoch {trained.epoch:g} measured best, and is the one kept."
    stray = f"{100 * float(calibration['false_pass']):.1f} %"
    return f"""# {config.name}

A product CLIP: it reads a product's words and looks at its picture, and says how well they agree.

- Image tower: EfficientNet-Lite0 (ImageNet, Apache-2.0), {frozen}, with an MLP head to {config.embed_dim} dimensions.
- Text tower: all-MiniLM-L6-v2 (Apache-2.0), fine-tuned, mean-pooled, linear to {config.embed_dim} dimensions.
- An ordinary open_clip model: `open_clip_config.json` describes it, and open_clip builds it.

## Trained on
{config.data}

Photos used: {trained.products:,}, seed {config.seed}.

{phases}
{kept}
Prompts are reworded at random: attributes dropped and shuffled, title words dropped. Photos are seen at {size} px,
and as a generated picture is scored: reduced to {draft} px, shown at {score} px.
Compute: {trained.seconds / 60:.0f} minutes of training steps on a CPU, and the photos' features before them.

## Held-out figures
Text to image among products kept out of training. `photo`: the mean of four views, at {size} and at {draft} px, each
with its mirror image, as a photograph is embedded; `photo_once`: that of {size} px alone; `score`: of {draft} px
alone, as a generated picture is scored.

| figure | value |
| --- | --- |
{figures}
{_moved(trained)}
Gate threshold: {calibration["threshold"]}. 95 % of real photos reach this cosine with their own prompt in the score
view, and {stray} of other products' photos reach it too.

## Limits
It knows the kinds of product, the colours and the language that it was trained on, and little else. It checks that a
picture shows about the right thing, not that it shows the right product. Words about what does not show, such as fit
or fabric, are noise to it, and so are words that no prompt of the training had: misspelt ones, other languages'.

## Making your own
    catalog-gen train clip

trains one on your own products and photos; the result is a folder like this one, and its path goes into the config.
"""


def _joint_phase(trained: Trained) -> str:
    config, start = trained.config, trained.start
    before = f"As {start.name}@{start.hash[:12]}, before: both" if start else "Both"
    rates = f"{config.head_lr} (heads) and {config.text_lr} (text)"
    return f"""- {before} towers, the image trunk frozen: symmetric InfoNCE, batch {config.batch_size},
  {config.epochs} epochs, AdamW, decay {config.weight_decay}, peak rate {rates}. Then the image head alone:
  {POLISH.epochs} epochs of batch {POLISH.batch_size}, with noise and dropout on its features."""


def _last_phase(trained: Trained) -> str:
    config = trained.config.last_stages
    whose = ", so that generators trained on its words go with this CLIP too" if trained.start else ""
    return f"""- The text tower at rest{whose}: the image tower's last {config.stages} stages and its head,
  {config.epochs} epochs of batch {config.batch_size} against all products' words and photos (arXiv 1912.06798),
  AdamW, decay {config.weight_decay}, peak rate {config.lr} (stages) and {config.head_lr} (head); stochastic depth
  {config.drop_path}, noise and dropout on features, moved, turned, lighter and darker views; averaged weights."""


def _moved(trained: Trained) -> str:
    """Return how the bundle that it started from measured, and how this one does, where both say so."""
    before = trained.start.config.get("metrics", {}) if trained.start else {}
    both = [name for name in MOVED if name in before and name in trained.metrics]
    moved = [f"{name} {before[name]} to {trained.metrics[name]}" for name in both]
    lines = "\n".join(f"- {line}" for line in moved)
    return f"\nWhat the last phase moved:\n\n{lines}\n" if moved else ""
