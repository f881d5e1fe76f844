"""Templates: folders with a `template.toml` and its images, found by name or path, read, and checked whole.

winter/
  template.toml       what template_config.py describes
  frost.webp          a style image; scene-square.webp: a background; a logo, a font, if any
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageFont

from catalog_gen.errors import TemplateError, TemplateProblem
from catalog_gen.style.template_config import Background, Logo, Output, TemplateConfig, Text
from catalog_gen.style.template_faults import parse_template
from catalog_gen.style.template_files import CONFIG, find_font, open_template_image, used_files

if TYPE_CHECKING:
    import torch

    from catalog_gen.style.engine import Look

SHIPPED = Path(__file__).parent / "templates"
LAYOUT = 1  # version of what compose.py and outputs.py make of a template; part of every output's hash
MAX_STYLE_SIDE = 1_024  # px; engines look at style images no larger


@dataclass(frozen=True, eq=False)
class Template:
    """A checked template, equal only to itself. `hash`: sha256, in hex, of all it says and every file it uses."""

    name: str
    path: Path
    config: TemplateConfig
    hash: str
    digests: Mapping[str, str] = field(repr=False)  # sha256 of every file it uses, as it was when it was read

    def output(self, name: str) -> Output:
        """Return the output of that name. Raises KeyError."""
        return {output.name: output for output in self.config.output}[name]

    def output_hash(self, output: Output) -> str:
        """Return the sha256, in hex, of what decides the pixels and bytes of this output, and of nothing else.

        A changed title, limit, palette colour that nobody uses, or other output's layout leaves it as it was.
        """
        config, aspect = self.config, output.aspect
        overlays = [part for part in (config.frame, config.logo, *config.text) if part and part.is_on(output.name)]
        sections = [config.background, config.placement, config.shadow, *overlays]
        here = [section.at(aspect) for section in sections]
        content = {
            "layout": LAYOUT,
            "engine": [config.engine, config.bundle, config.features],
            "amount": [config.strength, config.product_strength, config.keep_colours],
            "sections": [[type(section).__name__, self._plain(section.model_dump())] for section in here],
            "style": [[style.weight / _total(config), self.digests[style.image]] for style in config.style],
            "output": output.model_dump(exclude={"name", "aspect"}),
        }
        return _sha256(json.dumps(content, sort_keys=True).encode())

    def background_image(self, background: Background) -> Image.Image:
        """Return the background's image, RGB. Raises TemplateError when its file has gone or was damaged since."""
        return self._open(background.image, "background.image").convert("RGB")

    def logo_image(self, logo: Logo) -> Image.Image:
        """Return the logo, RGBA. Raises TemplateError when its file has gone or was damaged since."""
        return self._open(logo.image, "logo.image").convert("RGBA")

    def font(self, text: Text, size: int) -> ImageFont.FreeTypeFont:
        """Return the text's font at `size` pixels an em."""
        return ImageFont.truetype(str(find_font(self.path, text.font)), size, layout_engine=ImageFont.Layout.BASIC)

    def look(self, device: str | torch.device = "cpu") -> Look:
        """Return the style images (3, h, w) float32 in [0, 1], at most 1,024 px a side, and weights that sum to 1.

        Raises TemplateError when a file has gone or was damaged since.
        """
        import numpy as np
        import torch

        from catalog_gen.style.engine import Look

        tensors = []
        for number, style in enumerate(self.config.style, 1):
            image = self._open(style.image, f"style[{number}].image").convert("RGB")
            image.thumbnail((MAX_STYLE_SIDE, MAX_STYLE_SIDE), Image.Resampling.LANCZOS)
            pixels = np.asarray(image, dtype=np.float32) / 255
            tensors.append(torch.from_numpy(pixels).permute(2, 0, 1).contiguous().to(device))
        return Look(tuple(tensors), tuple(style.weight / _total(self.config) for style in self.config.style))

    def _open(self, name: str, key: str) -> Image.Image:
        return open_template_image(self.path, name, key)

    def _plain(self, values: dict[str, Any]) -> dict[str, Any]:
        """The values with colours looked up and files as their hashes: what counts, not how it is called."""
        plain = {}
        for key, value in values.items():
            if key in ("colour", "colours"):
                value = [self.config.colour(name) for name in ([value] if isinstance(value, str) else value)]
            elif key in ("image", "font") and value:
                value = self.digests[value]
            if key != "outputs":
                plain[key] = value
        return plain


def load_template(spec: str, own: Path | None = None) -> Template:
    """Return the template that `spec` names: a folder's path, or a name in the folder `own` or among the shipped.

    Raises TemplateError with every mistake that could be found: the file, the key and the reason of each.
    """
    folder = _find(spec, own)
    config = parse_template(folder)
    digests = {name: _sha256(file.read_bytes()) for name, file in used_files(folder, config)}
    return Template(folder.name, folder, config, _whole_hash(config, digests), digests)


def shipped_templates() -> list[str]:
    """Return the names of the templates that come with the package."""
    return sorted(file.parent.name for file in SHIPPED.glob(f"*/{CONFIG}"))


def known_templates(own: Path | None = None) -> dict[str, Path]:
    """Return name and folder of every template: the shop's own in `own`, which go before shipped ones, and those."""
    found = {name: SHIPPED / name for name in shipped_templates()}
    if own is not None and own.is_dir():
        found |= {file.parent.name: file.parent for file in sorted(own.glob(f"*/{CONFIG}"))}
    return found


def _find(spec: str, own: Path | None) -> Path:
    known = known_templates(own)
    if spec in known:
        return known[spec]
    folder = Path(spec)
    if folder.name == CONFIG:
        folder = folder.parent
    if (folder / CONFIG).is_file():
        return folder.resolve()
    if folder.is_dir():
        raise TemplateError([TemplateProblem(str(folder), "", f"has no {CONFIG}")], hint="Start with: styles new.")
    near = difflib.get_close_matches(spec, known, n=1, cutoff=0.5)
    hint = f"Did you mean {near[0]}?" if near else f"Known: {', '.join(known)}."
    raise TemplateError([TemplateProblem(spec, "", "is no template's name and no folder")], hint=hint)


def _whole_hash(config: TemplateConfig, files: Mapping[str, str]) -> str:
    aspects = {
        name: {aspect: part.model_dump(mode="json") for aspect, part in section.aspects.items()}
        for name, section in (
            ("background", config.background),
            ("placement", config.placement),
            ("shadow", config.shadow),
            *((f"overlay[{n}]", part) for n, part in enumerate((config.frame, config.logo, *config.text)) if part),
        )
    }
    content = {"layout": LAYOUT, "config": config.model_dump(mode="json"), "aspects": aspects, "files": dict(files)}
    return _sha256(json.dumps(content, sort_keys=True).encode())


def _total(config: TemplateConfig) -> float:
    return sum(style.weight for style in config.style)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
