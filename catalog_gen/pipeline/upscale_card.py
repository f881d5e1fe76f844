"""An upscaler's card: what it is, what it learned from, how good it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from catalog_gen.training_data import HeldOut
from catalog_gen.upscale.data import SIDE
from catalog_gen.upscale.measure import Nearness
from catalog_gen.upscale.training import UpscaleTrainer

LINES = 10  # of the table of losses over training
LOSSES = ("pixels", "features", "adversarial")

Table = Mapping[tuple[str, str], Nearness]  # by reduction and way of enlarging


@dataclass(frozen=True)
class Learnt:
    """How many photos were learnt from and measured on, and the rule that parts them."""

    photos: int
    measured: int
    rule: HeldOut


def card(name: str, trainer: UpscaleTrainer, learnt: Learnt, table: Table, history: Sequence[Mapping[str, Any]]) -> str:
    """Return the card in Markdown. history: the training's reports, of which those of kind "loss" are shown."""
    config = trainer.config
    network, weights = config.network, config.losses
    parameters = sum(p.numel() for p in trainer.average.parameters())
    return f"""# {name}

A network that makes product pictures {network.factor} times as wide and as high, sharp, on pure white.

## Data
{learnt.photos:,} photos of products on white, laid on squares of {SIDE} px, cut to crops of {config.crop} px: whole
ones, ones at the products' edges, ones anywhere on them; mirrored at random. The small pictures are reduced in one of
four ways; many are blurred, noisy or compressed (after arXiv 2107.10833, milder), some have wavering edges, blotches of
colour, or a veil of grey on the ground. Nothing is learnt from the held-out rows: {learnt.rule}.

## Recipe
- {network.blocks} residual blocks of {network.width} channels at the small size, pixel shuffles, added to the bicubic
  enlargement; {parameters:,} parameters.
- Losses: Charbonnier's on pixels ({weights.pixels}); distance in features of a frozen EfficientNet-Lite0
  ({weights.features}); after {config.warmup:.0%} of the images, a patch critic's hinge loss
  ({weights.adversarial}).
- Adam, learning rate {config.learning_rate}, batch {config.batch}, seed {config.seed}; the weights are the average of
  the late ones.
- {trainer.images:,} crops in {trainer.seconds / 60:.0f} minutes on a CPU.

## Measured
{_table(table, learnt.measured)}

## How it moved
{_course(history)}

## Limits
It makes things sharp that are there. Letters, prints and patterns that the small picture does not show stay unread.
It has seen products on white and little else.

## Make your own
`catalog-gen train upscale` trains one on the shop's own photos; `upscale.model` names its folder.
"""


def _course(history: Sequence[Mapping[str, Any]]) -> str:
    reports = [line for line in history if line["kind"] == "loss"]
    if not reports:
        return "No losses were reported."
    per = -(-len(reports) // LINES)
    parts = [reports[start : start + per] for start in range(0, len(reports), per)]
    rows = "\n".join(
        f"| {part[-1]['images']:,} | "
        + " | ".join(f"{sum(line[name] for line in part) / len(part):.4f}" for name in LOSSES)
        + " |"
        for part in parts
    )
    return f"""Losses of the training crops, each line the mean since the line above. The critic comes in after the
warm-up, and from there on its loss moves as the two players do.

| crops | pixels | features | adversarial |
| ---: | ---: | ---: | ---: |
{rows}"""


def _table(table: Table, count: int) -> str:
    if not table:
        return "Nothing was held out, so nothing was measured."
    rows = "\n".join(
        f"| {reduction} | {way} | {near.psnr:.2f} | {near.ssim:.4f} | {near.features:.4f} |"
        for (reduction, way), near in table.items()
    )
    return f"""{count} held-out photos of {SIDE} px, reduced and enlarged again.
PSNR (dB) and SSIM of the luma, more is nearer; the feature distance is made like LPIPS (arXiv 1801.03924) in
EfficientNet-Lite1, which training has not used: less is nearer. PSNR and SSIM favour what is soft.

| reduction | enlarged by | PSNR | SSIM | feature distance |
| --- | --- | ---: | ---: | ---: |
{rows}"""
