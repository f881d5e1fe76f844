"""The documents are true: every command in them parses, every key, flag and exit code is there and no other."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
from command_pages import PAGE, all_commands, page
from pydantic import BaseModel

from catalog_gen import errors
from catalog_gen.catalog.csv_feed import CsvFeed
from catalog_gen.cli import app
from catalog_gen.clip.config import ClipTrainConfig
from catalog_gen.config import Settings, load_settings
from catalog_gen.demo import catalogue_path
from catalog_gen.gan.config import GanTrainConfig
from catalog_gen.gan.settings import known_keys
from catalog_gen.upscale.config import UpscaleTrainConfig

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    "README.md",
    "docs/operations.md",
    "docs/configuration.md",
    "docs/training.md",
    "docs/evaluation.md",
    "docs/restyling.md",
    "docs/telling.md",
    "docs/exports.md",
    "docs/reporting.md",
    "docs/desk.md",
    "docs/review.md",
]


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(name: str, kind: str) -> list[str]:
    """Return the fenced blocks of a language, or for `sh` the indented lines."""
    if kind == "sh":
        return [line.strip() for line in read(name).splitlines() if line.startswith("    ")]
    return re.findall(rf"```{kind}\n(.*?)```", read(name), re.DOTALL)


COMMANDS = [(name, line) for name in DOCUMENTS for line in blocks(name, "sh") if line.startswith("catalog-gen ")]


@pytest.mark.parametrize(("name", "line"), COMMANDS)
def test_every_command_shown_is_one(name: str, line: str) -> None:
    group: Any = typer.main.get_command(app)
    arguments = shlex.split(line, comments=True)[1:]
    with group.make_context("catalog-gen", arguments) as context:
        while hasattr(group, "commands"):
            _, group, arguments = group.resolve_command(context, [*context._protected_args, *context.args])
            context = group.make_context(group.name, arguments, parent=context)


def test_there_are_commands_to_check() -> None:
    assert len([line for name, line in COMMANDS if name == "README.md"]) >= 8


def test_every_command_is_in_the_readme() -> None:
    rows = re.findall(r"^\| `(catalog-gen [^`]+)` \|", read("README.md"), re.MULTILINE)
    assert sorted(rows) == sorted(name for name, _ in all_commands())


def test_the_page_of_commands_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: make docs"


def test_the_page_has_the_flags_that_the_program_takes() -> None:
    group: Any = typer.main.get_command(app)
    sections = {part.split("\n")[0]: part for part in page().split("\n## ")[1:]}
    for name, _ in all_commands():
        command = group
        for word in name.split()[1:]:
            command = command.commands[word]
        taken = {option for parameter in command.params for option in parameter.opts if option.startswith("--")}
        assert set(re.findall(r"^\| `(--[a-z-]+)", sections[name], re.MULTILINE)) == taken - {"--help"}, name


def test_every_exit_code_is_in_the_readme() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and hasattr(kind, "exit_code")]
    codes = {errors.EXIT_OK, errors.EXIT_SOME_FAILED, errors.EXIT_PARTIAL, *(kind.exit_code for kind in kinds)}
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", read("README.md"), re.MULTILINE)] == sorted(codes)


def keys(model: type[BaseModel], prefix: str = "") -> dict[str, Any]:
    """Return every key with its default, sections opened."""
    found: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        key = prefix + (field.alias or name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found |= keys(field.annotation, f"{key}.")
        else:
            found[key] = field.get_default(call_default_factory=True)
    return found


def listed(document: str) -> list[tuple[str, str]]:
    """Return the keys in the tables of a document, with what it says is their default."""
    return re.findall(r"^\| `([a-z0-9_.]+)` \| (\S.*?) \| ", document, re.MULTILINE)


def shown(value: Any) -> str:
    return "unset" if value is None else f"`{json.dumps(list(value) if isinstance(value, tuple) else value)}`"


def test_every_training_setting_is_listed_with_its_default() -> None:
    section = read("docs/training.md").split("\n## Settings\n")[1]
    expected = {key: shown(value) for key, value in keys(GanTrainConfig).items()}
    assert dict(listed(section)) == expected
    assert [key for key, _ in listed(section)] == list(known_keys())


def test_every_setting_of_a_clip_is_listed_with_its_default() -> None:
    section = read("docs/training.md").split("\n## Training CLIP\n")[1].split("\n## ")[0]
    assert listed(section) == [(key, shown(value)) for key, value in keys(ClipTrainConfig).items()]


def test_every_setting_of_an_upscaler_is_listed_with_its_default() -> None:
    section = read("docs/training.md").split("\n## Training the upscaler\n")[1].split("\n## ")[0]
    assert listed(section) == [(key, shown(value)) for key, value in keys(UpscaleTrainConfig).items()]


def test_every_key_is_listed_with_its_default() -> None:
    rows = listed(read("docs/configuration.md"))
    expected = {key: shown(value) for key, value in keys(Settings).items()}
    assert dict(rows) == expected
    assert len(rows) == len(expected)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_configuration_shown_is_valid(name: str, tmp_path: Path) -> None:
    for number, block in enumerate(blocks(name, "toml")):
        file = tmp_path / f"{number}.toml"
        file.write_text(block, encoding="utf-8")
        load_settings(file, env={})
        assert tomllib.loads(block)


def test_the_readme_counts_the_demo_s_rows() -> None:
    feed = CsvFeed(catalogue_path())
    rows = sum(len(chunk.frame) for chunk in feed.chunks(1000))
    feed.close()
    assert f"demo catalogue of {rows} rows" in read("README.md")


@pytest.mark.parametrize("name", [*DOCUMENTS, "CHANGELOG.md"])
def test_files_that_are_named_exist(name: str) -> None:
    text = read(name)
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert ((ROOT / name).parent / target).exists(), target
    for target in re.findall(r"`(jobs/[^`]*)`", text):
        assert (ROOT / target).exists(), target


def test_the_make_targets_named_exist() -> None:
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = set(re.findall(r"make ([a-z]+)", listed))
    assert {"demo", "test", "lint", "types", "bench", "help"} <= targets
    assert set(re.findall(r"`make ([a-z]+)`", read("README.md"))) <= targets
