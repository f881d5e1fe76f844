"""The engines `pix2pix` and `cyclegan`: a generator trained on the shop's own pictures paints the scene.

Masks do not enter their statistics: the networks normalise by the whole picture, product and all, as they did while
they learnt. What the product keeps of itself is decided by the blend afterwards. A template's style images play no part
either: the look is what the training pictures had.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from catalog_gen.bundles import Bundle, load_bundle, load_into, read_weights, save_bundle
from catalog_gen.errors import BundleError
from catalog_gen.style.edges import outline
from catalog_gen.style.engine import EngineConfig, Look, engine_hash
from catalog_gen.style.translate_config import Config, CycleganConfig, Pix2pixConfig
from catalog_gen.style.translate_networks import ResnetGenerator, UNet

KIND = "translate"
VERSION = 1  # of what `stylise` does with the weights


class TranslateEngine:
    """A trained translation as a template's engine. It looks at whole pictures, and is never given tiles.

    A bundle is applied as it says itself. "scaled": at the size it was trained at, where it knows what things are; the
    change is laid on the picture at its own size, whose fine detail stays (as in arXiv 2105.09188). Outlines have no
    detail to keep: what is drawn from them is scaled up. "full": at the picture's size, for looks that are texture.
    """

    whole = True

    def __init__(self, bundle: Bundle, network: nn.Module, device: torch.device) -> None:
        self.name: str = bundle.config["engine"]
        self.hash = engine_hash(self.name, VERSION, {}, bundle.hash)
        self.device, self.settings = device, bundle.config
        self.network = network.eval().requires_grad_(False).to(device)
        self.multiple = int(network.multiple)  # type: ignore[arg-type]

    @classmethod
    def open(cls, config: EngineConfig, device: str | torch.device) -> Self:
        """Return the engine of a template; raises BundleError when it names no bundle, or one of another engine."""
        if not config.bundle:
            raise BundleError(
                f"the engine {config.engine} needs the template's own bundle",
                hint=f"Train one with `catalog-gen train {config.engine}`, and name its folder: bundle = '...'.",
            )
        bundle = load_bundle(config.bundle, KIND)
        if bundle.config.get("engine") != config.engine:
            what = f"this is a bundle of {bundle.config.get('engine')}, and the template's engine is {config.engine}"
            raise BundleError(what, where=str(bundle.path), hint=f"Set engine = '{bundle.config.get('engine')}'.")
        network = _network(bundle)
        load_into(network, read_weights(bundle), bundle)
        return cls(bundle, network, torch.device(device))

    def prepare(self, look: Look) -> None:
        """Return nothing: style images play no part."""

    @torch.inference_mode()
    def stylise(self, content: Tensor, product: Tensor, prepared: None = None) -> Tensor:
        """Return the translated pictures (B, 3, H, W) float32 in [0, 1] of content (B, 3, H, W) in [0, 1].

        product (B, 1, H, W) is not looked at. A picture does not depend on the others in its batch.
        """
        here = content.to(self.device, torch.float32)
        if self.settings["apply"] == "full":
            return self._translate(here).to(content.device)
        small = _resized(here, self._trained_size(here.shape[-2:]))
        drawn = self._translate(small)
        if self.settings["pairs"] == "edges":
            stylised = _resized(drawn, here.shape[-2:])
        else:
            stylised = here + _resized(drawn - small, here.shape[-2:])
        return stylised.clamp(0, 1).to(content.device)

    def _trained_size(self, size: torch.Size) -> tuple[int, int]:
        """Return the height and width in the same ratio, of which the shorter is the trained size."""
        scale = int(self.settings["size"]) / min(size)
        return round(size[0] * scale), round(size[1] * scale)

    def _translate(self, content: Tensor) -> Tensor:
        """Return the network's pictures of any size: continued at the border to its multiple, and cut again."""
        source = outline(content) if self.settings["pairs"] == "edges" else content
        rows, columns = source.shape[-2:]
        padded = F.pad(source, (0, -columns % self.multiple, 0, -rows % self.multiple), mode="replicate")
        drawn: Tensor = self.network(padded * 2 - 1)
        return (drawn[..., :rows, :columns] + 1) / 2


def export_bundle(out: Path, generator: nn.Module, config: Config, about: Mapping[str, Any]) -> Bundle:
    """Write a generator to the bundle folder `out`.

    about: sources, targets and images_seen (counts), minutes, and measured, figures by name.
    Raises BundleError when a weight is beyond half precision.
    """
    shape: dict[str, Any] = {"engine": config.engine, "size": config.size, "width": config.width, "apply": config.apply}
    shape |= {"direction": config.direction, "pairs": getattr(config, "pairs", "none")}
    if isinstance(config, CycleganConfig):
        shape["blocks"] = config.blocks
    weights = {name: tensor.detach().cpu() for name, tensor in generator.state_dict().items()}
    return save_bundle(out, kind=KIND, name=out.name, config=shape, weights=weights, card=card(out.name, config, about))


def card(name: str, config: Config, about: Mapping[str, Any]) -> str:
    """Return the bundle's CARD.md."""
    figures = "".join(f"- {key}: {value:.4g}\n" for key, value in about["measured"].items()) or "- Not measured yet.\n"
    return f"""# {name}

A translation of pictures, `{config.engine}`, direction {config.direction}, trained at {config.size}x{config.size} px.

## Data
{_data(config, about)}
{config.held_out} pictures (at most one in five) were held out.

## Recipe
- {_recipe(config)}
- Adam, rate {config.lr:g}, constant for {config.constant:g} of {config.images:,} images and then down to zero in a
  line; batch {config.batch}, seed {config.seed}; pictures moved by up to 1/{config.shift or "-"} of their size
  and {"mirrored" if config.flip else "not mirrored"}.
- {about["images_seen"]:,} images seen in {about["minutes"]:.1f} minutes on `{config.device}`.

## Measured
On held-out pictures; differences are means of pictures in [0, 1].
{figures}
## Limits
It knows what its pictures showed, and paints that into anything. The product's mask does not enter its statistics: what
keeps the product is the blend after it.
"""


def _network(bundle: Bundle) -> UNet | ResnetGenerator:
    shape = bundle.config
    try:
        if shape["engine"] == "pix2pix":
            return UNet(int(shape["size"]), int(shape["width"]))
        return ResnetGenerator(int(shape["width"]), int(shape["blocks"]))
    except KeyError as error:
        raise BundleError(f"the bundle's config lacks {error}", where=str(bundle.path)) from error


def _resized(images: Tensor, size: torch.Size | tuple[int, int]) -> Tensor:
    if images.shape[-2:] == tuple(size):
        return images
    return F.interpolate(images, tuple(size), mode="bicubic", antialias=True)


def _data(config: Config, about: Mapping[str, Any]) -> str:
    if isinstance(config, Pix2pixConfig):
        if config.pairs == "edges":
            return f"{about['targets']:,} photos, each paired with its own outline (Canny's filter)."
        return f"{about['targets']:,} pairs of pictures."
    return f"{about['sources']:,} pictures of side a, {about['targets']:,} of side b, not paired."


def _recipe(config: Config) -> str:
    if isinstance(config, Pix2pixConfig):
        return (
            f"U-Net of width {config.width}, dropout {config.dropout:g}, patch discriminator of width "
            f"{config.judge_width}; {config.adversarial} loss, L1 {config.l1:g} (arXiv 1611.07004)."
        )
    return (
        f"Residual generators of width {config.width} with {config.blocks} blocks, patch discriminators of width "
        f"{config.judge_width}; {config.adversarial} loss, cycle {config.cycle:g}, identity {config.identity:g}, pool "
        f"{config.pool} (arXiv 1703.10593)."
    )
