"""An upscaler's card: what it is, what it learned from, how good it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from catalog_gen.training_data import HeldOut
from catalog_gen.upscale.data import SIDE
from catalog_gen.upscale.measure import Nearness
from catalog_gen.upscale.training import UpscaleTrainer

Table = Mapping[tuple[str, str], Nearness]  # by reduction and way of enlarging


@dataclass(frozen=True)
class Learnt:
    """How many photos were learnt from and measured on, and the rule that parts them."""

    photos: int
    measured: int
    rule: HeldOut


def card(name: str, trainer: UpscaleTrainer, learnt: Learnt, table: Table, losses: Mapping[str, float]) -> str:
    """Return the card in Markdown."""
    config = trainer.config
    network, weights = config.network, config.losses
    parameters = sum(p.numel() for p in trainer.average.parameters())
    means = ", ".join(f"{key} {value:.4f}" for key, value in losses.items())
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
Losses at the end of training: {means or "none reported"}.

{_table(table, learnt.measured)}

## Limits
It makes things sharp that are there. Letters, prints and patterns that the small picture does not show stay unread.
It has seen products on white and little else.
"""


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
