"""Draw the shipped templates' images: `python -m template_art.make [NAME ...]`, run from `tests/`."""

from __future__ import annotations

import sys
from pathlib import Path

from template_art import scenes, styles
from template_art.field import save
from template_art.ground import View

FOLDER = Path(__file__).parents[2] / "catalog_gen" / "style" / "templates"
STYLES = {"winter": "frost", "summer": "shallows", "festive": "gilding", "studio": "limewash"}
# Horizons and stands are what template.toml says for the same aspect.
VIEWS = {"square": (1080, 1080, 0.60, 0.86), "portrait": (1080, 1350, 0.62, 0.84), "wide": (1600, 900, 0.58, 0.87)}


def make(name: str) -> None:
    folder = FOLDER / name
    folder.mkdir(parents=True, exist_ok=True)
    style = STYLES[name]
    save(getattr(styles, style)(), folder / f"{style}.webp", 88)
    for output, numbers in VIEWS.items():
        save(getattr(scenes, name)(View(*numbers)), folder / f"scene-{output}.webp", 95)


if __name__ == "__main__":
    for chosen in sys.argv[1:] or STYLES:
        make(chosen)
