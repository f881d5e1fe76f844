"""Reading `template.toml`, and saying what is wrong with it: every mistake at once, each with its key and reason."""

from __future__ import annotations

import difflib
import re
import tomllib
import types
from pathlib import Path
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from catalog_gen.errors import TemplateError, TemplateProblem
from catalog_gen.style.template_config import ASPECT, Adaptable, Overlay, TemplateConfig
from catalog_gen.style.template_files import CONFIG, find_font, open_template_image, shipped_fonts


def parse_template(folder: Path) -> TemplateConfig:
    """Return what folder/template.toml says, its files there and readable.

    Raises TemplateError with all of its mistakes.
    """
    file = folder / CONFIG
    config = _validated(file, _read(file))
    problems = [TemplateProblem(str(file), key, reason) for key, reason in _references(folder, config)]
    if problems:
        raise TemplateError(problems)
    return config


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise TemplateError([TemplateProblem(str(file), "", f"cannot be read ({error.strerror})")]) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TemplateError([TemplateProblem(str(file), "", f"is not valid TOML: {error}")]) from error


def _validated(file: Path, values: dict[str, Any]) -> TemplateConfig:
    try:
        return TemplateConfig.model_validate(values)
    except ValidationError as error:
        found = [_told(dict(fault)) for fault in error.errors(include_url=False)]
        # An override repeats its section's keys, and with them the section's own mistakes.
        own = {(key, reason) for key, reason in found if not ASPECT.search(key)}
        kept = [
            pair for pair in found if pair in own or (ASPECT.sub("", pair[0]).replace('."".', "."), pair[1]) not in own
        ]
        problems = [TemplateProblem(str(file), key, reason) for key, reason in dict.fromkeys(kept)]
        raise TemplateError(problems) from error


def _told(fault: dict[str, Any]) -> tuple[str, str]:
    place = tuple(part for part in fault["loc"] if part != "aspects")
    key = _written(place)
    if fault["type"] == "extra_forbidden":
        known = _keys_beside(place)
        near = difflib.get_close_matches(str(place[-1]), known, n=1, cutoff=0.5)
        return key, "unknown key; " + (f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}")
    reason = fault["msg"].removeprefix("Value error, ").replace("Input should be", "should be")
    reason = reason[:1].lower() + reason[1:] if reason[:2].istitle() else reason
    value = fault["input"]
    shown = f" (it is {value!r})" if isinstance(value, str | int | float | bool) and fault["type"] != "missing" else ""
    return key, "is missing" if fault["type"] == "missing" else reason + shown


def _written(place: tuple[str | int, ...]) -> str:
    """The place as one finds it in the file: `output[2].width`, `placement."16:9".scale`; lists count from 1."""
    key = ""
    for part in place:
        if isinstance(part, int):
            key += f"[{part + 1}]"
        else:
            word = f'"{part}"' if ASPECT.fullmatch(part) else part
            key += f".{word}" if key else word
    return key


def _keys_beside(place: tuple[str | int, ...]) -> list[str]:
    model: type[BaseModel] = TemplateConfig
    for part in place[:-1]:
        if isinstance(part, int) or ASPECT.fullmatch(part):
            continue
        inner = _model_in(model.model_fields[part].annotation)
        if inner is None:
            break
        model = inner
    return [name for name in model.model_fields if name != "aspects"]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (Union, types.UnionType, tuple) or get_args(annotation):
        for inner in get_args(annotation):
            if (found := _model_in(inner)) is not None:
                return found
    return None


def _references(folder: Path, config: TemplateConfig) -> list[tuple[str, str]]:
    """What the sections name: files, fonts, palette colours, outputs, aspects."""
    found: list[tuple[str, str]] = []
    images = [(f"style[{n}].image", style.image) for n, style in enumerate(config.style, 1)]
    for prefix, section in _everywhere("background", config.background):
        images.append((f"{prefix}.image", section.image))
    for prefix, logo in _everywhere("logo", config.logo) if config.logo is not None else ():
        images.append((f"{prefix}.image", logo.image))
    for key, name in images:
        if not name:
            continue
        if Path(name).is_absolute() or ".." in Path(name).parts:
            found.append((key, f"{name}: a template's files lie in its own folder"))
            continue
        try:
            open_template_image(folder, name, key)
        except TemplateError as error:
            found += [(problem.key, problem.reason) for problem in error.problems]
    texts = [(f"text[{n}]", text) for n, text in enumerate(config.text, 1)]
    for prefix, text in (place for key, whole in texts for place in _everywhere(key, whole)):
        try:
            find_font(folder, text.font)
        except FileNotFoundError:
            found.append((f"{prefix}.font", f"no font {text.font!r}; shipped: {', '.join(shipped_fonts())}"))
    if not config.style and config.engine not in ("pix2pix", "cyclegan"):
        found.append(("style", f"the engine {config.engine} needs one style image or more"))
    return found + _colours(config) + _outputs(config)


def _colours(config: TemplateConfig) -> list[tuple[str, str]]:
    found, count = [], len(config.palette.colours)
    for name in ("background", "shadow", "frame"):
        section = getattr(config, name)
        for prefix, part in _everywhere(name, section) if section is not None else ():
            colours = part.colours if name == "background" else (part.colour,)
            found += [(f"{prefix}.colour{'s' if name == 'background' else ''}", colour) for colour in colours]
    for n, text in enumerate(config.text, 1):
        found += [(f"{prefix}.colour", part.colour) for prefix, part in _everywhere(f"text[{n}]", text)]
    return [
        (key, f"{colour}: the palette has {count} colours")
        for key, colour in dict.fromkeys(found)
        if (number := re.fullmatch(r"palette\.(\d+)", colour)) and int(number[1]) > count
    ]


def _outputs(config: TemplateConfig) -> list[tuple[str, str]]:
    names = [output.name for output in config.output]
    found = [(f"output[{n}].name", f"{name!r} is taken") for n, name in enumerate(names, 1) if name in names[: n - 1]]
    aspects = {output.aspect for output in config.output}
    overlays: list[tuple[str, Overlay | None]] = [("frame", config.frame), ("logo", config.logo)]
    overlays += [(f"text[{n}]", text) for n, text in enumerate(config.text, 1)]
    for key, overlay in overlays:
        for name in overlay.outputs if overlay is not None else ():
            if name not in names:
                found.append((f"{key}.outputs", f"no output is called {name!r}; there are {', '.join(names)}"))
    sections: list[tuple[str, Adaptable | None]] = [("background", config.background), ("placement", config.placement)]
    for key, section in [*sections, ("shadow", config.shadow), *overlays]:
        for aspect in section.aspects if section is not None else ():
            if aspect not in aspects:
                found.append(
                    (f'{key}."{aspect}"', f"no output has this aspect; there are {', '.join(sorted(aspects))}")
                )
    return found


def _everywhere(key: str, section: Any) -> list[tuple[str, Any]]:
    return [(key, section), *((f'{key}."{aspect}"', part) for aspect, part in section.aspects.items())]
