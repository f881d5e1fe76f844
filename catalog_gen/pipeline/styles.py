"""`catalog-gen styles`: templates listed, shown, checked, and a new one begun."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from catalog_gen.config import Settings
from catalog_gen.errors import TemplateError, UsageError
from catalog_gen.style.template import SHIPPED, Template, known_templates, load_template
from catalog_gen.style.template_check import check_template
from catalog_gen.style.template_files import CONFIG

STARTER = SHIPPED / "starter.toml"
STARTER_STYLE = SHIPPED / "studio" / "limewash.webp"


def own_templates(settings: Settings) -> Path | None:
    """Return the folder with the shop's own templates (`restyle.templates`), or None."""
    return Path(settings.restyle.templates).expanduser() if settings.restyle.templates else None


def list_styles(own: Path | None = None) -> str:
    """Return a line a template: its name, title, engine, outputs, and whose it is; a broken one says so."""
    lines = []
    for name, folder in known_templates(own).items():
        whose = "shipped" if folder.parent == SHIPPED else str(folder)
        try:
            config = load_template(name, own).config
        except TemplateError as error:
            lines.append((name, "broken", f"{len(error.problems)} mistakes: styles check {name}", "", whose))
            continue
        outputs = ", ".join(f"{output.name} {output.width}x{output.height}" for output in config.output)
        lines.append((name, config.title, config.engine, outputs, whose))
    return _columns([("name", "title", "engine", "outputs", "from"), *lines])


def show_style(spec: str, own: Path | None = None) -> str:
    """Return what a template is, for people: engine, images, layout, limits, outputs and their hashes.

    Raises TemplateError as `load_template` does.
    """
    template = load_template(spec, own)
    config = template.config
    styles = ", ".join(f"{style.image} ({style.weight:g})" for style in config.style) or "none"
    amount = f"scene {config.strength:g}, product {config.product_strength:g}"
    limits, placement = config.limits, config.placement
    facts = [
        ("template", f"{template.name}: {config.title}"),
        ("folder", str(template.path)),
        ("hash", template.hash),
        ("engine", f"{config.engine}, bundle {config.bundle or 'the shipped one'}, features {config.features}"),
        ("styles", styles),
        ("strength", amount + (", colours kept" if config.keep_colours else "")),
        ("background", config.background.image or f"{config.background.kind} {', '.join(config.background.colours)}"),
        ("placement", f"{placement.pose}, within {placement.width:.0%} x {placement.height:.0%}"),
        ("shadow", f"{config.shadow.kind}, opacity {config.shadow.opacity:g}"),
        ("palette", ", ".join(config.palette.colours) or "none"),
        ("texts", "; ".join(text.text for text in config.text) or "none"),
        (
            "limits",
            f"delta E {limits.delta_e:g} (95 %: {limits.delta_e_p95:g}), SSIM {limits.ssim:g}, CLIP {limits.clip:g}",
        ),
    ]
    for output in config.output:
        size = f"{output.width}x{output.height} {output.format} q{output.quality}, at most {output.max_bytes:,} bytes"
        facts.append((f"output {output.name}", f"{size}, {template.output_hash(output)[:16]}"))
    return _columns(facts)


def check_style(spec: str, own: Path | None = None) -> str:
    """Return one line that says that the template is good.

    Raises TemplateError with every mistake found; then BundleError when its engine's weights are missing or damaged,
    ConfigError when they have not learnt its styles.
    """
    template = load_template(spec, own)
    check_template(template)
    if template.config.engine not in ("gatys", "statistics"):  # those have no weights of their own
        from catalog_gen.style.engine import open_engine

        open_engine(template.config).prepare(template.look("cpu"))
    return f"{template.path / CONFIG}: good, {len(template.config.output)} outputs"


def new_style(name: str, folder: Path, like: str = "") -> str:
    """Write folder/name, a template to begin with, and return one line that says so.

    like: the template to copy, by name or path; empty: a commented one that says what every key does. Raises
    UsageError when the name cannot be a folder's, or the folder is there already.
    """
    if not name.replace("-", "").replace("_", "").isalnum() or name != name.strip("-_"):
        raise UsageError(f"{name!r} cannot be a template's name", hint="Use letters, digits, - and _.")
    target = folder / name
    source = load_template(like, folder) if like else None
    try:
        target.mkdir(parents=True)
        if source is not None:
            _copy(source, target)
        else:
            shutil.copyfile(STARTER, target / CONFIG)
            shutil.copyfile(STARTER_STYLE, target / "style.webp")
    except FileExistsError as error:
        raise UsageError("is there already", where=str(target), hint="Choose another name.") from error
    except OSError as error:
        raise UsageError(f"cannot be written ({error.strerror or error})", where=str(target)) from error
    return f"{target / CONFIG}: change it, then: catalog-gen styles check {target}"


def _copy(source: Template, target: Path) -> None:
    for file in sorted(source.path.iterdir()):
        if file.is_file():
            shutil.copyfile(file, target / file.name)


def _columns(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
