"""The files of a template: its images, and the fonts that ship or are its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from catalog_gen.errors import PhotoError, TemplateError, TemplateProblem
from catalog_gen.photos import open_photo
from catalog_gen.style.template_config import TemplateConfig

CONFIG = "template.toml"
FONTS = Path(__file__).parent / "fonts"


def find_font(folder: Path, name: str) -> Path:
    """Return the file of a shipped font (by its name) or of the template's own. Raises FileNotFoundError."""
    for file in (folder / name, *(FONTS / f"{name}{suffix}" for suffix in (".ttf", ".otf"))):
        if file.is_file():
            return file
    raise FileNotFoundError(name)


def shipped_fonts() -> list[str]:
    """Return the names of the fonts that come with the package."""
    return sorted(file.stem for file in FONTS.iterdir() if file.suffix in (".ttf", ".otf"))


def open_template_image(folder: Path, name: str, key: str) -> Image.Image:
    """Return an image of a template, RGBA where it has transparency, else RGB. Raises TemplateError."""
    try:
        image = open_photo(folder / name)
        with Image.open(folder / name) as opened:
            see_through = "A" in opened.getbands() or "transparency" in opened.info
            return opened.convert("RGBA") if see_through else image
    except PhotoError as error:
        raise TemplateError([TemplateProblem(str(folder / CONFIG), key, f"{name}: {error.what}")]) from error


def used_files(folder: Path, config: TemplateConfig) -> Iterator[tuple[str, Path]]:
    """Yield every file that the template uses, with the key that names it; shipped fonts too."""
    for number, style in enumerate(config.style, 1):
        yield f"style[{number}].image", folder / style.image
    background = config.background
    for aspect, section in {"": background, **background.aspects}.items():
        if section.image:
            yield f'background."{aspect}".image' if aspect else "background.image", folder / section.image
    if config.logo is not None:
        yield "logo.image", folder / config.logo.image
    for number, text in enumerate(config.text, 1):
        yield f"text[{number}].font", find_font(folder, text.font)
