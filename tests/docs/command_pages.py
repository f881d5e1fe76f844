"""Writes docs/commands.md from the command line itself: `make docs`. A test holds that the file is up to date.

It reads the commands' signatures, not Typer's rendering of them, which changes from version to version.
"""

from __future__ import annotations

import inspect
import sys
import types
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import typer
from typer.models import ArgumentInfo, OptionInfo

PAGE = Path(__file__).parents[2] / "docs" / "commands.md"
HEAD = "# Commands\n\nWritten by `make docs` from the program itself. Every command also has `--help`.\n"


def all_commands() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yield (full name, function) for each command, in the order of `--help`."""
    from catalog_gen.cli import app

    yield from _walk("catalog-gen", app)


def _walk(name: str, app: typer.Typer) -> Iterator[tuple[str, Callable[..., Any]]]:
    for command in app.registered_commands:
        assert command.callback is not None
        yield f"{name} {command.name or command.callback.__name__.replace('_', '-')}", command.callback
    for group in app.registered_groups:
        assert group.typer_instance is not None
        yield from _walk(f"{name} {group.name}", group.typer_instance)


def page() -> str:
    """Return the whole of docs/commands.md."""
    return "\n".join([HEAD, *(_section(name, function) for name, function in all_commands())])


def _section(name: str, function: Callable[..., Any]) -> str:
    hints = typing.get_type_hints(function, include_extras=True)
    arguments, options = [], []
    for parameter in inspect.signature(function).parameters.values():
        kind, info = typing.get_args(hints[parameter.name])
        values = _values(kind)
        about = f"{info.help or ''} {_default(parameter.default, info)}".strip().replace("|", "\\|")
        if isinstance(info, ArgumentInfo):
            label = parameter.name.rstrip("_").upper()
            arguments.append((f"{label}..." if typing.get_origin(kind) is list else label, about))
        else:
            assert isinstance(info, OptionInfo)
            options.append((f"{_flag(parameter.name, info)} {values}".strip(), about))
    usage = " ".join([name, *(label for label, _ in arguments), "[OPTIONS]"])
    rows = [f"| `{label}` | {about} |" for label, about in [*arguments, *options]]
    said = " ".join((inspect.getdoc(function) or "").split())
    return "\n".join([f"## {name}", "", f"    {usage}", "", said, "", "| | |", "| --- | --- |", *rows, ""])


def _flag(name: str, info: OptionInfo) -> str:
    # Typer keeps the first name of an annotated option in `default`, until it builds the command.
    given = [text for text in (info.default, *(info.param_decls or ())) if str(text).startswith("--")]
    return str(given[0]) if given else "--" + name.rstrip("_").replace("_", "-")


def _values(kind: Any) -> str:
    """What follows the flag: nothing for a switch."""
    if isinstance(kind, types.UnionType):
        kind = next(part for part in typing.get_args(kind) if part is not type(None))
    if typing.get_origin(kind) is list:
        (kind,) = typing.get_args(kind)
    return {bool: "", int: "N", float: "N", Path: "PATH", str: "TEXT"}[kind]


def _default(default: Any, info: OptionInfo | ArgumentInfo) -> str:
    if default is inspect.Parameter.empty:
        return "Required." if isinstance(info, OptionInfo) else ""
    return "" if default in (None, False) else f"Default: {default}."


if __name__ == "__main__":
    sys.path.insert(0, str(PAGE.parents[1]))
    PAGE.write_text(page(), encoding="utf-8")
