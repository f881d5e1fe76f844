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
    own = [folder / name] if Path(name).name == name else []  # a template's files lie in its own folder
    for file in (*own, *(FONTS / f"{name}{suffix}" for suffix in (".ttf", ".otf"))):
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
    """Yield every file that the template uses, as it names it; fonts that ship too."""
    for style in config.style:
        yield style.image, folder / style.image
    for section in (config.background, *config.background.aspects.values()):
        if section.image:
            yield section.image, folder / section.image
    for logo in (config.logo, *config.logo.aspects.values()) if config.logo is not None else ():
        yield logo.image, folder / logo.image
    for text in (part for whole in config.text for part in (whole, *whole.aspects.values())):
        yield text.font, find_font(folder, text.font)
